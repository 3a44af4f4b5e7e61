"""The images a model gets wrong, the surest mistakes first: they show labels that are wrong too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cvcore.evaluation.metrics import Floats, Ints, predict, probabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One wrong prediction: `confidence` is the probability of the class predicted."""

    path: str
    label: str
    predicted: str
    confidence: float
    label_probability: float


def find_mistakes(
    logits: Floats,
    labels: Ints,
    *,
    paths: Sequence[str],
    class_names: Sequence[str],
    threshold: float | None = None,
) -> tuple[Mistake, ...]:
    """List the wrong predictions, the most confident first; equally confident ones by path.

    logits (n, num_classes or 1), labels (n,) and paths in one order; `threshold` as in `predict`.
    """
    chances = probabilities(logits)
    predicted = predict(logits, threshold=threshold)
    wrong = [
        Mistake(
            path=paths[i],
            label=class_names[labels[i]],
            predicted=class_names[predicted[i]],
            confidence=float(chances[i, predicted[i]]),
            label_probability=float(chances[i, labels[i]]),
        )
        for i in np.flatnonzero(predicted != labels).tolist()
    ]
    return tuple(sorted(wrong, key=lambda mistake: (-mistake.confidence, mistake.path)))
