"""A process that trains for another: who gets it, what it raises, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cvcore.settings import DataConfig
from jobs.engine import WorkerSetup
from jobs.trial_process import WAITING, ProcessEnded, TrialProcess, claim, dismiss, start

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(120)]


def eventually(is_so: Callable[[], bool], *, seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_so()


@pytest.fixture
def far_end(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start([tmp_path / f"0{WAITING}"], threads=1)
    yield process
    process.kill()
    process.wait()


def test_each_waiting_process_is_claimed_by_one(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}{WAITING}" for number in range(2)]
    for path in paths:
        path.touch()
    assert sorted(filter(None, (claim(tmp_path) for _ in range(3)))) == paths
    assert claim(tmp_path / "nowhere") is None


def test_what_the_far_end_raises_is_raised_here_and_it_goes_on(
    far_end: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    near = TrialProcess(tmp_path / f"0{WAITING}")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no trial was begun"):
            near.step()
    setup = WorkerSetup(
        store_uri=str(tmp_path / "store"),
        data=DataConfig(uri=str(tmp_path / "nothing")),
        fingerprint="",
        cache_folder=str(tmp_path),
        threads=1,
        deterministic=False,
    )
    with pytest.raises(Exception, match="nothing"):
        near.open(setup)
    near.end()
    assert far_end.wait(30) == 0


def test_a_process_that_is_gone_is_an_error_at_once(tmp_path: Path) -> None:
    path = tmp_path / f"0{WAITING}"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))  # and nobody listens
    with pytest.raises(ProcessEnded, match="no process answers"):
        TrialProcess(path)


def test_copies_of_one_process_answer_each_for_itself(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}{WAITING}" for number in range(2)]
    nursery = start(paths, threads=1)
    try:
        first, second = (TrialProcess(path) for path in paths)
        for near in (first, second):
            with pytest.raises(RuntimeError, match="no trial was begun"):
                near.step()
        first.end()
        with pytest.raises(RuntimeError, match="no trial was begun"):
            second.step()
        second.end()
        assert nursery.wait(30) == 0
    finally:
        nursery.kill()
        nursery.wait()


def test_those_that_nobody_will_want_end_and_the_others_stay(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}{WAITING}" for number in range(3)]
    started = [start([path], threads=1) for path in paths]
    try:
        assert eventually(lambda: all(path.exists() for path in paths))
        dismiss(tmp_path, keep=1)
        assert [one.wait(30) for one in started[1:]] == [0, 0]
        assert started[0].poll() is None
        assert [claim(tmp_path) for _ in range(2)] == [paths[0], None]
        dismiss(tmp_path, keep=0)
        assert started[0].wait(30) == 0
        dismiss(tmp_path, keep=0)  # nobody listens any more
    finally:
        for one in started:
            one.kill()
            one.wait()


def test_a_killed_process_is_an_error_here(
    far_end: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    near = TrialProcess(tmp_path / f"0{WAITING}")
    with pytest.raises(RuntimeError):
        near.step()
    far_end.kill()
    far_end.wait()
    with pytest.raises(ProcessEnded, match="gone"):
        near.step()


def test_it_ends_with_the_one_who_started_it_and_not_of_a_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / f"0{WAITING}"
    code = "import sys, time; from pathlib import Path; from jobs.trial_process import start; "
    code += "print(start([Path(sys.argv[1])], threads=1).pid, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert eventually(path.exists)
        os.kill(child, signal.SIGINT)
        near = TrialProcess(path)
        with pytest.raises(RuntimeError, match="no trial was begun"):
            near.step()
        parent.kill()
    with pytest.raises(ProcessEnded):
        near.step()
    assert eventually(lambda: not Path(f"/proc/{child}").exists())
