"""From folders to a data set: classes, splits, errors, and the cache behind it."""

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

from cvcore.datasets import contact_sheet, open_dataset, open_source, summarise
from cvcore.datasets.dataset import Dataset
from cvcore.errors import DataError
from cvcore.settings import DataConfig
from tests.pictures import encoded, make_classes, picture, png

CONFIG = DataConfig(image_size=16)
ROOT = Path(__file__).parents[3]
SHARED = Path(os.environ.get("CVJOBS_SHARED", ROOT.parent / "shared"))
COLUMNS = [
    "dataset_fingerprint", "path", "label", "split", "group_id", "sha256",
    "width", "height", "channels", "bytes", "status", "reason",
]  # fmt: skip


def open_folder(folder: Path, config: DataConfig = CONFIG, *, cache: Path | None = None) -> Dataset:
    cache = cache or folder.parent / "cache"
    return open_dataset(open_source(str(folder)), config=config, cache_folder=cache)


def test_images_labels_paths_and_splits_agree(tmp_path: Path) -> None:
    dataset = open_folder(make_classes(tmp_path / "data", num_images=20))

    assert dataset.class_names == ("crack", "ok")
    assert dataset.images.shape == (40, 16, 16, 3)
    assert dataset.labels.dtype == np.int32
    assert [dataset.class_names[label] for label in dataset.labels] == [
        path.partition("/")[0] for path in dataset.paths
    ]
    everything = np.concatenate([dataset.split(name) for name in ("train", "validation", "test")])
    assert sorted(everything) == list(range(40))
    assert {name: len(rows) for name, rows in dataset.indices.items()} == {
        "train": 28, "validation": 6, "test": 6,
    }  # fmt: skip
    assert not dataset.from_split_folders


def test_the_images_can_be_handed_on_without_a_copy(tmp_path: Path) -> None:
    dataset = open_folder(make_classes(tmp_path / "data"))
    shared = np.from_dlpack(dataset.images)

    assert np.shares_memory(shared, dataset.images)


def test_rows_are_those_of_the_images_table(tmp_path: Path) -> None:
    dataset = open_folder(make_classes(tmp_path / "data"))
    rows = dataset.rows()

    assert [list(row) for row in rows] == [COLUMNS] * 16
    assert {row["dataset_fingerprint"] for row in rows} == {dataset.fingerprint}
    assert {row["bytes"] for row in rows} == {
        path.stat().st_size for path in (tmp_path / "data").rglob("*.png")
    }


@pytest.mark.parametrize(
    "folders",
    [("train", "validation", "test"), ("Training", "val", "testing"), ("train", "valid", "TEST")],
)
def test_split_folders_are_kept_and_twins_left_out_of_training(
    tmp_path: Path, folders: tuple[str, str, str]
) -> None:
    for index, name in enumerate(folders):
        make_classes(tmp_path / "data" / name, num_images=5, start=100 * index)
    train, _, test = (tmp_path / "data" / name for name in folders)
    (train / "ok" / "twin.png").write_bytes((test / "ok" / "000.png").read_bytes())
    (train / "ok" / "copy.png").write_bytes((train / "ok" / "000.png").read_bytes())
    dataset = open_folder(tmp_path / "data")
    summary = summarise(dataset)

    assert summary["splits"] == {"train": 11, "validation": 10, "test": 10}
    assert summary["duplicates"] == {
        "within_split": 1, "across_splits": 1, "excluded_from_training": 1,
    }  # fmt: skip
    assert summary["excluded"]["files"][0]["path"] == f"{folders[0]}/ok/twin.png"
    assert dataset.split_folders == ("test", "train", "validation")
    assert dataset.has_test_folder


def test_what_split_folders_lack_is_carved_out_of_training(tmp_path: Path) -> None:
    make_classes(tmp_path / "data" / "train", num_images=20)
    make_classes(tmp_path / "data" / "test", num_images=4, start=100)
    dataset = open_folder(tmp_path / "data")

    assert {name: len(rows) for name, rows in dataset.indices.items()} == {
        "train": 34, "validation": 6, "test": 8,
    }  # fmt: skip
    assert dataset.split_folders == ("test", "train")


