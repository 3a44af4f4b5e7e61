"""Whether a probability of 0.9 is right nine times in ten."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np
import numpy.typing as npt

from cvcore.evaluation.metrics import Floats, Ints, probabilities, ratio

# Fewer bins for few images: with n of them a bin holds about the square root of n.
MAX_BINS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Images of similar confidence: its mean, and the share of them predicted rightly."""

    confidence: float
    accuracy: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How far confidence and accuracy are apart: on average over all images, and in the worst bin.

    `brier` (0..1) is half the squared distance between probabilities and truth, the mean over the
    images; with two classes that is the squared error of either probability.
    """

    expected_error: float
    maximum_error: float
    brier: float
    bins: tuple[ReliabilityBin, ...]


def calibrate(logits: Floats, labels: Ints) -> Calibration:
    """Compare confidence and accuracy; logits (n, num_classes or 1), labels (n,), n at least 1.

    The confidence is the probability of the likeliest class, whatever threshold is used. The bins
    hold about equally many images: images of equal confidence share one.
    """
    chances = probabilities(logits).astype(np.float64)
    labels = np.asarray(labels, dtype=np.int64)
    bins = _reliability(chances.max(axis=1), chances.argmax(axis=1) == labels)
    gaps = np.array([abs(one.confidence - one.accuracy) for one in bins])
    counts = np.array([one.count for one in bins])
    errors = chances.copy()
    errors[np.arange(len(labels)), labels] -= 1
    return Calibration(
        expected_error=float(gaps @ counts / counts.sum()),
        maximum_error=float(gaps.max()),
        brier=float((errors**2).sum(axis=1).mean() / 2),
        bins=bins,
    )


def _reliability(
    confidence: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    num_bins = min(MAX_BINS, isqrt(len(confidence)))
    edges = np.quantile(confidence, np.arange(1, num_bins) / num_bins)
    numbers = np.searchsorted(edges, confidence, side="left")
    counts = np.bincount(numbers, minlength=num_bins)
    means = ratio(np.bincount(numbers, weights=confidence, minlength=num_bins), counts)
    hits = ratio(np.bincount(numbers, weights=correct, minlength=num_bins), counts)
    return tuple(
        ReliabilityBin(confidence=float(mean), accuracy=float(hit), count=int(count))
        for mean, hit, count in zip(means, hits, counts, strict=True)
        if count
    )
