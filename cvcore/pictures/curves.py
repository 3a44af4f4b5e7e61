"""Learning curves: loss and accuracy over the epochs, with a mark where fine-tuning starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cvcore.pictures.style import BLUE, GREY, VERMILION, look, new_figure

MEASURES = ("loss", "accuracy")


def fine_tune_start(epochs: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the first epoch of the phase "fine_tune" behind another phase, if there is one."""
    for before, after in pairwise(epochs):
        if after["phase"] == "fine_tune" != before["phase"]:
            epoch: int = after["epoch"]
            return epoch
    return None


@look()
def draw_curves(epochs: Sequence[Mapping[str, Any]], *, title: str) -> Figure:
    """Draw rows of the epochs table in their order; a value of None leaves a gap."""
    figure = new_figure(width=10, height=4.2)
    figure.suptitle(title)
    mark = fine_tune_start(epochs)
    left, right = figure.subplots(1, 2)
    for axes, measure in zip((left, right), MEASURES, strict=True):
        _curve(axes, epochs, measure, label="training", colour=BLUE, marker="o")
        _curve(axes, epochs, f"val_{measure}", label="validation", colour=VERMILION, marker="s")
        axes.set(title=measure.capitalize(), xlabel="epoch", ylabel=measure)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.margins(y=0.08)
        axes.grid(axis="y", color=GREY, alpha=0.25)
        if mark is not None:
            axes.axvline(
                mark - 0.5, color=GREY, linestyle="--", linewidth=1.2,
                label=f"fine-tuning from epoch {mark}",
            )  # fmt: skip
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _curve(
    axes: Axes,
    epochs: Sequence[Mapping[str, Any]],
    name: str,
    *,
    label: str,
    colour: str,
    marker: str,
) -> None:
    values = [float("nan") if row[name] is None else row[name] for row in epochs]
    # Beyond some fifty epochs the markers would hide the line.
    every = max(1, len(values) // 50)
    axes.plot(
        [row["epoch"] for row in epochs], values, label=label, color=colour, marker=marker,
        markevery=every,
    )  # fmt: skip
