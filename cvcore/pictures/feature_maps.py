"""What the layers of a model make of an image, and where in the image its decision comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from numpy.typing import NDArray

from cvcore.pictures.style import (
    BLUE,
    GREY,
    PIXELS,
    POSITIVE,
    SIGNED,
    add_scale,
    as_pixels,
    look,
    new_figure,
    shortened,
    show_tile,
)

Image = NDArray[np.uint8]
COLUMNS = 16
TILE_INCHES = 0.84
# Of a tile's side: between tiles, between layers, and left of them for words.
GAP, LAYER_GAP, LABEL = 0.06, 0.2, 2.9
TOP_INCHES = 4.3
MAX_CLASSES = 5
# Characters of a class's name beside others, and of a line of a layer's name.
MAX_LABEL, MAX_LINE = 24, 25
# How much of the image the strongest heat covers.
OPAQUE = 0.75
MAPS_NOTE = (
    "Feature maps: of each layer the channels that vary most over this image, the liveliest first, "
    "each on a scale of its own"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMaps:
    """A layer's maps: float32 (height, width, channels), and the channels to draw, in order."""

    name: str
    kind: str
    values: NDArray[np.float32]
    channels: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """Where an image speaks for a class: values from 0 up, of any size, over the whole image."""

    label: str
    probability: float
    values: NDArray[np.float32]


def liveliest(values: NDArray[np.float32], count: int) -> list[int]:
    """Choose the channels of maps (height, width, channels) that vary most from place to place.

    A channel that is as strong everywhere says nothing of the image; of maps of a single position
    the strongest are chosen.
    """
    spread, strength = values.std(axis=(0, 1)), np.abs(values).mean(axis=(0, 1))
    return [int(one) for one in np.lexsort((-strength, -spread))[:count]]


def centre(heat: NDArray[np.float32]) -> tuple[float, float] | None:
    """Return the centre of mass (x, y), each from 0 to 1 of the image; None where all is 0."""
    total = float(heat.sum())
    if not total:
        return None
    height, width = heat.shape
    x = float((heat.sum(axis=0) * (np.arange(width) + 0.5)).sum()) / total / width
    y = float((heat.sum(axis=1) * (np.arange(height) + 0.5)).sum()) / total / height
    return x, y


@look()
def draw_features(
    image: Image,
    layers: Sequence[LayerMaps],
    heats: Sequence[Heat],
    probabilities: Mapping[str, float],
    *,
    name: str,
) -> Figure:
    """Draw an image (height, width, 1 or 3), where its classes come from, and maps by layer."""
    heights = [_num_rows(one) * (1 + GAP) + LAYER_GAP for one in layers]
    width = LABEL + COLUMNS * (1 + GAP)
    bottom_inches = sum(heights) * TILE_INCHES + 0.5
    figure = new_figure(width=width * TILE_INCHES + 0.3, height=TOP_INCHES + bottom_inches)
    best = max(probabilities, key=lambda label: probabilities[label])
    figure.suptitle(f"{shortened(name)}: {_label(best)}, {probabilities[best]:.3f}")
    parts = figure.subfigures(2, 1, height_ratios=[TOP_INCHES, bottom_inches], squeeze=False)
    top, bottom = parts.flat
    _decision(top, image, heats, probabilities)
    bottom.suptitle(MAPS_NOTE, fontsize=10, fontweight="normal")
    axes = bottom.subplots()
    for place, layer in zip(np.cumsum([0.0, *heights]), layers, strict=False):
        _layer(axes, layer, top=float(place))
    axes.set_axis_off()
    axes.set(xlim=(-LABEL, width - LABEL), ylim=(sum(heights) - LAYER_GAP, 0))
    return figure


def _decision(
    part: SubFigure, image: Image, heats: Sequence[Heat], probabilities: Mapping[str, float]
) -> None:
    cells = part.subplots(1, len(heats) + 2)
    height, width = image.shape[:2]
    _image(cells[0], image)
    cells[0].set_title(f"Input, {height} × {width}")
    for axes, heat in zip(cells[1:], heats, strict=False):
        _image(axes, image)
        axes.set_title(f"Grad-CAM: {_label(heat.label)}, {heat.probability:.3f}")
        largest = float(heat.values.max())
        if not largest:
            axes.set_xlabel("no place speaks for it")
            continue
        shown = axes.imshow(
            heat.values, cmap=POSITIVE, vmin=0, vmax=largest, interpolation="bilinear",
            extent=(-0.5, width - 0.5, height - 0.5, -0.5), alpha=OPAQUE * heat.values / largest,
        )  # fmt: skip
        add_scale(part, shown, axes)
    _bars(cells[-1], probabilities)


def _image(axes: Axes, image: Image) -> None:
    axes.imshow(as_pixels(image), cmap=PIXELS, vmin=0, vmax=255, interpolation="antialiased")
    axes.set(xticks=[], yticks=[])


def _bars(axes: Axes, probabilities: Mapping[str, float]) -> None:
    first = sorted(probabilities, key=lambda label: -probabilities[label])[:MAX_CLASSES]
    places = range(len(first))
    axes.barh(places, [probabilities[one] for one in first], color=BLUE, height=0.5)
    for place, label in enumerate(first):
        text = f"{_label(label)}  {probabilities[label]:.3f}"
        axes.annotate(text, (0, place - 0.3), (0, 1), textcoords="offset points", va="bottom")
    axes.set(xlim=(0, 1), ylim=(max(len(first), 3) - 0.4, -0.8), yticks=[], title="Probabilities")
    axes.spines["left"].set_visible(False)


def _layer(axes: Axes, layer: LayerMaps, *, top: float) -> None:
    height, width, count = layer.values.shape
    low, high = float(layer.values.min()), float(layer.values.max())
    for number, channel in enumerate(layer.channels):
        row, column = divmod(number, COLUMNS)
        values = layer.values[..., channel]
        largest = float(np.abs(values).max()) or 1.0
        show_tile(
            axes, values, (column * (1 + GAP), top + row * (1 + GAP)),
            colours=SIGNED if low < 0 else POSITIVE, low=-largest if low < 0 else 0, high=largest,
        )  # fmt: skip
    silent = int((~layer.values.any(axis=(0, 1))).sum())
    folded = _folded(layer.name)
    axes.text(-LABEL, top + 0.1, "\n".join(folded), fontweight="bold", fontsize=9, va="top")
    facts = f"{layer.kind}, {height} × {width} × {count}\nfrom {low:.3g} to {high:.3g}" + (
        f", {silent} silent" if silent else ""
    )
    axes.text(-LABEL, top + 0.18 + 0.2 * len(folded), facts, fontsize=8, color=GREY, va="top")


def _folded(name: str) -> list[str]:
    """Break a layer's name behind underscores where it is too long for a line."""
    lines = textwrap.wrap(shortened(name).replace("_", "_ "), width=MAX_LINE)
    return [line.replace(" ", "") for line in lines]


def _label(name: str) -> str:
    return shortened(name, limit=MAX_LABEL)


def _num_rows(layer: LayerMaps) -> int:
    return -(-len(layer.channels) // COLUMNS)
