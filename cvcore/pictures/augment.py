"""One image under random draws of the augmentation, and what can fill the margins it leaves."""

from __future__ import annotations

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
    VERMILION,
    as_pixels,
    look,
    new_figure,
    shortened,
    show_tile,
)

Image = NDArray[np.uint8]
# Of a tile's side, which is an inch: between tiles, between rows, and left of them for words.
GAP, ROW_GAP, LABEL = 0.06, 0.1, 2.35
FILL_NOTE = "What fills the margins: the same draw four times, filled outside of the dashed line"


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentedRow:
    """A row of draws, uint8 (num_draws, height, width, 1 or 3), and what stands beside it.

    `is_set`: the strength is the spec's, not an example.
    """

    name: str
    meaning: str
    setting: str
    is_set: bool
    draws: Image


@dataclass(frozen=True, slots=True, kw_only=True)
class FilledImage:
    """One draw under one fill mode: uint8 (height, width, 1 or 3), and which pixels are fill."""

    mode: str
    image: Image
    filled: NDArray[np.bool_]


@look()
def draw_augmentation(
    image: Image,
    rows: Sequence[AugmentedRow],
    fills: Mapping[str, Sequence[FilledImage]],
    *,
    name: str,
) -> Figure:
    """Draw an image (height, width, 1 or 3) and its draws row by row, the fill modes below.

    `fills` maps what moved the image to one draw of it under each fill mode.
    """
    num_draws = len(rows[0].draws)
    width = LABEL + (num_draws + 1) * (1 + GAP)
    height = len(rows) * (1 + ROW_GAP) + 0.3
    fill_inches = width / sum(map(len, fills.values())) + 0.8
    figure = new_figure(width=width + 0.3, height=height + fill_inches + 0.7)
    figure.suptitle(f"Augmentation: {shortened(name)} under {num_draws} draws of each layer")
    parts = figure.subfigures(2, 1, height_ratios=[height, fill_inches], squeeze=False)
    top, bottom = parts.flat
    axes = top.subplots()
    _rows(axes, image, rows)
    axes.set(xlim=(-LABEL, width - LABEL), ylim=(height - 0.3, -0.3))
    _fills(bottom, fills)
    return figure


def _rows(axes: Axes, image: Image, rows: Sequence[AugmentedRow]) -> None:
    axes.set_axis_off()
    for number, row in enumerate(rows):
        top = number * (1 + ROW_GAP)
        for column, shown in enumerate([image, *row.draws]):
            place = (column * (1 + GAP), top)
            show_tile(axes, as_pixels(shown), place, colours=PIXELS, low=0, high=255)
        axes.text(-LABEL, top + 0.3, row.name, fontweight="bold", va="center")
        axes.text(-LABEL, top + 0.53, row.meaning, fontsize=8, va="center")
        setting, ink = (row.setting, BLUE) if row.is_set else (f"{row.setting} (example)", GREY)
        axes.text(-LABEL, top + 0.74, setting, fontsize=8, color=ink, va="center")
    axes.text(0.5, -0.08, "original", ha="center", va="bottom")
    axes.text((len(rows[0].draws) / 2 + 1) * (1 + GAP), -0.08, "draws", ha="center", va="bottom")


def _fills(part: SubFigure, fills: Mapping[str, Sequence[FilledImage]]) -> None:
    part.suptitle(FILL_NOTE, fontsize=10, fontweight="normal")
    halves = part.subfigures(1, len(fills), squeeze=False).flat
    for half, (moved, images) in zip(halves, fills.items(), strict=True):
        cells = half.subplots(1, len(images))
        for axes, one in zip(cells, images, strict=True):
            show_tile(axes, as_pixels(one.image), (0, 0), colours=PIXELS, low=0, high=255)
            axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
            axes.set_title(f"{moved}: {one.mode}")
            axes.spines[:].set_visible(False)
            if one.filled.any() and not one.filled.all():
                _outline(axes, one.filled)


def _outline(axes: Axes, filled: NDArray[np.bool_]) -> None:
    places = (np.arange(len(filled)) + 0.5) / len(filled)
    axes.contour(
        places, places, filled.astype(float), levels=[0.5], colors=VERMILION, linestyles="--",
        linewidths=1.2,
    )  # fmt: skip
