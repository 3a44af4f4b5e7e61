"""The rows below the classes, and confusion as shares."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import precision_recall_fscore_support  # comes with keras-tuner[bayesian]

from cvcore.evaluation import evaluate
from cvcore.evaluation.averages import average, confusion_percent

PAIRS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


@given(pairs=PAIRS)
def test_macro_and_weighted_averages_are_those_of_scikit_learn(
    pairs: list[tuple[int, int]],
) -> None:
    labels, predicted = np.array(pairs).T
    found = evaluate(np.eye(3)[predicted], labels, class_names="abc", split="test")
    averages = average(found.classes)
    for name in ("macro", "weighted"):
        expected = precision_recall_fscore_support(
            labels, predicted, labels=[0, 1, 2], average=name, zero_division=0
        )
        row = getattr(averages, name)
        assert (row.precision, row.recall, row.f1) == pytest.approx(expected[:3])
    assert averages.macro.f1 == pytest.approx(found.f1_macro)
    assert averages.weighted.f1 == pytest.approx(found.f1_weighted)


@given(confusion=arrays(np.int64, (4, 4), elements=st.integers(0, 50)))
def test_percentages_of_a_label_with_images_sum_to_100(confusion: np.ndarray) -> None:
    percent = confusion_percent(confusion)
    has_images = confusion.sum(axis=1) > 0
    np.testing.assert_allclose(percent.sum(axis=1), np.where(has_images, 100, 0))
    assert ((percent > 0) == (confusion > 0)).all()
