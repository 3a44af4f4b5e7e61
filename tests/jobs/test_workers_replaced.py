"""Workers that grew too large are replaced, and no more run at once than was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.runs import RATES, local, settings, table, tiny

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(300)]

# `cvjobs` as it is, but whatever size a process has after its first trial is too much.
CVJOBS = """
import functools, sys
import jobs.launch
from jobs.cli import main
from jobs.engine import WorkerSetup
jobs.launch.WorkerSetup = functools.partial(WorkerSetup, settled_trials=1, max_growth=0.0)
sys.exit(main(sys.argv[1:]))
"""


def test_a_worker_that_grew_is_replaced_and_its_trial_runs_once(tmp_path: Path) -> None:
    store = tmp_path / "store"
    typed = ["sweep", tiny(tmp_path), "--store", str(store), "--json", "--epochs", "1"]
    typed += ["--trials", "3", "--max-concurrent", "1", *settings(RATES)]
    done = subprocess.run(
        [sys.executable, "-c", CVJOBS, *typed], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["trials"] == {"completed": 3, "stopped": 0, "failed": 0}
    assert "ERROR" not in done.stderr
    rows = sorted(table(local(store), "trials"), key=lambda row: row["started_at"])
    first, second, third = (row["worker"] for row in rows)
    assert first == second != third
    assert [row["attempt"] for row in rows] == [1, 1, 1]
    for before, after in pairwise(rows):
        assert after["started_at"] >= before["finished_at"]  # one at once, though two would fit
