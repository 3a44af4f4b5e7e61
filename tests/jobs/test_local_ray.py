"""Ray on this machine: no more of it than a sweep needs, and nothing left when it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(120)]

# Enters, computes with two workers, prints the processes below it, and waits to be ended.
PROGRAM = """
import json, os, sys
from pathlib import Path
from jobs.adapters import ray_local
from jobs.adapters.ray_cluster import cluster

def unknown_ray():
    raise TypeError("another Ray")

if sys.argv[1] == "unknown":
    ray_local._bare_node = unknown_ray
if sys.argv[1] == "early":
    os.environ.pop("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", None)
    import ray

def name_of(process):
    words = Path(f"/proc/{process}/cmdline").read_text().split("\\0")
    return " ".join(Path(word).name for word in words[:3])

def below(process):
    found = {}
    for child in Path(f"/proc/{process}/task/{process}/children").read_text().split():
        found |= {child: name_of(child), **below(child)}
    return found

with cluster(None):
    import ray

    square = ray.remote(num_cpus=1)(lambda x: x * x)
    squares = ray.get([square.remote(x) for x in range(4)])
    print(json.dumps({"squares": squares, "processes": below(os.getpid())}), flush=True)
    sys.stdin.readline()
print("left", flush=True)
"""
NOT_NEEDED = ("monitor.py", "log_monitor.py", "dashboard.py")


def running(ray: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    """Start the program; return it and the processes below it by their ids."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ray],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert program.stdout is not None
    line = program.stdout.readline()
    if not line:
        pytest.fail(program.communicate()[1])
    found = json.loads(line)
    assert found["squares"] == [0, 1, 4, 9]
    return program, found["processes"]


def gone(processes: dict[str, str], *, within_seconds: float) -> bool:
    """Wait until none of the processes runs."""
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        if not any(map(is_running, processes)):
            return True
        time.sleep(0.1)
    return False


def is_running(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_only_what_schedules_is_started_and_all_of_it_ends() -> None:
    program, processes = running("known")

    names = list(processes.values())
    assert any("raylet" in name for name in names)
    assert not [name for name in names for word in NOT_NEEDED if word in name]
    out, err = program.communicate("\n")
    assert (out, err, program.returncode) == ("left\n", "", 0)
    assert gone(processes, within_seconds=10)


def test_a_killed_driver_takes_its_ray_along() -> None:
    program, processes = running("known")

    program.send_signal(signal.SIGKILL)
    program.communicate()
    # Ray's two agents wait a minute for a control store that is gone, however Ray was started.
    others = {id_: name for id_, name in processes.items() if "Agent" not in name}
    assert len(others) < len(processes)
    assert gone(others, within_seconds=30)


@pytest.mark.parametrize("ray", ["unknown", "early"])
def test_a_ray_that_is_other_inside_or_was_imported_before_is_started_as_it_documents(
    ray: str,
) -> None:
    program, processes = running(ray)

    names = list(processes.values())
    assert any(word in name for name in names for word in NOT_NEEDED)
    out, err = program.communicate("\n")
    assert (out, err, program.returncode) == ("left\n", "", 0)
    assert gone(processes, within_seconds=10)
