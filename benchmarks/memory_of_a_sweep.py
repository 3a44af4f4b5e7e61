"""The memory of a long sweep, seen from outside: its driver and its worker as trials finish."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.processes import ENVIRONMENT, ROOT, resident_bytes, scratch
from cvcore.events import known_sweeps, read_state
from cvcore.store import LocalStore

LOOK_SECONDS = 0.5
# Nearly every trial is a new structure, and each leaves 10 MB of TensorFlow's behind.
SPEC = """\
name = "bench-memory"

[data]
uri = "builtin:castings?images=60&size=32"
image_size = 32

[model]
num_blocks = 2

[training]
epochs = 1
early_stopping_patience = 0

[space]
filters = {{integer = [4, 64]}}
dense_units = {{integer = [8, 256]}}
learning_rate = {{log = [3e-4, 3e-3]}}

[search]
algorithm = "random"
scheduler = "none"
trials = {trials}

[resources]
max_concurrent = 1
"""


def watch(*, num_trials: int) -> list[dict[str, int]]:
    """Run a sweep of so many trials in one slot; return what was seen, a row a look.

    A row has `num_finished` trials, `driver_bytes`, `worker_bytes` and the `worker`'s process id.
    Raises `RuntimeError` if the sweep fails.
    """
    with scratch() as folder:
        spec = folder / "spec.toml"
        spec.write_text(SPEC.format(trials=num_trials))
        told = folder / "stderr"
        with told.open("wb") as opened:
            sweep = subprocess.Popen(
                [sys.executable, "-m", "jobs.cli", "sweep", spec, "--store", folder / "store"],
                cwd=ROOT,
                env={**os.environ, **ENVIRONMENT, "CVJOBS_CACHE": f"{folder}/cache"},
                stdout=subprocess.DEVNULL,
                stderr=opened,
            )
        seen = list(_looks(sweep, LocalStore(folder / "store")))
        if sweep.wait() != 0:
            raise RuntimeError(f"the sweep ended with {sweep.returncode}:\n{told.read_text()}")
    return seen


def _looks(sweep: subprocess.Popen[bytes], store: LocalStore) -> Iterator[dict[str, int]]:
    while sweep.poll() is None:
        time.sleep(LOOK_SECONDS)
        sizes = {
            process: resident_bytes(process)
            for process in _below(sweep.pid)
            if "jobs.trial_process" in _command(process)
        }
        if not sizes or not (sweeps := known_sweeps(store)):
            continue
        worker = max(sizes, key=lambda process: sizes[process])
        yield {
            "num_finished": sum(read_state(store, sweeps[0]).counts.values()),
            "driver_bytes": resident_bytes(sweep.pid),
            "worker_bytes": sizes[worker],
            "worker": worker,
        }


def at(seen: list[dict[str, int]], num_finished: int) -> Mapping[str, Any]:
    """Return the first look at which so many trials had finished."""
    return next(row for row in seen if row["num_finished"] >= num_finished)


def _below(process: int) -> Iterator[int]:
    """Yield a process' children and theirs."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        children = [int(one) for task in tasks for one in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield child
        yield from _below(child)


def _command(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""
