"""Rows written in any order lie where they belong, and what cannot be written is an error."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvcore.datasets.pixel_file import keep_rows, new_pixel_file, write_rows


@settings(deadline=None)
@given(
    order=st.permutations(range(12)),
    dropped=st.sets(st.integers(0, 11)),
    row_bytes=st.sampled_from([3, 2**18]),  # a file that is written in one go, and in several
)
def test_what_is_kept_of_rows_in_any_order_lies_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], dropped: set[int], row_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("pixels") / "images.raw"
    written = [row for row in order if row not in dropped]
    kept = sorted(written)
    with new_pixel_file(path) as file:
        rows = ((row, np.full(row_bytes, row, np.uint8)) for row in written)
        write_rows(file, rows, row_bytes=row_bytes)
        keep_rows(file, kept, row_bytes=row_bytes)

    found = np.fromfile(path, np.uint8).reshape(-1, row_bytes)
    assert np.array_equal(
        found, np.repeat(np.array(kept, np.uint8), row_bytes).reshape(found.shape)
    )


@pytest.mark.parametrize(("num_rows", "row_bytes"), [(40, 2**20), (5000, 3)])
def test_more_than_the_system_takes_at_once_is_written_whole(
    tmp_path: Path, num_rows: int, row_bytes: int
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (num_rows, row_bytes), dtype=np.uint8)
    with new_pixel_file(tmp_path / "images.raw") as file:
        write_rows(file, enumerate(images), row_bytes=row_bytes)

    assert np.array_equal(np.fromfile(tmp_path / "images.raw", np.uint8), images.ravel())


def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "wb") as full, pytest.raises(OSError) as caught:
        write_rows(full.fileno(), [(0, np.zeros(8, np.uint8))], row_bytes=8)

    assert caught.value.errno == errno.ENOSPC
