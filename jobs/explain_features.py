"""`cvjobs explain features`: what a saved model sees in an image, and where its decision lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cvcore.draft import did_you_mean
from cvcore.errors import UsageError
from cvcore.runtime import start_tensorflow
from cvcore.settings import DataConfig
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    JsonOption,
    LayerOption,
    ModelArgument,
    PictureOption,
    QuietOption,
    RequiredImageOption,
    StoreOption,
)
from jobs.picture_files import picture_path, read_pixels, write_picture

if TYPE_CHECKING:
    import keras

    from cvcore.models.inspection import Image
    from cvcore.pictures import Heat, LayerMaps

MAX_CHANNELS = 16
# Of a layer that is shown alone.
MAX_CHANNELS_ALONE = 64
NUM_CLASSES_SHOWN = 2


def features(
    model: ModelArgument,
    image: RequiredImageOption,
    layer: LayerOption = None,
    output: PictureOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw what a saved model sees in an image, layer by layer.

    Beside it, where the decision comes from: Grad-CAM for the likeliest class and the second.
    """
    console = Console.choose(json=json, quiet=quiet)
    path = picture_path(output, default="features.png")

    from cvcore.card import read_card
    from cvcore.scoring import load_model
    from jobs.model_files import local_model

    with local_model(model, store=store) as file:
        card = read_card(file)
        pixels = read_pixels(image, config=DataConfig(**card["data"]))
        start_tensorflow(threads=card["threads"])
        loaded = load_model(file)

    from cvcore.evaluation import probabilities
    from cvcore.models import inspection
    from cvcore.pictures import draw_features

    names = _layer_names(loaded, layer)
    [chances] = probabilities(inspection.logits(loaded, pixels))
    by_class = dict(zip(card["class_names"], map(float, chances), strict=True))
    heats = _heats(loaded, pixels, by_class)
    maps = _maps(loaded, pixels, names, limit=MAX_CHANNELS_ALONE if layer else MAX_CHANNELS)
    figure = draw_features(pixels, maps, heats, by_class, name=Path(image).name)
    write_picture(figure, path)
    document = {
        "output": str(path),
        "model": model,
        "image": image,
        "predicted": heats[0].label,
        "probabilities": by_class,
        "grad_cam": [_describe_heat(one) for one in heats],
        "layers": [_describe_layer(one) for one in maps],
        "layer_names": list(inspection.layers_with_maps(loaded)),
    }
    console.result(document, lambda: _show(console, document))


def _layer_names(model: keras.Model, wanted: str | None) -> list[str]:
    from cvcore.models import inspection

    if wanted is None:
        return inspection.telling_layers(model)
    known = inspection.layers_with_maps(model)
    if wanted not in known:
        some = ", ".join(inspection.telling_layers(model))
        raise UsageError(
            f"the model has no layer with feature maps named {wanted!r}, but {len(known)} others "
            f"such as {some}{did_you_mean(wanted, known)}",
            hint="leave --layer out; with --json, layer_names lists all",
        )
    return [wanted]


def _heats(model: keras.Model, pixels: Image, by_class: dict[str, float]) -> list[Heat]:
    from cvcore.models import inspection
    from cvcore.pictures import Heat

    names = list(by_class)
    likeliest = sorted(names, key=lambda name: -by_class[name])[:NUM_CLASSES_SHOWN]
    return [
        Heat(
            label=name,
            probability=by_class[name],
            values=inspection.grad_cam(model, pixels, names.index(name)),
        )
        for name in likeliest
    ]


def _maps(model: keras.Model, pixels: Image, names: list[str], *, limit: int) -> list[LayerMaps]:
    from cvcore.models import inspection
    from cvcore.pictures import LayerMaps, liveliest

    return [
        LayerMaps(
            name=one.layer,
            kind=one.kind,
            values=one.values,
            channels=liveliest(one.values, limit),
        )
        for one in inspection.feature_maps(model, pixels, names)
    ]


def _describe_heat(heat: Heat) -> dict[str, Any]:
    from cvcore.pictures import centre

    return {
        "class": heat.label,
        "probability": heat.probability,
        "shape": heat.values.shape,
        "largest": float(heat.values.max()),
        "centre": centre(heat.values),
    }


def _describe_layer(layer: LayerMaps) -> dict[str, Any]:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": layer.values.shape,
        "least": float(layer.values.min()),
        "largest": float(layer.values.max()),
        "channels_drawn": layer.channels,
    }


def _show(console: Console, document: dict[str, Any]) -> None:
    columns = ["layer", "kind", "shape", "least", "largest"]
    rows = [
        [one["name"], one["kind"], " x ".join(map(str, one["shape"])), one["least"], one["largest"]]
        for one in document["layers"]
    ]
    console.table(f"feature maps of {document['image']}", columns, rows)
    for heat in document["grad_cam"]:
        where = "nowhere in the image"
        if heat["centre"] is not None:
            x, y = heat["centre"]
            where = f"around {x:.0%} from the left, {y:.0%} from the top"
        console.text(f"{heat['class']} {heat['probability']:.3f}: {where}")
    console.text(document["output"])
