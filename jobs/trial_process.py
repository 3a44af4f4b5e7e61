"""A process that trains for whoever holds the other end of its socket.

It imports TensorFlow as soon as it is started, long before there is a trial for it, and it can be
replaced without a word to those who plan trials. One that dies takes no planner with it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, NoReturn

from cvcore.errors import CvjobsError, StoreError
from cvcore.records import Evaluation, TrialConfig
from cvcore.runtime import start_tensorflow
from cvcore.scoring import Bench, score_best
from cvcore.trial import Progress, TrialSession
from jobs.engine import REPORT_SECONDS, WorkerSetup

# How the sockets of processes end that wait for somebody.
WAITING = ".waiting"
START_SECONDS = 60.0
# From when a socket has a name to when somebody listens.
LISTEN_SECONDS = 1.0
PR_SET_PDEATHSIG = 1


class ProcessEnded(Exception):
    """The process that trained is gone."""


class TrialProcess:
    """The near end: every method runs in the process at `path`; raises `ProcessEnded`."""

    def __init__(self, path: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self._connection: Connection[Any, Any] = Client(str(path), family="AF_UNIX")
                return
            except OSError as error:
                if not isinstance(error, FileNotFoundError):  # else it was started a moment ago
                    deadline = min(deadline, time.monotonic() + LISTEN_SECONDS)
                if time.monotonic() >= deadline:
                    raise ProcessEnded(f"no process answers at {path}: {error}") from error
                time.sleep(0.01)

    def open(self, setup: WorkerSetup) -> float:
        """Open data and store; return the seconds that took."""
        # Ray says in the environment which GPUs are for this worker.
        seconds: float = self._call("open", setup, os.environ.get("CUDA_VISIBLE_DEVICES"))
        return seconds

    def begin(
        self, trial: TrialConfig, task: Mapping[str, Any], waited: Mapping[str, float]
    ) -> int:
        """Make a trial the present one; return the largest size of the process so far."""
        largest: int = self._call("begin", trial, dict(task), dict(waited))
        return largest

    def step(self) -> Progress:
        """Train a stretch."""
        progress: Progress = self._call("step")
        return progress

    def save(self, folder: str) -> None:
        self._call("save", folder)

    def load(self, folder: str) -> None:
        self._call("load", folder)

    def score(self, trial: TrialConfig) -> tuple[Evaluation | CvjobsError, str]:
        """Score a saved model on the test split; return that, or why not, and who did it."""
        scored: tuple[Evaluation | CvjobsError, str] = self._call("score", trial)
        return scored

    def end(self) -> None:
        """Let the process go: it ends when nobody holds the other end."""
        self._connection.close()

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            self._connection.send((name, arguments))
            result = self._connection.recv()
        except (OSError, EOFError) as error:
            raise ProcessEnded("the process that trained it is gone: was it killed?") from error
        if isinstance(result, _Raised):
            raise result.error
        return result


class _Raised:
    """What a call raised on the far end."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class Server:
    """The far end: keeps TensorFlow, the data and the store from trial to trial."""

    def __init__(self) -> None:
        self._bench: Bench | None = None
        self._session: TrialSession | None = None
        self._idle_since = 0.0

    def open(self, setup: WorkerSetup, visible_gpus: str | None) -> float:
        # TensorFlow looks at this not when it is imported but when it first computes.
        if not setup.use_gpus:
            visible_gpus = "-1"
        if visible_gpus is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible_gpus
        self._bench, seconds = setup.open(f"{socket.gethostname()}:{os.getpid()}")
        return seconds

    def begin(
        self, trial: TrialConfig, task: Mapping[str, Any], waited: Mapping[str, float]
    ) -> int:
        since = self._idle_since or time.perf_counter()
        self._session = TrialSession(
            trial,
            self._opened(),
            rungs=task["rungs"],
            best_value=task["best_value"],
            waited={"idle": time.perf_counter() - since, **waited},
        )
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def step(self) -> Progress:
        progress = self._under_way().step(max_seconds=REPORT_SECONDS)
        self._idle_since = time.perf_counter()
        return progress

    def save(self, folder: str) -> None:
        self._under_way().save(Path(folder))

    def load(self, folder: str) -> None:
        self._under_way().load(Path(folder))

    def score(self, trial: TrialConfig) -> tuple[Evaluation | CvjobsError, str]:
        bench = self._opened()
        try:
            return score_best(trial, bench), bench.worker
        except StoreError as error:
            return error, bench.worker
        except Exception as error:  # noqa: BLE001  the trials are done and must be kept
            return CvjobsError(f"{type(error).__name__}: {error}"), bench.worker

    def serve(self, connection: Connection[Any, Any]) -> None:
        """Answer calls until nobody holds the other end."""
        methods = (self.open, self.begin, self.step, self.save, self.load, self.score)
        calls: dict[str, Callable[..., Any]] = {one.__name__: one for one in methods}
        with suppress(EOFError, OSError):
            while True:
                name, arguments = connection.recv()
                try:
                    connection.send(calls[name](*arguments))
                except Exception as error:  # noqa: BLE001  it is the caller's
                    connection.send(_Raised(error))

    def _opened(self) -> Bench:
        if self._bench is None:
            raise RuntimeError("a worker is opened before it is used")
        return self._bench

    def _under_way(self) -> TrialSession:
        if self._session is None:
            raise RuntimeError("no trial was begun")
        return self._session


