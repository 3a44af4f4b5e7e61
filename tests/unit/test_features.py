"""The bank of features: every row computed once, however many fill it, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cvcore import features, layout
from cvcore.errors import StoreError
from cvcore.features import FeatureBank
from cvcore.store import LocalStore
from tests.banks import ABOUT, IDENTITY, ROWS, Computer, bank, right, shard_files

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "SHARD_ROWS", ROWS)


def test_a_bank_holds_the_rows_in_their_order(tmp_path: Path) -> None:
    one, compute = bank(tmp_path), Computer()
    assert one.fill(ABOUT, compute)
    assert np.array_equal(one.open(ABOUT), right(range(20)))
    assert one.open(ABOUT).dtype == np.float32
    assert sorted(compute.rows) == list(range(20))
    assert one.num_computed == 20


def test_a_bank_is_filled_in_pieces_and_goes_on_where_it_stood(tmp_path: Path) -> None:
    one, compute = bank(tmp_path, num_rows=3 * ROWS), Computer()
    past = time.perf_counter() - 1
    answers = [one.fill(ABOUT, compute, deadline=past) for _ in range(3)]
    assert answers == [False, False, True]  # a shard a call, however late it is
    assert len(compute.ranges) == 3
    assert sorted(compute.rows) == list(range(3 * ROWS))
    assert one.fill(ABOUT, Computer(), deadline=past)
    assert one.num_computed == 3 * ROWS


def test_what_one_process_filled_the_next_one_finds(tmp_path: Path) -> None:
    bank(tmp_path).fill(ABOUT, Computer())
    again, compute = bank(tmp_path), Computer()
    assert again.fill(ABOUT, compute)
    assert compute.ranges == []
    assert again.num_computed == 0
    assert np.array_equal(again.open(ABOUT), right(range(20)))


def test_another_machine_computes_nothing(tmp_path: Path) -> None:
    first = bank(tmp_path)
    first.fill(ABOUT, Computer())
    other, compute = bank(tmp_path, machine="two"), Computer()
    assert other.fill(ABOUT, compute)
    assert compute.ranges == []
    assert other.num_computed == 0
    assert other.open(ABOUT).tobytes() == first.open(ABOUT).tobytes()


def test_two_machines_share_the_work_that_is_left(tmp_path: Path) -> None:
    first, second = bank(tmp_path), bank(tmp_path, machine="two")
    begun, rest = Computer(), Computer()
    assert not first.fill(ABOUT, begun, deadline=time.perf_counter() - 1)
    assert second.fill(ABOUT, rest)
    assert len(begun.ranges) == 1
    assert sorted([*begun.rows, *rest.rows]) == list(range(20))
    assert first.fill(ABOUT, Computer())
    assert (first.num_computed, second.num_computed) == (len(begun.rows), len(rest.rows))


@settings(deadline=None, max_examples=15)  # each writes some files, and syncs them
@given(num_rows=st.integers(1, 40), rows_per_shard=st.integers(1, 20), missing=st.data())
def test_whatever_is_there_already_each_missing_row_is_computed_once(
    tmp_path_factory: pytest.TempPathFactory,
    num_rows: int,
    rows_per_shard: int,
    missing: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("banks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(features, "SHARD_ROWS", rows_per_shard)
        whole, compute = bank(folder, num_rows=num_rows), Computer()
        assert whole.fill(ABOUT, compute)
        assert sorted(compute.rows) == list(range(num_rows))
        assert all(len(rows) <= rows_per_shard for rows in compute.ranges)
        files = shard_files(folder, whole)
        assert len(files) == -(-num_rows // rows_per_shard)

        lost = missing.draw(st.sets(st.sampled_from(range(len(files)))))
        for shard in lost:
            files[shard].unlink()
        other, again = bank(folder, num_rows=num_rows, machine="two"), Computer()
        assert other.fill(ABOUT, again)
        gone = [row for row in range(num_rows) if row // rows_per_shard in lost]
        assert sorted(again.rows) == gone
        assert other.num_computed == len(gone)
        assert np.array_equal(other.open(ABOUT), right(range(num_rows)))
        assert shard_files(folder, whole) == files  # and left for the next one


# Whoever fills a bank in a process of its own: prints the shards it computed, one a line.
FILLER = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from cvcore import features
features.SHARD_ROWS = {rows}
from tests.banks import ABOUT, bank, right

def compute(rows):
    print(rows.start, flush=True)
    time.sleep({seconds})
    return right(rows)

one = bank(Path({folder!r}), num_rows={num_rows})
while not (Path({folder!r}) / "go").exists():
    time.sleep(0.005)
assert one.fill(ABOUT, compute)
print("computed", one.num_computed, hash(one.open(ABOUT).tobytes()))
"""


