"""Where the weights of a base come from: a file, an object, or Keras' own download, kept once.

Keras' ImageNet weights are downloaded by whoever first may, and served from the store to everyone
else: workers need no internet, and a sweep of next year uses the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cvcore import layout
from cvcore.bases import BASES
from cvcore.errors import StoreError, UsageError
from cvcore.settings import ModelConfig
from cvcore.store import Store

# What stands in the record of a trial whose base has no pretrained weights.
RANDOM = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The weights of a base on this machine; `sha256` of the file in hex digits.

    `setting` is what `model.weights` becomes to load them: a path, or "none".
    """

    setting: str
    sha256: str


def locate(
    model: ModelConfig,
    *,
    image_size: int,
    store: Store,
    folder: Path,
    fetch: Callable[[str, Path], None],
) -> Weights:
    """Find the weights of a base, bringing them to `folder` if they lie elsewhere.

    `fetch` brings an `s3://` object to a path. Raises `UsageError`, `StoreError`.
    """
    if model.weights == "none":
        return Weights(setting="none", sha256=RANDOM)
    if model.weights == "imagenet":
        path = folder / "weights" / f"{imagenet_name(model.base, image_size)}.weights.h5"
        _once(path, lambda target: _imagenet(model.base, image_size, store, target))
    elif "://" in model.weights:
        # Keras reads a file by its suffix: .h5 and .weights.h5 are two formats.
        name = model.weights.rpartition("/")[2]
        digest = hashlib.sha256(model.weights.encode()).hexdigest()[:16]
        path = folder / "weights" / digest / name
        _once(path, lambda target: fetch(model.weights, target))
    else:
        path = Path(model.weights).expanduser()
    return Weights(setting=str(path), sha256=_sha256(path))


def imagenet_name(base: str, image_size: int) -> str:
    """Name Keras' weights of a base; some bases have their own for some sizes."""
    known = BASES[base]
    if not known.weights_sizes:
        return base
    nearest = image_size if image_size in known.weights_sizes else known.default_size
    return f"{base}-{nearest}"


def provide_imagenet(base: str, *, image_size: int, store: Store) -> bool:
    """See to it that the store has Keras' weights of a base; tell whether it took a download."""
    key = layout.base_weights(imagenet_name(base, image_size))
    if store.version(key) is not None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "base.weights.h5")
        _download(base, image_size, path)
        store.upload(key, path)
    return True


def _imagenet(base: str, image_size: int, store: Store, target: Path) -> None:
    provide_imagenet(base, image_size=image_size, store=store)
    store.download(layout.base_weights(imagenet_name(base, image_size)), target)


def _download(base: str, image_size: int, path: Path) -> None:
    """Have Keras build a base with its ImageNet weights, and keep these."""
    from cvcore.runtime import start_tensorflow

    start_tensorflow(threads=1)
    import keras

    try:
        with redirect_stdout(sys.stderr):  # Keras prints how far it is
            model = getattr(keras.applications, BASES[base].builder)(
                include_top=False, weights="imagenet", input_shape=(image_size, image_size, 3)
            )
    except Exception as error:  # a URL error of any kind: Keras lets all of them through
        if isinstance(error, MemoryError):
            raise
        raise UsageError(
            f"the ImageNet weights of {base} are not in the store and cannot be downloaded: "
            f"{str(error).partition(chr(10))[0]}",
            hint="--set model.weights=FILE   (weights saved elsewhere), or none",
        ) from error
    model.save_weights(path)


def _once(path: Path, bring: Callable[[Path], None]) -> None:
    """Have a file brought to `path` unless it is there; whole or not at all, by one process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        if path.exists():
            return
        partial = path.with_name(f".{path.name}.partial")
        bring(partial)
        os.replace(partial, path)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    try:
        about = path.stat()
        return _digest(path, about.st_size, about.st_mtime_ns)
    except OSError as error:
        raise StoreError(
            f"the weights {str(path)!r} cannot be read: {error.strerror or error}",
            hint="--set model.weights=FILE",
        ) from error


@lru_cache(maxsize=16)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    """Hash a file once, not once a trial: some bases have half a gigabyte."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
