"""The images a model got wrong, to be looked at: some of them are wrong labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cvcore.pictures.style import GREEN, GREY, PIXELS, VERMILION, look, new_figure

COLUMNS = 6
_CELL_WIDTH, _CELL_HEIGHT = 2.0, 2.7
# Characters of the small print that fit below an image.
_LINE = 30


@look()
def draw_gallery(
    mistakes: Sequence[Mapping[str, Any]], images: Sequence[NDArray[np.uint8]], *, title: str
) -> Figure:
    """Show wrong predictions in their order; none at all give a figure that says so.

    Each has `path`, `label`, `predicted` and `confidence`; `images` are uint8 (height, width,
    1 or 3) in the same order.
    """
    rows = max(1, -(-len(mistakes) // COLUMNS))
    figure = new_figure(width=COLUMNS * _CELL_WIDTH, height=rows * _CELL_HEIGHT + 0.4)
    figure.suptitle(title)
    cells = list(figure.subplots(rows, COLUMNS, squeeze=False).flat)
    for axes in cells:
        axes.set_axis_off()
        axes.set_anchor("N")
    for axes, mistake, image in zip(cells, mistakes, images, strict=False):
        _show(axes, mistake, image)
    if not mistakes:
        figure.text(0.5, 0.5, "no wrong predictions", ha="center", va="center", color=GREY)
    return figure


def _show(axes: Axes, mistake: Mapping[str, Any], image: NDArray[np.uint8]) -> None:
    axes.imshow(image[..., 0] if image.shape[-1] == 1 else image, cmap=PIXELS, vmin=0, vmax=255)
    lines = (
        (f"label {mistake['label']}", GREEN, 8),
        (f"predicted {mistake['predicted']} {mistake['confidence']:.3f}", VERMILION, 8),
        (_two_lines(mistake["path"]), GREY, 6),
    )
    for number, (text, colour, size) in enumerate(lines):
        axes.annotate(
            _shortened(text) if size == 8 else text, (0.5, 0), (0, -3 - 11 * number),
            xycoords="axes fraction", textcoords="offset points", ha="center", va="top",
            color=colour, fontsize=size,
        )  # fmt: skip


def _two_lines(path: str) -> str:
    """Break a path after its folder, and cut from a long part what does not fit."""
    folder, separator, name = path.rpartition("/")
    return "\n".join(_shortened(part) for part in (folder + separator, name) if part)


def _shortened(text: str) -> str:
    """Keep the two ends of a text: folders and names often differ in one of them only."""
    if len(text) <= _LINE:
        return text
    half = (_LINE - 1) // 2
    return f"{text[:half]}…{text[-half:]}"
