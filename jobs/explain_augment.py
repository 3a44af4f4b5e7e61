"""`cvjobs explain augment`: one image under random draws of the whole augmentation menu."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore.augmentation import MOVING, augmentations, fill_modes, menu
from cvcore.config import load_spec
from cvcore.errors import DataError
from cvcore.runtime import start_tensorflow
from cvcore.settings import ModelConfig
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    DataOption,
    ImageOption,
    JsonOption,
    PictureOption,
    QuietOption,
    SetOption,
    SpecOption,
    StoreOption,
)
from jobs.picture_files import picture_path, read_pixels, write_picture
from jobs.wiring import data_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cvcore.augmentation import Augmentation
    from cvcore.pictures import AugmentedRow, FilledImage
    from cvcore.settings import DataConfig

NUM_DRAWS = 11


def augment(
    data: DataOption = None,
    image: ImageOption = None,
    spec: SpecOption = None,
    set_: SetOption = None,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw one image under random draws of every augmentation layer.

    The image is --image, else the first of --data, else a generated casting. What --spec and --set
    leave out is shown at an example's strength; what they set, once more all together.
    """
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="augment.png")
    loaded = load_spec(spec, overrides=set_ or (), data=data)
    asked = spec is not None or any(one.startswith("model.augment_") for one in set_ or ())
    model = loaded.model if asked else ModelConfig()
    varied = [name for name in loaded.space if name.startswith("augment_")] if asked else []
    together, seed = augmentations(model), loaded.search.seed
    name, pixels = _image(image, loaded.data, data=data)

    start_tensorflow(threads=1)
    from cvcore.pictures import draw_augmentation

    layers = menu(model)
    rows = [_row(layer, pixels, seed=seed) for layer in layers]
    if together:
        rows.append(_together(model, together, pixels, seed=seed))
    fills = {
        f"{layer.name} {layer.strength:.3g}": _fills(layer, pixels, seed=seed)
        for layer in layers
        if layer.name in MOVING
    }
    write_picture(draw_augmentation(pixels, rows, fills, name=name), path)
    listed = [
        {"name": one.name, "setting": one.setting, "strength": one.strength,
         "meaning": one.meaning, "is_set": one.is_set}
        for one in layers
    ]  # fmt: skip
    document = {
        "output": str(path), "image": name, "image_size": loaded.data.image_size, "seed": seed,
        "num_draws": NUM_DRAWS, "layers": listed, "together": together, "not_fixed": varied,
        "fill": model.augment_fill, "fill_modes": fill_modes(),
    }  # fmt: skip

    def show() -> None:
        if varied:
            console.note(f"the space varies {', '.join(varied)}: drawn as an example")
        values = [list(one.values()) for one in listed]
        console.table(f"augmentation of {name}", list(listed[0]), values)
        console.text(str(path))

    console.result(document, show)


def _image(
    image: str | None, config: DataConfig, *, data: str | None
) -> tuple[str, NDArray[np.uint8]]:
    """Name and read the image: a file's, the first of the data that can be read, or a casting."""
    if image is not None:
        return Path(image).name, read_pixels(image, config=config)
    if data is None and config.uri.startswith("builtin:"):
        return "a generated casting", read_pixels(None, config=config)

    from cvcore.datasets import read_images

    for batch in read_images(data_source(config.uri), config=config, batch_size=1):
        if len(batch.images):
            return batch.records[0].path, batch.images[0]
    raise DataError(
        f"no image found in {config.uri}", hint=f"cvjobs data check {shlex.quote(config.uri)}"
    )


def _row(layer: Augmentation, pixels: NDArray[np.uint8], *, seed: int) -> AugmentedRow:
    from cvcore.models.draws import augmented
    from cvcore.pictures import AugmentedRow

    return AugmentedRow(
        name=layer.name,
        meaning=layer.meaning,
        setting=f"{layer.setting} = {layer.strength}",
        is_set=layer.is_set,
        draws=augmented(pixels, layer.model, num_draws=NUM_DRAWS, seed=seed),
    )


def _together(
    model: ModelConfig, settings: dict[str, Any], pixels: NDArray[np.uint8], *, seed: int
) -> AugmentedRow:
    from cvcore.models.draws import augmented
    from cvcore.pictures import AugmentedRow

    return AugmentedRow(
        name="together",
        meaning="all that is set, as in training",
        setting=f"{len(settings) - 1} settings, fill {model.augment_fill}",
        is_set=True,
        draws=augmented(pixels, model, num_draws=NUM_DRAWS, seed=seed),
    )


def _fills(layer: Augmentation, pixels: NDArray[np.uint8], *, seed: int) -> list[FilledImage]:
    """Fill the margins of one draw in every way: of that with the widest margins."""
    from cvcore.models.draws import augmented, filled
    from cvcore.pictures import FilledImage

    masks = filled(pixels, layer.model, num_draws=NUM_DRAWS, seed=seed)
    widest = int(masks.sum(axis=(1, 2)).argmax())
    found = []
    for mode in fill_modes():
        model = replace(layer.model, augment_fill=mode)
        draws = augmented(pixels, model, num_draws=NUM_DRAWS, seed=seed)
        found.append(FilledImage(mode=mode, image=draws[widest], filled=masks[widest]))
    return found
