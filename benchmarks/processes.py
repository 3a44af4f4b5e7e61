"""Whole programs as they are typed, timed from start to end, and what cvjobs left in its store."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs.adapters.ray_cluster import LOCAL_ENVIRONMENT

ROOT = Path(__file__).parents[1]
MAX_SECONDS = 7200
HEAD_START_SECONDS = 60
# Everybody's Ray listens on loopback only and reports to nobody.
ENVIRONMENT = {**LOCAL_ENVIRONMENT, "RAY_USAGE_STATS_ENABLED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
# For trials of one CPU: on full cores a thread each is 17 % faster than two. Ours do it themselves.
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(process: int) -> int:
    """Return the memory that a process holds; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A program that ended well: its seconds, when it was started (Unix time), its stdout."""

    seconds: float
    started_at: float
    stdout: str


def run(command: Sequence[str], *, environment: Mapping[str, str]) -> Finished:
    """Run `python -m` with a command to its end; raise `RuntimeError` with its last words."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CVJOBS_")}
    started_at, started = time.time(), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**own, **ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=MAX_SECONDS,
    )
    seconds = time.perf_counter() - started
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Finished(seconds=seconds, started_at=started_at, stdout=done.stdout)


@contextmanager
def scratch() -> Iterator[Path]:
    """Lend a folder whose path is short enough for Ray's sockets, and remove it."""
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep of cvjobs, its process timed as a whole; `tables` maps a name to its rows."""

    process: Finished
    document: dict[str, Any]
    tables: dict[str, list[dict[str, Any]]]


def sweep_with_cvjobs(
    spec: Path,
    *,
    queries: Mapping[str, str],
    engine: str | None = None,
    address: str | None = None,
) -> Sweep:
    """Run `cvjobs sweep` as a user does, on a fresh store and cache; answer `queries` after it."""
    given = {"--engine": engine, "--address": address}
    arguments = [word for option, value in given.items() if value for word in (option, value)]
    with scratch() as folder:
        typed = ["sweep", str(spec), "--store", f"{folder}/store", "--json", *arguments]
        environment = {"CVJOBS_CACHE": f"{folder}/cache", "RAY_TMPDIR": str(folder)}
        process = run(["jobs.cli", *typed], environment=environment)
        return Sweep(
            process=process,
            document=json.loads(process.stdout),
            tables={name: _ask(folder / "store", sql) for name, sql in queries.items()},
        )


def _ask(store: Path, sql: str) -> list[dict[str, Any]]:
    from cvcore.results import Results
    from cvcore.store import LocalStore

    rows: list[dict[str, Any]] = Results(LocalStore(store)).query(sql).to_pylist()
    return rows


@contextmanager
def running_ray(*, num_cpus: int) -> Iterator[str]:
    """Run a Ray head on this machine; yields its address, ends it by its process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with scratch() as folder:
        log = folder / "log"
        command = [
            sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
            "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", str(num_cpus),
            "--include-dashboard", "false", "--temp-dir", str(folder),
        ]  # fmt: skip
        with log.open("wb") as opened:
            head = subprocess.Popen(
                command,
                env={**os.environ, **ENVIRONMENT, **ONE_THREAD},
                stdout=opened,
                stderr=opened,
            )
        try:
            deadline = time.monotonic() + HEAD_START_SECONDS
            while "--block" not in log.read_text():  # of its last line, once all of it runs
                if head.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Ray did not start:\n{log.read_text()[-2000:]}")
                time.sleep(0.2)
            yield f"127.0.0.1:{port}"
        finally:
            head.terminate()
            head.wait(30)
