"""The castings of a sweep as JPEG files of one size, written once, before anybody is timed."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from benchmarks.casting_split import CASTINGS, CLASSES, VALIDATION_FRACTION, lay_out
from cvcore.datasets.castings import CastingsSource

JPEG_QUALITY = 95


def write_images(
    folder: Path, *, num_images: int, size: int, castings: Path = CASTINGS
) -> dict[str, int]:
    """Write train, validation and test folders; return the images of each.

    `num_images` become training and validation, and as many as validate are kept for the test. They
    are real castings, or generated ones where those are not at hand.
    """
    counts: Counter[str] = Counter()
    found = _real(num_images, castings) if castings.is_dir() else _generated(num_images, size)
    for split, label, image in found:
        place = folder / split / label
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{counts[split]:04d}.jpeg"
        image.convert("RGB").resize((size, size)).save(path, quality=JPEG_QUALITY)
        counts[split] += 1
    return dict(counts)


def _real(num_images: int, castings: Path) -> Iterator[tuple[str, str, Image.Image]]:
    with TemporaryDirectory() as folder:
        lay_out(Path(folder), num_images=num_images, castings=castings)
        for label in CLASSES:
            listed = {
                split: sorted(Path(folder, split, label).iterdir())
                for split in ("train", "validation", "test")
            }
            listed["test"] = listed["test"][: len(listed["validation"])]
            for split, paths in listed.items():
                for path in paths:
                    yield split, label, Image.open(path)


def _generated(num_images: int, size: int) -> Iterator[tuple[str, str, Image.Image]]:
    num_validation = round(num_images * VALIDATION_FRACTION)
    source = CastingsSource(images=num_images + num_validation, size=size)
    for number, entry in enumerate(source.entries()):
        held_out = "validation" if number < num_validation else "test"
        split = held_out if number < 2 * num_validation else "train"
        image = Image.open(io.BytesIO(source.read(entry.path)))
        yield split, entry.path.split("/")[0], image
