"""What is tried and what is cut: searches and schedulers in this process, on real trials."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.runs import RATES, here, local, settings, table, tiny

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(180),
    pytest.mark.usefixtures("tensorflow"),
]


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
