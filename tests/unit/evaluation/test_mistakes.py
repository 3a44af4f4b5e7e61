"""The wrong predictions: all of them, none other, the surest first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvcore.evaluation import evaluate
from cvcore.evaluation.mistakes import find_mistakes

NAMES = ("a", "b", "c")
PATHS = [f"{i:02}.png" for i in range(20)]


@given(
    logits=arrays(np.float32, (20, 3), elements=st.floats(-9, 9, width=32)),
    labels=arrays(np.int64, 20, elements=st.integers(0, 2)),
)
def test_the_mistakes_are_the_images_off_the_diagonal(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    found = find_mistakes(logits, labels, paths=PATHS, class_names=NAMES)
    confusion = evaluate(logits, labels, class_names=NAMES, split="test").confusion
    cells = np.zeros((3, 3), dtype=int)
    for one in found:
        cells[NAMES.index(one.label), NAMES.index(one.predicted)] += 1
        assert labels[PATHS.index(one.path)] == NAMES.index(one.label)
        assert 0 <= one.label_probability <= one.confidence <= 1
    np.testing.assert_array_equal(cells, confusion - np.diag(np.diag(confusion)))
    keys = [(-one.confidence, one.path) for one in found]
    assert keys == sorted(keys)


def test_a_threshold_decides_what_is_a_mistake() -> None:
    logits = np.log([[0.3 / 0.7], [0.6 / 0.4]])
    labels, paths = np.array([1, 0]), ["x.png", "y.png"]
    high = find_mistakes(logits, labels, paths=paths, class_names=("no", "yes"), threshold=0.65)
    (only,) = high
    assert (only.path, only.label, only.predicted) == ("x.png", "yes", "no")
    assert only.confidence == pytest.approx(0.7)
    assert only.label_probability == pytest.approx(0.3)
    low = find_mistakes(logits, labels, paths=paths, class_names=("no", "yes"), threshold=0.25)
    (only,) = low
    assert (only.path, only.predicted) == ("y.png", "yes")
