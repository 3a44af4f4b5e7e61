"""Build a data set once: decode, split, and lay pixels and manifest down in one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cvcore.datasets.dataset import IMAGES_FILE, MANIFEST_FILE
from cvcore.datasets.folders import EXPECTED, HINT
from cvcore.datasets.manifest import EXCLUDED, QUARANTINED, USED, ImageRecord
from cvcore.datasets.pixel_file import keep_rows, new_pixel_file, write_rows
from cvcore.datasets.reading import Listing, pixel_bytes, read_pixels
from cvcore.datasets.sources import Source
from cvcore.datasets.splits import SPLITS, Candidate, assign
from cvcore.errors import DataError
from cvcore.settings import DataConfig

FORMAT_VERSION = 1  # of the folder and of the rules for classes and splits
_IDENTIFYING = (
    "image_size", "channels", "alpha", "validation_fraction", "test_fraction", "group_by", "seed",
)  # fmt: skip
_MAX_FILES_NAMED = 5


def settings_key(config: DataConfig) -> str:
    """Spell the settings that decide pixels and splits."""
    return json.dumps([FORMAT_VERSION, *(getattr(config, name) for name in _IDENTIFYING)])


def fingerprint(records: Iterable[ImageRecord], config: DataConfig) -> str:
    """Name the content of a data set; needs no pixels."""
    digest = hashlib.sha256(settings_key(config).encode())
    # A file decodes to the same pixels or problem wherever its bytes are the same.
    for path, content in sorted((r.path, r.sha256 or r.reason_code) for r in records):
        digest.update(json.dumps([path, content]).encode())
    return digest.hexdigest()[:32]


def build(source: Source, listing: Listing, *, config: DataConfig, folder: Path) -> tuple[str, int]:
    """Fill an empty folder; return the fingerprint and how many images were decoded.

    Raises `DataError` where there is nothing to train on.
    """
    row_bytes = pixel_bytes(config)
    order = sorted(range(len(listing.entries)), key=lambda index: listing.entries[index].path)
    row_of = {index: row for row, index in enumerate(order)}
    found: list[ImageRecord] = []

    def rows() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for index, (record, array) in enumerate(read_pixels(source, listing, config=config)):
            found.append(record)
            if array is not None:
                yield row_of[index], array

    with new_pixel_file(folder / IMAGES_FILE) as file:
        write_rows(file, rows(), row_bytes=row_bytes)
        records = [found[index] for index in order]
        name = fingerprint(records, config)
        num_decoded = sum(record.status == USED for record in records)
        records = _place(records, config=config)
        class_names = _check(records, uri=source.uri)
        used = [row for row, record in enumerate(records) if record.status == USED]
        keep_rows(file, used, row_bytes=row_bytes)
    document = {
        "class_names": class_names,
        "split_folders": sorted({r.split for r in found if r.split is not None}),
        "shape": [config.image_size, config.image_size, row_bytes // config.image_size**2],
        "records": [record.to_dict() for record in records],
    }
    (folder / MANIFEST_FILE).write_text(json.dumps(document))
    return name, num_decoded


def _place(records: Sequence[ImageRecord], *, config: DataConfig) -> list[ImageRecord]:
    """Give used records their split, leave out what stands in two, refuse what has no class."""
    placed = [
        replace(r, status=QUARANTINED, reason="no_class: it lies in no class folder")
        if r.status == USED and r.label is None
        else r
        for r in records
    ]
    rows = [row for row, record in enumerate(placed) if record.status == USED]
    candidates = [
        Candidate(path=r.path, label=r.label or "", sha256=r.sha256 or "", split=r.split)
        for r in (placed[row] for row in rows)
    ]
    assignments = assign(
        candidates,
        validation_fraction=config.validation_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
        group_by=config.group_by,
    )
    for row, given in zip(rows, assignments, strict=True):
        placed[row] = replace(
            placed[row],
            split=given.split,
            group_id=given.group_id,
            status=EXCLUDED if given.reason else USED,
            reason=given.reason,
        )
    return placed


def _check(records: Sequence[ImageRecord], *, uri: str) -> list[str]:
    """Return the class names; raise `DataError` where they cannot be told apart by training."""
    if not records:
        raise DataError(f"{uri} holds no images: {EXPECTED}", hint=HINT)
    classes = sorted({record.label for record in records if record.label is not None})
    if len(classes) < 2:
        found = f"only the class {classes[0]!r}" if classes else "no class folder"
        raise DataError(f"{uri} holds {found} in {len(records):,} files: {EXPECTED}", hint=HINT)
    for split in SPLITS:
        if not any(r.status == USED and r.split == split for r in records):
            lost = name_files([r for r in records if r.status != USED])
            raise DataError(
                f"{uri} leaves no image for the {split} split, of {len(records):,} files{lost}",
                hint=f"{HINT}; a class needs three different images to be in every split",
            )
    trained = {r.label for r in records if r.status == USED and r.split == "train"}
    for label in classes:
        if label not in trained:
            bad = name_files([r for r in records if r.label == label and r.status != USED])
            raise DataError(
                f"of the classes {', '.join(classes)} of {uri}, {label!r} has no usable image to "
                f"train on{bad}",
                hint=HINT,
            )
    return classes


def name_files(records: Sequence[ImageRecord]) -> str:
    """List the first few files with their reasons, one a line."""
    lines = [f"\n  {record.path}: {record.reason}" for record in records[:_MAX_FILES_NAMED]]
    if len(records) > _MAX_FILES_NAMED:
        lines.append(f"\n  and {len(records) - _MAX_FILES_NAMED:,} more")
    return ":" * bool(lines) + "".join(lines)
