"""Everything that can be set: the sections of a spec, frozen.

What a field's metadata says is explained in `cvcore.model_settings`, where the largest section is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import cache

from cvcore.model_settings import ModelConfig as ModelConfig
from cvcore.model_settings import hyper, setting
from cvcore.spaces import Space, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Where the images are and how they become arrays and splits."""

    uri: str = setting(
        "builtin:castings?images=600&size=96&seed=0",
        "directory, s3:// prefix, .zip or .tar.gz of one folder per class, or builtin:castings",
    )
    image_size: int = setting(96, "pixels a side after resizing", minimum=8, maximum=2048)
    channels: str = setting("rgb", "colour channels kept", choices=("rgb", "grayscale"))
    validation_fraction: float = setting(
        0.15, "part of the images for choosing between trials", minimum=0.01, maximum=0.8
    )
    test_fraction: float = setting(
        0.15,
        "part held out for the final score where there is no test folder",
        minimum=0.01,
        maximum=0.8,
    )
    group_by: str = setting(
        "none", '"none" or a regular expression over paths: one group, one split'
    )
    seed: int = setting(0, "seed of the split", minimum=0)
    on_corrupt: str = setting(
        "quarantine", "what an unreadable image does", choices=("quarantine", "fail")
    )
    alpha: str = setting(
        "white", "what transparent pixels are laid on", choices=("white", "black", "drop")
    )


OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained."""

    epochs: int = setting(10, "passes over the training images at most", minimum=1, maximum=100_000)
    batch_size: int = hyper(32, "images a step, over all devices", minimum=1, maximum=65_536)
    optimizer: str = hyper("adam", "update rule", choices=OPTIMIZERS)
    learning_rate: float = hyper(1e-3, "step size", minimum=1e-8, maximum=10.0)
    optimizer_epsilon: float | None = hyper(
        None,
        "keeps a step finite; Keras' own if not set, unused by sgd",
        minimum=1e-12,
        maximum=1.0,
        kind=float,
        optional=True,
        since=2,
    )
    early_stopping_patience: int = setting(
        5, "epochs without a better objective before a trial ends; 0 never", minimum=0
    )
    precision: str = setting(
        "float32", "arithmetic", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    xla: bool = setting(False, "compile the training step with XLA: for GPUs")
    deterministic: bool = setting(False, "repeat bit for bit, at a price in speed")
    fine_tune_epochs: int = setting(
        0, "epochs with part of the base unfrozen, after the head's; 0 is none", minimum=0
    )
    fine_tune_at: str = hyper(
        "auto",
        'first layer of the base that learns: a name, a number from 0, or "auto"',
        numbers=True,
        family="transfer",
        since=2,
    )
    fine_tune_learning_rate_factor: float = hyper(
        0.1, "on the learning rate", minimum=1e-6, maximum=10.0, family="transfer", since=2
    )
    fine_tune_optimizer: str | None = hyper(
        None,
        "update rule of fine-tuning; the head's if not set",
        choices=OPTIMIZERS,
        kind=str,
        optional=True,
        family="transfer",
        since=2,
    )
    feature_cache: bool = setting(
        True, "let a frozen base see every image once, for all trials and later sweeps"
    )
    feature_views: int = setting(
        8, "augmented copies of a training image in the feature cache", minimum=1, maximum=1000
    )


def phases(training: TrainingConfig) -> dict[str, int]:
    """Map the phases of training, in order, to their epochs at most."""
    planned = {"train": training.epochs, "fine_tune": training.fine_tune_epochs}
    return {name: epochs for name, epochs in planned.items() if epochs}


OBJECTIVES = {
    "val_f1_weighted": "max", "val_accuracy": "max", "val_loss": "min",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """What is tried, and what is stopped early."""

    algorithm: str = setting(
        "random", "who proposes", choices=("random", "grid", "tpe", "bayesian")
    )
    scheduler: str = setting(
        "none", "who stops early", choices=("asha", "hyperband", "pbt", "none")
    )
    trials: int = setting(10, "configurations tried at most", minimum=1, maximum=1_000_000)
    objective: str = setting(
        "val_f1_weighted", "measure that ranks the trials", choices=tuple(OBJECTIVES)
    )
    mode: str | None = setting(
        None,
        "direction; follows the objective if not set",
        choices=("max", "min"),
        kind=str,
        optional=True,
    )
    max_hours: float | None = setting(
        None, "all trials end after this", minimum=0.0, kind=float, optional=True
    )
    max_cost: float | None = setting(
        None,
        "... or when the slots have cost this; needs resources.price_per_hour",
        minimum=0.0,
        kind=float,
        optional=True,
    )
    seed: int = setting(0, "seed of proposals and of every trial", minimum=0)

    @property
    def direction(self) -> str:
        return self.mode or OBJECTIVES[self.objective]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesConfig:
    """What one trial gets, and how many run at once."""

    cpus_per_trial: int = setting(1, "CPU threads", minimum=1, maximum=1024)
    gpus_per_trial: float | None = setting(
        None, "GPUs, a fraction shares one; if not set, one where there are any",
        minimum=0.0, maximum=64.0, kind=float, optional=True,
    )  # fmt: skip
    workers_per_trial: int = setting(1, "machines a trial spans", minimum=1, maximum=1)
    max_concurrent: int | None = setting(
        None, "trials at once; as many as fit if not set", minimum=1, kind=int, optional=True
    )
    price_per_hour: float | None = setting(
        None,
        "what one trial's share of a machine costs an hour, in any currency",
        minimum=0.0,
        kind=float,
        optional=True,
    )


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "model": ModelConfig,
    "training": TrainingConfig,
    "search": SearchConfig,
    "resources": ResourcesConfig,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSpec:
    """A whole spec: six sections and a name."""

    name: str = "sweep"
    recipe: str | None = None
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    space: Space = field(default_factory=dict)

    @property
    def fixed(self) -> dict[str, Value | None]:
        """Settings outside the space that its conditions may refer to."""
        values = {name: getattr(self.model, name) for name in MODEL_NAMES}
        values |= {name: getattr(self.training, name) for name in TRAINING_NAMES}
        return {name: value for name, value in values.items() if name not in self.space}


@cache
def names_of(section: type) -> tuple[str, ...]:
    """List the settings of a section, in order."""
    return tuple(one.name for one in fields(section))


MODEL_NAMES = names_of(ModelConfig)
TRAINING_NAMES = names_of(TrainingConfig)
