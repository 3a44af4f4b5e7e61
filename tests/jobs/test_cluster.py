"""A sweep on a cluster that runs already: a real Ray head, started and ended by these tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.services, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
# Ray puts 127.0.0.1 itself, not an address others reach, only if it is told so in every process.
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_USAGE_STATS_ENABLED": "0",
}
START_SECONDS = 60


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a head with one CPU slot; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="cvjobs-ray-")  # short: it becomes a socket's path
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
        "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "1",
        "--include-dashboard", "false", "--temp-dir", folder,
    ]  # fmt: skip
    with Path(folder, "log").open("wb") as log:
        head = subprocess.Popen(
            command, env={**os.environ, **LOOPBACK}, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while "--block" not in Path(folder, "log").read_text():
            if head.poll() is not None or time.monotonic() > deadline:
                pytest.fail(Path(folder, "log").read_text()[-2000:])
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def cvjobs(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **LOOPBACK},
    )  # fmt: skip


def test_a_sweep_joins_the_cluster_and_leaves_it_running(cluster: str, tmp_path: Path) -> None:
    done = cvjobs(
        "sweep", "--address", cluster, "--store", str(tmp_path / "store"), "--json",
        "--data", "builtin:castings?images=60&size=32", "--set", "data.image_size=32",
        "--set", "search.scheduler=none", "--trials", "2", "--epochs", "1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["trials"] == {"completed": 2, "stopped": 0, "failed": 0}

    again = cvjobs("doctor", "--address", cluster, "--store", str(tmp_path / "store"), "--json")
    assert again.returncode == 0, again.stderr
    checks = {check["name"]: check["detail"] for check in json.loads(again.stdout)["checks"]}
    assert checks[f"Ray {cluster}"] == "1 nodes, 1 CPUs, 0 GPUs"


def test_a_trial_larger_than_the_cluster_is_refused(cluster: str, tmp_path: Path) -> None:
    done = cvjobs(
        "sweep", "--address", cluster, "--store", str(tmp_path / "store"),
        "--data", "builtin:castings?images=60&size=32", "--set", "data.image_size=32",
        "--set", "resources.cpus_per_trial=2",
    )  # fmt: skip
    assert done.returncode == 2
    assert "a trial asks for 2 CPU, the cluster has 1" in done.stderr
    assert not (tmp_path / "store" / "sweeps").exists()
