"""Classification scores from logits; binary and multi-class, one definition for both.

A sigmoid logit z is read as the two logits (0, z), which gives the same probabilities and the same
cross-entropy; class 1 is predicted from a probability of more than 0.5, or of another threshold.
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


def predict(logits: Floats, *, threshold: float | None = None) -> npt.NDArray[np.int64]:
    """Return the predicted class of each image, int64 (n,): the likeliest one.

    With a `threshold` (0..1, two classes only) it is class 1 where its probability, as
    `probabilities` gives it, is greater than that.
    """
    if threshold is None:
        likeliest: npt.NDArray[np.int64] = two_sided(logits).argmax(axis=1)
        return likeliest
    # A float32 array compared with a Python float would round the threshold to float32 first.
    return (probabilities(logits)[:, 1].astype(np.float64) > threshold).astype(np.int64)


def evaluate(
    logits: Floats,
    labels: Ints,
    *,
    class_names: Sequence[str],
    split: str,
    threshold: float | None = None,
) -> Evaluation:
    """Score logits (n, num_classes or 1) against labels (n,) in 0..num_classes-1.

    Precision and recall of a class that is never predicted or never present are 0, as is its F1;
    weighted averages weigh by support. n must be at least 1; `threshold` as in `predict`.
    """
    wide = two_sided(logits)
    labels = np.asarray(labels, dtype=np.int64)
    predicted = predict(logits, threshold=threshold)
    num_classes = len(class_names)
    confusion = np.bincount(
        labels * num_classes + predicted, minlength=num_classes * num_classes
    ).reshape(num_classes, num_classes)
    hits = np.diag(confusion).astype(np.float64)
    support = confusion.sum(axis=1)
    precision = ratio(hits, confusion.sum(axis=0))
    recall = ratio(hits, support)
    f1 = ratio(2 * precision * recall, precision + recall)
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


def ratio(
    numerator: npt.NDArray[np.generic], denominator: npt.NDArray[np.generic]
) -> npt.NDArray[np.float64]:
    """Divide element by element, float64; 0 where the denominator is 0."""
    wide = np.asarray(denominator, dtype=np.float64)
    result: npt.NDArray[np.float64] = np.zeros_like(wide)
    np.divide(numerator, wide, out=result, where=wide > 0)
    return result


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=1, keepdims=True)
    result: Floats = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
