"""Everything that can be set, its default and its limits: the sections of a spec, frozen.

Each field says in its metadata what it accepts, so that the spec reader, the hyperparameter columns
and the documentation all follow from this one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from cvcore.catalog import BASES
from cvcore.spaces import Space, Value


def setting(
    default: Any,
    doc: str,
    *,
    choices: tuple[str, ...] = (),
    minimum: float | None = None,
    maximum: float | None = None,
    kind: type | None = None,
    optional: bool = False,
    searchable: bool = False,
    family: str | None = None,
    absent: Any = None,
) -> Any:
    """Declare a setting: default, meaning, limits.

    `searchable` settings are hyperparameters; `family` limits one to a model family; `absent` is
    what a trial uses where a condition took the parameter out of it (None: the default).
    """
    limits = {
        "doc": doc,
        "choices": choices,
        "minimum": minimum,
        "maximum": maximum,
        "kind": kind or type(default),
        "optional": optional,
        "searchable": searchable,
        "family": family,
        "absent": default if absent is None else absent,
    }
    return field(default=default, metadata=limits)


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


def _hyper(default: Any, doc: str, **limits: Any) -> Any:
    return setting(default, doc, searchable=True, **limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A model and the augmentation in front of it; every field is a hyperparameter."""

    family: str = _hyper("cnn", "kind of model", choices=("cnn", "transfer"))
    num_blocks: int = _hyper(3, "convolution blocks", minimum=1, maximum=8, family="cnn")
    filters: int = _hyper(
        16, "filters of the first convolution", minimum=1, maximum=1024, family="cnn"
    )
    filters_growth: float = _hyper(
        2.0,
        "factor on the filters from block to block",
        minimum=1.0,
        maximum=4.0,
        family="cnn",
        absent=1.0,
    )
    kernel_size: int = _hyper(3, "pixels a side", minimum=1, maximum=15, family="cnn")
    conv_stride: int = _hyper(1, "convolution stride", minimum=1, maximum=8, family="cnn")
    conv_padding: str = _hyper(
        "same", "convolution padding", choices=("same", "valid"), family="cnn"
    )
    pool_size: int = _hyper(
        2, "max-pooling window; 1 is no pooling", minimum=1, maximum=8, family="cnn"
    )
    pool_stride: int | None = _hyper(
        None,
        "max-pooling stride; the window's size if not set",
        minimum=1,
        maximum=8,
        kind=int,
        optional=True,
        family="cnn",
    )
    pool_padding: str = _hyper(
        "valid", "max-pooling padding", choices=("valid", "same"), family="cnn"
    )
    base: str = _hyper(
        "mobilenet_v2", "pretrained base model", choices=tuple(BASES), family="transfer"
    )
    weights: str = _hyper(
        "imagenet", '"imagenet", a path or s3:// object, or "none"', family="transfer"
    )
    head: str = _hyper("flatten", "from feature maps to a vector", choices=("flatten", "gap"))
    dense_units: int = _hyper(
        64, "units of the hidden dense layer; 0 is none", minimum=0, maximum=8192, absent=0
    )
    dropout: float = _hyper(0.0, "fraction dropped", minimum=0.0, maximum=0.95)
    dropout_at: str = _hyper(
        "head", "where dropout stands", choices=("head", "blocks", "everywhere")
    )
    output: str = _hyper(
        "softmax", "one logit a class, or one sigmoid logit", choices=("softmax", "sigmoid")
    )
    input_scaling: str = _hyper(
        "unit",
        "pixels to 0..1, to -1..1, or left at 0..255",
        choices=("unit", "symmetric", "none"),
        family="cnn",
    )
    augment_flip: str = _hyper(
        "none", "random mirror images", choices=("none", "horizontal", "vertical", "both")
    )
    augment_rotation: float = _hyper(0.0, "largest turn, in full turns", minimum=0.0, maximum=1.0)
    augment_contrast: float = _hyper(0.0, "largest contrast change", minimum=0.0, maximum=1.0)
    augment_zoom: float = _hyper(0.0, "largest zoom in or out", minimum=0.0, maximum=0.9)
    augment_translation: float = _hyper(
        0.0, "largest shift, in image sides", minimum=0.0, maximum=0.9
    )
    augment_crop: float = _hyper(
        0.0, "side cut off by a random crop, in image sides", minimum=0.0, maximum=0.9
    )
    augment_fill: str = _hyper(
        "reflect", "what fills the margin", choices=("reflect", "constant", "wrap", "nearest")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained."""

    epochs: int = setting(10, "passes over the training images at most", minimum=1, maximum=100_000)
    batch_size: int = _hyper(32, "images a step, over all devices", minimum=1, maximum=65_536)
    optimizer: str = _hyper("adam", "update rule", choices=("adam", "adamw", "rmsprop", "sgd"))
    learning_rate: float = _hyper(1e-3, "step size", minimum=1e-8, maximum=10.0)
    early_stopping_patience: int = setting(
        5, "epochs without a better objective before a trial ends; 0 never", minimum=0
    )
    precision: str = setting(
        "float32", "arithmetic", choices=("float32", "mixed_float16", "mixed_bfloat16")
    )
    deterministic: bool = setting(False, "repeat bit for bit, at a price in speed")


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
        None, "no trial starts after this", minimum=0.0, kind=float, optional=True
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
        values = {name: getattr(self.model, name) for name in names_of(ModelConfig)}
        values |= {name: getattr(self.training, name) for name in names_of(TrainingConfig)}
        return {name: value for name, value in values.items() if name not in self.space}


def names_of(section: type) -> list[str]:
    """List the settings of a section, in order."""
    return [one.name for one in fields(section)]


MODEL_NAMES = tuple(names_of(ModelConfig))
TRAINING_NAMES = tuple(names_of(TrainingConfig))
