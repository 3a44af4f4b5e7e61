"""What needs no picture: the scores that the frequencies of the labels alone give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """Scores of always predicting `label`, the most frequent one among the images scored.

    `guess_accuracy` is what to expect of guessing each label as often as it occurs.
    """

    label: str
    accuracy: float
    f1_weighted: float
    f1_macro: float
    guess_accuracy: float


def frequency_baseline(support: npt.NDArray[np.integer], *, class_names: Sequence[str]) -> Baseline:
    """Score the most frequent label; `support` counts images, (num_classes,), not all 0.

    Of equally frequent labels it is the first.
    """
    shares = np.asarray(support, dtype=np.float64) / np.sum(support)
    most = int(shares.argmax())
    share = float(shares[most])
    f1 = 2 * share / (1 + share)  # precision is its share, recall 1; F1 of all others is 0
    return Baseline(
        label=class_names[most],
        accuracy=share,
        f1_weighted=share * f1,
        f1_macro=f1 / len(shares),
        guess_accuracy=float(shares @ shares),
    )
