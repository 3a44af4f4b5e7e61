"""Simulated trials go through the real driver, log and tables; growth is judged rightly."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_orchestration as bench
from benchmarks import orchestrate
from benchmarks.simulated_trials import LABELS, NUM_EPOCHS, NUM_IMAGES
from cvcore.store import LocalStore
from tests import lakes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]


def test_the_driver_alone_writes_every_row_of_every_trial(tmp_path: Path) -> None:
    measured = orchestrate.driver_alone(tmp_path, num_trials=30, slots=7, trial_seconds=0.0)

    store = LocalStore(tmp_path)
    assert len(lakes.keys(store, "trials")) == 30
    assert len(lakes.keys(store, "epochs")) == 30 * NUM_EPOCHS
    assert len(lakes.keys(store, "predictions")) == 30 * NUM_IMAGES
    assert len(lakes.keys(store, "confusion")) == 30 * len(LABELS)
    assert [row["num_completed"] for row in lakes.rows(store, "sweeps")] == [30]
    assert list(measured["resident_bytes"]) == [20, 30]
    assert 0 < measured["driver_cpu_seconds"]


def row(system: str, num_trials: int, seconds: float) -> dict[str, object]:
    return {
        "system": system,
        "num_trials": num_trials,
        "slots": 4,
        "wall_seconds": seconds,
        "driver_cpu_seconds": seconds / 2,
        "resident_bytes": {"20": 10**8, str(num_trials): 2 * 10**8},
        "overhead_milliseconds": 1000 * seconds / num_trials,
        "driver_cpu_milliseconds": 500 * seconds / num_trials,
    }


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_growth_is_the_power_of_the_number_of_trials(power: float) -> None:
    rows = [row("driver", size, 0.01 * size**power) for size in (100, 200, 400)]
    assert bench.growth_exponent(rows, "wall_seconds") == pytest.approx(power)


def test_one_size_has_no_growth() -> None:
    assert bench.growth_exponent([row("driver", 100, 1.0)], "wall_seconds") is None


def test_a_page_has_every_system_and_size_that_was_run() -> None:
    machine = {"cpu": "c", "cores": 2, "memory_gib": 1, "load": 0, "date": "d", "commit": "abc"}
    rows = [row("driver", 100, 1.0), row("driver", 200, 2.0), row("ray-tune", 8, 30.0)]
    page = bench.report({"machine": machine, "typed": [], "trial_seconds": 0.1, "results": rows})
    assert "| cvjobs, driver alone | 200 | 4 |" in page
    assert "| Ray Tune | 8 | 4 |" in page
    assert "×2.00" in page
