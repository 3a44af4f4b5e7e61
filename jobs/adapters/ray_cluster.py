"""Start Ray here or join a running cluster, quietly, and leave nothing behind.

Ray is imported inside these functions: what it reads at import is set first.
"""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from cvcore.errors import UsageError
from cvcore.runtime import require_tensorflow
from cvcore.settings import ResourcesConfig
from jobs.adapters.ray_local import QUIET, local_ray
from jobs.engine import Engine, WorkerSetup
from jobs.trial_process import WAITING, dismiss, start

CONNECT_SECONDS = 3.0
JOIN_SECONDS = 30.0
_NO_ANSWER = "the port answers, but no cluster did within {:g} s"
# Processes started before it is known how many trials fit.
MAX_EARLY = 16
_DESCRIBE = """
import sys
import ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
total = ray.cluster_resources()
print(f"{len(ray.nodes())} nodes, {total.get('CPU', 0):g} CPUs, {total.get('GPU', 0):g} GPUs")
"""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",  # the event log is the truth: see `Proposals.save`
    "TUNE_WARN_SLOW_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "600",
}


# A Ray that is started here listens on loopback only. Ray reads the first when it is imported (the
# name is historical, it works on Linux too). Since 2.59 it would write a token file into the home
# directory without the second.
LOCAL_ENVIRONMENT = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}


@contextmanager
def open_engine(
    setup: WorkerSetup, *, resources: ResourcesConfig, scheduler: str, address: str | None
) -> Iterator[Engine]:
    """Start Ray on this machine, or join the cluster at `address`; leave it when done."""
    require_tensorflow()
    with cluster(address):
        from jobs.adapters.ray_search import RayEngine

        share = share_for(resources)
        fitting = num_fitting(share)
        slots = min(fitting, resources.max_concurrent or fitting)
        # Ray shows a trial without a GPU every GPU; all trials would then share all of them.
        gpus = share["GPU"]
        own = replace(setup, use_gpus=gpus > 0, gpu_fraction=min(gpus, 1.0))
        if setup.waiting:
            dismiss(Path(setup.waiting), keep=min(slots, num_fitting_here(share)))
        # Beside what runs one proposal waits, so that the worker of a trial that ends is kept for
        # it; it can wait only where it finds no room.
        waiting = 1 if slots == fitting else 0
        yield RayEngine(own, share=share, scheduler=scheduler, slots=slots, waiting=waiting)


@contextmanager
def waiting_processes(resources: ResourcesConfig, *, address: str | None) -> Iterator[str]:
    """Start the processes that will train, which import TensorFlow while data and Ray are opened.

    Yields the folder in which they wait; those that nobody wanted end with it. A driver joins a
    cluster from one of its nodes: of that node's workers they are, those of others start their own.
    """
    if address is not None:
        _reach(address)  # before anything is started for it
    threads = resources.cpus_per_trial
    fitting = (os.cpu_count() or 1) // threads
    num_gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if num_gpus and resources.gpus_per_trial != 0:
        fitting = min(fitting, int(num_gpus / (resources.gpus_per_trial or 1)))
    wanted = min(fitting, resources.max_concurrent or fitting, MAX_EARLY)
    with TemporaryDirectory(prefix="cvjobs-") as folder:
        paths = [Path(folder, f"{number}{WAITING}") for number in range(wanted)]
        together = [[path] for path in paths] if num_gpus else [paths]
        early = [start(some, threads=threads) for some in together if some]
        try:
            yield folder
        finally:
            for one in early:
                one.kill()
                one.wait()


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Be connected to Ray; a local one ends with this process."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is None:
        for name, value in LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    # While Ray starts this process mostly waits, and the engine needs Tune right after.
    Thread(target=import_module, args=["ray.tune"], daemon=True).start()
    # A lost or replaced worker is a row and a line of ours, not a traceback of Tune's.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    with local_ray() if address is None else _joined(address):
        yield


