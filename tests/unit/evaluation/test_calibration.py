"""Calibration on scores whose truth is known because it was drawn from them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import brier_score_loss

from cvcore.evaluation import probabilities
from cvcore.evaluation.calibration import MAX_BINS, calibrate

LOGITS = arrays(np.float32, (30, 3), elements=st.floats(-20, 20, width=32))
LABELS = arrays(np.int64, 30, elements=st.integers(0, 2))


def drawn(*, sharpness: float, num_images: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from them; with another sharpness than 1 the logits overstate."""
    rng = np.random.default_rng(7)
    logits = rng.normal(scale=2, size=(num_images, 4))
    chances = probabilities(logits).astype(np.float64)
    labels = (chances.cumsum(axis=1) < rng.random((num_images, 1))).sum(axis=1).clip(0, 3)
    return logits * sharpness, labels


def test_labels_drawn_from_the_probabilities_are_calibrated() -> None:
    found = calibrate(*drawn(sharpness=1))
    assert found.expected_error < 0.02  # 1,333 images a bin: their share is off by 0.01 or so
    assert found.maximum_error < 0.05


@pytest.mark.parametrize("sharpness", [0.3, 3])
def test_too_sure_and_too_unsure_are_both_errors(sharpness: float) -> None:
    logits, labels = drawn(sharpness=sharpness)
    found = calibrate(logits, labels)
    assert found.expected_error > 0.1
    signs = {np.sign(one.confidence - one.accuracy) for one in found.bins[:-1]}
    assert signs == {1.0 if sharpness > 1 else -1.0}
    assert found.brier > calibrate(*drawn(sharpness=1)).brier


@given(logits=LOGITS, labels=LABELS, order=st.permutations(range(30)))
def test_the_order_of_the_images_does_not_matter(
    logits: np.ndarray, labels: np.ndarray, order: list[int]
) -> None:
    one, other = calibrate(logits, labels), calibrate(logits[order], labels[order])
    assert [found.count for found in other.bins] == [found.count for found in one.bins]
    assert other.expected_error == pytest.approx(one.expected_error, abs=1e-9)
    assert other.maximum_error == pytest.approx(one.maximum_error, abs=1e-9)
    assert other.brier == pytest.approx(one.brier, abs=1e-9)


@given(logits=LOGITS, labels=LABELS)
def test_the_bins_hold_every_image_once_and_their_errors_are_bounded(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    found = calibrate(logits, labels)
    assert sum(one.count for one in found.bins) == 30
    assert 1 <= len(found.bins) <= MAX_BINS
    assert 0 <= found.expected_error <= found.maximum_error + 1e-12 <= 1 + 1e-12
    assert 0 <= found.brier <= 1
    hits = (probabilities(logits).argmax(axis=1) == labels).sum()
    assert sum(one.accuracy * one.count for one in found.bins) == pytest.approx(hits)
    confidences = [one.confidence for one in found.bins]
    assert confidences == sorted(confidences)


@given(
    logits=arrays(np.float32, (20, 1), elements=st.floats(-20, 20, width=32)),
    labels=arrays(np.int64, 20, elements=st.integers(0, 1)),
)
def test_with_two_classes_the_brier_score_is_the_usual_one(
    logits: np.ndarray, labels: np.ndarray
) -> None:
    chances = probabilities(logits)[:, 1].astype(np.float64)
    expected = brier_score_loss(labels, chances, labels=[0, 1])
    assert calibrate(logits, labels).brier == pytest.approx(expected, abs=1e-6)


def test_images_of_the_same_confidence_share_a_bin() -> None:
    found = calibrate(np.tile([[0.0, 40.0]], (100, 1)), np.arange(100) % 4 > 0)
    (only,) = found.bins
    assert (only.confidence, only.accuracy, only.count) == (1.0, 0.75, 100)
    assert found.expected_error == found.maximum_error == 0.25
