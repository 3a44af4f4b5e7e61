"""The main job in this process, from typed command to tables and files: `--engine inline`."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cvcore.config import load_spec, to_toml
from tests.runs import (
    RATES,
    Answer,
    draw_castings,
    elsewhere,
    here,
    local,
    log_of,
    same_numbers,
    settings,
    table,
    tiny,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("tensorflow"),
]

INLINE = ("--engine", "inline")


@pytest.fixture
def sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a tiny sweep with some changes into `tmp_path/store`."""

    def run(*typed: str, spec: str | None = None) -> Answer:
        store = str(tmp_path / "store")
        return here(
            capsys, "sweep", spec or tiny(tmp_path), "--store", store, *INLINE, "--json", *typed
        )

    return run


def test_a_grid_tries_every_combination_once(sweep: Any, tmp_path: Path) -> None:
    grid = settings(RATES, "space.filters={choice = [2, 4]}", "search.algorithm=grid")
    answer = sweep(*grid, "--trials", "50")
    assert answer.code == 0, answer.stderr
    rows = table(local(tmp_path / "store"), "trials")
    tried = [(row["hp_filters"], round(row["hp_learning_rate"], 6)) for row in rows]
    assert len(tried) == len(set(tried)) == 6
    assert {filters for filters, _ in tried} == {2, 4}
    assert answer.document["trials"] == {"completed": 6, "stopped": 0, "failed": 0}


@pytest.mark.parametrize("algorithm", ["tpe", "bayesian"])
def test_a_search_that_learns_runs_to_its_end(algorithm: str, sweep: Any, tmp_path: Path) -> None:
    answer = sweep(*settings(RATES, f"search.algorithm={algorithm}"))
    assert answer.code == 0, answer.stderr
    rows = table(local(tmp_path / "store"), "trials")
    assert [row["status"] for row in rows] == ["completed"] * 3
    assert len({row["hp_learning_rate"] for row in rows}) == 3
    assert table(local(tmp_path / "store"), "sweeps")[0]["algorithm"] == algorithm


def test_asha_cuts_exactly_those_that_were_not_among_the_best_third(
    sweep: Any, tmp_path: Path
) -> None:
    asha = settings("space.learning_rate={log = [1e-5, 1e-1]}", "search.scheduler=asha")
    # The loss has no ties, the F1 score of eight images has.
    answer = sweep(*asha, *settings("search.objective=val_loss"), "--trials", "7", "--epochs", "3")
    assert answer.code == 0, answer.stderr
    store = local(tmp_path / "store")
    trials = {row["trial_id"]: row for row in table(store, "trials")}
    first = {
        row["trial_id"]: row["val_loss"] for row in table(store, "epochs") if row["epoch"] == 1
    }
    seen: list[float] = []
    expected = {}
    for name, loss in first.items():  # one after the other, in the order of their ids
        seen.append(loss)
        cut = len(seen) >= 3 and sorted(seen).index(loss) >= len(seen) // 3
        expected[name] = ("stopped", 1) if cut else ("completed", 3)
    assert {k: (row["status"], row["epochs_run"]) for k, row in trials.items()} == expected
    counts = Counter(status for status, _ in expected.values())
    assert counts["stopped"] >= 2
    assert answer.document["trials"] == {**counts, "failed": 0}
    assert {row["trial_id"] for row in table(store, "predictions")} == {
        name for name, (status, _) in expected.items() if status == "completed"
    }
    assert trials[answer.document["best"]["trial_id"]]["status"] == "completed"


@pytest.mark.parametrize("scheduler", ["hyperband", "pbt"])
def test_what_only_ray_can_do_is_refused_inline(scheduler: str, sweep: Any, tmp_path: Path) -> None:
    answer = sweep(*settings(RATES, f"search.scheduler={scheduler}"))
    assert answer.code == 2
    assert scheduler in answer.document["error"]["message"]
    assert "--engine ray" in answer.document["error"]["hint"]
    assert not (tmp_path / "store").exists()


def test_pbt_refuses_a_parameter_that_changes_the_shape_of_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    pbt = settings(RATES, "space.filters={choice = [2, 4]}", "search.scheduler=pbt")
    answer = here(capsys, "sweep", tiny(tmp_path), "--store", str(store), *pbt)
    assert answer.code == 2
    assert "the space has filters" in answer.stderr
    assert "learning_rate" in answer.stderr
    assert not store.exists()


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


def test_another_seed_gives_other_trials_and_the_same_seed_the_same(
    sweep: Any, tmp_path: Path
) -> None:
    for seed in (1, 1, 2):
        answer = sweep(*settings(RATES, f"search.seed={seed}"), "--trials", "2")
        assert answer.code == 0, answer.stderr
    rows = table(local(tmp_path / "store"), "trials")
    sweeps = [rows[0:2], rows[2:4], rows[4:6]]
    first, again, other = ([(r["seed"], r["hp_learning_rate"]) for r in one] for one in sweeps)
    assert first == again
    assert len({*first, *other}) == 4
    assert len({seed for seed, _ in (*first, *other)}) == 4


