"""The main job in this process, from typed command to tables and files: `--engine inline`."""

from __future__ import annotations

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

    assert "of the slots' time was training steps; the largest leak: " in told.stdout

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
