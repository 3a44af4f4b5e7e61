"""A data set as it lies in the cache: one file of pixels, one that says what they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cvcore.datasets.manifest import USED, ImageRecord, to_rows
from cvcore.datasets.splits import SPLITS
from cvcore.errors import DataError

IMAGES_FILE = "images.raw"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Images of one size, decoded, labelled and split.

    `images` is uint8 (num_images, image_size, image_size, channels), memory-mapped copy-on-write;
    `labels` int32 (num_images,), indices into `class_names`; `paths` in the same order. `indices`
    maps each split to int64 positions in them. `records` holds every file, used or not.
    `fingerprint` is 32 hex digits: the same files and settings give the same one anywhere.
    `split_folders` names the splits that the data came in, if any. `num_decoded` counts the images
    decoded to open it, 0 where it was found in the cache.
    """

    uri: str
    class_names: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    fingerprint: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    indices: Mapping[str, NDArray[np.int64]]
    paths: tuple[str, ...]
    num_decoded: int
    split_folders: tuple[str, ...]

    @property
    def from_split_folders(self) -> bool:
        return bool(self.split_folders)

    @property
    def has_test_folder(self) -> bool:
        return "test" in self.split_folders

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the `images` table."""
        return to_rows(self.records, fingerprint=self.fingerprint)

    def split(self, name: str) -> NDArray[np.int64]:
        """Return the positions of one split's images; raise `DataError` for an unknown split."""
        if name not in self.indices:
            raise DataError(f"there is no split {name!r}, only {', '.join(SPLITS)}")
        return self.indices[name]


def load(folder: Path, *, uri: str, fingerprint: str, num_decoded: int) -> Dataset | None:
    """Open a built folder; None where it is absent, cut short or damaged."""
    try:
        document = json.loads((folder / MANIFEST_FILE).read_bytes())
        records = tuple(ImageRecord(**record) for record in document["records"])
        used = [record for record in records if record.status == USED]
        shape = (len(used), *document["shape"])
        if (folder / IMAGES_FILE).stat().st_size != np.prod(shape):
            return None
        # Copy-on-write rather than read-only: dlpack hands out no read-only memory.
        images = np.memmap(folder / IMAGES_FILE, dtype=np.uint8, mode="c", shape=shape)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    class_names = tuple(document["class_names"])
    number = {name: index for index, name in enumerate(class_names)}
    return Dataset(
        uri=uri,
        class_names=class_names,
        records=records,
        fingerprint=fingerprint,
        images=images,
        labels=np.array([number[record.label] for record in used], dtype=np.int32),
        indices={
            split: np.array([i for i, r in enumerate(used) if r.split == split], dtype=np.int64)
            for split in SPLITS
        },
        paths=tuple(record.path for record in used),
        num_decoded=num_decoded,
        split_folders=tuple(document["split_folders"]),
    )
