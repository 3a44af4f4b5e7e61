"""Two searches differ in nothing but who is stopped; the target is the full search's own."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import bench_early_stopping as bench
from benchmarks.processes import Finished, Sweep
from cvcore.config import load_spec
from cvcore.search import RandomSearch

WORK = bench.Work(trials=2, epochs=2, images=60, size=32, engine="inline")


def sweep_of(seconds: float, scores: list[float]) -> Sweep:
    """A sweep that started at 100 and had a score every second."""
    curve = [{"at": 101.0 + number, "score": score} for number, score in enumerate(scores)]
    return Sweep(
        process=Finished(seconds=seconds, started_at=100.0, stdout=""),
        document={"best": {"test_f1_weighted": 0.5}},
        tables={"curve": curve},
    )


def test_both_schedulers_are_given_the_same_configurations(tmp_path: Path) -> None:
    drawn = []
    for scheduler in bench.SCHEDULERS:
        path = tmp_path / f"{scheduler}.toml"
        path.write_text(bench.spec_of(WORK, scheduler=scheduler, seed=3))
        spec = load_spec(path)
        assert spec.search.scheduler == scheduler
        search = RandomSearch(spec)
        drawn.append([search.suggest() for _ in range(WORK.trials)])
    assert drawn[0] == drawn[1]


def test_the_first_epoch_within_one_percent_counts() -> None:
    full = sweep_of(9.0, [0.2, 0.795, 0.8, 0.1])
    early = sweep_of(4.0, [0.2, 0.7, 0.9])
    found = bench.compare({"asha": early, "none": full})
    assert found["none"]["target"] == pytest.approx(0.792)
    assert found["none"]["seconds_to_target"] == pytest.approx(2.0)
    assert found["asha"]["seconds_to_target"] == pytest.approx(3.0)
    summary = bench.summarise([found])
    assert summary["times_sooner_to_the_end"] == [2.25]
    assert summary["times_fewer_epochs"] == [4 / 3]


def test_a_search_that_never_gets_there_is_said_to() -> None:
    found = bench.compare({"none": sweep_of(9.0, [0.8]), "asha": sweep_of(4.0, [0.5])})
    assert found["asha"]["seconds_to_target"] is None
    written = bench.result_table(bench.summarise([found, found]))
    assert "0 of 2" in written
    assert "to within 1 %: none, never in 2" in written


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.xdist_group("tensorflow")
def test_a_sweep_leaves_every_epoch_with_its_time() -> None:
    sweep = bench.run_sweep(WORK, scheduler="asha", seed=0)
    curve = sweep.tables["curve"]
    assert WORK.trials <= len(curve) <= WORK.trials * WORK.epochs
    ended_at = sweep.process.started_at + sweep.process.seconds
    for row in curve:
        assert sweep.process.started_at < row["at"] < ended_at
        assert math.isfinite(row["score"])
