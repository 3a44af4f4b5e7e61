"""A model and what stands in front of it: every setting, its default and its limits.

Each field says in its metadata what it accepts, so that the spec reader, the hyperparameter columns
and the documentation all follow from this one place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cvcore.bases import BASES


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
    numbers: bool = False,
    since: int = 1,
) -> Any:
    """Declare a setting: default, meaning, limits.

    `searchable` settings are hyperparameters; `family` limits one to a model family; `absent` is
    what a trial uses where a condition took the parameter out of it (None: the default). `numbers`
    is text such as "8,16,16", which may be written as a number or a list of numbers. `since` is the
    version of the trials table that brought the column, which new columns only extend.
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
        "numbers": numbers,
        "since": since,
    }
    return field(default=default, metadata=limits)


def hyper(default: Any, doc: str, **limits: Any) -> Any:
    return setting(default, doc, searchable=True, **limits)


def _per_block(what: str, *, maximum: int) -> Any:
    """Declare a number per block, as text: one column of one type, whatever the number of blocks.

    The last number stands for the blocks that follow.
    """
    return hyper(
        None, f"{what} block by block, such as [8, 16, 16]", kind=str, optional=True, numbers=True,
        minimum=1, maximum=maximum, family="cnn", since=2,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """A model and the augmentation in front of it; every field is a hyperparameter."""

    family: str = hyper("cnn", "kind of model", choices=("cnn", "transfer"))
    num_blocks: int = hyper(3, "convolution blocks", minimum=1, maximum=8, family="cnn")
    filters: int = hyper(
        16, "filters of the first convolution", minimum=1, maximum=1024, family="cnn"
    )
    filters_growth: float = hyper(
        2.0,
        "factor on the filters from block to block",
        minimum=1.0,
        maximum=4.0,
        family="cnn",
        absent=1.0,
    )
    kernel_size: int = hyper(3, "pixels a side", minimum=1, maximum=15, family="cnn")
    conv_stride: int = hyper(1, "convolution stride", minimum=1, maximum=8, family="cnn")
    conv_padding: str = hyper(
        "same", "convolution padding", choices=("same", "valid"), family="cnn"
    )
    pool_size: int = hyper(
        2, "max-pooling window; 1 is no pooling", minimum=1, maximum=8, family="cnn"
    )
    pool_stride: int | None = hyper(
        None,
        "max-pooling stride; the window's size if not set",
        minimum=1,
        maximum=8,
        kind=int,
        optional=True,
        family="cnn",
    )
    pool_padding: str = hyper(
        "valid", "max-pooling padding", choices=("valid", "same"), family="cnn"
    )
    base: str = hyper(
        "mobilenet_v2", "pretrained base model", choices=tuple(BASES), family="transfer"
    )
    weights: str = hyper(
        "imagenet", '"imagenet", a path or s3:// object, or "none"', family="transfer"
    )
    head: str = hyper("flatten", "from feature maps to a vector", choices=("flatten", "gap"))
    dense_units: int = hyper(
        64, "units of the hidden dense layer; 0 is none", minimum=0, maximum=8192, absent=0
    )
    dropout: float = hyper(0.0, "fraction dropped", minimum=0.0, maximum=0.95)
    dropout_at: str = hyper(
        "head",
        "where dropout stands",
        choices=("head", "blocks", "everywhere", "last_pool"),
    )
    output: str = hyper(
        "softmax", "one logit a class, or one sigmoid logit", choices=("softmax", "sigmoid")
    )
    input_scaling: str = hyper(
        "unit",
        "pixels to 0..1, to -1..1, or left at 0..255",
        choices=("unit", "symmetric", "none"),
        family="cnn",
    )
    augment_flip: str = hyper(
        "none", "random mirror images", choices=("none", "horizontal", "vertical", "both")
    )
    augment_rotation: float = hyper(0.0, "largest turn, in full turns", minimum=0.0, maximum=1.0)
    augment_contrast: float = hyper(0.0, "largest contrast change", minimum=0.0, maximum=1.0)
    augment_zoom: float = hyper(0.0, "largest zoom in or out", minimum=0.0, maximum=0.9)
    augment_translation: float = hyper(
        0.0, "largest shift, in image sides", minimum=0.0, maximum=0.9
    )
    augment_crop: float = hyper(
        0.0, "side cut off by a random crop, in image sides", minimum=0.0, maximum=0.9
    )
    augment_fill: str = hyper(
        "reflect", "what fills the margin", choices=("reflect", "constant", "wrap", "nearest")
    )
    augment_height: float = hyper(
        0.0, "largest stretch from top to bottom", minimum=0.0, maximum=0.9, since=2
    )
    augment_width: float = hyper(
        0.0, "largest stretch from side to side", minimum=0.0, maximum=0.9, since=2
    )
    augment_brightness: float = hyper(
        0.0, "largest brightness change, of the full range", minimum=0.0, maximum=1.0, since=2
    )
    filters_per_block: str | None = _per_block("filters", maximum=1024)
    kernel_size_per_block: str | None = _per_block("kernel sizes", maximum=15)
    pool_size_per_block: str | None = _per_block("pooling windows", maximum=8)
    preprocessing: str = hyper(
        "matched",
        "the preprocessing the base was trained with, or none, to see what it is worth",
        choices=("matched", "none"),
        family="transfer",
        since=2,
    )
