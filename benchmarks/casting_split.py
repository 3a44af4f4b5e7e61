"""A subset of the real castings, split once, before anything is shuffled."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

CASTINGS = (
    Path(os.environ.get("CVJOBS_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "casting"
)
CLASSES = ("def_front", "ok_front")
SPLIT_SEED = 42
VALIDATION_FRACTION = 0.1


def lay_out(folder: Path, *, num_images: int, castings: Path = CASTINGS) -> dict[str, int]:
    """Link a subset of the castings into train, validation and test; return the images of each.

    `num_images` of the train folder, in its proportion of classes, become training and validation;
    the whole test folder becomes the test split. An image that stands in the test folder too is not
    chosen, and none is chosen twice.
    """
    tested = {_digest(path) for path in _images(castings / "test", "*")}
    available = {name: _images(castings / "train", name) for name in CLASSES}
    total = sum(map(len, available.values()))
    for name, paths in available.items():
        rng = random.Random(f"{SPLIT_SEED}:{name}")
        shuffled = rng.sample(paths, len(paths))
        contents = {_digest(path): path for path in shuffled}
        unseen = [path for digest, path in contents.items() if digest not in tested]
        chosen = unseen[: round(num_images * len(paths) / total)]
        num_validation = round(len(chosen) * VALIDATION_FRACTION)
        _link(chosen[:num_validation], folder / "validation" / name)
        _link(chosen[num_validation:], folder / "train" / name)
        _link(_images(castings / "test", name), folder / "test" / name)
    return {split: len(_images(folder / split, "*")) for split in ("train", "validation", "test")}


def class_counts(split: Path) -> list[int]:
    """Count the images of each of `CLASSES` in the folder of a split."""
    return [len(list((split / name).iterdir())) for name in CLASSES]


def _images(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}/*.jpeg"))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _link(paths: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in paths:
        (folder / path.name).symlink_to(path.resolve())
