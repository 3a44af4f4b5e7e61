"""What the tests of several commands are given."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvcore.settings import DataConfig
from cvcore.store import LocalStore
from tests.lakes import leave_a_whole_sweep
from tests.pictures import make_classes
from tests.runs import INLINE, Answer, here, tiny


@pytest.fixture
def sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a tiny sweep with some changes into `tmp_path/store`."""

    def run(*typed: str, spec: str | None = None) -> Answer:
        store = str(tmp_path / "store")
        return here(
            capsys, "sweep", spec or tiny(tmp_path), "--store", store, *INLINE, "--json", *typed
        )

    return run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URI of a store with one finished sweep of three trials."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    leave_a_whole_sweep(store)
    return store.uri


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good data, bad data and files that are not what they seem."""
    place = tmp_path_factory.mktemp("place")
    make_classes(place / "good")
    make_classes(place / "three", classes=("a", "b", "c"))
    make_classes(place / "one", classes=("ok",))
    make_classes(place / "unusable", classes=("ok",))
    (place / "unusable" / "crack").mkdir()
    (place / "unusable" / "crack" / "a.png").write_text("no image")
    make_classes(place / "split" / "train")
    make_classes(place / "split" / "test", classes=("ok", "dent"), start=100)
    (place / "empty").mkdir()
    for name in ("notes.txt", "fake.zip", "fake.tar.gz"):
        (place / name).write_text("only text\n")
    (place / "bytes.toml").write_bytes(b"\xff\xfe")
    (place / "train.toml").write_text("[training]\nepochs = 1\n")
    card = {
        "class_names": ["crack", "ok"],
        "data": {"uri": str(place / "good"), "image_size": 16},
        "dataset_fingerprint": "",
        "threads": 1,
    }
    DataConfig(**card["data"])
    for name, member in (("other.zip", "x.json"), ("model.keras", "cvjobs.json")):
        with zipfile.ZipFile(place / name, "w") as archive:
            archive.writestr(member, json.dumps(card))
    return place


def contents(place: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(place.rglob("*"))}


@pytest.fixture
def untouched(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in that folder, and leave nothing in it: no store, no output."""
    monkeypatch.chdir(place)
    before = contents(place)
    yield
    assert contents(place) == before
