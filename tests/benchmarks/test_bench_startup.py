"""What is weighed is what runs, and a failing command is not timed."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks import bench_startup
from benchmarks.memory_of_a_sweep import SPEC, at
from benchmarks.processes import resident_bytes
from cvcore.config import load_spec

SEEN = [
    {"num_finished": n, "driver_bytes": 100 + n, "worker_bytes": 500 + 2 * n, "worker": 7 + n // 30}
    for n in range(0, 45, 3)
]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_command_is_timed_and_weighed_to_its_end() -> None:
    small = bench_startup.measure_command([sys.executable, "-c", "pass"])
    large = bench_startup.measure_command([sys.executable, "-c", "bytes(b'x' * 200_000_000)"])
    assert small["seconds"] > 0
    assert large["peak_bytes"] - small["peak_bytes"] > 150e6


def test_a_command_that_fails_is_no_measurement() -> None:
    with pytest.raises(RuntimeError, match="ended with 3"):
        bench_startup.measure_command([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_everything_that_is_typed_runs(tmp_path: Path) -> None:
    for command in bench_startup.commands(str(tmp_path)).values():
        assert bench_startup.measure_command(command)["seconds"] > 0


def test_memory_is_compared_at_the_first_look_after_so_many_trials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench_startup, "watch", lambda num_trials: SEEN)
    found = bench_startup.measure_memory((10, 40))
    assert found["worker_bytes"] == [524, 584]
    assert found["driver_bytes"] == [112, 142]
    assert found["num_workers"] == 2
    table = bench_startup.memory_table(found)
    assert "1.11" in table and "1.27" in table
    assert at(SEEN, 12) is SEEN[4]


def test_the_specs_are_right(tmp_path: Path) -> None:
    for text in (bench_startup.SPEC, SPEC.format(trials=3)):
        path = tmp_path / "spec.toml"
        path.write_text(text)
        assert load_spec(path).search.trials in (2, 3)


def test_a_process_that_is_gone_holds_nothing() -> None:
    assert resident_bytes(os.getpid()) > 1e6
    assert resident_bytes(2**22 + 1) == 0
