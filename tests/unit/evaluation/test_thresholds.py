"""Thresholds and rankings against their definitions and against scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import average_precision_score, roc_auc_score

from cvcore.evaluation import evaluate, probabilities
from cvcore.evaluation.thresholds import MAX_POINTS, ThresholdPoint, threshold_curve

NAMES = ("no", "yes")
# Whole numbers make ties, large ones make float32 probabilities of exactly 0 and 1.
LOGITS = arrays(
    np.float32, (25, 1), elements=st.floats(-60, 60, width=32) | st.integers(-3, 3) | st.just(200)
)
LABELS = arrays(np.int64, 25, elements=st.integers(0, 1))
BOTH = LABELS.filter(lambda labels: 0 < labels.sum() < len(labels))


@given(logits=LOGITS, labels=BOTH)
def test_the_area_under_the_curve_is_the_share_of_pairs_in_the_right_order(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    yes, no = logits[labels == 1], logits[labels == 0].T
    pairs = np.mean((yes > no) + 0.5 * (yes == no))
    found = threshold_curve(logits, labels, label="yes")
    assert found.roc_auc == pytest.approx(pairs)
    assert found.roc_auc == pytest.approx(roc_auc_score(labels, logits[:, 0]))
    expected = average_precision_score(labels, logits[:, 0])
    assert found.average_precision == pytest.approx(expected)


def scores_at(threshold: float, logits: np.ndarray, labels: np.ndarray) -> ThresholdPoint:
    found = evaluate(logits, labels, class_names=NAMES, split="test", threshold=threshold)
    no, yes = found.classes
    return ThresholdPoint(
        threshold=threshold,
        precision=pytest.approx(yes.precision),
        recall=pytest.approx(yes.recall),
        f1=pytest.approx(yes.f1),
        specificity=pytest.approx(no.recall),
    )


@given(logits=LOGITS, labels=LABELS)
def test_every_point_of_the_curve_is_what_its_threshold_gives(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    found = threshold_curve(logits, labels, label="yes")
    for point in (*found.curve, found.best_f1):
        assert 0 <= point.threshold <= 1
        assert point == scores_at(point.threshold, logits, labels)


@given(logits=LOGITS, labels=LABELS, threshold=st.floats(0, 1))
def test_no_threshold_beats_the_best_one(
    logits: np.ndarray, labels: np.ndarray, threshold: float
) -> None:
    found = threshold_curve(logits, labels, label="yes", threshold=threshold)
    assert found.applied == scores_at(threshold, logits, labels)
    assert found.best_f1.f1 >= found.applied.f1 - 1e-12
    assert found.best_f1.f1 >= max(point.f1 for point in found.curve)


@given(logits=LOGITS, labels=LABELS)
def test_recall_falls_and_specificity_rises_along_the_curve(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    curve = threshold_curve(logits, labels, label="yes").curve
    for low, high in itertools.pairwise(curve):
        assert low.threshold < high.threshold
        assert low.recall >= high.recall
        assert low.specificity <= high.specificity
    assert (curve[0].threshold, curve[-1].recall) == (0.0, 0.0)


def test_many_distinct_scores_are_thinned_to_the_ends_and_what_lies_evenly_between() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 5000)
    logits = rng.normal(loc=labels, size=5000)[:, np.newaxis]
    found = threshold_curve(logits, labels, label="yes")
    assert len(found.curve) == MAX_POINTS
    assert (found.curve[0].recall, found.curve[0].specificity) == (1.0, 0.0)
    falls = -np.diff([point.recall + 1 - point.specificity for point in found.curve])
    assert falls.max() < 0.04


def test_separable_scores_are_parted_in_the_middle_of_the_gap() -> None:
    logits = np.log([[0.1 / 0.9], [0.2 / 0.8], [0.6 / 0.4], [0.9 / 0.1]])
    found = threshold_curve(logits, np.array([0, 0, 1, 1]), label="yes")
    assert found.best_f1.threshold == pytest.approx(0.4)
    assert (found.best_f1.f1, found.roc_auc, found.average_precision) == (1, 1, 1)


def test_a_ranking_survives_probabilities_that_are_all_one() -> None:
    logits = np.array([[30.0], [31.0], [40.0]])
    assert (probabilities(logits)[:, 1] == 1).all()
    assert threshold_curve(logits, np.array([0, 1, 1]), label="yes").roc_auc == 1.0


def test_what_has_no_meaning_without_a_class_is_none() -> None:
    logits = np.array([[-1.0], [2.0]])
    nothing = threshold_curve(logits, np.array([0, 0]), label="yes")
    assert (nothing.roc_auc, nothing.average_precision) == (None, None)
    everything = threshold_curve(logits, np.array([1, 1]), label="yes")
    assert (everything.roc_auc, everything.average_precision) == (None, 1.0)
