"""A sweep of two phases, from typed command to tables."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import pytest

from tests.runs import CASTINGS, here, local, log_of, only_sweep, settings, table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("tensorflow"),
]

SPEC = f"""
name = "two phases"
[data]
uri = "{CASTINGS}"
image_size = 32
[model]
family = "transfer"
weights = "none"
head = "gap"
dense_units = 0
[training]
epochs = 3
early_stopping_patience = 0
fine_tune = {{at = "block_16_expand", epochs = 4, learning_rate_factor = 0.5}}
[search]
trials = 3
scheduler = "asha"
algorithm = "grid"
objective = "val_loss"
[space]
learning_rate = {{choice = [0.01, 0.001, 0.0001]}}
"""


def test_phases_are_told_apart_in_log_and_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC, encoding="utf-8")
    typed = ("sweep", str(spec), "--store", str(tmp_path / "store"), "--engine", "inline")
    answer = here(capsys, *typed, "--json")
    assert answer.code == 0, answer.stderr
    store = local(tmp_path / "store")
    trials = {row["trial_id"]: row for row in table(store, "trials")}
    assert {row["status"] for row in trials.values()} <= {"completed", "stopped"}
    assert [row["features_reused"] for row in trials.values()] == [False, True, True]

    rows = table(store, "epochs")
    for name, group in groupby(rows, key=lambda row: row["trial_id"]):
        epochs = list(group)
        assert [row["epoch"] for row in epochs] == list(range(1, len(epochs) + 1))
        assert trials[name]["epochs_run"] == len(epochs)
        rate = trials[name]["hp_learning_rate"]
        for row in epochs:
            tuning = row["epoch"] > 3
            assert row["phase"] == ("fine_tune" if tuning else "train")
            assert row["learning_rate"] == pytest.approx(rate * (0.5 if tuning else 1))
        # Stopped at a rung (head: 1, fine-tuning: 3) or run to its end.
        assert len(epochs) in ((7,) if trials[name]["status"] == "completed" else (1, 6))
        if len(epochs) > 3:
            assert trials[name]["num_trainable_params"] > 400_000
        assert trials[name]["hp_fine_tune_at"] == "block_16_expand"

    best = answer.document["best"]
    assert trials[best["trial_id"]]["test_f1_weighted"] is not None
    assert log_of(store, only_sweep(store)).status == "completed"


def test_an_unknown_layer_ends_the_sweep_with_the_layers_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text(SPEC, encoding="utf-8")
    changes = settings(
        "training.fine_tune.at=block_13_expnd", "search.scheduler=none", "training.epochs=1"
    )
    typed = ("sweep", str(spec), "--store", str(tmp_path / "store"), "--engine", "inline")
    answer = here(capsys, *typed, *changes, "--trials", "1", "--json")
    assert answer.code == 4
    message = answer.document["error"]["message"]
    assert "training.fine_tune.at: mobilenet_v2 has the layers 0 (" in message
    assert "to 153 (out_relu), received 'block_13_expnd'" in message
    assert "did you mean 'block_13_expand'?" in message
