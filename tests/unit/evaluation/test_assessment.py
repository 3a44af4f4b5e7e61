"""The parts of an assessment agree with each other, for one logit and for two."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cvcore.evaluation import assess, evaluate

PATHS = [f"{i:02}.png" for i in range(15)]
LOGITS = arrays(np.float32, (15, 1), elements=st.floats(-40, 40, width=32))
LABELS = arrays(np.int64, 15, elements=st.integers(0, 1))


@given(logits=LOGITS, labels=LABELS, threshold=st.none() | st.floats(0, 1))
def test_one_sigmoid_logit_is_judged_as_the_two_logits_it_stands_for(
    logits: np.ndarray, labels: np.ndarray, threshold: float | None
) -> None:
    wide = np.concatenate([np.zeros_like(logits), logits], axis=1)
    one, two = (
        assess(
            given,
            labels,
            class_names=("no", "yes"),
            split="test",
            paths=PATHS,
            threshold=threshold,
        )
        for given in (logits, wide)
    )
    assert one == two


@given(logits=LOGITS, labels=LABELS, threshold=st.none() | st.floats(0, 1))
def test_every_part_follows_the_same_threshold(
    logits: np.ndarray, labels: np.ndarray, threshold: float | None
) -> None:
    names = ("no", "yes")
    found = assess(
        logits, labels, class_names=names, split="test", paths=PATHS, threshold=threshold
    )
    scores, thresholds = found.evaluation, found.thresholds
    assert thresholds is not None
    assert thresholds.applied.threshold == (0.5 if threshold is None else threshold)
    assert abs(thresholds.applied.f1 - scores.classes[1].f1) < 1e-12
    hits = sum(scores.confusion[i][i] for i in range(2))
    assert len(found.mistakes) == 15 - hits
    accuracy = found.intervals.accuracy
    assert accuracy.low <= scores.accuracy <= accuracy.high


def test_a_document_holds_the_evaluation_and_its_new_parts_and_is_json() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(15, 3)), rng.integers(0, 3, 15)
    found = assess(logits, labels, class_names=("a", "b", "c"), split="test", paths=PATHS)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    plain = evaluate(logits, labels, class_names=("a", "b", "c"), split="test").to_dict()
    new = {"averages", "confusion_percent", "baseline", "intervals", "calibration"}
    assert set(document) == {*plain, *new, "thresholds", "mistakes"}
    assert {name: document[name] for name in plain} == json.loads(json.dumps(plain))
    assert document["thresholds"] is None
