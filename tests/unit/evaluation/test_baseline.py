"""The baseline is what a model that always says the same would be given."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.evaluation import evaluate
from cvcore.evaluation.baseline import frequency_baseline

CLASSES = ("a", "b", "c")
SUPPORT = st.lists(st.integers(0, 30), min_size=3, max_size=3).filter(any)


@given(support=SUPPORT)
def test_the_baseline_scores_like_a_model_that_always_says_the_most_frequent_label(
    support: list[int],
) -> None:
    labels = np.repeat(np.arange(3), support)
    always = np.tile(np.eye(3)[int(np.argmax(support))], (len(labels), 1))
    found = evaluate(always, labels, class_names=CLASSES, split="test")
    baseline = frequency_baseline(np.array(support), class_names=CLASSES)
    assert baseline.label == CLASSES[int(np.argmax(support))]
    assert baseline.accuracy == pytest.approx(found.accuracy)
    assert baseline.f1_weighted == pytest.approx(found.f1_weighted)
    assert baseline.f1_macro == pytest.approx(found.f1_macro)


@given(support=SUPPORT)
def test_guessing_lies_between_chance_and_the_most_frequent_label(support: list[int]) -> None:
    baseline = frequency_baseline(np.array(support), class_names=CLASSES)
    assert 1 / 3 - 1e-12 <= baseline.guess_accuracy <= baseline.accuracy + 1e-12


def test_guessing_as_often_as_labels_occur_is_right_for_the_sum_of_their_squared_shares() -> None:
    baseline = frequency_baseline(np.array([30, 10]), class_names=("cat", "dog"))
    assert (baseline.accuracy, baseline.guess_accuracy) == (0.75, 0.75**2 + 0.25**2)


def test_two_equally_frequent_labels_give_one_half() -> None:
    baseline = frequency_baseline(np.array([20, 20]), class_names=("cat", "dog"))
    assert (baseline.label, baseline.accuracy, baseline.guess_accuracy) == ("cat", 0.5, 0.5)