def start(paths: Sequence[Path], *, threads: int) -> subprocess.Popen[bytes]:
    """Start processes that will answer at `paths`; they end with this one at the latest.

    Several are copies of one that has imported TensorFlow and computed nothing: that takes one
    import and its memory once. With GPUs nobody has seen it work: start one by one.
    """
    arguments = [str(threads), str(os.getpid()), *map(str, paths)]
    return subprocess.Popen(
        [sys.executable, "-c", "from jobs.trial_process import main; main()", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(one for one in sys.path if one),
            "OPENBLAS_NUM_THREADS": "1",  # a process of several threads cannot be copied
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def claim(folder: Path) -> Path | None:
    """Take one of the processes that wait in a folder; None if there is none."""
    for path in sorted(folder.glob(f"*{WAITING}")):
        with suppress(FileExistsError):  # else another worker was faster
            path.with_suffix(".taken").touch(exist_ok=False)
            return path
    return None


def dismiss(folder: Path, *, keep: int) -> None:
    """End the processes that wait in a folder, all but some: nobody will want them."""
    for path in sorted(folder.glob(f"*{WAITING}"))[keep:]:
        path.with_suffix(".taken").touch()
        with suppress(OSError):  # else it has ended by itself
            Client(str(path), family="AF_UNIX").close()


def main() -> None:
    threads, parent, *paths = sys.argv[1:]
    _die_with(int(parent))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    listeners = [Listener(path, family="AF_UNIX") for path in paths]
    start_tensorflow(threads=int(threads))
    # What an import leaves is no garbage: without this every full collection looks at all of it
    # again for 0.15 s, and a new model asks for one. Copies share the memory that nobody touches.
    gc.freeze()
    if len(listeners) > 1 and threading.active_count() == len(os.listdir("/proc/self/task")) == 1:
        _copy(listeners)
    else:
        for spare in listeners[1:]:
            spare.close()
        _serve(listeners[0])


def _copy(listeners: Sequence[Listener]) -> None:
    """Serve each in a copy of this process, and wait for them all."""
    own = os.getpid()
    for listener in listeners:
        if os.fork() == 0:
            _die_with(own)
            _serve(listener)
    for _ in listeners:
        os.wait()


def _serve(listener: Listener) -> NoReturn:
    with listener.accept() as connection:
        Server().serve(connection)
    os._exit(0)  # nothing is left to be written, and TensorFlow takes its time


def _die_with(parent: int) -> None:
    """Have the kernel end this process with its parent, however that one ends (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
