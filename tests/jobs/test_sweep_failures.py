"""Trials that fail are rows, and the sweep goes on; only where all fail does it fail too."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.runs import draw_castings, here, local, settings, table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("tensorflow"),
]

# Found by trial: most ReLU networks die of too large a step, and dead ones have a finite loss.
EXPLOSIVE = (
    "model.input_scaling=symmetric",
    "model.num_blocks=1",
    "model.kernel_size=5",
    "model.filters=32",
    "model.dense_units=0",
    "training.optimizer=sgd",
    "training.batch_size=2",
)


def test_failures_are_rows_and_the_others_go_on(sweep: Any, tmp_path: Path) -> None:
    """Three classes: with one sigmoid there is nothing to build; a huge step diverges."""
    data = draw_castings(tmp_path / "data", images=60, classes=("a", "b", "c"))
    answer = sweep(
        *settings(
            *EXPLOSIVE,
            "space.output={choice = ['softmax', 'sigmoid']}",
            "space.learning_rate={choice = [10.0, 1e-6]}",
            "search.algorithm=grid",
        ),
        *("--data", str(data), "--trials", "4"),
    )
    assert answer.code == 0, answer.stderr
    assert answer.document["trials"] == {"completed": 1, "stopped": 0, "failed": 3}
    rows = table(local(tmp_path / "store"), "trials")
    found = {(row["hp_output"], row["hp_learning_rate"]): row for row in rows}
    assert found["softmax", 1e-6]["status"] == "completed"
    assert found["softmax", 1e-6]["error_type"] is None
    diverged = found["softmax", 10.0]
    assert (diverged["status"], diverged["error_type"]) == ("failed", "diverged")
    assert "the training loss is" in diverged["error_message"]
    assert diverged["val_f1_weighted"] is None
    for rate in (1e-6, 10.0):
        row = found["sigmoid", rate]
        assert (row["status"], row["error_type"]) == ("failed", "invalid_configuration")
        assert "2 classes, the data has 3" in row["error_message"]
        assert row["epochs_run"] == 0
        assert row["hp_kernel_size"] == 5


def test_a_trial_that_runs_out_of_memory_is_a_row(sweep: Any, tmp_path: Path) -> None:
    """One weight matrix of 309 GB: the allocator refuses it, and this process lives on."""
    answer = sweep(
        *settings("data.image_size=96", "model.num_blocks=1", "model.pool_size=1"),
        *settings("model.filters=1024", "model.dense_units=8192", "model.head=flatten"),
        *("--trials", "1"),
    )
    assert answer.code == 4, answer.stderr
    (row,) = table(local(tmp_path / "store"), "trials")
    assert (row["status"], row["error_type"]) == ("failed", "out_of_memory")
    assert "OOM when allocating tensor" in row["error_message"]


def test_a_sweep_in_which_all_fail_exits_4_and_keeps_its_rows(sweep: Any, tmp_path: Path) -> None:
    hopeless = settings(*EXPLOSIVE, "space.learning_rate={choice = [9.0, 10.0]}")
    answer = sweep(*hopeless, "--trials", "2")
    assert answer.code == 4
    error = answer.document["error"]
    assert error["type"] == "NoTrialCompleted"
    assert "diverged" in error["message"]
    assert "cvjobs results leaderboard" in error["hint"]
    store = local(tmp_path / "store")
    rows = table(store, "trials")
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert [(row["status"], row["num_failed"]) for row in table(store, "sweeps")] == [("failed", 2)]
    assert not list((tmp_path / "store").rglob("model.keras"))


def test_when_the_hours_are_up_running_trials_end_and_a_resume_may_have_more(
    sweep: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endless = ("--epochs", "100000", *settings("training.early_stopping_patience=0"))
    answer = sweep("--trials", "1", "--max-hours", "0.002", *endless)
    assert answer.code == 4
    error = answer.document["error"]
    assert "the hours or the money" in error["message"]
    store = local(tmp_path / "store")
    (row,) = table(store, "trials")
    assert row["status"] == "stopped"
    assert 1 <= row["epochs_run"] < 100000
    assert row["model_uri"] is None

    resume, limit, _ = error["hint"].partition(" --max-hours ")
    assert limit
    typed = [*shlex.split(resume)[1:], "--max-hours", "1", "--trials", "1", "--json"]
    again = here(capsys, *typed)
    assert again.code == 4  # the one trial had ended
    assert [row["status"] for row in table(store, "trials")] == ["stopped"]


def test_no_money_starts_no_trial_and_the_price_is_in_the_table(sweep: Any, tmp_path: Path) -> None:
    price = settings(
        "resources.price_per_hour=3600", "space.learning_rate={choice = [0.001, 0.01]}"
    )
    assert sweep(*price, "--max-cost", "0", "--trials", "2").code == 4
    store = local(tmp_path / "store")
    assert table(store, "trials") == []
    answer = sweep(*price, "--trials", "2")
    assert answer.code == 0, answer.stderr
    assert answer.document["cost"] == pytest.approx(answer.document["wall_seconds"])  # 1 a second
    costs = {row["status"]: row["cost"] for row in table(store, "sweeps")}
    assert costs["completed"] == answer.document["cost"] > costs["failed"] >= 0
