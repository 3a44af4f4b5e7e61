"""Intervals hold what they promise: by formula, by simulation and by a slow bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from cvcore.evaluation.intervals import bootstrap_f1, confidence_intervals, wilson

CONFUSIONS = arrays(np.int64, (3, 3), elements=st.integers(0, 20)).filter(np.any)


@given(num_images=st.integers(1, 10_000), data=st.data())
def test_wilsons_interval_holds_the_share_and_stays_within_0_and_1(
    num_images: int, data: st.DataObject
) -> None:
    hits = data.draw(st.integers(0, num_images))
    interval = wilson(hits, num_images)
    assert 0 <= interval.low <= hits / num_images <= interval.high <= 1
    assert interval.low < interval.high
    mirrored = wilson(num_images - hits, num_images)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)


def test_wilsons_interval_is_the_published_one() -> None:
    # Newcombe 1998, table I: 81 of 263 and 15 of 148.
    for hits, num_images, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        interval = wilson(hits, num_images)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_wilsons_interval_holds_the_true_share_in_95_of_100_samples(share: float) -> None:
    hits = np.random.default_rng(1).binomial(200, share, size=2000)
    held = [wilson(int(h), 200).low <= share <= wilson(int(h), 200).high for h in hits]
    assert np.mean(held) == pytest.approx(0.95, abs=0.02)


@given(confusion=CONFUSIONS)
def test_bootstrap_intervals_are_ordered_and_the_same_every_time(confusion: np.ndarray) -> None:
    found = bootstrap_f1(confusion, seed=3)
    assert found == bootstrap_f1(confusion, seed=3)
    for interval in found:
        assert 0 <= interval.low <= interval.high <= 1


@pytest.mark.parametrize("name", ["weighted", "macro"])
def test_the_bootstrap_agrees_with_one_that_draws_images(name: str) -> None:
    confusion = np.array([[40, 5, 2], [3, 30, 6], [1, 2, 11]])
    pairs = np.repeat(np.argwhere(confusion), confusion[confusion.nonzero()], axis=0)
    rng = np.random.default_rng(5)
    scores = []
    for _ in range(300):
        labels, predicted = pairs[rng.integers(0, len(pairs), len(pairs))].T
        scores.append(f1_score(labels, predicted, average=name))
    expected = np.quantile(scores, [0.025, 0.975])
    found = bootstrap_f1(confusion)[["weighted", "macro"].index(name)]
    assert (found.low, found.high) == pytest.approx(expected, abs=0.02)


def test_more_images_make_every_interval_narrower() -> None:
    few = confidence_intervals([[40, 10], [5, 45]])
    many = confidence_intervals([[4000, 1000], [500, 4500]])
    for name in ("accuracy", "f1_weighted", "f1_macro"):
        wide, narrow = getattr(few, name), getattr(many, name)
        assert (narrow.high - narrow.low) * 5 < wide.high - wide.low
        assert wide.low < narrow.low < narrow.high < wide.high


def test_a_rare_class_that_a_draw_misses_does_not_pull_the_macro_average_down() -> None:
    _, macro = bootstrap_f1(np.diag([100, 100, 1]))
    assert macro.low == 1.0


def test_a_class_without_images_counts_as_in_the_score_itself() -> None:
    _, macro = bootstrap_f1(np.diag([100, 100, 0]))
    assert macro.high == pytest.approx(2 / 3)


def test_many_classes_are_drawn_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    confusion = np.random.default_rng(2).integers(0, 5, size=(6, 6))
    whole = bootstrap_f1(confusion)
    monkeypatch.setattr("cvcore.evaluation.intervals._MAX_COUNTS", 2500)
    parts = bootstrap_f1(confusion)
    for one, other in zip(whole, parts, strict=True):
        assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.02)
