"""The lake's benchmark asks what cvjobs would answer, and judges answers rightly."""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path

import pytest

from benchmarks import bench_lake, lake_rows
from cvcore.results import Results
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
    found = bench_lake.ask(store, rounds=1, trials_per_sweep=20)
    rows = lakes.rows(store, "trials")
    best = sorted((row["val_f1_weighted"] for row in rows), reverse=True)[:10]
    assert found["top_ten"]["answer"] == best
    assert found["whole_top_ten"]["answer"] == 10
    names = sorted(row["trial_id"] for row in rows)
    for question, number in (("curve", 45), ("next_curve", 26)):  # 25 was the first, uncounted
        epochs = [row for row in lakes.rows(store, "epochs") if row["trial_id"] == names[number]]
        epochs.sort(key=lambda row: row["epoch"])
        assert found[question]["answer"] == [row["val_accuracy"] for row in epochs]
        assert found[f"{question}_anew"]["answer"] == found[question]["answer"]
    scores: dict[str, list[float]] = {}
    for row in rows:
        scores.setdefault(row["hp_optimizer"], []).append(row["val_f1_weighted"])
    means = {name: pytest.approx(statistics.mean(values)) for name, values in scores.items()}
    assert found["means"]["answer"] == means
    assert len(means) == len(lake_rows.OPTIMIZERS)


def test_everybody_answers_alike(tmp_path: Path) -> None:
    found = bench_lake.equal(tmp_path, num_trials=12, rounds=1, mlflow_python=None)
    assert list(found) == ["cvjobs", "Optuna"]
    assert found["Optuna"]["agrees"]
    assert "×" in bench_lake.equal_table(found, num_trials=12)


ANSWERS = {"top_ten": [0.9, 0.8], "curve": [0.25, 0.5], "means": {"adam": 0.5, "sgd": 0.25}}


def figures_of(**changed: object) -> dict[str, object]:
    answers = {**ANSWERS, **changed}
    figures = {name: {"answer": answer, "seconds": [1.0]} for name, answer in answers.items()}
    anew = {f"{name}_anew": one for name, one in figures.items()}
    return {**figures, **anew, "write_seconds": 2.0, "bytes": 1}


def test_the_same_answers_agree_whatever_the_rounding_and_the_order_of_names() -> None:
    rounded = figures_of(top_ten=[0.9 + 1e-12, 0.8], means={"sgd": 0.25, "adam": 0.5})
    assert bench_lake.agrees(rounded, figures_of())
    found = {"cvjobs": figures_of(), "other": {**rounded, "agrees": True}}
    assert bench_lake.equal_table(found, num_trials=1).count("(×1.0)") == 4


@pytest.mark.parametrize(
    "changed",
    [
        {"top_ten": [0.9, 0.81]},
        {"top_ten": [0.9]},
        {"curve": [0.5, 0.25]},
        {"means": {"adam": 0.5}},
        {"means": {"adam": 0.5, "sgd": 0.5}},
        {"means": {"adam": 0.5, "rmsprop": 0.25}},
    ],
    ids=str,
)
def test_answers_that_differ_get_no_ratio(changed: dict[str, object]) -> None:
    other = figures_of(**changed)
    assert not bench_lake.agrees(other, figures_of())
    found = {"cvjobs": figures_of(), "other": {**other, "agrees": False}}
    written = bench_lake.equal_table(found, num_trials=1)
    assert "×" not in written
    assert written.count("(differs)") == 4


def test_a_page_says_what_was_measured(store: LocalStore) -> None:
    large = bench_lake.fill(LocalStore(f"{store.uri}/more"), num_trials=10, trials_per_sweep=10)
    large |= bench_lake.ask(store, rounds=1)
    machine = {"cpu": "c", "cores": 2, "memory_gib": 1, "load": 0, "date": "d", "commit": "abc"}
    page = bench_lake.report({"machine": machine, "typed": [], "large": large, "equal": {}})
    assert "10 trials and 300 epochs in 1 sweeps" in page
    assert "abc" in page


def test_one_trial_of_the_large_lake_can_be_shown(store: LocalStore) -> None:
    trial_id = (
        Results(store).query("SELECT max(trial_id) AS last FROM trials").to_pylist()[0]["last"]
    )
    shown = Results(store).show(trial_id)
    assert len(shown["epochs"]) == lake_rows.NUM_EPOCHS
    assert shown["trial"]["dt"].isoformat() == "2025-01-01"


def imported(module: str) -> set[str]:
    """Name what a benchmark imports, itself or through another one."""
    source = Path(bench_lake.__file__).with_name(f"{module}.py").read_text()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(str(node.module))
    ours = [name.removeprefix("benchmarks.") for name in names if name.startswith("benchmarks.")]
    return names.union(*map(imported, ours))


def test_the_program_for_mlflow_needs_nothing_that_its_interpreter_lacks() -> None:
    tops = {name.partition(".")[0] for name in imported("lake_with_mlflow")}
    assert tops - sys.stdlib_module_names == {"mlflow", "benchmarks"}
