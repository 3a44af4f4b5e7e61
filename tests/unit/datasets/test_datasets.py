"""From folders to a data set: classes, splits, errors, and what is told of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cvcore.datasets import contact_sheet, summarise
from cvcore.errors import DataError
from tests.pictures import make_classes, open_folder, png

SHARED = Path(os.environ.get("CVJOBS_SHARED", Path(__file__).parents[4] / "shared"))
COLUMNS = [
    "dataset_fingerprint", "path", "label", "split", "group_id", "sha256",
    "width", "height", "channels", "bytes", "status", "reason",
]  # fmt: skip


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
