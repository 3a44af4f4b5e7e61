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
# In the environment of the head: what its workers start themselves to train with fails at once.
NONE_OF_THEIR_OWN = """
import sys
if any("trial_process" in word for word in sys.orig_argv):
    sys.exit("the workers of this cluster start nothing")
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Start a head with one CPU slot; yields its address.

    It is the driver's own node: its worker is to take a process that the driver started early.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="cvjobs-ray-")  # short: it becomes a socket's path
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
        "--node-ip-address", "127.0.0.1", "--port", str(port), "--num-cpus", "1",
        "--include-dashboard", "false", "--temp-dir", folder,
    ]  # fmt: skip
    Path(folder, "sitecustomize.py").write_text(NONE_OF_THEIR_OWN)
    environment = {**os.environ, **LOOPBACK, "PYTHONPATH": folder}
    with Path(folder, "log").open("wb") as log:
        head = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
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


def test_a_cluster_that_never_answers_is_given_up(tmp_path: Path) -> None:
    hasty = (
        "import sys; from jobs.adapters import ray_cluster; from jobs.cli import main; "
        "ray_cluster.JOIN_SECONDS = 2.0; sys.exit(main(sys.argv[1:]))"
    )
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        done = subprocess.run(
            [
                sys.executable, "-c", hasty, "sweep", "--address", address,
                "--store", str(tmp_path / "store"), "--quiet",
                "--data", "builtin:castings?images=60&size=32", "--set", "data.image_size=32",
            ],
            capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **LOOPBACK},
        )  # fmt: skip
    assert done.returncode == 2
    said, hint = done.stderr.splitlines()
    assert f"no Ray cluster answers at '{address}'" in said
    assert "no cluster did within 2 s" in said
    assert f"cvjobs doctor --address {address}" in hint
    assert not (tmp_path / "store").exists()
