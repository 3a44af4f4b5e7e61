"""Start Ray here or join a running cluster, quietly, and leave nothing behind.

Ray is imported inside these functions: what it reads at import is set first.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from cvcore.errors import UsageError
from cvcore.runtime import require_tensorflow
from cvcore.settings import ResourcesConfig
from jobs.engine import Engine, WorkerSetup

CONNECT_SECONDS = 3.0
# Trials share data by memory-mapped files, not through Ray's object store: keep that small.
OBJECT_STORE_BYTES = 256 * 2**20

ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
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

        slots = slots_for(resources)
        yield RayEngine(setup, resources=resources, scheduler=scheduler, slots=slots)


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Be connected to Ray; a local one ends with this process."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if address is None:
        for name, value in LOCAL_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
    import ray

    common = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            **common,
        )
    else:
        _reach(address)
        try:
            ray.init(address=address, **common)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise _unreachable(address, str(error).strip().splitlines()[0]) from error
    try:
        yield
    finally:
        ray.shutdown()


def slots_for(resources: ResourcesConfig) -> int:
    """Count the trials that fit at once; raise `UsageError` if not even one does."""
    import ray

    total = ray.cluster_resources()
    wanted = {"CPU": float(resources.cpus_per_trial), "GPU": resources.gpus_per_trial}
    for kind, share in wanted.items():
        if share > total.get(kind, 0.0):
            key = "cpus_per_trial" if kind == "CPU" else "gpus_per_trial"
            raise UsageError(
                f"a trial asks for {share:g} {kind}, the cluster has {total.get(kind, 0.0):g}",
                hint=f"--set resources.{key}=..., or --address of a larger cluster",
            )
    # A trial never spans nodes, so what fits is counted node by node.
    fitting = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            shares = [int(has.get(k, 0.0) / s + 1e-9) for k, s in wanted.items() if s > 0]
            fitting += min(shares)
    if fitting == 0:
        raise UsageError(f"no single node has what a trial asks for: {wanted}")
    return min(fitting, resources.max_concurrent or fitting)


def _reach(address: str) -> None:
    """Fail within seconds where nothing listens; Ray itself would wait for minutes."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or port is None:
        raise UsageError(
            f'--address is "auto", host:port or ray://host:port, received {address!r}',
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
