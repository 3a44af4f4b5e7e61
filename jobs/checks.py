"""What a spec asks for and no trial could do: said before images are decoded and workers start."""

from __future__ import annotations

from pathlib import Path

from cvcore.bases import BASES
from cvcore.config import RAY_SCHEDULERS, check_engine
from cvcore.draft import EXAMPLE
from cvcore.errors import ConfigError
from cvcore.settings import SweepSpec

# What PBT may change: it copies weights between trials, so their shapes must stay.
PBT_CHANGES = ("learning_rate", "batch_size", "dropout")


def check_spec(spec: SweepSpec, *, engine: str, num_classes: int | None = None) -> None:
    """Refuse what no trial of this spec could do; raises `UsageError` or `ConfigError`."""
    check_engine(spec, engine)
    problems = _fine_tune_problems(spec)
    if spec.search.scheduler == "pbt":
        others = [name for name in spec.space if name not in PBT_CHANGES]
        if others or not spec.space:
            problems.append(
                f"search.scheduler: pbt copies weights between trials and changes only "
                f"{', '.join(PBT_CHANGES)}; the space has {', '.join(others) or 'nothing'}"
            )
    sigmoid_only = spec.model.output == "sigmoid" and "output" not in spec.space
    if num_classes is not None and num_classes != 2 and sigmoid_only:
        problems.append(
            f'model.output: "sigmoid" needs 2 classes, the data has {num_classes}: use "softmax"'
        )
    if spec.model.family == "transfer" and "family" not in spec.space:
        problems += _transfer_problems(spec)
    if problems:
        raise ConfigError(problems, hint=EXAMPLE)


def _fine_tune_problems(spec: SweepSpec) -> list[str]:
    """Say what keeps a second phase of training from being what was asked for."""
    if not spec.training.fine_tune_epochs:
        return []
    problems = []
    if spec.model.family != "transfer" and "family" not in spec.space:
        problems.append(
            "training.fine_tune: only a pretrained base has something to unfreeze, and "
            f'model.family is "{spec.model.family}"; use "transfer"'
        )
    if spec.search.scheduler in RAY_SCHEDULERS:
        problems.append(
            f"search.scheduler: hyperband and pbt copy trials between phases of training, whose "
            f'models differ; received "{spec.search.scheduler}" with training.fine_tune: use '
            '"asha" or "none"'
        )
    return problems


def _transfer_problems(spec: SweepSpec) -> list[str]:
    """Say what keeps every trial on a pretrained base from being built."""
    problems = []
    weights, base = spec.model.weights, BASES[spec.model.base]
    fixed = "weights" not in spec.space and weights not in ("imagenet", "none")
    if fixed and not weights.startswith("s3://") and not Path(weights).expanduser().is_file():
        problems.append(
            'model.weights: expected "imagenet", "none", a file or s3://bucket/key, '
            f"no file {weights!r}"
        )
    if "base" not in spec.space and spec.data.image_size < base.minimum_size:
        problems.append(
            f"data.image_size: {spec.model.base} needs at least {base.minimum_size}, "
            f"received {spec.data.image_size}"
        )
    at = spec.training.fine_tune_at
    tunes_at_number = spec.training.fine_tune_epochs and "fine_tune_at" not in spec.space
    if (
        "base" not in spec.space
        and tunes_at_number
        and at.isdecimal()
        and int(at) >= base.num_layers
    ):
        problems.append(
            f"training.fine_tune.at: {spec.model.base} has the layers 0 to {base.num_layers - 1}, "
            f"received {at}"
        )
    if spec.data.channels != "rgb":
        problems.append(
            f'data.channels: a pretrained base needs "rgb", received "{spec.data.channels}"'
        )
    return problems
