"""`cvjobs doctor`: try out what a sweep needs, and say what is missing and how to get it."""

from __future__ import annotations

import os
import platform
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
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
# The work of the GPU check: Conv2D(FILTERS, KERNEL_SIZE), REPEATS times over one random batch.
BATCH_SHAPE = (100, 100, 100, 3)
FILTERS, KERNEL_SIZE, REPEATS = 32, 7, 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was tried and how it went; a failed check says what to do and the exit code.

    `measured` holds figures by name, with their unit in it.
    """

    name: str
    detail: str
    hint: str | None = None
    exit_code: int = 0
    measured: Mapping[str, float] = field(default_factory=dict)

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
    """Try every device that TensorFlow finds, and set each GPU against the CPU."""
    try:
        require_tensorflow()
    except UsageError as error:
        yield _failure("TensorFlow", error)
        return
    start_tensorflow(threads=os.cpu_count() or 1)
    import tensorflow as tf

    found = tf.config.list_logical_devices()
    yield from compare_devices(
        cpu=next(device.name for device in found if device.device_type == "CPU"),
        gpus=[device.name for device in found if device.device_type == "GPU"],
    )


def compare_devices(*, cpu: str, gpus: Sequence[str]) -> Iterator[Check]:
    """Time the same convolutions on every device; compare those that took part with the CPU."""
    devices = {name: _try_device(name) for name in (cpu, *gpus)}
    yield from devices.values()
    if not devices[cpu].ok:
        return
    seconds_cpu = devices[cpu].measured["seconds"]
    if not gpus:
        detail = f"no GPU found; CPU: {seconds_cpu:.2f} s for ten; the comparison was not run"
        yield Check(name="GPU check", detail=detail, measured={"seconds_cpu": seconds_cpu})
    for gpu in gpus:
        if devices[gpu].ok:
            yield _compare(_short(gpu), seconds_cpu, devices[gpu].measured["seconds"])


def _compare(gpu: str, seconds_cpu: float, seconds_gpu: float) -> Check:
    ratio = seconds_cpu / seconds_gpu
    both = f"CPU {seconds_cpu:.2f} s, {gpu} {seconds_gpu:.3f} s for ten"
    return Check(
        name=f"GPU check {gpu}",
        detail=f"{both}: {ratio:.3g} times as fast",
        measured={"seconds_cpu": seconds_cpu, "seconds_gpu": seconds_gpu, "ratio": ratio},
    )


def _try_device(device: str) -> Check:
    import tensorflow as tf

    name = f"device {_short(device)}"
    try:
        seconds = _time_convolutions(device)
    except (tf.errors.OpError, RuntimeError) as error:
        hint = "check driver and CUDA versions: https://www.tensorflow.org/install/pip"
        return Check(name=name, detail=f"found, not usable: {error}", hint=hint, exit_code=1)
    work = f"{KERNEL_SIZE}x{KERNEL_SIZE} convolutions of {'x'.join(map(str, BATCH_SHAPE))}"
    detail = f"usable; ten {work}: {seconds:.3f} s"
    return Check(name=name, detail=detail, measured={"seconds": seconds})


def _time_convolutions(device: str) -> float:
    """Return the seconds of all repeats; raise `RuntimeError` where another device did them."""
    import keras
    import tensorflow as tf

    with tf.device(device):
        images = tf.random.normal(BATCH_SHAPE)
        layer = keras.layers.Conv2D(FILTERS, KERNEL_SIZE)
        convolve = tf.function(lambda: tf.reduce_sum(layer(images)))
        first = convolve()  # traces, and starts what the device needs
        if not first.device.endswith(device):
            raise RuntimeError(f"TensorFlow put its work on {first.device.rpartition('/')[2]}")
        float(first)
        started = time.perf_counter()
        for _ in range(REPEATS):
            float(convolve())  # waits for the device
        return time.perf_counter() - started


def _short(device: str) -> str:
    return device.removeprefix("/device:")


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
