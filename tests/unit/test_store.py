"""What is particular to a store in a local directory: its failures, and what it leaves behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cvcore.errors import PreconditionFailed, StoreError
from cvcore.store import LocalStore


def test_a_root_that_is_a_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    root = tmp_path / "file"
    root.write_bytes(b"")
    store = LocalStore(root)

    for operation in (
        lambda: store.read("key"),
        lambda: store.version("key"),
        lambda: store.write("a/key", b"1"),
        lambda: store.write("key", b"1", if_absent=True),
        lambda: store.write("key", b"1", if_version="1"),
        lambda: store.upload("key", Path(__file__)),
        lambda: store.download("key", tmp_path / "copy"),
        lambda: list(store.list("")),
    ):
        with pytest.raises(StoreError, match="is a directory, this is a file") as raised:
            operation()
        assert type(raised.value) is StoreError
        assert raised.value.hint == f"cvjobs doctor --store {root}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(StoreError, match="Permission denied"):
        LocalStore(tmp_path).write("key", b"1")
    with pytest.raises(StoreError, match="Permission denied"):
        LocalStore(tmp_path / "store").write("key", b"1")


def test_a_failed_upload_leaves_the_old_object_and_nothing_else(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("key", b"old")

    with pytest.raises(StoreError, match="cannot write"):
        store.upload("key", tmp_path / "absent")
    assert store.read("key") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_nothing_but_the_objects_stays_behind(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("a/key", b"1")
    store.write("a/key", b"2")
    store.write("a/new", b"3", if_absent=True)
    with pytest.raises(PreconditionFailed):
        store.write("a/new", b"4", if_absent=True)
    store.download("a/new", tmp_path / "copy")

    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert files == set()
    assert {one.key for one in store.list("")} == {"a/key", "a/new", "copy"}


def test_a_write_cut_short_is_never_listed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.write("a/key", b"1")
    (tmp_path / "a" / ".writing-0123").write_bytes(b"half")

    assert [one.key for one in store.list("a/")] == ["a/key"]


def test_a_store_under_the_home_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    LocalStore("~/store").write("key", b"1")

    assert (tmp_path / "store" / "key").read_bytes() == b"1"
