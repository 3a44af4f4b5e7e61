"""The option vocabulary: every option and argument named, typed and explained once.

Each option is also an environment variable, `CVJOBS_` and its name in capitals; an option given
several times takes its values from there separated by spaces.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import typer

DEFAULT_STORE = "./cvstore"
# A window, a stride or a condensation that still leaves something of a picture.
LARGEST_COUNT = 64


def _option(name: str, explanation: str, **rest: Any) -> Any:
    variable = f"CVJOBS_{name.upper().replace('-', '_')}"
    return typer.Option(f"--{name}", envvar=variable, help=explanation, **rest)


def _number_option(name: str, explanation: str) -> Any:
    return _option(name, explanation, metavar="N", parser=_whole_number)


def _count_option(name: str, explanation: str) -> Any:
    return _option(name, explanation, metavar="N", parser=_count)


def _count(text: str) -> int:
    number = _whole_number(text)
    if not 1 <= number <= LARGEST_COUNT:
        raise typer.BadParameter(f"expected 1 to {LARGEST_COUNT}, received {number}")
    return number


def _whole_number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"expected a whole number, received {text!r}") from None


def _amount(text: str) -> float:
    try:
        if 0 <= float(text) < math.inf:
            return float(text)
    except ValueError:
        pass
    raise typer.BadParameter(f"expected a number of at least 0, received {text!r}")


def _probability(text: str) -> float:
    try:
        if 0 <= float(text) <= 1:
            return float(text)
    except ValueError:
        pass
    raise typer.BadParameter(f"expected a probability from 0 to 1, received {text!r}")


StoreOption = Annotated[
    str, _option("store", "Where results live: a directory or s3://bucket/prefix.", metavar="URI")
]
JsonOption = Annotated[bool, _option("json", "Print one JSON document on stdout.")]
QuietOption = Annotated[bool, _option("quiet", "Print only the data asked for.")]

DataOption = Annotated[
    str | None,
    _option(
        "data",
        "Images: a directory, s3:// prefix, .zip or .tar.gz of one folder per class, "
        "or builtin:castings.",
        metavar="URI",
    ),
]
RequiredDataOption = Annotated[
    str, _option("data", "Images: a directory, s3:// prefix, .zip or .tar.gz.", metavar="URI")
]
SplitOption = Annotated[
    str | None,
    _option(
        "split",
        "train, validation, test or all; default: test if there is one, else all.",
        metavar="SPLIT",
    ),
]
ThresholdOption = Annotated[
    float | None,
    _option(
        "threshold",
        "Two classes: predict the second where its probability is above this; default: 0.5.",
        metavar="P",
        parser=_probability,
    ),
]
MistakesOption = Annotated[
    str | None,
    _option("mistakes", "Write the wrong predictions: a .csv or .parquet file.", metavar="URI"),
]
GalleryOption = Annotated[
    str | None,
    _option("gallery", "Write a picture of the surest wrong predictions: .png.", metavar="URI"),
]
FiguresOption = Annotated[
    str | None,
    _option(
        "figures",
        "Write confusion, reliability and threshold curve as one picture: .png or .svg.",
        metavar="URI",
    ),
]
SetOption = Annotated[
    list[str] | None,
    _option("set", "Change one setting of the spec; repeatable.", metavar="KEY=VALUE"),
]
NameOption = Annotated[str | None, _option("name", "Name of the sweep.", metavar="NAME")]
TrialsOption = Annotated[int | None, _number_option("trials", "Configurations tried at most.")]
EpochsOption = Annotated[
    int | None, _number_option("epochs", "Passes over the training images at most.")
]
MaxConcurrentOption = Annotated[
    int | None, _number_option("max-concurrent", "Trials at once; default: as many as fit.")
]
MaxHoursOption = Annotated[
    float | None,
    _option("max-hours", "All trials end after this.", metavar="HOURS", parser=_amount),
]
MaxCostOption = Annotated[
    float | None,
    _option(
        "max-cost",
        "All trials end when the slots have cost this, at resources.price_per_hour.",
        metavar="PRICE",
        parser=_amount,
    ),
]
AddressOption = Annotated[
    str | None,
    _option(
        "address", "A running Ray cluster: auto, host:port; default: this machine.", metavar="A"
    ),
]
EngineOption = Annotated[
    Literal["ray", "inline"],
    _option("engine", "Who runs the trials: Ray, or this process, one after the other."),
]
ResumeOption = Annotated[
    str | None, _option("resume", "Continue a stopped or killed sweep.", metavar="SWEEP_ID")
]
DryRunOption = Annotated[
    bool, _option("dry-run", "Show what would be done and written; start nothing.")
]
OutputOption = Annotated[str | None, _option("output", "Where to write the result.", metavar="URI")]
RequiredOutputOption = Annotated[
    str, _option("output", "Where to write the result: a file or s3:// object.", metavar="URI")
]
SpecOption = Annotated[
    str | None,
    _option("spec", "A TOML file or recipe: its [data] and [model] are shown.", metavar="SPEC"),
]

ImageOption = Annotated[
    str | None, _option("image", "An image file to explain it with.", metavar="FILE")
]
RequiredImageOption = Annotated[str, _option("image", "The image file.", metavar="FILE")]
LayerOption = Annotated[
    str | None,
    _option("layer", "Show this layer alone; default: some that tell most.", metavar="NAME"),
]
KernelOption = Annotated[
    str,
    _option(
        "kernel", "edge, blur, bottom-sobel, emboss, sharpen, or rows of numbers.", metavar="KERNEL"
    ),
]
StrideOption = Annotated[int, _count_option("stride", "Stride of the convolution.")]
PaddingOption = Annotated[
    Literal["valid", "same"], _option("padding", "Padding of the convolution.")
]
PoolOption = Annotated[int, _count_option("pool", "Window of the max pooling; 1 is none.")]
PoolStrideOption = Annotated[
    int | None, _count_option("pool-stride", "Stride of the max pooling; default: its window.")
]
PoolPaddingOption = Annotated[
    Literal["valid", "same"], _option("pool-padding", "Padding of the max pooling.")
]
CondensationOption = Annotated[
    int, _count_option("condensation", "Convolution stride times pool stride to compare.")
]
PictureOption = Annotated[
    str | None, _option("output", "The picture: a .png or .svg file.", metavar="FILE")
]

SpecArgument = Annotated[
    str | None,
    typer.Argument(metavar="SPEC", help="A TOML file or the name of a recipe.", show_default=False),
]
RequiredSpecArgument = Annotated[
    str, typer.Argument(metavar="SPEC", help="A TOML file or the name of a recipe.")
]
SweepIdArgument = Annotated[
    str | None,
    typer.Argument(metavar="SWEEP_ID", help="A sweep; default: the newest.", show_default=False),
]
KernelArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="KERNEL",
        help="A name, or rows of numbers separated by /; default: all that have a name.",
        show_default=False,
    ),
]
TrialIdArgument = Annotated[str, typer.Argument(metavar="TRIAL_ID", help="A trial.")]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .keras file, s3:// object or trial id.")
]
DataArgument = Annotated[str, typer.Argument(metavar="URI", help="Images, as for --data.")]
