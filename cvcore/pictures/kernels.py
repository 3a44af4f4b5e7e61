"""Kernels as labelled heat maps, and what each makes of an image."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cvcore.kernels import Kernel
from cvcore.pictures.filtering import Map, convolve, relu
from cvcore.pictures.style import (
    PIXELS,
    POSITIVE,
    SIGNED,
    add_scale,
    look,
    new_figure,
    shortened,
    show_map,
    sides,
)

CELL_INCHES = 3.0
COLUMNS = 3


@look()
def draw_kernels(kernels: Sequence[Kernel]) -> Figure:
    """Draw kernels as heat maps with every number in its cell and the sum explained below."""
    columns = min(COLUMNS, len(kernels))
    rows = -(-len(kernels) // columns)
    side = CELL_INCHES if len(kernels) > 1 else 2 * CELL_INCHES
    figure = new_figure(width=columns * side, height=rows * (side + 0.8) + 0.4)
    figure.suptitle("Kernels and what their sums do")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, kernel in zip(grid.flat, kernels, strict=False):
        _heat_map(axes, kernel, inches=side)
    for axes in grid.flat[len(kernels) :]:
        axes.remove()
    return figure


@look()
def draw_filtered(kernels: Sequence[Kernel], image: Map, *, name: str) -> Figure:
    """Draw, a row for each kernel: the kernel, the image, the filtered image, and its ReLU.

    Without padding, which beside a bright image would look like the strongest edge of all.
    """
    figure = new_figure(width=4 * CELL_INCHES, height=len(kernels) * (CELL_INCHES + 0.9) + 0.4)
    figure.suptitle(f"What a kernel makes of {shortened(name)}")
    grid = figure.subplots(len(kernels), 4, squeeze=False)
    for cells, kernel in zip(grid, kernels, strict=True):
        _heat_map(cells[0], kernel, inches=CELL_INCHES)
        pixels = show_map(
            cells[1], image, title=f"Input, {sides(image)}", colours=PIXELS, low=0, high=1
        )
        filtered = convolve(image, kernel, stride=1, padding="valid")
        largest = float(np.abs(filtered).max()) or 1.0
        signed = show_map(
            cells[2], filtered, title=f"Filtered, {sides(filtered)}", colours=SIGNED,
            low=-largest, high=largest,
        )  # fmt: skip
        positive = show_map(
            cells[3], relu(filtered), title=f"ReLU, {sides(filtered)}", colours=POSITIVE,
            low=0, high=largest,
        )  # fmt: skip
        for shown, axes in zip((pixels, signed, positive), cells[1:], strict=True):
            add_scale(figure, shown, axes)
    return figure


def _heat_map(axes: Axes, kernel: Kernel, *, inches: float) -> None:
    values = np.array(kernel.rows, dtype=np.float64)
    height, width = values.shape
    largest = float(np.abs(values).max()) or 1.0
    show_map(
        axes, values, title=f"{kernel.name}, {sides(values)}", colours=SIGNED,
        low=-largest, high=largest,
    )  # fmt: skip
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    labels = [[f"{number:.3g}" for number in row] for row in kernel.rows]
    longest = max(len(label) for row in labels for label in row)
    # A digit is some 0.6 of the font's size wide, and a cell keeps a fifth of itself free.
    cell_points = 72 * 0.75 * inches / max(height, width)
    size = min(14.0, 0.8 * cell_points / (0.6 * longest))
    for row, texts in enumerate(labels):
        for column, text in enumerate(texts):
            ink = _ink(values[row, column] / largest)
            axes.text(column, row, text, ha="center", va="center", size=size, color=ink)
    axes.set_xlabel(textwrap.fill(kernel.meaning, width=int(inches * 12)))


def _ink(share: float) -> str:
    """Choose white on the dark ends of the scale (-1 and 1), black in its light middle."""
    red, green, blue, _ = mpl.colormaps[SIGNED]((share + 1) / 2)
    return "white" if 0.299 * red + 0.587 * green + 0.114 * blue < 0.5 else "black"
