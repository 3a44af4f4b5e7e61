"""`cvjobs explain`: pictures of what convolutional networks do, for those who build them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cvcore import geometry, receptive_field
from cvcore.config import load_spec
from cvcore.errors import UsageError
from cvcore.kernels import named_kernels, parse_kernel
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    CondensationOption,
    ImageOption,
    JsonOption,
    KernelArgument,
    KernelOption,
    PaddingOption,
    PictureOption,
    PoolOption,
    PoolPaddingOption,
    PoolStrideOption,
    QuietOption,
    SetOption,
    SpecArgument,
    StoreOption,
    StrideOption,
    TrialIdArgument,
)
from jobs.picture_files import picture_path, read_grey, read_square, write_picture
from jobs.wiring import open_store

if TYPE_CHECKING:
    from cvcore.receptive_field import View
    from cvcore.settings import SweepSpec

EPOCH_COLUMNS = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy")
# Hyperparameters that change what a unit sees.
SHAPING = ("num_blocks", "kernel_", "conv_", "pool_")

app = typer.Typer(help="Draw what a model or a setting does.", no_args_is_help=True)


# A kernel that is typed in may begin with a minus.
@app.command(context_settings={"ignore_unknown_options": True})
def kernels(
    kernel: KernelArgument = None,
    image: ImageOption = None,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw kernels as heat maps, and what they make of an image."""
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="kernels.png")
    chosen = named_kernels() if kernel is None else [parse_kernel(kernel)]

    from cvcore.pictures import draw_filtered, draw_kernels

    if image is None:
        figure = draw_kernels(chosen)
    else:
        figure = draw_filtered(chosen, read_grey(image), name=Path(image).name)
    write_picture(figure, path)
    document = {
        "output": str(path), "image": image, "kernels": [one.to_dict() for one in chosen],
    }  # fmt: skip

    def show() -> None:
        for one in chosen:
            console.text(f"{one.name}: {one.meaning}")
        console.text(str(path))

    console.result(document, show)


@app.command()
def window(
    image: ImageOption = None,
    kernel: KernelOption = "bottom-sobel",
    stride: StrideOption = 1,
    padding: PaddingOption = "valid",
    pool: PoolOption = 2,
    pool_stride: PoolStrideOption = None,
    pool_padding: PoolPaddingOption = "valid",
    condensation: CondensationOption = 8,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw how an image is filtered, detected and condensed.

    Without --image, the image is a circle. A table compares all ways to condense by the same factor
    and says what each keeps.
    """
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="window.png")
    chosen = parse_kernel(kernel)

    from cvcore import pictures

    moved = pictures.Window(
        conv_stride=stride,
        conv_padding=padding,
        pool_size=pool,
        pool_stride=pool_stride or pool,
        pool_padding=pool_padding,
    )
    source = pictures.circle() if image is None else read_grey(image)
    stages = pictures.run_stages(source, chosen, moved)
    ways = pictures.ways(source, chosen, condensation=condensation)
    rows = [way.to_dict() for way in ways]
    name = "A circle" if image is None else Path(image).name
    write_picture(pictures.draw_window(stages, chosen, moved, ways, name=name), path)
    document = {
        "output": str(path),
        "image": image,
        "kernel": chosen.to_dict(),
        "window": {**asdict(moved), "condensation": moved.condensation},
        "shapes": {stage: getattr(stages, stage).shape for stage in stages.__slots__},
        "ways": rows,
    }

    def show() -> None:
        console.table(
            f"ways to condense by {condensation}",
            list(rows[0]),
            [list({**row, "output": _by(row["output"])}.values()) for row in rows],
        )
        console.text(str(path))

    console.result(document, show)


@app.command()
def field(
    spec: SpecArgument = None,
    set_: SetOption = None,
    image: ImageOption = None,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw how much of an image each layer of a model sees.

    The model is what SPEC fixes; without --image, the image is a generated casting.
    """
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="field.png")
    loaded = load_spec(spec, overrides=set_ or ())
    views = _views(loaded)

    from cvcore.pictures import draw_field

    image_size = loaded.data.image_size
    pixels = read_square(image, image_size=image_size)
    write_picture(draw_field(views, pixels, name=loaded.name), path)
    layers = [view.to_dict() for view in views]
    varied = [name for name in loaded.space if name.startswith(SHAPING)]
    document = {
        "output": str(path),
        "image": image,
        "name": loaded.name,
        "image_size": image_size,
        "receptive_field": views[-1].field,
        "not_fixed": varied,
        "layers": layers,
    }

    def show() -> None:
        if varied:
            console.note(f"the space varies {', '.join(varied)}: drawn with the default")
        console.table(
            f"receptive field in an image of {image_size} x {image_size} pixels",
            ["layer", *layers[0]],
            [[number, *layer.values()] for number, layer in enumerate(layers, start=1)],
        )
        console.text(str(path))

    console.result(document, show)


@app.command()
def curves(
    trial_id: TrialIdArgument,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw loss and accuracy of a trial, epoch by epoch."""
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="curves.png")

    from cvcore.pictures import draw_curves, fine_tune_start
    from cvcore.results import Results

    epochs = Results(open_store(store)).curve(trial_id).to_pylist()
    if not epochs:
        raise UsageError(
            f"the trial {trial_id} ended before its first epoch: there is nothing to draw",
            hint=f"cvjobs results show {trial_id} --store {store}",
        )
    rows = [{name: row[name] for name in EPOCH_COLUMNS} for row in epochs]
    write_picture(draw_curves(rows, title=f"Trial {trial_id}"), path)
    document = {
        "output": str(path),
        "trial_id": trial_id,
        "fine_tune_from": fine_tune_start(rows),
        "epochs": rows,
    }

    def show() -> None:
        values = [list(row.values()) for row in rows]
        console.table(f"trial {trial_id}", EPOCH_COLUMNS, values)
        console.text(str(path))

    console.result(document, show)


def _views(spec: SweepSpec) -> list[View]:
    model, image_size = spec.model, spec.data.image_size
    if model.family != "cnn":
        raise UsageError(
            f"the receptive field is computed for the family 'cnn', {spec.name!r} has the family "
            f"{model.family!r}",
            hint="cvjobs explain field   (the model of the default recipe)",
        )
    try:
        geometry.check(model, image_size=image_size)
    except ValueError as error:
        raise UsageError(str(error), hint="add --set model.num_blocks=1") from None
    return list(receptive_field.views(geometry.layers(model), image_size=image_size))


def _by(shape: tuple[int, ...] | None) -> str | None:
    return None if shape is None else " x ".join(str(side) for side in shape)
