"""How evaluations rank, and what a trial makes of failure, without TensorFlow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import scoring
from cvcore.errors import StoreError, TrialFailed
from cvcore.records import Evaluation
from cvcore.scoring import Bench, is_better, patiently
from cvcore.settings import DataConfig
from cvcore.store import LocalStore
from cvcore.trial import TrialSession
from tests import sweeps

scores = st.builds(
    lambda f1, loss: replace(sweeps.evaluation("validation", f1), loss=loss),
    st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    st.sampled_from([0.1, 0.5, 2.0]),
)
directions = st.sampled_from([("val_f1_weighted", "max"), ("val_loss", "min")])


@given(scores, scores, directions)
def test_of_two_evaluations_at_most_one_is_better(
    one: Evaluation, other: Evaluation, direction: tuple[str, str]
) -> None:
    objective, mode = direction
    ahead = is_better(one, other, objective=objective, mode=mode)
    behind = is_better(other, one, objective=objective, mode=mode)
    assert not (ahead and behind)
    ties = (one.loss, one.f1_weighted) == (other.loss, other.f1_weighted)
    assert ahead or behind or ties or (objective == "val_loss" and one.loss == other.loss)


@given(scores, scores)
def test_a_tie_goes_to_the_lower_loss(one: Evaluation, other: Evaluation) -> None:
    tied = replace(other, f1_weighted=one.f1_weighted)
    better = is_better(one, tied, objective="val_f1_weighted", mode="max")
    assert better is (one.loss < tied.loss)


def failing(tmp_path: Path, error: Exception) -> TrialSession:
    """A trial whose model cannot be built."""
    bench = Bench(
        dataset=SimpleNamespace(),  # type: ignore[arg-type]
        data=DataConfig(),
        store=LocalStore(str(tmp_path)),
        worker="here:1",
        threads=1,
        cache_folder=tmp_path,
        fetch=lambda uri, path: None,
    )
    session = TrialSession(sweeps.config(0), bench, waited={"data": 1.5})

    def build(**options: Any) -> Any:
        raise error

    session.build = build  # type: ignore[method-assign]
    return session


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (TrialFailed("diverged", "the loss is nan"), "diverged", "the loss is nan"),
        (MemoryError(), "out_of_memory", "MemoryError"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM"), "out_of_memory", "OOM"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError", "by zero"),
        (StoreError("away"), "StoreError", "away"),
        (RuntimeError("x" * 5000), "RuntimeError", "x" * 2000),
    ],
    ids=["diverged", "memory", "device memory", "bug", "store", "long"],
)
def test_a_trial_that_raises_ends_as_an_outcome(
    error: Exception, kind: str, message: str, tmp_path: Path
) -> None:
    progress = failing(tmp_path, error).step()
    assert progress.done
    assert progress.epochs == ()
    outcome = progress.outcome
    assert (outcome.status, outcome.error_type, outcome.error_message) == ("failed", kind, message)
    assert outcome.worker == "here:1"
    assert outcome.seconds["data"] == 1.5
    assert outcome.finished_at >= outcome.started_at > 0
    assert not outcome.has_model


def test_an_interrupt_is_no_failure(tmp_path: Path) -> None:
    session = failing(tmp_path, KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        session.step()


def test_a_write_is_repeated_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring.time, "sleep", lambda seconds: None)
    answers = [StoreError("away"), StoreError("still away"), None]
    written = []

    def write() -> None:
        if (answer := answers.pop(0)) is not None:
            raise answer
        written.append(1)

    patiently(write)
    assert written == [1]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "PATIENCE_SECONDS", -1.0)

    def write() -> None:
        raise StoreError("away for good")

    with pytest.raises(StoreError, match="away for good"):
        patiently(write)
