"""Classification scores from logits; binary and multi-class, one definition for both.

A sigmoid logit z is read as the two logits (0, z), which gives the same probabilities and the same
cross-entropy; class 1 is predicted from a probability of more than 0.5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from cvcore.records import ClassMetrics, Evaluation

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]


def two_sided(logits: Floats) -> Floats:
    """Return logits (n, num_classes) float64; a single sigmoid column becomes two."""
    wide = np.asarray(logits, dtype=np.float64)
    if wide.shape[1] == 1:
        return np.concatenate([np.zeros_like(wide), wide], axis=1)
    return wide


def probabilities(logits: Floats) -> npt.NDArray[np.float32]:
    """Return class probabilities (n, num_classes) float32; rows sum to 1."""
    return np.exp(_log_softmax(two_sided(logits))).astype(np.float32)


def evaluate(logits: Floats, labels: Ints, *, class_names: Sequence[str], split: str) -> Evaluation:
    """Score logits (n, num_classes or 1) against labels (n,) in 0..num_classes-1.

    Precision and recall of a class that is never predicted or never present are 0, as is its F1;
    weighted averages weigh by support. n must be at least 1.
    """
    wide = two_sided(logits)
    labels = np.asarray(labels, dtype=np.int64)
    predicted = wide.argmax(axis=1)
    num_classes = len(class_names)
    confusion = np.bincount(
        labels * num_classes + predicted, minlength=num_classes * num_classes
    ).reshape(num_classes, num_classes)
    hits = np.diag(confusion).astype(np.float64)
    support = confusion.sum(axis=1)
    precision = _ratio(hits, confusion.sum(axis=0))
    recall = _ratio(hits, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    log_likelihood = _log_softmax(wide)[np.arange(len(labels)), labels]
    classes = tuple(
        ClassMetrics(
            label=str(class_names[i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            support=int(support[i]),
        )
        for i in range(num_classes)
    )
    return Evaluation(
        split=split,
        loss=float(-log_likelihood.mean()),
        accuracy=float(hits.sum() / len(labels)),
        f1_weighted=float((f1 * support).sum() / support.sum()),
        f1_macro=float(f1.mean()),
        classes=classes,
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


def _ratio(numerator: Floats, denominator: npt.NDArray[np.generic]) -> Floats:
    wide = np.asarray(denominator, dtype=np.float64)
    return np.divide(numerator, wide, out=np.zeros_like(wide), where=wide > 0)
