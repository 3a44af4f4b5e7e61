"""Whole sweeps for the tests of the main job: tiny, real, in this process or in their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cvcore.datasets.castings import CLASSES, CastingsSource
from cvcore.events import SweepState, read_state
from cvcore.store import LocalStore, Store
from jobs.cli import main
from jobs.wiring import open_store
from tests import lakes

ROOT = Path(__file__).parents[1]
CASTINGS = "builtin:castings?images=60&size=32"
# The smallest sweep worth the name; every test says with --set in what it differs.
TINY = f"""
name = "tiny"
[data]
uri = "{CASTINGS}"
image_size = 32
channels = "grayscale"
[model]
num_blocks = 2
filters = 4
dense_units = 8
[training]
epochs = 1
[search]
trials = 3
"""
INLINE = ("--engine", "inline")
RATES = "space.learning_rate={log = [1e-3, 1e-2], steps = 3}"
# Long enough to be interrupted: some seconds a trial, where nothing else stops it.
LONG = ("training.epochs=100", "training.early_stopping_patience=0")

WAIT_SECONDS = 120


def tiny(folder: Path) -> str:
    path = folder / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return str(path)


def settings(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command ended with; `document` is all of its stdout, read as JSON."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.stdout)
        return document


def here(capsys: pytest.CaptureFixture[str], *typed: str) -> Answer:
    """Run a command in this process."""
    capsys.readouterr()
    code = main([*typed])
    printed = capsys.readouterr()
    return Answer(code=code, stdout=printed.out, stderr=printed.err)


def elsewhere(*typed: str, folder: Path = ROOT, **environment: str) -> Answer:
    """Run a command in a new process, in a folder."""
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *typed],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    return Answer(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


class Child:
    """A command in a process and a session of its own, as a terminal would start it."""

    def __init__(self, folder: Path, *typed: str) -> None:
        self._files = folder / "child.out", folder / "child.err"
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jobs.cli", *typed],
                cwd=ROOT,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    @property
    def stderr(self) -> str:
        return self._files[1].read_text(encoding="utf-8")

    def until(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until something holds while the command still runs."""
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            alive = self.runs
            if holds():
                return
            if not alive:
                break
            time.sleep(0.05)
        pytest.fail(f"{what} did not come; exit code {self.process.poll()}:\n{self.stderr}")

    def interrupt(self) -> None:
        """Type Ctrl-C: the terminal signals the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self) -> Answer:
        self.process.wait(WAIT_SECONDS)
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._files)
        return Answer(code=self.process.returncode, stdout=stdout, stderr=stderr)

    def family(self) -> dict[int, str]:
        """Map the process ids of the command and of all it started to when they started."""
        parents = dict(_processes())
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return {pid: born for pid in found if (born := _born(pid))}


@contextmanager
def child(folder: Path, *typed: str) -> Iterator[Child]:
    """Start a command; whatever is left of it at the end is ended by its process ids."""
    started = Child(folder, *typed)
    try:
        yield started
    finally:
        family = started.family() if started.runs else {}
        for pid, born in family.items():
            if _born(pid) == born:
                os.kill(pid, signal.SIGKILL)
        started.process.wait()


def gone(family: dict[int, str]) -> bool:
    return all(_born(pid) != born for pid, born in family.items())


def _processes() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _born(pid: int) -> str:
    """Tell the start time of a process that lives, in clock ticks; empty for one that does not."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] != "Z" else ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def log_of(store: Store, sweep_id: str) -> SweepState:
    return read_state(store, sweep_id)


def only_sweep(store: Store) -> str:
    """Name the sweep of a store that holds one, as soon as its log exists; empty before."""
    found = {one.key.split("/")[1] for one in store.list("sweeps/") if "/events/" in one.key}
    assert len(found) <= 1
    return next(iter(found), "")


def finished_trials(store: Store) -> list[str]:
    """List the trials whose end the log of the only sweep holds."""
    sweep_id = only_sweep(store)
    trials = log_of(store, sweep_id).trials if sweep_id else {}
    return [name for name, trial in trials.items() if trial.finished]


def table(store: Store | str, name: str) -> list[dict[str, Any]]:
    """Read a table as a stranger does, sorted by its key; a key that comes twice fails the test."""
    opened = open_store(store) if isinstance(store, str) else store
    lakes.keys(opened, name)
    by = lakes.KEYS[name]
    return sorted(lakes.rows(opened, name), key=lambda row: tuple(row[key] for key in by))


def same_numbers(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Drop what differs between two runs of the same thing: names, times, places."""
    named = ("sweep_id", "trial_id", "seconds", "recorded_at", "attempt")
    return [
        {"trial": row["trial_id"][-5:], **{k: v for k, v in row.items() if k not in named}}
        for row in rows
    ]


def draw_castings(
    folder: Path, *, images: int, parts: Iterable[str] = ("",), classes: Iterable[str] = CLASSES
) -> Path:
    """Write generated castings as files: one folder a class, below each of `parts` in turn."""
    source = CastingsSource(images=images, size=32)
    names, tops = list(classes), list(parts)
    for index, entry in enumerate(source.entries()):
        label = names[index % len(names)]
        top = tops[index // len(names) % len(tops)]
        path = folder / top / label / entry.path.rpartition("/")[2]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.read(entry.path))
    return folder


def local(folder: Path) -> Store:
    return LocalStore(str(folder))
