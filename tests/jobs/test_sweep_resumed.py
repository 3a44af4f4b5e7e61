"""A sweep that ended goes on: with more trials, with what it lacks, and with nothing else."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from cvcore.config import load_spec
from tests.runs import (
    INLINE,
    RATES,
    draw_castings,
    elsewhere,
    here,
    local,
    log_of,
    settings,
    table,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("tensorflow"),
]


def test_a_resumed_sweep_refuses_other_images_and_other_settings(
    sweep: Any, tmp_path: Path
) -> None:
    data = draw_castings(tmp_path / "data", images=40)
    done = sweep("--data", str(data), "--trials", "1").document
    before = table(local(tmp_path / "store"), "trials")

    resume = ("--resume", done["sweep_id"])
    store = ("--store", str(tmp_path / "store"))
    answer = elsewhere("sweep", *resume, *store, "--json", "--epochs", "5", *settings(RATES))
    assert answer.code == 2
    assert "--epochs" in answer.document["error"]["message"]

    os.remove(next(data.rglob("*.png")))
    answer = elsewhere("sweep", *resume, *store, *INLINE, "--json")
    assert answer.code == 3, answer.stderr
    assert f"the images at {data} changed" in answer.document["error"]["message"]
    assert table(local(tmp_path / "store"), "trials") == before


def test_a_finished_sweep_goes_on_with_more_trials(sweep: Any, tmp_path: Path) -> None:
    first = sweep(*settings(RATES), "--trials", "2").document
    store = local(tmp_path / "store")
    before = table(store, "trials")
    answer = elsewhere(
        *("sweep", "--resume", first["sweep_id"], "--store", store.uri, *INLINE, "--json"),
        *("--trials", "3"),
    )
    assert answer.code == 0, answer.stderr
    assert answer.document["trials"]["completed"] == 3
    after = table(store, "trials")
    kept = ("trial_id", "attempt", "val_loss", "finished_at", "hp_learning_rate")
    assert [[row[k] for k in kept] for row in after[:2]] == [
        [row[k] for k in kept] for row in before
    ]
    best = answer.document["best"]
    assert Path(best["model_uri"]).is_file()
    assert best["test_accuracy"] is not None
    assert log_of(store, first["sweep_id"]).status == "completed"
    planned = load_spec(Path(store.uri, "sweeps", first["sweep_id"], "spec.toml"))
    assert (planned.search.trials, list(planned.space)) == (2, ["learning_rate"])


def test_a_best_model_that_could_not_be_scored_is_scored_by_a_resume(
    sweep: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(config: object, bench: object) -> None:
        raise RuntimeError("the scoring worker is gone")

    with monkeypatch.context() as patch:
        patch.setattr("jobs.adapters.inline_search.score_best", fail)
        answer = sweep("--trials", "1")
    assert answer.code == 1
    error = answer.document["error"]
    assert "the scoring worker is gone" in error["message"]
    assert "1 trials are finished and saved" in error["message"]
    store = local(tmp_path / "store")
    assert [row["status"] for row in table(store, "sweeps")] == ["interrupted"]

    again = here(capsys, *shlex.split(error["hint"])[1:], "--json")
    assert again.code == 0, again.stderr
    assert again.document["best"]["test_accuracy"] is not None
    assert [row["attempt"] for row in table(store, "trials")] == [1]
