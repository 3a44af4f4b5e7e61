"""The receptive field of a network, drawn as it grows from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

from cvcore.pictures.filtering import Map
from cvcore.pictures.style import GREY, ORDERED, PIXELS, look, new_figure, shortened, show_map
from cvcore.receptive_field import View

HEADS = (
    "", "layer", "block", "window", "stride", "padding", "feature map", "jump, pixels",
    "receptive field",
)  # fmt: skip
ROW_INCHES = 0.27
BLACK = (0.0, 0.0, 0.0, 1.0)
# Pixels around the largest field in the close-up.
CLOSE_UP_MARGIN = 2


@look()
def draw_field(views: Sequence[View], image: Map, *, name: str) -> Figure:
    """Draw what the unit in the middle sees of a square image behind each layer, and a table."""
    table_inches = ROW_INCHES * (len(views) + 1.5)
    figure = new_figure(width=12, height=4.9 + table_inches)
    figure.suptitle(f"Receptive field of {shortened(name)}")
    parts = figure.subfigures(2, 1, height_ratios=[4.5, table_inches], squeeze=False)
    top, bottom = parts.flat
    whole, close, growth = top.subplots(1, 3, width_ratios=[1, 1, 1.1])
    side = image.shape[0]
    _squares(whole, views, image, f"seen of the image, {side} × {side}")
    _frame(whole, -0.5, side - 0.5, margin=_overhang(views, side))
    _squares(close, views, image, "close-up of the unit in the middle")
    _frame(close, *_close_up(views, side), margin=0)
    _growth(growth, views, side)
    _table(bottom.subplots(), views)
    return figure


def _colours(count: int) -> list[tuple[float, float, float, float]]:
    scale = mpl.colormaps[ORDERED]
    return [scale(0.05 + 0.9 * (1 - index / max(count - 1, 1))) for index in range(count)]


def _squares(axes: Axes, views: Sequence[View], image: Map, title: str) -> None:
    show_map(axes, image, title=title, colours=PIXELS, low=0, high=1)
    axes.set_facecolor("#e4e4e4")  # the padding around the image
    colours = _colours(len(views))
    for view, colour in reversed(list(zip(views, colours, strict=True))):
        first, _ = view.middle
        axes.add_patch(
            Rectangle(
                (first - 0.5, first - 0.5), view.field, view.field,
                facecolor="none", edgecolor=colour, linewidth=2.0,
            )
        )  # fmt: skip


def _overhang(views: Sequence[View], side: int) -> float:
    """Count the pixels by which the fields reach beyond the image, at most half an image."""
    reach = max(max(-view.middle[0], view.middle[1] - side + 1) for view in views)
    return min(max(reach + 1, 0), side / 2)


def _close_up(views: Sequence[View], side: int) -> tuple[float, float]:
    """Frame the largest field that fills at most half of the image, the smallest if none does."""
    small = [view for view in views if view.field <= side / 2] or [views[0]]
    first, last = max(small, key=lambda view: view.field).middle
    return first - 0.5 - CLOSE_UP_MARGIN, last + 0.5 + CLOSE_UP_MARGIN


def _frame(axes: Axes, first: float, last: float, *, margin: float) -> None:
    axes.set(xlim=(first - margin, last + margin), ylim=(last + margin, first - margin))


def _growth(axes: Axes, views: Sequence[View], side: int) -> None:
    numbers = range(len(views) + 1)
    fields = [1, *(view.field for view in views)]
    axes.plot(numbers, fields, color=GREY, linewidth=1.2, zorder=1)
    axes.scatter(numbers, fields, c=[BLACK, *_colours(len(views))], s=36, zorder=2)
    if 3 * max(fields) > side:  # otherwise the line would press the growth flat
        axes.axhline(side, color=GREY, linestyle="--", linewidth=1.2)
        axes.annotate("image", (0, side), xytext=(0, 3), textcoords="offset points", color=GREY)
    axes.set(title=f"growth; the image has {side} pixels a side", ylim=(0, None))
    axes.set(xlabel="layer", ylabel="receptive field, pixels a side")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _table(axes: Axes, views: Sequence[View]) -> None:
    axes.set_axis_off()
    cells = [
        [
            str(number), view.layer.kind, str(view.layer.block),
            f"{view.layer.window} × {view.layer.window}", str(view.layer.stride),
            view.layer.padding, f"{view.size} × {view.size}", str(view.jump),
            f"{view.field} × {view.field}",
        ]
        for number, view in enumerate(views, start=1)
    ]  # fmt: skip
    table = axes.table(cellText=cells, colLabels=HEADS, bbox=Bbox.unit(), cellLoc="center")
    table.auto_set_font_size(False)
    table.set_fontsize(9.5)
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("#d0d0d0")
        if row == 0:
            cell.set_text_props(weight="bold")
        elif column == 0:
            colour = _colours(len(views))[row - 1]
            cell.set_facecolor(colour)
            cell.set_text_props(color="white" if sum(colour[:3]) < 1.5 else "black")