@contextmanager
def fillers(
    count: int, folder: Path, *, num_rows: int, seconds: float
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes that wait for a file `go`; what is left of them at the end is ended."""
    script = textwrap.dedent(FILLER).format(
        root=str(ROOT), rows=ROWS, seconds=seconds, folder=str(folder), num_rows=num_rows
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
        )
        for _ in range(count)
    ]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.mark.timeout(60)
def test_processes_that_fill_a_bank_at_once_compute_every_row_once(tmp_path: Path) -> None:
    num_rows = 12 * ROWS + 3
    with fillers(3, tmp_path, num_rows=num_rows, seconds=0.01) as workers:
        (tmp_path / "go").touch()
        said = [worker.communicate(timeout=50)[0].splitlines() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    shards = [int(line) for lines in said for line in lines[:-1]]
    assert sorted(shards) == list(range(0, num_rows, ROWS))
    counts, digests = zip(*(lines[-1].split()[1:] for lines in said), strict=True)
    assert sum(map(int, counts)) == num_rows
    assert len(set(digests)) == 1
    assert np.array_equal(bank(tmp_path, num_rows=num_rows).open(ABOUT), right(range(num_rows)))


@pytest.mark.timeout(60)
def test_a_process_killed_in_the_middle_of_a_shard_loses_that_one_only(tmp_path: Path) -> None:
    num_rows = 5 * ROWS
    (tmp_path / "go").touch()
    one = bank(tmp_path, num_rows=num_rows)
    with fillers(1, tmp_path, num_rows=num_rows, seconds=600) as (slow,):
        assert slow.stdout is not None
        held = int(slow.stdout.readline())  # it sits in the middle of this one
        with fillers(1, tmp_path, num_rows=num_rows, seconds=0) as (other,):
            while len(shard_files(tmp_path, one)) < 4:
                time.sleep(0.01)
            assert other.poll() is None  # it waits for the fifth
            os.kill(slow.pid, signal.SIGKILL)
            told = other.communicate(timeout=50)[0].splitlines()
        assert other.returncode == 0
    assert int(told[-2]) == held
    assert sorted(map(int, told[:-1])) == list(range(0, num_rows, ROWS))
    compute = Computer()
    assert one.fill(ABOUT, compute)
    assert compute.ranges == []
    assert np.array_equal(one.open(ABOUT), right(range(num_rows)))


def test_an_error_while_computing_lets_go_of_the_shard(tmp_path: Path) -> None:
    def fails(rows: range) -> None:
        raise MemoryError

    one = bank(tmp_path)
    with pytest.raises(MemoryError):
        one.fill(ABOUT, Computer(after=fails))
    assert one.num_computed == 0
    assert one.fill(ABOUT, Computer())
    assert np.array_equal(one.open(ABOUT), right(range(20)))


def test_a_shard_in_the_store_is_a_file_that_numpy_reads(tmp_path: Path) -> None:
    one = bank(tmp_path)
    one.fill(ABOUT, Computer())
    shards = [np.load(path) for path in shard_files(tmp_path, one)]
    assert np.array_equal(np.concatenate(shards), right(range(20)))


class Away(LocalStore):
    """A store that refuses everything."""

    def read(self, key: str) -> bytes:
        raise StoreError("the store is away")

    def write(self, key: str, data: bytes, **condition: Any) -> None:
        raise StoreError("the store is away")


def test_a_store_that_is_away_stops_nothing(tmp_path: Path) -> None:
    one = FeatureBank(IDENTITY, num_rows=20, folder=tmp_path, store=Away(tmp_path / "store"))
    assert one.about() is None
    one.describe(ABOUT)
    assert one.about() == ABOUT
    assert one.fill(ABOUT, Computer())
    assert np.array_equal(one.open(ABOUT), right(range(20)))
    assert not (tmp_path / "store").exists()


def test_what_rows_are_is_known_to_another_machine_before_it_has_any(tmp_path: Path) -> None:
    first, other = bank(tmp_path), bank(tmp_path, machine="two")
    assert first.about() is None
    first.describe(ABOUT)
    assert first.about() == other.about() == ABOUT
    stored = json.loads(LocalStore(tmp_path / "store").read(layout.features_about(first.key)))
    assert stored["identity"] == IDENTITY
    assert stored["num_rows"] == 20


values = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(0, 1)
identities = st.dictionaries(st.text(max_size=5), values | st.dictionaries(st.text(), values))


@example(one={"a": 1}, name="a", value=True, seed=Random(0))
@example(one={"a": 1}, name="a", value=1.0, seed=Random(0))
@example(one={"a": 0.5, "b": None}, name="a", value=0.5, seed=Random(0))
@given(one=identities, name=st.text(max_size=5), value=values, seed=st.randoms())
def test_the_order_of_an_identity_does_not_matter_and_every_value_does(
    tmp_path_factory: pytest.TempPathFactory,
    one: dict[str, Any],
    name: str,
    value: Any,
    seed: Any,
) -> None:
    folder = tmp_path_factory.mktemp("banks")

    def key(identity: dict[str, Any]) -> str:
        store = LocalStore(folder / "store")
        return FeatureBank(identity, num_rows=1, folder=folder, store=store).key

    items = list(one.items())
    seed.shuffle(items)
    assert key(dict(items)) == key(one)
    # To Python, but not to a model, True, 1 and 1.0 are the same.
    same = name in one and (type(one[name]), one[name]) == (type(value), value)
    assert (key({**one, name: value}) == key(one)) == same


def test_banks_of_different_identity_share_a_machine_and_a_store(tmp_path: Path) -> None:
    one, other = bank(tmp_path), bank(tmp_path, image_size=64)
    assert one.key != other.key
    one.fill(ABOUT, Computer())
    compute = Computer()
    assert other.fill(ABOUT, compute)
    assert sorted(compute.rows) == list(range(20))


def test_what_a_trial_writes_into_its_rows_stays_its_own(tmp_path: Path) -> None:
    one = bank(tmp_path)
    one.fill(ABOUT, Computer())
    mine, theirs = one.open(ABOUT), one.open(ABOUT)
    mine[:] = -1
    assert np.array_equal(theirs, right(range(20)))
    assert np.array_equal(bank(tmp_path).open(ABOUT), right(range(20)))
