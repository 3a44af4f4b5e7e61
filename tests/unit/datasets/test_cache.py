"""What was decoded once is found again, whole or not at all, whoever builds it and dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvcore.datasets import open_dataset, open_source
from cvcore.errors import DataError
from cvcore.settings import DataConfig
from tests.pictures import CONFIG, encoded, make_classes, open_folder, picture, png

ROOT = Path(__file__).parents[3]


def test_the_second_opening_decodes_nothing_and_gives_the_same(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    first, second = open_folder(folder), open_folder(folder)

    assert (first.num_decoded, second.num_decoded) == (16, 0)
    assert np.array_equal(first.images, second.images)
    assert first.records == second.records
    assert first.fingerprint == second.fingerprint


def test_a_touched_or_copied_folder_is_found_again_by_its_content(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    first = open_folder(folder)
    os.utime(folder / "ok" / "000.png", ns=(1, 1))
    touched = open_folder(folder)
    copy = make_classes(tmp_path / "elsewhere")
    copied = open_folder(copy)

    assert (touched.num_decoded, copied.num_decoded) == (0, 0)
    assert first.fingerprint == touched.fingerprint == copied.fingerprint


def rewrite_in_place(folder: Path) -> None:
    """Change bytes; size and modification time stay."""
    path = folder / "ok" / "000.png"
    before = path.stat()
    data = bytearray(path.read_bytes())
    other = encoded(picture(321), "PNG")
    path.write_bytes(other[: len(data)].ljust(len(data), b"\0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        rewrite_in_place,
        lambda folder: (folder / "ok" / "new.png").write_bytes(png(77)),
        lambda folder: (folder / "ok" / "000.png").unlink(),
        lambda folder: (folder / "ok" / "000.png").rename(folder / "crack" / "moved.png"),
        lambda folder: (folder / "ok" / "000.png").rename(folder / "ok" / "renamed.png"),
    ],
    ids=["rewritten", "added", "removed", "relabelled", "renamed"],
)
def test_any_change_of_the_files_is_seen(tmp_path: Path, change: Callable[[Path], object]) -> None:
    folder = make_classes(tmp_path / "data")
    first = open_folder(folder)
    change(folder)
    second = open_folder(folder)

    assert second.num_decoded > 0
    assert second.fingerprint != first.fingerprint
    assert open_folder(folder).num_decoded == 0


@pytest.mark.parametrize(
    "setting",
    [{"image_size": 24}, {"channels": "grayscale"}, {"alpha": "black"}, {"seed": 1},
     {"test_fraction": 0.3}, {"group_by": r"/(\d+)"}],
    ids=str,
)  # fmt: skip
def test_other_settings_are_another_data_set(tmp_path: Path, setting: dict[str, object]) -> None:
    folder = make_classes(tmp_path / "data")
    first = open_folder(folder)
    second = open_folder(folder, DataConfig(**{"image_size": 16, **setting}))  # type: ignore[arg-type]

    assert second.fingerprint != first.fingerprint
    assert open_folder(folder).num_decoded == 0


@pytest.mark.parametrize("name", ["images.raw", "manifest.json"])
def test_a_cut_file_of_the_cache_is_noticed_and_made_anew(tmp_path: Path, name: str) -> None:
    folder = make_classes(tmp_path / "data")
    first = np.array(open_folder(folder).images)
    (path,) = (tmp_path / "cache" / "datasets").glob(f"*/{name}")
    os.truncate(path, path.stat().st_size - 7)
    again = open_folder(folder)

    assert again.num_decoded == 16
    assert np.array_equal(again.images, first)
    assert open_folder(folder).num_decoded == 0


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    (tmp_path / "file").touch()

    with pytest.raises(DataError, match="cache folder"):
        open_folder(folder, cache=tmp_path / "file" / "cache")


OPEN = """
import sys
from pathlib import Path
from cvcore.datasets import open_dataset, open_source
from cvcore.settings import DataConfig
source = open_source(sys.argv[1])
config = DataConfig(image_size=64)
dataset = open_dataset(source, config=config, cache_folder=Path(sys.argv[2]))
print(dataset.num_decoded, len(dataset.images), int(dataset.images.sum()))
"""


def start_opening(uri: str, cache: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, uri, cache],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.timeout(60)
def test_of_processes_that_build_at_once_one_decodes(tmp_path: Path) -> None:
    uri = "builtin:castings?images=120&size=64"
    openers = [start_opening(uri, tmp_path / "cache") for _ in range(3)]
    answers = sorted(opener.communicate()[0].split() for opener in openers)

    assert [answer[0] for answer in answers] == ["0", "0", "120"]
    assert len({tuple(answer[1:]) for answer in answers}) == 1


@pytest.mark.timeout(60)
def test_a_killed_builder_leaves_nothing_half_done(tmp_path: Path) -> None:
    uri, cache = "builtin:castings?images=4000&size=64", tmp_path / "cache"
    builder = start_opening(uri, cache)
    while not list(cache.glob(".building-*/images.raw")):
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.communicate()

    assert builder.returncode == -signal.SIGKILL
    assert list(cache.glob(".building-*"))
    assert not list(cache.glob("datasets/*"))
    smaller = open_dataset(
        open_source("builtin:castings?images=40&size=64"), config=CONFIG, cache_folder=cache
    )
    assert smaller.num_decoded == 40


def test_what_a_killed_builder_left_is_taken_over(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    first = open_folder(folder, cache=tmp_path / "other")
    (lock,) = (tmp_path / "other" / "locks").iterdir()
    remains = tmp_path / "cache" / f".building-{lock.name}"
    remains.mkdir(parents=True)
    (remains / "images.raw").write_bytes(b"half an image")
    dataset = open_folder(folder)

    assert dataset.num_decoded == 16
    assert np.array_equal(dataset.images, first.images)
    assert not list((tmp_path / "cache").glob(".building-*"))
