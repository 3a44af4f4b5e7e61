"""Scores against slow oracles written from their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvcore.evaluation import evaluate, probabilities
from cvcore.records import Evaluation

CLASSES = ("a", "b", "c")
LABELS = st.lists(st.integers(0, 2), min_size=1, max_size=40)


def logits_of(predicted: list[int]) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[predicted] * 4


@given(pairs=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_precision_recall_and_f1_follow_their_definitions(pairs: list[tuple[int, int]]) -> None:
    labels, predicted = [p[0] for p in pairs], [p[1] for p in pairs]
    found = evaluate(logits_of(predicted), np.array(labels), class_names=CLASSES, split="test")
    weighted = 0.0
    for index, one in enumerate(found.classes):
        true = sum(pair == (index, index) for pair in pairs)
        precision = true / predicted.count(index) if predicted.count(index) else 0.0
        recall = true / labels.count(index) if labels.count(index) else 0.0
        f1 = 2 * precision * recall / (precision + recall) if true else 0.0
        assert one.precision == pytest.approx(precision)
        assert one.recall == pytest.approx(recall)
        assert one.f1 == pytest.approx(f1)
        assert one.support == labels.count(index)
        weighted += f1 * labels.count(index) / len(labels)
        assert [found.confusion[index][j] for j in range(3)] == [
            pairs.count((index, j)) for j in range(3)
        ]
    assert found.f1_weighted == pytest.approx(weighted)
    hits = sum(label == guess for label, guess in pairs)
    assert found.accuracy == pytest.approx(hits / len(pairs))


@given(logits=arrays(np.float32, (7, 3), elements=st.floats(-50, 50, width=32)))
def test_probabilities_are_those_of_softmax_and_sum_to_one(logits: np.ndarray) -> None:
    found = probabilities(logits)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    for row, expected in zip(found, logits, strict=True):
        total = sum(math.exp(float(z) - float(expected.max())) for z in expected)
        chance = math.exp(float(expected[0] - expected.max())) / total
        np.testing.assert_allclose(row[0], chance, rtol=1e-4, atol=1e-30)


@given(
    logits=arrays(np.float32, (9, 1), elements=st.floats(-30, 30, width=32)),
    labels=st.lists(st.integers(0, 1), min_size=9, max_size=9),
)
def test_a_sigmoid_logit_scores_like_the_two_logits_it_stands_for(
    logits: np.ndarray, labels: list[int]
) -> None:
    names = ("no", "yes")
    wide = np.concatenate([np.zeros_like(logits), logits], axis=1)
    one = evaluate(logits, np.array(labels), class_names=names, split="test")
    two = evaluate(wide, np.array(labels), class_names=names, split="test")
    assert one == two
    z = logits[:, 0].astype(float)
    expected = np.mean(np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - z * np.array(labels))
    assert one.loss == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(labels=LABELS)
def test_an_evaluation_survives_json(labels: list[int]) -> None:
    found = evaluate(logits_of(labels), np.array(labels), class_names=CLASSES, split="validation")
    assert Evaluation.from_dict(found.to_dict()) == found
    assert found.f1_weighted == pytest.approx(1.0)
