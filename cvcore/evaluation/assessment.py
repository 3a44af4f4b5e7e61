"""Everything that can be said of a model from its logits, composed once for `cvjobs evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cvcore.evaluation.averages import Averages, average, confusion_percent
from cvcore.evaluation.baseline import Baseline, frequency_baseline
from cvcore.evaluation.calibration import Calibration, calibrate
from cvcore.evaluation.intervals import Intervals, confidence_intervals
from cvcore.evaluation.metrics import Floats, Ints, evaluate
from cvcore.evaluation.mistakes import Mistake, find_mistakes
from cvcore.evaluation.thresholds import Thresholds, threshold_curve
from cvcore.records import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """An evaluation and what puts it into perspective.

    `confusion_percent` is in percent of each label's images; `thresholds` is None for more than two
    classes.
    """

    evaluation: Evaluation
    averages: Averages
    confusion_percent: tuple[tuple[float, ...], ...]
    baseline: Baseline
    intervals: Intervals
    calibration: Calibration
    thresholds: Thresholds | None
    mistakes: tuple[Mistake, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation's own keys and, beside them, one for every other part."""
        parts = asdict(self)
        return {**parts.pop("evaluation"), **parts}


def assess(
    logits: Floats,
    labels: Ints,
    *,
    class_names: Sequence[str],
    split: str,
    paths: Sequence[str],
    threshold: float | None = None,
) -> Assessment:
    """Judge logits (n, num_classes or 1) of the images at `paths` by their labels (n,), n > 0.

    `threshold` (0..1, two classes only): the second class is predicted where its probability is
    greater; without one it is the likeliest class.
    """
    found = evaluate(logits, labels, class_names=class_names, split=split, threshold=threshold)
    support = np.array([one.support for one in found.classes])
    return Assessment(
        evaluation=found,
        averages=average(found.classes),
        confusion_percent=tuple(map(tuple, confusion_percent(found.confusion).tolist())),
        baseline=frequency_baseline(support, class_names=class_names),
        intervals=confidence_intervals(found.confusion),
        calibration=calibrate(logits, labels),
        thresholds=threshold_curve(logits, labels, label=class_names[1], threshold=threshold)
        if len(class_names) == 2
        else None,
        mistakes=find_mistakes(
            logits, labels, paths=paths, class_names=class_names, threshold=threshold
        ),
    )