def test_contradicting_labels_are_reported(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    (folder / "ok" / "same.png").write_bytes((folder / "crack" / "000.png").read_bytes())
    summary = summarise(open_folder(folder))

    assert [
        [(file["path"], file["label"]) for file in conflict["files"]]
        for conflict in summary["conflicting_labels"]
    ] == [[("crack/000.png", "crack"), ("ok/same.png", "ok")]]
    assert summary["warnings"] == ["1 images carry more than one label"]


def one_class(folder: Path) -> None:
    make_classes(folder, classes=("ok",))


def flat_folder(folder: Path) -> None:
    for index in range(3):
        (folder / f"{index}.png").write_bytes(png(index))


def class_of_bad_files(folder: Path) -> None:
    make_classes(folder)
    (folder / "burr").mkdir()
    (folder / "burr" / "text.png").write_text("hello")


def empty_class_folder(folder: Path) -> None:
    make_classes(folder)
    (folder / "burr").mkdir()


def nothing_but_bad_files(folder: Path) -> None:
    for label in ("crack", "ok"):
        (folder / label).mkdir()
        (folder / label / "empty.png").touch()


def half_of_the_folders_are_splits(folder: Path) -> None:
    make_classes(folder / "train")
    make_classes(folder / "test", start=100)
    make_classes(folder / "others", start=200)


def class_without_training_images(folder: Path) -> None:
    make_classes(folder / "train", num_images=5)
    make_classes(folder / "test", classes=("crack", "ok", "burr"), start=100)


def too_few_images(folder: Path) -> None:
    make_classes(folder, num_images=1)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda folder: None, "holds no images"),
        (one_class, "only the class 'ok'"),
        (flat_folder, "no class folder"),
        (class_of_bad_files, "burr/text.png: not_an_image"),
        (empty_class_folder, "burr/: empty_folder"),
        (nothing_but_bad_files, "crack/empty.png: empty"),
        (half_of_the_folders_are_splits, "others"),
        (class_without_training_images, "'burr'"),
        (too_few_images, "no image for the"),
    ],
)
def test_data_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, make: Callable[[Path], object], named: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)

    with pytest.raises(DataError) as caught:
        open_folder(folder)

    assert named in caught.value.message
    assert caught.value.hint
    assert not list((tmp_path / "cache").glob("datasets/*"))


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


def test_a_contact_sheet_shows_every_group() -> None:
    from io import BytesIO

    from PIL import Image

    red = np.full((16, 16, 3), (255, 0, 0), np.uint8)
    grey = np.full((16, 16, 1), 90, np.uint8)
    data = contact_sheet({"Riß": [red] * 3, "ok": [grey] * 12}, title="castings", cell_size=32)
    sheet = Image.open(BytesIO(data)).convert("RGB")
    colours = {colour: count for count, colour in sheet.getcolors(10**6) or []}

    assert colours[255, 0, 0] == 3 * 32 * 32
    assert colours[90, 90, 90] >= 12 * 32 * 32


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_real_castings_are_counted_and_their_twins_left_out(tmp_path: Path) -> None:
    folder = SHARED / "data" / "casting"
    if not folder.is_dir():
        pytest.skip(f"no casting images at {folder}: set CVJOBS_SHARED")
    dataset = open_folder(folder, cache=tmp_path)
    summary = summarise(dataset)

    assert summary["images"] == 7348
    assert summary["classes"] == {"def_front": 4211, "ok_front": 3073}
    assert summary["splits"]["test"] == 715
    assert summary["quarantined"]["count"] == 0
    assert summary["duplicates"] == {
        "within_split": 0, "across_splits": 64, "excluded_from_training": 64,
    }  # fmt: skip
