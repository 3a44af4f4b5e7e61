"""Archives, stores and folders: the same images whatever holds them; nothing leads outside."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cvcore.datasets import open_dataset, open_source
from cvcore.datasets.dataset import Dataset
from cvcore.datasets.sources import MAX_FILE_BYTES, DirectorySource, Source, StoreSource
from cvcore.errors import CvjobsError, DataError, UsageError
from cvcore.settings import DataConfig
from cvcore.store import LocalStore
from tests.pictures import encoded, make_classes, png

CONFIG = DataConfig(image_size=16)


def dataset_of(source: Source, cache: Path) -> Dataset:
    return open_dataset(source, config=CONFIG, cache_folder=cache)


def reasons(dataset: Dataset) -> dict[str, str]:
    return {r.path: r.reason_code for r in dataset.records if r.status == "quarantined"}


@pytest.mark.parametrize("kind", ["zip", "tar", "gztar"])
@pytest.mark.parametrize("wrapper", [".", "castings", "a/b"])
def test_an_archive_holds_the_same_data_set_as_its_folder(
    tmp_path: Path, kind: str, wrapper: str
) -> None:
    folder = make_classes(tmp_path / "data" / wrapper)
    archive = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "data")
    from_folder = dataset_of(open_source(str(folder)), tmp_path / "cache1")
    from_archive = dataset_of(open_source(archive), tmp_path / "cache2")

    assert from_archive.num_decoded == 16
    assert from_archive.fingerprint == from_folder.fingerprint
    assert from_archive.records == from_folder.records
    assert np.array_equal(from_archive.images, from_folder.images)


def test_a_store_holds_the_same_data_set_as_its_folder(tmp_path: Path) -> None:
    folder = make_classes(tmp_path / "bucket" / "prefix")
    (folder / ".hidden").write_bytes(b"x")
    store = LocalStore(tmp_path / "bucket")
    from_folder = dataset_of(open_source(str(folder)), tmp_path / "cache1")
    from_store = dataset_of(StoreSource(store, prefix="prefix/"), tmp_path / "cache2")
    again = dataset_of(StoreSource(store, prefix="prefix/"), tmp_path / "cache2")

    assert from_store.records == from_folder.records
    assert from_store.fingerprint == from_folder.fingerprint
    assert (from_store.num_decoded, again.num_decoded) == (16, 0)


def test_every_row_holds_the_pixels_of_its_own_path(tmp_path: Path) -> None:
    """Files come in the order of the listing, many at once; rows lie in that of the paths."""
    colours = {}
    for index in range(150):
        label = ("ok", "ok/nested", "ok.old", "crack")[index % 4]
        path = tmp_path / "data" / label / f"{index % 7}-{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        colours[str(path.relative_to(tmp_path / "data"))] = index
        path.write_bytes(encoded(Image.new("L", (16, 16), index)))
    with tarfile.open(tmp_path / "packed.tar", "w") as archive:
        for name in sorted(colours, key=colours.__getitem__):
            archive.add(tmp_path / "data" / name, name)
    for source in (tmp_path / "data", tmp_path / "packed.tar"):
        dataset = dataset_of(open_source(str(source)), tmp_path / f"cache of {source.name}")

        assert dataset.paths == tuple(sorted(colours))
        assert [image[0, 0, 0] for image in dataset.images] == [colours[p] for p in dataset.paths]


def test_a_file_that_tells_no_size_is_read_whole() -> None:
    kernel = Path("/proc/version")

    assert kernel.stat().st_size == 0
    assert DirectorySource(kernel.parent).read(kernel.name) == kernel.read_bytes()


def test_an_s3_address_is_opened_by_the_function_given(tmp_path: Path) -> None:
    make_classes(tmp_path / "bucket")
    asked = []

    def store_for(uri: str) -> LocalStore:
        asked.append(uri)
        return LocalStore(tmp_path / "bucket")

    source = open_source("s3://bucket/castings", store_for=store_for)

    assert asked == ["s3://bucket/castings"]
    assert len(list(source.entries())) == 16


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(8):
            for label in ("crack", "ok"):
                archive.writestr(f"{label}/{index}.png", png(index + 100 * (label == "ok")))
        for name in ("../escape.png", "ok/../../up.png", "/etc/absolute.png", "..\\windows.png"):
            archive.writestr(name, png(500))
        link = zipfile.ZipInfo("ok/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("__MACOSX/ok/._0.png", b"x")
        archive.writestr("ok/empty.png", b"")


def write_tar(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:

        def put(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(data), kind, "/etc/passwd"
            archive.addfile(info, io.BytesIO(data))

        for index in range(8):
            for label in ("crack", "ok"):
                put(f"./{label}/{index}.png", png(index + 100 * (label == "ok")))
        for name in ("../escape.png", "ok/../../up.png", "/etc/absolute.png"):
            put(name, png(500))
        put("ok/link.png", kind=tarfile.SYMTYPE)
        put("ok/hard.png", kind=tarfile.LNKTYPE)
        put("ok/device.png", kind=tarfile.CHRTYPE)
        put("ok/pipe.png", kind=tarfile.FIFOTYPE)
        put("ok/empty.png")


def test_no_member_of_a_zip_leads_out_of_it(tmp_path: Path) -> None:
    write_zip(tmp_path / "evil.zip")
    dataset = dataset_of(open_source(str(tmp_path / "evil.zip")), tmp_path / "cache")

    assert len(dataset.images) == 16
    assert reasons(dataset) == {
        "../escape.png": "unsafe_path",
        "ok/../../up.png": "unsafe_path",
        "/etc/absolute.png": "unsafe_path",
        "../windows.png": "unsafe_path",
        "ok/link.png": "not_a_file",
        "ok/empty.png": "empty",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"evil.zip", "cache"}


def test_no_member_of_a_tar_leads_out_of_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "evil.tar.gz")
    dataset = dataset_of(open_source(str(tmp_path / "evil.tar.gz")), tmp_path / "cache")

    assert len(dataset.images) == 16
    assert reasons(dataset) == {
        "../escape.png": "unsafe_path",
        "ok/../../up.png": "unsafe_path",
        "/etc/absolute.png": "unsafe_path",
        "ok/link.png": "not_a_file",
        "ok/hard.png": "not_a_file",
        "ok/device.png": "not_a_file",
        "ok/pipe.png": "not_a_file",
        "ok/empty.png": "empty",
    }


def test_a_member_that_would_unpack_to_too_much_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    write_zip(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("ok/bomb.png", "w", force_zip64=True) as member:
            block = bytes(2**24)
            for _ in range(MAX_FILE_BYTES // len(block) + 1):
                member.write(block)
    dataset = dataset_of(open_source(str(path)), tmp_path / "cache")

    assert reasons(dataset)["ok/bomb.png"] == "too_large"


def test_a_damaged_member_is_quarantined_and_a_damaged_archive_refused(tmp_path: Path) -> None:
    path = tmp_path / "damaged.zip"
    write_zip(path)
    data = bytearray(path.read_bytes())
    data[data.index(png(3)) + 60] ^= 0xFF
    path.write_bytes(data)
    dataset = dataset_of(open_source(str(path)), tmp_path / "cache")

    assert reasons(dataset)["crack/3.png"] == "unreadable"
    for name, make in (("cut.zip", write_zip), ("cut.tar.gz", write_tar)):
        whole = tmp_path / name
        make(whole)
        os.truncate(whole, whole.stat().st_size // 2)
        with pytest.raises(DataError, match="cannot be read"):
            dataset_of(open_source(str(whole)), tmp_path / "cache")


@pytest.mark.parametrize(
    ("uri", "kind", "named"),
    [
        ("no/such/folder", DataError, "no/such/folder"),
        ("gs://bucket/images", UsageError, "gs://bucket/images"),
        ("s3://bucket/data.zip", DataError, "s3://bucket/data.zip"),
        ("s3://bucket/data", UsageError, "s3://bucket/data"),
        (__file__, DataError, "neither a directory nor an archive"),
        ("builtin:cats", UsageError, "'cats'"),
        ("builtin:castings?image=3", UsageError, "'image'"),
        ("builtin:castings?images=many", UsageError, "'many'"),
        ("builtin:castings?size=-1", UsageError, "'-1'"),
        ("builtin:castings?size=", UsageError, "''"),
    ],
)
def test_a_wrong_address_is_named(uri: str, kind: type[CvjobsError], named: str) -> None:
    with pytest.raises(kind) as caught:
        open_source(uri)

    assert type(caught.value) is kind
    assert named in caught.value.message
