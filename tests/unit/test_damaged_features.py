"""A bank of features of which something was lost, cut short or changed: it is made again."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvcore import features, layout
from cvcore.store import LocalStore
from tests.banks import ABOUT, ROWS, Computer, bank, right, shard_files


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD_ROWS", ROWS)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "half": lambda data: data[: len(data) // 2],
    "one bit of one number": lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:],
    "one byte short": lambda data: data[:-1],
    "header only": lambda data: data[: data.index(b"\n") + 1],
    "other bytes": lambda data: b"\xff" * len(data),
    "an enormous shape": lambda data: data.replace(b"(8, 2, 3), }   ", b"(8, 2, 3000), }"),
    "another number of rows": lambda data: sealed(right(range(5))),
    "another type": lambda data: sealed(right(range(ROWS)).astype(np.float64)),
}


def sealed(array: np.ndarray) -> bytes:
    """Write a shard that is whole, but not the one that belongs here."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_in_the_store_is_computed_again(tmp_path: Path, damage: str) -> None:
    first = bank(tmp_path)
    first.fill(ABOUT, Computer())
    path = shard_files(tmp_path, first)[1]
    good = path.read_bytes()
    path.write_bytes(DAMAGES[damage](good))
    assert path.read_bytes() != good
    other, compute = bank(tmp_path, machine="two"), Computer()
    assert other.fill(ABOUT, compute)
    assert compute.rows == list(range(ROWS, 2 * ROWS))
    assert np.array_equal(other.open(ABOUT), right(range(20)))
    assert path.read_bytes() == good  # mended for the next machine


@settings(deadline=None, max_examples=30)
@given(at=st.integers(0, 351), bit=st.integers(0, 7))
def test_no_bit_of_a_shard_can_flip_unseen(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("banks")
    first = bank(folder, num_rows=ROWS)
    first.fill(ABOUT, Computer())
    (path,) = shard_files(folder, first)
    data = bytearray(path.read_bytes())
    assert len(data) == 128 + 4 * 6 * ROWS + 32
    data[at] ^= 1 << bit
    path.write_bytes(data)
    other = bank(folder, num_rows=ROWS, machine="two")
    assert other.fill(ABOUT, Computer())
    assert other.num_computed == ROWS
    assert np.array_equal(other.open(ABOUT), right(range(ROWS)))


@pytest.mark.parametrize("size", [0, 1, 4 * 6 * 20 - 1])
def test_a_file_of_rows_that_was_cut_short_is_filled_again(tmp_path: Path, size: int) -> None:
    one = bank(tmp_path)
    one.fill(ABOUT, Computer())
    (file,) = (tmp_path / "one").rglob("rows.raw")
    os.truncate(file, size)
    again, compute = bank(tmp_path), Computer()
    assert again.fill(ABOUT, compute)
    assert compute.ranges == []  # the store has them
    assert np.array_equal(again.open(ABOUT), right(range(20)))


def test_a_file_of_rows_that_was_removed_is_filled_again(tmp_path: Path) -> None:
    one = bank(tmp_path)
    one.fill(ABOUT, Computer())
    (file,) = (tmp_path / "one").rglob("rows.raw")
    file.unlink()
    for shard in shard_files(tmp_path, one):
        shard.unlink()
    again, compute = bank(tmp_path), Computer()
    assert again.fill(ABOUT, compute)
    assert sorted(compute.rows) == list(range(20))
    assert np.array_equal(again.open(ABOUT), right(range(20)))


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", "{}", '{"feature_shape": 5, "num_base_params": 1}', "\0"]
)
@pytest.mark.parametrize("where", ["store", "one"])
def test_a_damaged_description_is_no_description(tmp_path: Path, where: str, text: str) -> None:
    one = bank(tmp_path)
    one.describe(ABOUT)
    for path in tmp_path.rglob("about.json"):
        path.unlink() if where == "store" else path.write_text(text)
    if where == "store":
        LocalStore(tmp_path / "store").write(layout.features_about(one.key), text.encode())
    assert one.about() is None
    one.describe(ABOUT)
    assert one.about() == bank(tmp_path, machine="two").about() == ABOUT
