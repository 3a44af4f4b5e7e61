"""How far a score may be off: 95 % confidence intervals, from the confusion counts alone."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from cvcore.evaluation.metrics import ratio

Counts = npt.NDArray[np.int64]

LEVEL = 0.95
# The 97.5 % point of the normal distribution.
_Z = 1.959963984540054
_NUM_RESAMPLES = 2000
# Counts held in memory at once while resampling: 32 MB.
_MAX_COUNTS = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """From `low` to `high`, 0..1."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Confidence intervals of the scores; `level` is the share of samples in which they hold."""

    level: float
    accuracy: Interval
    f1_weighted: Interval
    f1_macro: Interval


def confidence_intervals(confusion: npt.ArrayLike, *, seed: int = 0) -> Intervals:
    """Bound accuracy (Wilson) and both F1 (bootstrap); `confusion[label][predicted]` counts images.

    A bootstrap knows only the mistakes it has seen: with none at all its interval is the point 1.0,
    and the one of the accuracy is the one to read.
    """
    counts = np.asarray(confusion, dtype=np.int64)
    weighted, macro = bootstrap_f1(counts, seed=seed)
    return Intervals(
        level=LEVEL,
        accuracy=wilson(int(np.trace(counts)), int(counts.sum())),
        f1_weighted=weighted,
        f1_macro=macro,
    )


def wilson(hits: int, num_images: int) -> Interval:
    """Bound the share of hits among `num_images` (at least 1), as Wilson's score interval does."""
    share = hits / num_images
    spread = _Z**2 / num_images
    centre = share + spread / 2
    margin = _Z * sqrt((share * (1 - share) + spread / 4) / num_images)
    # At 0 and 1 the bound is exactly that, but for rounding.
    low = min(max((centre - margin) / (1 + spread), 0.0), share)
    high = max(min((centre + margin) / (1 + spread), 1.0), share)
    return Interval(low=low, high=high)


def bootstrap_f1(confusion: Counts, *, seed: int = 0) -> tuple[Interval, Interval]:
    """Bound weighted and macro F1 by drawing as many images again and again, with replacement.

    Images of one cell of the confusion are alike to F1, so a draw is one multinomial sample of the
    cells. A class that a draw happens to miss does not count in that draw's macro average.
    """
    labels, predicted = confusion.nonzero()
    cells = confusion[labels, predicted]
    seen = confusion.sum(axis=0) + confusion.sum(axis=1) > 0
    rng = np.random.default_rng(seed)
    weighted, macro = [], []
    for size in _chunks(_NUM_RESAMPLES, cells.size + 3 * len(confusion)):
        draws = rng.multinomial(cells.sum(), cells / cells.sum(), size=size)
        hits = _totals(draws * (labels == predicted), labels, num_classes=len(confusion))
        support = _totals(draws, labels, num_classes=len(confusion))
        guesses = _totals(draws, predicted, num_classes=len(confusion))
        f1 = ratio(2 * hits, support + guesses)
        missed = (seen & (support + guesses == 0)).sum(axis=1)
        weighted.append((f1 * support).sum(axis=1) / cells.sum())
        macro.append(f1.sum(axis=1) / (len(confusion) - missed))
    return _percentiles(weighted), _percentiles(macro)


def _chunks(num_resamples: int, num_counts: int) -> list[int]:
    """Split the resamples so that no part holds too many counts at once."""
    largest = max(1, _MAX_COUNTS // num_counts)
    whole, rest = divmod(num_resamples, largest)
    return [largest] * whole + [rest] * (rest > 0)


def _totals(draws: Counts, classes: Counts, *, num_classes: int) -> Counts:
    """Add up the cells (size, num_cells) of each class: int64 (size, num_classes)."""
    order = classes.argsort(kind="stable")
    present, starts = np.unique(classes[order], return_index=True)
    totals = np.zeros((len(draws), num_classes), dtype=np.int64)
    totals[:, present] = np.add.reduceat(draws[:, order], starts, axis=1)
    return totals


def _percentiles(parts: list[npt.NDArray[np.float64]]) -> Interval:
    low, high = np.quantile(np.concatenate(parts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    # A sum of weights may come out as 1 + 2e-16.
    return Interval(low=float(np.clip(low, 0, 1)), high=float(np.clip(high, 0, 1)))
