"""`cvjobs doctor`: try out what a sweep needs, and say what is missing and how to get it."""

from __future__ import annotations

import platform
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from cvcore import __version__, layout
from cvcore.errors import CvjobsError, PreconditionFailed, StoreError, UsageError
from cvcore.runtime import require_tensorflow, start_tensorflow
from jobs.adapters.console import Console
from jobs.options import DEFAULT_STORE, AddressOption, JsonOption, QuietOption, StoreOption
from jobs.wiring import open_store

if TYPE_CHECKING:
    from cvcore.store import Store

PACKAGES = (
    "tensorflow", "tensorflow-cpu", "keras", "keras-tuner", "optuna", "ray", "numpy", "pillow",
    "pyarrow", "duckdb", "boto3",
)  # fmt: skip
CONVOLUTION_REPEATS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was tried and how it went; a failed check says what to do and the exit code."""

    name: str
    detail: str
    hint: str | None = None
    exit_code: int = 0

    @property
    def ok(self) -> bool:
        return self.exit_code == 0


def doctor(
    address: AddressOption = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Check versions, devices, the store and a Ray cluster."""
    console = Console.choose(json=json, quiet=quiet)
    opened = open_store(store)
    versions = installed_versions()
    console.note("trying the store, the devices and, if asked for, the cluster ...")
    checks = [check_store(opened), *check_devices()]
    if address is not None:
        checks.append(check_ray(address))
    failed = [check for check in checks if not check.ok]

    def show() -> None:
        console.table("Versions", ["package", "version"], list(versions.items()))
        rows = [(check.name, "ok" if check.ok else "FAILED", check.detail) for check in checks]
        console.table("Checks", ["what", "result", "detail"], rows)

    described = [{**asdict(check), "ok": check.ok} for check in checks]
    console.result({"ok": not failed, "versions": versions, "checks": described}, show)
    for check in failed:
        console.hint(check.hint or "")
    if failed:
        raise typer.Exit(max(check.exit_code for check in failed))
    console.hint("cvjobs sweep")


def installed_versions() -> dict[str, str | None]:
    """Map every package that matters to its version, None where it is missing."""
    from importlib import metadata

    found: dict[str, str | None] = {"cvjobs": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        found[package] = None
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def check_store(store: Store) -> Check:
    """Write, overwrite under conditions, read and remove one small object."""
    name = f"store {store.uri}"
    key = layout.probe(uuid.uuid4().hex)
    try:
        _exercise(store, key)
    except StoreError as error:  # its own hint may well be to call the doctor
        hint = "use another --store, or grant read, write, list and delete on this one"
        return Check(name=name, detail=error.message, hint=hint, exit_code=error.exit_code)
    finally:
        with suppress(StoreError):  # the failure that matters is reported already
            store.delete([key])
    return Check(name=name, detail="readable, writable, conditional writes hold")


def _exercise(store: Store, key: str) -> None:
    store.write(key, b"first", if_absent=True)
    version = store.version(key)
    store.write(key, b"second", if_version=version)
    for condition in ({"if_absent": True}, {"if_version": version}):
        try:
            store.write(key, b"third", **condition)
        except PreconditionFailed:
            continue
        raise StoreError(
            f"the store ignores conditional writes ({next(iter(condition))}): two runs could "
            "overwrite each other",
            hint="use an S3 server that honours If-None-Match and If-Match",
        )
    if store.read(key) != b"second":
        raise StoreError(f"the store does not return what was written to {key!r}")


def check_devices() -> Iterator[Check]:
    """Time a small convolution on every device TensorFlow finds."""
    try:
        require_tensorflow()
    except UsageError as error:
        yield _failure("TensorFlow", error)
        return
    start_tensorflow(threads=1)
    import tensorflow as tf

    for device in tf.config.list_logical_devices():
        if device.device_type in ("CPU", "GPU"):
            yield _time_convolution(device.name)


def _time_convolution(device: str) -> Check:
    import tensorflow as tf

    name = f"device {device.removeprefix('/device:')}"
    try:
        with tf.device(device):
            images = tf.random.normal((32, 96, 96, 16))
            kernels = tf.random.normal((3, 3, 16, 16))
            convolve = tf.function(lambda: tf.reduce_sum(tf.nn.conv2d(images, kernels, 1, "SAME")))
            float(convolve())  # traces, and starts what the device needs
            started = time.perf_counter()
            for _ in range(CONVOLUTION_REPEATS):
                float(convolve())
    except tf.errors.OpError as error:
        hint = "check driver and CUDA versions: https://www.tensorflow.org/install/pip"
        return Check(
            name=name, detail=f"found, not usable: {error.message}", hint=hint, exit_code=1
        )
    milliseconds = 1000 * (time.perf_counter() - started) / CONVOLUTION_REPEATS
    return Check(name=name, detail=f"usable; 3x3 convolution of 32x96x96x16: {milliseconds:.1f} ms")


def check_ray(address: str) -> Check:
    """Join the cluster and leave again."""
    from jobs.adapters.ray_cluster import probe

    name = f"Ray {address}"
    try:
        return Check(name=name, detail=probe(address))
    except UsageError as error:
        return _failure(name, error)


def _failure(name: str, error: CvjobsError) -> Check:
    return Check(name=name, detail=error.message, hint=error.hint, exit_code=error.exit_code)
