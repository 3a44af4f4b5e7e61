"""The lake's benchmark asks what cvjobs would answer, and judges answers rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_lake, lake_rows
from cvcore.results import query, show
from cvcore.store import LocalStore
from cvcore.tables import SCHEMAS
from tests import lakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    bench_lake.fill(store, num_trials=50, trials_per_sweep=20)
    return store


def test_every_trial_and_epoch_is_there_once_in_one_part_a_sweep(store: LocalStore) -> None:
    assert len(lakes.keys(store, "trials")) == 50
    assert len(lakes.keys(store, "epochs")) == 50 * lake_rows.NUM_EPOCHS
    assert [len(lakes.parts(store, table)) for table in lake_rows.TABLES] == [3, 3]


def test_drawn_sweeps_have_our_schemas_and_are_the_same_every_time() -> None:
    first, second = (
        list(lake_rows.draw_sweeps(num_trials=25, trials_per_sweep=10)) for _ in range(2)
    )
    assert [one.trials.num_rows for one in first] == [10, 10, 5]
    for one, other in zip(first, second, strict=True):
        assert one.trials.equals(other.trials)
        assert one.epochs.equals(other.epochs)
        assert one.trials.schema.equals(SCHEMAS["trials"])
        assert one.epochs.schema.equals(SCHEMAS["epochs"])


def test_answers_are_those_of_the_rows(store: LocalStore) -> None:
    found = bench_lake.ask(store, rounds=1)
    rows = lakes.rows(store, "trials")
    best = sorted((row["val_f1_weighted"] for row in rows), reverse=True)[:10]
    assert found["top_ten"]["answer"] == best
    assert len(found["curve"]["answer"]) == lake_rows.NUM_EPOCHS
    assert found["means"]["answer"].keys() <= set(lake_rows.OPTIMIZERS)
    assert found["whole_top_ten"]["answer"] == 10


def test_everybody_answers_alike(tmp_path: Path) -> None:
    found = bench_lake.equal(tmp_path, num_trials=12, rounds=1, mlflow_python=None)
    assert list(found) == ["cvjobs", "Optuna"]
    assert found["Optuna"]["agrees"]
    assert "×" in bench_lake.equal_table(found, num_trials=12)


def test_answers_that_differ_get_no_ratio() -> None:
    def answers(top: float) -> dict[str, dict[str, object]]:
        return {
            "top_ten": {"answer": [top], "seconds": [1.0]},
            "curve": {"answer": [0.5], "seconds": [1.0]},
            "means": {"answer": {"adam": 0.5}, "seconds": [1.0]},
        }

    same = {**answers(0.5), "write_seconds": 1.0, "bytes": 1}
    assert bench_lake.agrees(answers(0.5), same)
    assert not bench_lake.agrees(answers(0.6), same)
    other = {**answers(0.6), "write_seconds": 2.0, "bytes": 1, "agrees": False}
    written = bench_lake.equal_table({"cvjobs": same, "other": other}, num_trials=1)
    assert "×2" not in written


def test_a_page_says_what_was_measured(store: LocalStore) -> None:
    large = bench_lake.fill(LocalStore(f"{store.uri}/more"), num_trials=10, trials_per_sweep=10)
    large |= bench_lake.ask(store, rounds=1)
    machine = {"cpu": "c", "cores": 2, "memory_gib": 1, "load": 0, "date": "d", "commit": "abc"}
    page = bench_lake.report({"machine": machine, "typed": [], "large": large, "equal": {}})
    assert "10 trials and 300 epochs in 1 sweeps" in page
    assert "abc" in page


def test_one_trial_of_the_large_lake_can_be_shown(store: LocalStore) -> None:
    trial_id = query(store, "SELECT max(trial_id) AS last FROM trials").to_pylist()[0]["last"]
    shown = show(store, trial_id)
    assert len(shown["epochs"]) == lake_rows.NUM_EPOCHS
    assert shown["trial"]["dt"].isoformat() == "2025-01-01"


def test_the_program_for_mlflow_needs_nothing_of_ours() -> None:
    source = Path(bench_lake.__file__).with_name("lake_with_mlflow.py").read_text()
    assert "cvcore" not in source
    assert "benchmarks" not in source
