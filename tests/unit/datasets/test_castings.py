"""The generated castings: the same everywhere, and a task that is worth a network."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvcore.datasets import open_dataset
from cvcore.datasets.castings import CastingsSource, encode_png, parse_castings
from cvcore.settings import DataConfig

ROOT = Path(__file__).parents[3]
DIGEST = """
import hashlib
from cvcore.datasets.castings import CastingsSource
source = CastingsSource(images=6, size=48, seed=3)
data = b"".join(source.read(entry.path) for entry in source.entries())
print(hashlib.sha256(data).hexdigest())
"""


def read_all(source: CastingsSource) -> dict[str, bytes]:
    return {entry.path: source.read(entry.path) for entry in source.entries()}


def test_another_process_makes_the_same_bytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DIGEST],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    here = b"".join(read_all(CastingsSource(images=6, size=48, seed=3)).values())

    assert done.stdout.strip() == hashlib.sha256(here).hexdigest()


def test_an_image_does_not_depend_on_how_many_there_are() -> None:
    few, many = read_all(CastingsSource(images=4)), read_all(CastingsSource(images=12))

    assert {path: many[path] for path in few} == few
    assert len(set(many.values())) == 12
    assert not set(read_all(CastingsSource(images=4, seed=1)).values()) & set(few.values())


def test_half_of_the_parts_are_defective() -> None:
    labels = [entry.path.partition("/")[0] for entry in CastingsSource(images=10).entries()]

    assert labels.count("def_front") == labels.count("ok_front") == 5


@pytest.mark.parametrize("shape", [(1, 1), (96, 96), (300, 301)])
def test_the_png_holds_the_pixels(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, size=shape, dtype=np.uint8)

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png(pixels)))), pixels)


def test_the_address_is_read_and_written() -> None:
    source = CastingsSource(images=20, size=32, seed=5)

    assert parse_castings(source.uri) == source
    assert parse_castings("builtin:castings") == CastingsSource()


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_a_logistic_regression_on_pixels_stays_under_80_percent(tmp_path: Path) -> None:
    config = DataConfig(image_size=48, channels="grayscale", test_fraction=0.3)
    dataset = open_dataset(CastingsSource(), config=config, cache_folder=tmp_path)
    pixels = dataset.images.reshape(len(dataset.images), -1).astype(np.float64)
    pixels = (pixels - pixels.mean(axis=0)) / (pixels.std(axis=0) + 1.0)
    signs = dataset.labels * 2.0 - 1.0
    train, test = dataset.split("train"), dataset.split("test")
    for penalty in (1.0, 1e-2, 1e-4):
        weights = np.zeros(pixels.shape[1])
        for _ in range(300):
            margin = signs[train] * (pixels[train] @ weights)
            pull = signs[train] / (1.0 + np.exp(np.clip(margin, -30.0, 30.0)))
            weights += 1e-3 * (pixels[train].T @ pull / len(train) - penalty * weights)
        accuracy = np.mean((pixels[test] @ weights > 0) == (signs[test] > 0))
        assert accuracy < 0.8
