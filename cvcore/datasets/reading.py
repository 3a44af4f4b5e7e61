"""Files to records and pixels, by as many threads as pay, holding only a few files in memory."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cvcore.datasets.decoding import decode, quiet_pillow
from cvcore.datasets.folders import came_split, locate
from cvcore.datasets.manifest import QUARANTINED, ImageRecord
from cvcore.datasets.problems import Problem, Unusable
from cvcore.datasets.sources import Entry, Source, StoreSource, named_like_image
from cvcore.settings import DataConfig

# Reading, hashing and decoding happen outside of the GIL. On two cores eight threads cost images of
# 96x96 pixels a tenth more CPU time than two, but a store answers slowly.
_LOCAL_THREADS = os.cpu_count() or 1
_STORE_THREADS = max(8, _LOCAL_THREADS)
# What a thread is given at once: to hand over every file by itself costs small ones a tenth more,
# and large ones must not pile up in memory, coded or decoded.
_CHUNK_FILES = 16
_CHUNK_BYTES = 2**20

Content = bytes | Problem
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The files of a source in its own order, and whether they came in split folders."""

    entries: tuple[Entry, ...]
    split_folders: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBatch:
    """Images to predict on: uint8 (num_images, image_size, image_size, 1 or 3).

    `records` has one for each image, in the same order; `quarantined` those that came out of none.
    """

    images: NDArray[np.uint8]
    records: tuple[ImageRecord, ...]
    quarantined: tuple[ImageRecord, ...]


def list_files(source: Source) -> Listing:
    """List what may be an image: everything in a folder, and beside them what is named like one."""
    entries = tuple(e for e in source.entries() if "/" in e.path or e.problem is not None
                    or named_like_image(e.path))  # fmt: skip
    return Listing(entries=entries, split_folders=came_split(entries))


def pixel_bytes(config: DataConfig) -> int:
    """Return what one decoded image takes."""
    return config.image_size**2 * (3 if config.channels == "rgb" else 1)


def read_records(source: Source, listing: Listing) -> Iterator[ImageRecord]:
    """Hash every file and decode none."""

    def work(entry: Entry, content: Content) -> ImageRecord:
        return _record(entry, content, split_folders=listing.split_folders)

    return _each_file(source, listing.entries, work)


def read_pixels(
    source: Source, listing: Listing, *, config: DataConfig
) -> Iterator[tuple[ImageRecord, NDArray[np.uint8] | None]]:
    """Hash and decode every file, in the order of the listing.

    Pixels are uint8 (image_size, image_size, channels), None where the record is quarantined.
    """

    def work(entry: Entry, content: Content) -> tuple[ImageRecord, NDArray[np.uint8] | None]:
        record = _record(entry, content, split_folders=listing.split_folders)
        if isinstance(content, Problem):
            return record, None
        try:
            pixels = decode(
                content, image_size=config.image_size, channels=config.channels, alpha=config.alpha
            )
        except Unusable as error:
            return _quarantine(record, error.problem), None
        found = replace(record, width=pixels.width, height=pixels.height, channels=pixels.channels)
        return found, pixels.array

    with quiet_pillow():
        yield from _each_file(source, listing.entries, work, result_bytes=pixel_bytes(config))


def read_images(
    source: Source, *, config: DataConfig, batch_size: int = 256
) -> Iterator[ImageBatch]:
    """Decode a source for prediction, class folders or none; keeps nothing.

    A label is that of the class folder, None in a flat folder.
    """
    listing = list_files(source)
    shape = (-1, config.image_size, config.image_size, 3 if config.channels == "rgb" else 1)
    arrays: list[NDArray[np.uint8]] = []
    records: list[ImageRecord] = []
    quarantined: list[ImageRecord] = []

    def batch() -> ImageBatch:
        images = np.array(arrays, dtype=np.uint8).reshape(shape)
        done = ImageBatch(images=images, records=tuple(records), quarantined=tuple(quarantined))
        for part in (arrays, records, quarantined):
            part.clear()
        return done

    for record, array in read_pixels(source, listing, config=config):
        if array is None:
            quarantined.append(record)
            continue
        arrays.append(array)
        records.append(record)
        if len(arrays) == batch_size:
            yield batch()
    if records or quarantined:
        yield batch()


def _each_file(
    source: Source,
    entries: Iterable[Entry],
    work: Callable[[Entry, Content], Result],
    *,
    result_bytes: int = 0,
) -> Iterator[Result]:
    """Read and work on every file in threads; yield the results in order."""

    def work_on(chunk: list[Entry], contents: Iterable[Content]) -> list[Result]:
        return [work(entry, content) for entry, content in zip(chunk, contents, strict=True)]

    num_threads = _STORE_THREADS if isinstance(source, StoreSource) else _LOCAL_THREADS
    pending: deque[Future[list[Result]]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        for chunk in _chunks(entries, result_bytes=result_bytes):
            contents: Iterable[Content] = (_read(source, entry) for entry in chunk)
            if source.sequential:  # else each is read when a thread comes to it
                contents = list(contents)
            pending.append(pool.submit(work_on, chunk, contents))
            if len(pending) >= num_threads + 4:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()


def _chunks(entries: Iterable[Entry], *, result_bytes: int) -> Iterator[list[Entry]]:
    """Cut a listing where a thread has enough to do."""
    chunk: list[Entry] = []
    num_bytes = 0
    for entry in entries:
        chunk.append(entry)
        num_bytes += max(entry.size_bytes, result_bytes)
        if len(chunk) == _CHUNK_FILES or num_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, num_bytes = [], 0
    if chunk:
        yield chunk


def _read(source: Source, entry: Entry) -> Content:
    if entry.problem is not None:
        return entry.problem
    try:
        return source.read(entry.path)
    except Unusable as error:
        return error.problem


def _record(entry: Entry, content: Content, *, split_folders: bool) -> ImageRecord:
    place = locate(entry, split_folders=split_folders)
    record = ImageRecord(
        path=entry.path, label=place.label, split=place.split, size_bytes=entry.size_bytes
    )
    if isinstance(content, Problem):
        return _quarantine(record, content)
    return replace(record, sha256=hashlib.sha256(content).hexdigest(), size_bytes=len(content))


def _quarantine(record: ImageRecord, problem: Problem) -> ImageRecord:
    return replace(record, status=QUARANTINED, reason=str(problem))
