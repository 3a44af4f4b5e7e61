"""A window on its way over an image: filter, detect, condense, and what condensing costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from cvcore.kernels import Kernel
from cvcore.pictures.condensation import Way
from cvcore.pictures.filtering import Map, Stages, Window, max_pool
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

NUM_POOLINGS = 3
MAX_WAYS_DRAWN = 6
MEANINGS = (
    "windows: how often the kernel is applied;  energy: squared strength of the detections that "
    "reach the output;\nplaces: of the output's positions that stand for a part of the image with "
    "a detection, those that have one;  what padding adds along the border does not count"
)
# Two dots near the middle of a map that three poolings reduce to 2 x 2.
DOTS_SIDE, DOTS = 16, ((4, 4), (9, 10))


@look()
def draw_window(
    stages: Stages, kernel: Kernel, window: Window, found: Sequence[Way], *, name: str
) -> Figure:
    """Draw (a) the stages, (b) the ways to condense as much, (c) what a shift by a pixel does.

    `found` are the ways to be compared; those with touching pools and "same" padding are drawn.
    """
    drawn = ways_drawn(found)
    figure = new_figure(width=12, height=14.4)
    parts = figure.subfigures(3, 1, height_ratios=[4.2, 3.6, 6.6], squeeze=False)
    top, middle, bottom = parts.flat
    what = f"{shortened(name)} under the kernel {kernel.name}"
    top.suptitle(f"(a) {what}: condensed by {window.condensation}")
    _stages(top, stages, kernel, window)
    product = drawn[0].window.condensation
    middle.suptitle(f"(b) Ways to condense by {product}: convolution stride × pool stride")
    _ways(middle, drawn)
    bottom.suptitle("(c) Two dots under repeated pooling 2 × 2, and the same dots one pixel aside")
    _invariance(bottom)
    return figure


def ways_drawn(found: Sequence[Way]) -> list[Way]:
    """Choose one way a split: pools that touch, and "same" padding, which always leaves some."""
    plain = [
        way
        for way in found
        if way.condensed is not None
        and way.window.conv_padding == "same"
        and way.window.pool_size == way.window.pool_stride
    ]
    return plain[:MAX_WAYS_DRAWN]


def two_dots(*, shift: int = 0) -> Map:
    """Draw a map of two dots, moved down and to the right by `shift` positions."""
    dots = np.zeros((DOTS_SIDE, DOTS_SIDE))
    for row, column in DOTS:
        dots[row + shift, column + shift] = 1.0
    return dots


def poolings(dots: Map) -> list[Map]:
    """Pool a map again and again; return it and what each pooling leaves."""
    found = [dots]
    for _ in range(NUM_POOLINGS):
        found.append(max_pool(found[-1], size=2, stride=2, padding="valid"))
    return found


def _stages(part: SubFigure, stages: Stages, kernel: Kernel, window: Window) -> None:
    cells = part.subplots(1, 4)
    size = "{} × {}".format(*kernel.shape)
    convolved = f"stride {window.conv_stride}, {window.conv_padding}"
    pool = f"{window.pool_size} × {window.pool_size}"
    pooled = f"stride {window.pool_stride}, {window.pool_padding}"
    titles = [
        f"Input\n{sides(stages.image)}",
        f"Filter {size}, {convolved}\n{sides(stages.filtered)}",
        f"Detect: ReLU\n{sides(stages.detected)}",
        f"Condense: max {pool}, {pooled}\n{sides(stages.condensed)}",
    ]
    largest = float(np.abs(stages.filtered).max()) or 1.0
    image = show_map(cells[0], stages.image, title=titles[0], colours=PIXELS, low=0, high=1)
    signed = show_map(
        cells[1], stages.filtered, title=titles[1], colours=SIGNED, low=-largest, high=largest
    )
    show_map(cells[2], stages.detected, title=titles[2], colours=POSITIVE, low=0, high=largest)
    positive = show_map(
        cells[3], stages.condensed, title=titles[3], colours=POSITIVE, low=0, high=largest
    )
    add_scale(part, image, cells[0])
    add_scale(part, signed, cells[1])
    add_scale(part, positive, cells[2], cells[3])


def _ways(part: SubFigure, drawn: Sequence[Way]) -> None:
    maps = [way.condensed for way in drawn if way.condensed is not None]
    largest = max(float(one.max()) for one in maps) or 1.0
    cells = part.subplots(1, max(4, len(drawn)))
    for axes, way, condensed in zip(cells, drawn, maps, strict=False):
        window = way.window
        title = f"{window.conv_stride} × {window.pool_stride}  →  {sides(condensed)}"
        show_map(axes, condensed, title=title, colours=POSITIVE, low=0, high=largest)
        axes.set_xlabel(_kept(way))
    for axes in cells[len(drawn) :]:
        axes.remove()
    part.supxlabel(MEANINGS, size=9)


def _kept(way: Way) -> str:
    if way.energy_fraction is None or way.places_fraction is None:
        return f"{way.num_windows:,} windows\nnothing is detected"
    return (
        f"{way.num_windows:,} windows\nenergy kept {way.energy_fraction:.1%}\n"
        f"places kept {way.places_fraction:.0%}"
    )


def _invariance(part: SubFigure) -> None:
    rows = poolings(two_dots()), poolings(two_dots(shift=1))
    grid: list[list[Axes]] = part.subplots(2, NUM_POOLINGS + 1)
    for axes, number, dots in zip(grid[0], range(NUM_POOLINGS + 1), rows[0], strict=True):
        what = "two dots" if not number else f"pooled {number} time{'s' if number > 1 else ''}"
        show_map(axes, dots, title=f"{what}, {sides(dots)}", colours=POSITIVE, low=0, high=1)
    for axes, before, after in zip(grid[1], *rows, strict=True):
        show_map(axes, after, title="", colours=POSITIVE, low=0, high=1)
        differing = int((before != after).sum())
        axes.set_xlabel(
            f"differs at {differing} positions" if differing else "the same: the shift is gone"
        )
    grid[0][0].set_ylabel("as they are")
    grid[1][0].set_ylabel("one pixel aside")
