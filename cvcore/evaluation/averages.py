"""One row for all classes: how per-class scores are summed up, and confusion as shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cvcore.evaluation.metrics import ratio
from cvcore.records import ClassMetrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """Precision, recall and F1 over all classes, 0..1 each."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Averages:
    """`macro` gives every class the same weight, `weighted` its number of images."""

    macro: Average
    weighted: Average


def average(classes: Sequence[ClassMetrics]) -> Averages:
    """Average the scores of all classes; at least one of them has images."""
    scores = np.array([(one.precision, one.recall, one.f1) for one in classes])
    support = np.array([one.support for one in classes])
    return Averages(
        macro=_row(scores.mean(axis=0)), weighted=_row(support @ scores / support.sum())
    )


def confusion_percent(confusion: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return what share of each label's images was predicted as what, in percent.

    Rows sum to 100; the row of a label without images is 0. Shape as `confusion`, labels in rows.
    """
    counts = np.asarray(confusion)
    totals = np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape)
    return 100 * ratio(counts, totals)


def _row(scores: npt.NDArray[np.float64]) -> Average:
    precision, recall, f1 = scores.tolist()
    return Average(precision=precision, recall=recall, f1=f1)