@contextmanager
def _joined(address: str) -> Iterator[None]:
    import ray

    _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def _join(address: str) -> None:
    """Connect in a thread that can be given up: one that is refused tries on for minutes.

    To ask from a process of its own first, as `probe` does, takes 2 s of CPU.
    """
    import ray

    failures: list[Exception] = []

    def connect() -> None:
        try:
            ray.init(address=address, **QUIET)
        except Exception as error:  # noqa: BLE001  it is raised again, as ours
            failures.append(error)

    with _what_is_said() as said:
        thread = Thread(target=connect, daemon=True)
        thread.start()
        thread.join(JOIN_SECONDS)
    if failures:
        raise _refused(address, str(failures[0]).partition("\n")[0])
    if thread.is_alive():
        raise _refused(address, _NO_ANSWER.format(JOIN_SECONDS) + "".join(said))


@contextmanager
def _what_is_said() -> Iterator[list[str]]:
    """Keep what Ray's own threads print to themselves; yields the last of it, at the end."""
    last: list[str] = []
    kept = os.dup(2)
    with TemporaryFile("w+", errors="replace") as instead:
        os.dup2(instead.fileno(), 2)
        try:
            yield last
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            instead.seek(0)
            last += [f" ({line.strip()})" for line in instead.readlines()[-1:]]


def share_for(resources: ResourcesConfig) -> dict[str, float]:
    """Say what of the cluster one trial gets: one GPU if there are any and the spec is silent."""
    import ray

    gpus = resources.gpus_per_trial
    if gpus is None:
        gpus = min(1.0, ray.cluster_resources().get("GPU", 0.0))
    return {"CPU": float(resources.cpus_per_trial), "GPU": gpus}


def num_fitting_here(wanted: Mapping[str, float]) -> int:
    """Count the trials that fit on the node of this process."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    return sum(_num_on(node, wanted) for node in ray.nodes() if node["NodeID"] == own)


def num_fitting(wanted: Mapping[str, float]) -> int:
    """Count the trials that fit at once; raise `UsageError` if not even one does."""
    import ray

    total = ray.cluster_resources()
    for kind, share in wanted.items():
        if share > total.get(kind, 0.0):
            key = "cpus_per_trial" if kind == "CPU" else "gpus_per_trial"
            raise UsageError(
                f"a trial asks for {share:g} {kind}, the cluster has {total.get(kind, 0.0):g}",
                hint=f"--set resources.{key}=..., or --address of a larger cluster",
            )
    # A trial never spans nodes, so what fits is counted node by node.
    fitting = sum(_num_on(node, wanted) for node in ray.nodes() if node["Alive"])
    if fitting == 0:
        raise UsageError(f"no single node has what a trial asks for: {wanted}")
    return fitting


def _num_on(node: Mapping[str, Any], wanted: Mapping[str, float]) -> int:
    has = node["Resources"]
    return min(int(has.get(kind, 0.0) / share + 1e-9) for kind, share in wanted.items() if share)


def probe(address: str) -> str:
    """Join the cluster at `address` once, in a process that can be given up, and describe it.

    Raises `UsageError` within `JOIN_SECONDS`. Where it is refused, Ray itself tries for minutes,
    and no signal gets through to it.
    """
    _reach(address)
    command = [sys.executable, "-c", _DESCRIBE, address]
    try:
        joined = subprocess.run(
            command, capture_output=True, text=True, timeout=JOIN_SECONDS, check=True
        )
    except subprocess.TimeoutExpired:
        reason = _NO_ANSWER.format(JOIN_SECONDS)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1]
    else:
        return joined.stdout.strip().splitlines()[-1]
    raise _refused(address, reason)


def _refused(address: str, reason: str) -> UsageError:
    return _unreachable(address, f"{reason}; does it want a token (RAY_AUTH_TOKEN)?")


def _reach(address: str) -> None:
    """Fail within seconds where nothing listens; Ray itself would wait for minutes."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    # Through Ray's client (ray://) Tune would run in the cluster, and take the driver along.
    if "://" in address or not parts.hostname or port is None:
        raise UsageError(
            f'--address is "auto" or host:port, on a node of the cluster, received {address!r}',
            hint="ray status   (on the head node)",
        )
    try:
        socket.create_connection((parts.hostname, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str, reason: str) -> UsageError:
    return UsageError(
        f"no Ray cluster answers at {address!r}: {reason}",
        hint=f"cvjobs doctor --address {address}   or leave out --address to run on this machine",
    )
