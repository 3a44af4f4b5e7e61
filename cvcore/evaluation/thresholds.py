"""Two classes only: what other thresholds would give, and how well the scores rank at all.

A threshold chosen on the images it is then measured on looks better than it is: choose it on the
validation split, measure it on the test split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from cvcore.evaluation.metrics import Floats, Ints, predict, probabilities, ratio, two_sided

MAX_POINTS = 101


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdPoint:
    """The scores where the second class is predicted from a probability above `threshold`."""

    threshold: float
    precision: float
    recall: float
    f1: float
    specificity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """The second class, `label`, at the threshold applied, at the best for F1, and at others.

    `roc_auc` is None where a class has no images, `average_precision` where the second has none.
    """

    label: str
    roc_auc: float | None
    average_precision: float | None
    applied: ThresholdPoint
    best_f1: ThresholdPoint
    curve: tuple[ThresholdPoint, ...]


def threshold_curve(
    logits: Floats, labels: Ints, *, label: str, threshold: float | None = None
) -> Thresholds:
    """Try all thresholds that differ; logits (n, 2 or 1), labels (n,) 0 or 1.

    The curve has a point at 0 and at each distinct probability, ascending, thinned to at most 101.
    The best is sought among all of them and is, of equally good ones, the nearest to 0.5.
    """
    positive = np.asarray(labels) == 1
    auc, precision = _ranking(two_sided(logits), positive)
    points = _Points.of(probabilities(logits)[:, 1], positive)
    shown = np.unique(np.linspace(0, len(points.f1) - 1, MAX_POINTS).round().astype(np.int64))
    predicted = predict(logits, threshold=threshold) == 1
    applied = _Points.at(
        np.array([0.5 if threshold is None else threshold]),
        hits=np.array([(predicted & positive).sum()]),
        false_alarms=np.array([(predicted & ~positive).sum()]),
        positive=positive,
    )
    return Thresholds(
        label=label,
        roc_auc=auc,
        average_precision=precision,
        applied=applied.point(0),
        best_f1=points.best(),
        curve=tuple(points.point(int(index)) for index in shown),
    )


def _ranking(logits: Floats, positive: npt.NDArray[np.bool_]) -> tuple[float | None, float | None]:
    """Return the area under the ROC curve and the average precision.

    From logits (n, 2), not from probabilities: those of a sure model are all 1.0 as float32.
    """
    _, hits, false_alarms = _tally(logits[:, 1] - logits[:, 0], positive)
    num_positive, num_negative = hits.sum(), false_alarms.sum()
    if not num_positive:
        return None, None
    precision = ratio(hits[::-1].cumsum(), (hits + false_alarms)[::-1].cumsum())
    average_precision = float(hits[::-1] @ precision / num_positive)
    if not num_negative:
        return None, average_precision
    # Pairs in which the image of the second class scores higher; a tie is half a pair.
    pairs = hits @ (false_alarms.cumsum() - false_alarms / 2)
    return float(pairs / (num_positive * num_negative)), average_precision


def _tally(
    scores: Floats, positive: npt.NDArray[np.bool_]
) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the distinct scores, ascending, with the positive and the negative images of each."""
    distinct, numbers = np.unique(scores, return_inverse=True)
    hits = np.bincount(numbers, weights=positive, minlength=len(distinct)).astype(np.int64)
    return distinct, hits, np.bincount(numbers, minlength=len(distinct)) - hits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Points:
    """Several thresholds, ascending, and the scores at each: float64 (num_points,) all of them."""

    thresholds: npt.NDArray[np.float64]
    precision: Floats
    recall: Floats
    f1: Floats
    specificity: Floats

    @classmethod
    def of(cls, chances: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_]) -> _Points:
        """Take 0 and every distinct probability: up to the next one nothing changes."""
        distinct, hits, false_alarms = _tally(chances.astype(np.float64), positive)
        # A probability of 0 is above no threshold, not even above 0.
        first = int(distinct[0] == 0)
        return cls.at(
            np.concatenate([[0.0], distinct])[first:],
            hits=np.append(hits[::-1].cumsum()[::-1], 0)[first:],
            false_alarms=np.append(false_alarms[::-1].cumsum()[::-1], 0)[first:],
            positive=positive,
        )

    @classmethod
    def at(
        cls,
        thresholds: npt.NDArray[np.float64],
        *,
        hits: npt.NDArray[np.int64],
        false_alarms: npt.NDArray[np.int64],
        positive: npt.NDArray[np.bool_],
    ) -> _Points:
        num_positive = positive.sum()
        num_negative = len(positive) - num_positive
        positives = np.full_like(hits, num_positive)
        return cls(
            thresholds=thresholds,
            precision=ratio(hits, hits + false_alarms),
            recall=ratio(hits, positives),
            f1=ratio(2 * hits, positives + hits + false_alarms),
            specificity=ratio(num_negative - false_alarms, np.full_like(hits, num_negative)),
        )

    def best(self) -> ThresholdPoint:
        """Return the point of the highest F1, in the middle of the thresholds that give the same.

        Half-way between two float32 is an exact float64: it gives exactly these scores again.
        """
        middles = (self.thresholds + np.append(self.thresholds[1:], 1.0)) / 2
        index = int(np.lexsort((np.abs(middles - 0.5), -self.f1))[0])
        return replace(self.point(index), threshold=float(middles[index]))

    def point(self, index: int) -> ThresholdPoint:
        return ThresholdPoint(
            threshold=float(self.thresholds[index]),
            precision=float(self.precision[index]),
            recall=float(self.recall[index]),
            f1=float(self.f1[index]),
            specificity=float(self.specificity[index]),
        )
