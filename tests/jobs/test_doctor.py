"""`cvjobs doctor`: what works is said to work, what is broken is found and costs the exit code."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from cvcore.store import LocalStore
from jobs.cli import main
from jobs.doctor import check_devices, check_ray, check_store, installed_versions

ROOT = Path(__file__).parents[2]


class Careless(LocalStore):
    """A store that takes no notice of conditions, as some S3 servers do."""

    def write(
        self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> None:
        super().write(key, data)


class Forgetful(LocalStore):
    """A store that answers with other bytes than it was given."""

    def read(self, key: str) -> bytes:
        return super().read(key) + b"?"


def test_a_good_store_is_left_as_it_was_found(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("something", b"x")
    check = check_store(store)
    assert check.ok, check.detail
    assert [one.key for one in store.list("")] == ["something"]


def test_a_store_that_ignores_conditions_is_refused(tmp_path: Path) -> None:
    store = Careless(tmp_path)
    check = check_store(store)
    assert check.exit_code == 5
    assert "ignores conditional writes" in check.detail
    assert list(store.list("")) == []


def test_a_store_that_returns_other_bytes_is_refused(tmp_path: Path) -> None:
    assert check_store(Forgetful(tmp_path)).exit_code == 5


def test_a_store_that_cannot_be_written_exits_5(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_tensorflow: None
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert main(["doctor", "--store", str(blocked / "store"), "--json"]) == 5
    document = json.loads(capsys.readouterr().out)
    store = document["checks"][0]
    assert not document["ok"]
    assert not store["ok"]
    assert str(blocked) in store["detail"]
    assert "--store" in store["hint"]


@pytest.fixture
def no_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cvcore.runtime.find_spec", lambda name: None)


def test_a_missing_tensorflow_names_the_extras(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], no_tensorflow: None
) -> None:
    (check,) = check_devices()
    assert not check.ok
    assert "cvjobs[cpu]" in (check.hint or "")
    assert "cvjobs[gpu]" in (check.hint or "")
    assert main(["doctor", "--store", str(tmp_path)]) == 2
    printed = capsys.readouterr()
    assert "FAILED" in printed.out
    assert "next: pip install 'cvjobs[cpu]'" in printed.err


def test_versions_are_those_installed() -> None:
    versions = installed_versions()
    assert versions["python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert versions["pyarrow"]
    assert None in versions.values()  # tensorflow and tensorflow-cpu exclude each other


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Listen and never answer, as a firewalled or hanging head node does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_cluster_that_never_answers_is_given_up(
    silent_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.adapters.ray_cluster.JOIN_SECONDS", 4)
    check = check_ray(f"127.0.0.1:{silent_port}")
    assert check.exit_code == 2
    assert "the port answers, but no cluster did within 4 s" in check.detail


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_on_a_working_machine_every_check_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "doctor", "--store", str(tmp_path / "new"), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["ok"]
    names = [check["name"] for check in document["checks"]]
    assert names == [f"store {tmp_path / 'new'}", "device CPU:0", "GPU check"]
    device, comparison = document["checks"][1:]
    assert "ten 7x7 convolutions of 100x100x100x3" in device["detail"]
    assert comparison["measured"] == {"seconds_cpu": device["measured"]["seconds"]}
    assert comparison["detail"].startswith("no GPU found; CPU: ")
    assert comparison["detail"].endswith("the comparison was not run")


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_second_device_is_set_against_the_first_and_one_that_is_absent_is_reported() -> None:
    """A second logical CPU stands in for a GPU; `GPU:0` is one that TensorFlow cannot reach."""
    script = textwrap.dedent(
        """
        import json
        from dataclasses import asdict
        from cvcore.runtime import start_tensorflow
        start_tensorflow(threads=1, use_gpus=False)
        import tensorflow as tf
        cpu = tf.config.list_physical_devices("CPU")[0]
        parts = [tf.config.LogicalDeviceConfiguration()] * 2
        tf.config.set_logical_device_configuration(cpu, parts)
        from jobs.doctor import compare_devices
        first, *others = (f"/device:{name}" for name in ("CPU:0", "CPU:1", "GPU:0"))
        print(json.dumps([asdict(one) for one in compare_devices(cpu=first, gpus=others)]))
        """
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert list(checks) == ["device CPU:0", "device CPU:1", "device GPU:0", "GPU check CPU:1"]
    seconds = {name: check["measured"].get("seconds") for name, check in checks.items()}
    measured = checks["GPU check CPU:1"]["measured"]
    assert measured["seconds_cpu"] == seconds["device CPU:0"]
    assert measured["seconds_gpu"] == seconds["device CPU:1"]
    assert measured["ratio"] == seconds["device CPU:0"] / seconds["device CPU:1"]
    moved = "found, not usable: TensorFlow put its work on device:CPU:0"
    assert checks["device GPU:0"]["detail"] == moved
    assert checks["device GPU:0"]["exit_code"] == 1