def test_deterministic_repeats_bit_for_bit_in_another_process(tmp_path: Path) -> None:
    """Not in this process: TensorFlow does not let go of determinism once it is on."""
    augmented = (
        "training.deterministic=true",
        "model.dropout=0.3",
        "model.augment_rotation=0.1",
        "model.augment_flip=both",
        "resources.cpus_per_trial=2",
    )
    for name in ("one", "two"):
        store = str(tmp_path / name)
        typed = ("sweep", tiny(tmp_path), "--store", store, *INLINE, "--json", "--epochs", "2")
        answer = elsewhere(*typed, "--trials", "2", *settings(RATES, *augmented))
        assert answer.code == 0, answer.stderr
    one, two = (table(local(tmp_path / name), "epochs") for name in ("one", "two"))
    assert len(one) == 4
    assert same_numbers(one) == same_numbers(two)
    assert [row["probabilities"] for row in table(local(tmp_path / "one"), "predictions")] == [
        row["probabilities"] for row in table(local(tmp_path / "two"), "predictions")
    ]


def test_train_tries_one_configuration_into_the_same_tables(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    typed = ("train", tiny(tmp_path), "--store", str(store), "--json")
    answer = here(capsys, *typed, *settings("model.filters=3", "search.scheduler=asha"))
    assert answer.code == 0, answer.stderr
    assert answer.document["trials"] == {"completed": 1, "stopped": 0, "failed": 0}
    assert [row["hp_filters"] for row in table(local(store), "trials")] == [3]
    assert Path(answer.document["best"]["model_uri"]).is_file()


def test_a_dry_run_says_everything_and_does_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    grid = settings(RATES, "space.filters={choice = [2, 4]}", "search.algorithm=grid")
    typed = ("sweep", tiny(tmp_path), "--store", str(store), *grid, "--trials", "5", "--dry-run")
    answer = here(capsys, *typed, "--json")
    assert answer.code == 0, answer.stderr
    document = answer.document
    (tmp_path / "again.toml").write_text(document["spec_toml"], encoding="utf-8")
    planned = load_spec(tmp_path / "again.toml")
    assert planned == load_spec(tiny(tmp_path), overrides=grid[1::2], trials=5)
    assert document["num_configurations"] == 6
    assert document["trials"] == 5
    assert document["data"]["images"] == 60
    assert sum(document["data"]["splits"].values()) == 60
    assert document["resources"]["cpus_per_trial"] == 1
    assert {uri.removeprefix(f"{store}/").split("/")[0] for uri in document["writes"]} == {
        *("sweeps", "lake", "datasets")
    }
    assert not store.exists()

    told = here(capsys, *typed)
    assert told.code == 0
    assert "nothing was started or written" in told.stdout
    assert not store.exists()


def test_a_person_sees_the_best_trial_where_it_lies_and_what_to_type_next(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    typed = ("sweep", tiny(tmp_path), "--store", str(store), *INLINE, *settings(RATES))
    told = here(capsys, *typed)
    assert told.code == 0, told.stderr
    rows = table(local(store), "trials")
    best = max(rows, key=lambda row: (row["val_f1_weighted"], -row["val_loss"]))
    assert [row["model_uri"] is not None for row in rows].count(True) == 1
    leaders = [line for line in told.stdout.splitlines() if line.lstrip()[:1].isdigit()]
    assert len(leaders) == 3
    assert best["trial_id"].rpartition("-")[2] in leaders[0]
    heading = told.stdout.partition(leaders[0])[0]
    assert "learning" in heading  # what differs between the trials
    assert "kernel" not in heading
    assert best["model_uri"] in told.stdout
    assert f"{store}/lake/" in told.stdout
    following = [line for line in told.stderr.splitlines() if line.startswith("next: ")]
    assert any("results leaderboard" in line and f"--store {store}" in line for line in following)
    assert any(f"predict {best['trial_id']} " in line for line in following)
    assert sum("completed after 1 epochs" in line for line in told.stderr.splitlines()) == 3
    assert "WARNING" not in told.stderr

    quiet = here(capsys, *typed, "--quiet")
    assert quiet.code == 0
    assert quiet.stderr == ""
    assert "best      trial" in quiet.stdout


def test_the_second_run_decodes_nothing(
    sweep: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CVJOBS_CACHE", str(tmp_path / "cache"))
    data = draw_castings(tmp_path / "data", images=40)
    first = sweep("--data", str(data), "--trials", "1")
    second = sweep("--data", str(data), "--trials", "1")
    assert (first.code, second.code) == (0, 0), first.stderr + second.stderr
    assert "decoded 40 in" in first.stderr
    assert "decoded none, all cached" in second.stderr

    changed = next(data.rglob("*.png"))
    changed.write_bytes(changed.read_bytes() + b"more")
    third = sweep("--data", str(data), "--trials", "1")
    assert third.code == 0, third.stderr
    assert "decoded none" not in third.stderr
    rows = table(local(tmp_path / "store"), "images")
    assert len({row["dataset_fingerprint"] for row in rows}) == 2
    assert len(rows) == 80


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
    assert to_toml(load_spec(Path(store.uri, "sweeps", first["sweep_id"], "spec.toml")))


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
