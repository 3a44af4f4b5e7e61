"""A model judged, on one figure: what it confuses, how far to trust it, what thresholds do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cvcore.pictures.style import BLUE, GREEN, GREY, ORANGE, VERMILION, look, new_figure

# Beyond this many classes the cells are too small for numbers.
MAX_CLASSES_WRITTEN = 12
_MEASURES = {"precision": BLUE, "recall": ORANGE, "f1": VERMILION, "specificity": GREEN}
# Area of the marker of the fullest bin, in square points.
_LARGEST_MARKER = 120.0
_POINTS_PER_INCH = 72


@look()
def draw_evaluation(document: Mapping[str, Any], *, title: str) -> Figure:
    """Draw confusion, reliability and, for two classes, the threshold curve side by side.

    `document` holds `classes`, `confusion`, `confusion_percent`, `calibration` and `thresholds`
    (None for more than two classes) as `cvjobs evaluate --json` prints them.
    """
    names = [one["label"] for one in document["classes"]]
    side = max(4.4, min(0.34 * len(names) + 2.4, 16.0))
    widths = [side, 4.4] if document["thresholds"] is None else [side, 4.4, 5.2]
    figure = new_figure(width=sum(widths), height=side + 0.6)
    figure.suptitle(title)
    panels = figure.subplots(1, len(widths), width_ratios=widths)
    for axes in panels:
        axes.set_anchor("N")
    _confusion(panels[0], names, document["confusion"], document["confusion_percent"])
    _reliability(panels[1], document["calibration"], num_classes=len(names))
    if document["thresholds"] is not None:
        _thresholds(panels[2], document["thresholds"])
    return figure


def _confusion(
    axes: Axes,
    names: Sequence[str],
    counts: Sequence[Sequence[int]],
    percents: Sequence[Sequence[float]],
) -> None:
    """Fill a square a pair of classes: darker where more of the label's images were put there."""
    axes.imshow(percents, cmap="Blues", vmin=0, vmax=100)
    places = range(len(names))
    size = min(10.0, 0.6 * _POINTS_PER_INCH * 16 / len(names))  # a line a class, 16 inches high
    if sum(map(len, names)) > 30:
        axes.set_xticks(
            places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size
        )
    else:
        axes.set_xticks(places, names)
    axes.set_yticks(places, names, fontsize=size)
    axes.set(title="Confusion: images, % of the label's", xlabel="predicted", ylabel="label")
    if len(names) > MAX_CLASSES_WRITTEN:
        return
    for row, column in np.ndindex(len(names), len(names)):
        percent = percents[row][column]
        axes.text(
            column, row, f"{counts[row][column]:,}\n{percent:.1f} %", ha="center", va="center",
            color="white" if percent > 55 else "black", fontsize=11 if len(names) < 5 else 7,
        )  # fmt: skip


def _reliability(axes: Axes, calibration: Mapping[str, Any], *, num_classes: int) -> None:
    """Put a dot a bin: on the diagonal where the model is right as often as it says."""
    bins = calibration["bins"]
    confidence = np.array([one["confidence"] for one in bins])
    accuracy = np.array([one["accuracy"] for one in bins])
    counts = np.array([one["count"] for one in bins])
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1.2, label="calibrated")
    axes.vlines(confidence, confidence, accuracy, color=VERMILION, alpha=0.6, label="gap")
    axes.scatter(
        confidence, accuracy, s=_LARGEST_MARKER * counts / counts.max(), color=BLUE, alpha=0.8,
        label="bin (area: images)", zorder=3,
    )  # fmt: skip
    # The likeliest of n classes has a probability of at least 1/n.
    lowest = min(1 / num_classes, float(accuracy.min()))
    axes.set(
        title=f"Reliability: calibration error {calibration['expected_error']:.3f}, "
        f"at most {calibration['maximum_error']:.3f}",
        xlabel="confidence", ylabel="accuracy",
        xlim=(1 / num_classes - 0.03, 1.03), ylim=(lowest - 0.03, 1.03),
    )  # fmt: skip
    axes.set_box_aspect(1)
    axes.legend(loc="best")


def _thresholds(axes: Axes, thresholds: Mapping[str, Any]) -> None:
    curve = thresholds["curve"]
    # A point holds up to the next one, the last one up to 1.
    curve = [*curve, {**curve[-1], "threshold": 1.0}]
    places = [point["threshold"] for point in curve]
    for name, colour in _MEASURES.items():
        # Where nothing is predicted there is no precision, only a 0 that stands for it.
        values = [
            float("nan") if name == "precision" and point["recall"] == 0 else point[name]
            for point in curve
        ]
        label = "F1" if name == "f1" else name
        axes.plot(places, values, color=colour, label=label, drawstyle="steps-post")
    best, applied = thresholds["best_f1"], thresholds["applied"]["threshold"]
    axes.axvline(applied, color=GREY, linewidth=1.2, label=f"applied: {applied:.3g}")
    axes.plot(
        best["threshold"], best["f1"], marker="*", markersize=12, linestyle="none",
        color=VERMILION, label=f"best F1: {best['f1']:.3f} at {best['threshold']:.3g}",
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )  # fmt: skip
    auc = thresholds["roc_auc"]
    ranking = "" if auc is None else f", ROC AUC {auc:.3f}"
    axes.set(
        title=f"{thresholds['label']} predicted above a threshold{ranking}",
        xlabel="threshold", ylabel="score", xlim=(-0.02, 1.02), ylim=(-0.03, 1.03),
    )  # fmt: skip
    axes.set_box_aspect(0.85)
    axes.grid(axis="y", color=GREY, alpha=0.25)
    axes.legend(loc="lower center", ncols=2, frameon=True, framealpha=0.9, edgecolor="none")
