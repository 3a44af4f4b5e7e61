"""Decoded data sets on this machine: found again without reading, built by one process at a time.

`<folder>/datasets/<name>/` is complete before it is visible; `<folder>/listings/<key>` points from
what a listing of the files looked like to the data set that came of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cvcore.datasets.building import build, fingerprint, settings_key
from cvcore.datasets.dataset import Dataset, load
from cvcore.datasets.decoding import DECODER_VERSION
from cvcore.datasets.reading import Listing, list_files, read_records
from cvcore.datasets.sources import Source, listing_signature
from cvcore.errors import DataError
from cvcore.settings import DataConfig


def open_cached(source: Source, *, config: DataConfig, folder: Path) -> Dataset:
    """Return the data set, from the cache where nothing changed, else built anew."""
    try:
        # Taken before anything is read: a file that changes meanwhile makes a later run look again.
        key = _key(source.signature(), config)
        if found := _find(folder, key, source):
            return found
        with _locked(folder, key):
            return _find(folder, key, source) or _open_locked(source, key, config, folder)
    except OSError as error:
        raise DataError(
            f"the cache folder {folder} cannot be used: {error.strerror or error}",
            hint="export CVJOBS_CACHE=<a folder that can be written and has room>",
        ) from error


def _open_locked(source: Source, key: str, config: DataConfig, folder: Path) -> Dataset:
    listing = list_files(source)
    content_key = _key(_without_versions(listing), config)
    if known := _find(folder, content_key, source):
        # Touched or copied, perhaps not changed: reading is cheaper than decoding.
        if fingerprint(read_records(source, listing), config) == known.fingerprint:
            _point(folder, key, known.fingerprint)
            return known
    building = folder / f".building-{key}"
    shutil.rmtree(building, ignore_errors=True)  # left by a killed builder: we hold its lock
    building.mkdir(parents=True)
    try:
        name, num_decoded = build(source, listing, config=config, folder=building)
        target = _publish(building, _dataset_folder(folder, name))
    finally:
        shutil.rmtree(building, ignore_errors=True)
    dataset = load(target, uri=source.uri, fingerprint=name, num_decoded=num_decoded)
    if dataset is None:
        raise DataError(f"the cached images in {target} vanished or were damaged as they were made")
    for pointer in (key, content_key):
        _point(folder, pointer, name)
    return dataset


def _find(folder: Path, key: str, source: Source) -> Dataset | None:
    try:
        name = (folder / "listings" / key).read_text()
    except FileNotFoundError:
        return None
    return load(_dataset_folder(folder, name), uri=source.uri, fingerprint=name, num_decoded=0)


def _publish(building: Path, target: Path) -> Path:
    """Make a finished folder visible in one step, unless an equal one stands there already."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        if load(target, uri="", fingerprint="", num_decoded=0) is not None:
            return target
        shutil.rmtree(target)  # damaged; whoever still maps it keeps what they have
    try:
        os.rename(building, target)
    except OSError:
        if not target.exists():  # else the same data under another name was built at once
            raise
    return target


def _point(folder: Path, key: str, name: str) -> None:
    pointer = folder / "listings" / key
    pointer.parent.mkdir(parents=True, exist_ok=True)
    partial = pointer.with_name(f".{uuid.uuid4().hex}")
    partial.write_text(name)
    os.replace(partial, pointer)


@contextmanager
def _locked(folder: Path, key: str) -> Iterator[None]:
    """Let one process in; the system takes the lock back from one that is killed."""
    lock = folder / "locks" / key
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _dataset_folder(folder: Path, name: str) -> Path:
    return folder / "datasets" / f"{name}-{DECODER_VERSION}"


def _key(signature: str, config: DataConfig) -> str:
    text = f"{signature}|{settings_key(config)}|{DECODER_VERSION}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def _without_versions(listing: Listing) -> str:
    """Sign names and sizes alone: what a copy or a touch leaves as it was."""
    return listing_signature("", (replace(entry, version="") for entry in listing.entries))
