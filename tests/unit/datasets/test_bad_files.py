"""A planted set of bad files: each quarantined with its own reason, none trained on."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvcore.datasets import open_dataset, open_source, read_images, summarise
from cvcore.datasets.dataset import Dataset
from cvcore.errors import DataError
from cvcore.settings import DataConfig
from tests.pictures import chunk, encoded, make_classes, picture, plant_bad_files, png

CONFIG = DataConfig(image_size=16)
ROOT = Path(__file__).parents[3]


def open_folder(folder: Path, cache: Path, config: DataConfig = CONFIG) -> Dataset:
    return open_dataset(open_source(str(folder)), config=config, cache_folder=cache)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], Dataset]:
    folder = make_classes(tmp_path_factory.mktemp("planted"))
    expected = plant_bad_files(folder)
    return folder, expected, open_folder(folder, tmp_path_factory.mktemp("cache"))


def test_every_planted_file_is_quarantined_with_its_own_reason(
    planted: tuple[Path, dict[str, str], Dataset],
) -> None:
    _, expected, dataset = planted
    found = {r.path: r.reason_code for r in dataset.records if r.status == "quarantined"}

    assert len(expected) >= 40
    assert found == expected


def test_no_planted_file_is_trained_on_and_the_good_ones_beside_them_are(
    planted: tuple[Path, dict[str, str], Dataset],
) -> None:
    _, expected, dataset = planted

    assert not set(dataset.paths) & set(expected)
    assert len(dataset.images) == len(dataset.paths) == 16
    expected_pixels = np.asarray(picture(0).resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(dataset.images[dataset.paths.index("crack/000.png")], expected_pixels)


def test_the_summary_counts_bad_files_by_reason(
    planted: tuple[Path, dict[str, str], Dataset],
) -> None:
    _, expected, dataset = planted
    document = json.loads(json.dumps(summarise(dataset)))

    assert document["quarantined"]["count"] == len(expected)
    assert document["quarantined"]["reasons"]["symlink_loop"] == 2
    assert document["images"] == 16


def test_prediction_passes_the_same_files_over(
    planted: tuple[Path, dict[str, str], Dataset],
) -> None:
    folder, expected, _ = planted
    batches = list(read_images(open_source(str(folder)), config=CONFIG, batch_size=5))
    # A picture outside of the class folders can be predicted on, though not trained on.
    bad = {path for path in expected if path != "stray.png"}

    assert {r.path for batch in batches for r in batch.quarantined} == bad
    assert sum(len(batch.images) for batch in batches) == 17
    assert all(len(batch.images) == len(batch.records) for batch in batches)


def test_fail_refuses_and_names_the_first_bad_files(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    (folder / "ok" / "a_text.jpg").write_text("hello")
    (folder / "ok" / "an_empty.jpg").touch()

    with pytest.raises(DataError) as caught:
        open_folder(folder, tmp_path / "cache", DataConfig(image_size=16, on_corrupt="fail"))

    assert "ok/a_text.jpg: not_an_image" in caught.value.message
    assert "ok/an_empty.jpg: empty" in caught.value.message


def test_pillow_warns_nobody(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = make_classes(tmp_path / "data")
    image = encoded(picture(1), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + bytes(40))
    (folder / "ok" / "corrupt_exif.jpg").write_bytes(image)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        open_folder(folder, tmp_path / "cache")

    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("Öl-Fleck 部品 🔩.png", png(50)),
        ("two\nlines.png", png(51)),
        ("UPPER.JPG", encoded(picture(52), "JPEG")),
        ("wrong_extension.jpg", png(53)),
        ("no_extension", png(54)),
        ("deep/er/still.png", png(55)),
        ("trailing_bytes.png", png(56) + b"appended by a camera"),
        ("animated.gif", encoded(picture(57), "GIF", save_all=True, append_images=[picture(58)])),
    ],
)
def test_odd_files_with_a_picture_in_them_are_used(tmp_path: Path, name: str, data: bytes) -> None:
    folder = make_classes(tmp_path / "data", classes=("ok", "Riß"))
    path = folder / "Riß" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    dataset = open_folder(folder, tmp_path / "cache")

    assert dataset.class_names == ("Riß", "ok")
    assert dataset.labels[dataset.paths.index(f"Riß/{name}")] == 0


def test_huge_exif_data_does_no_harm(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    plain = png(60)
    exif = b"MM\0*\0\0\0\x08" + struct.pack(">H", 0xFFFF) + bytes(2**22)
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(2**26)))
    (folder / "ok" / "exif.png").write_bytes(plain[:33] + chunk(b"eXIf", exif) + plain[33:])
    (folder / "ok" / "text.png").write_bytes(plain[:33] + text + plain[33:])
    dataset = open_folder(folder, tmp_path / "cache")
    records = {record.path: record for record in dataset.records}

    assert records["ok/exif.png"].status == "used"
    assert records["ok/text.png"].reason_code in ("", "damaged")


def test_files_of_file_managers_are_no_data(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "data")
    for name in ("Thumbs.db", ".DS_Store", "ok/._000.png", "ok/Thumbs.db", "README.md"):
        (folder / name).write_bytes(b"x")
    make_classes(folder / "__MACOSX")
    make_classes(folder / ".ipynb_checkpoints")
    dataset = open_folder(folder, tmp_path / "cache")

    assert len(dataset.records) == 16


def test_symbolic_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    make_classes(tmp_path / "elsewhere")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "ok").symlink_to(tmp_path / "elsewhere" / "ok")
    (folder / "crack").mkdir()
    for path in sorted((tmp_path / "elsewhere" / "crack").iterdir()):
        (folder / "crack" / path.name).symlink_to(path)
    dataset = open_folder(folder, tmp_path / "cache")

    assert len(dataset.images) == 16


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that another user can reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


WITHOUT_RIGHTS = """
import json, os, sys
from pathlib import Path
from cvcore.datasets import open_dataset, open_source
from cvcore.settings import DataConfig
folder = Path(sys.argv[1])
config = DataConfig(image_size=16)
open_dataset(open_source(str(folder)), config=config, cache_folder=folder.parent / "warm")
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
for name in ("ok/secret.png", "ok/vault", "crack/locked.png"):
    (folder / name).exists()
cache = Path(sys.argv[2])
dataset = open_dataset(open_source(str(folder)), config=config, cache_folder=cache)
print(json.dumps([[r.path, r.reason] for r in dataset.records if r.reason]))
"""


@pytest.mark.timeout(30)
def test_files_without_permission_are_quarantined(shared_folder: Path) -> None:
    folder = make_classes(shared_folder / "data")
    cache = shared_folder / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    (folder / "ok" / "secret.png").write_bytes(png(70))
    (folder / "ok" / "secret.png").chmod(0)
    make_classes(folder / "ok" / "vault", num_images=1)
    (folder / "ok" / "vault").chmod(0)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIGHTS, folder, cache],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        ["ok/secret.png", "unreadable: permission denied"],
        ["ok/vault/", "unreadable: the folder cannot be listed: permission denied"],
    ]
