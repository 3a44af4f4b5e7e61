"""Both ways to read the parts of a table: same rows, no file more than needed, nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from cvcore import layout, scans
from cvcore.store import LocalStore
from cvcore.tables import KEYS, to_parquet
from tests import sweeps
from tests.lakes import leave_a_whole_sweep

OTHER_ID = "20250103-000000-fedcba"

# A name with a pattern in it is left to Arrow; that is how a local store is read as one in S3.
FOLDERS = {"duckdb": "store", "arrow": "st[o]re"}


@pytest.fixture(params=FOLDERS.values(), ids=FOLDERS.keys())
def store(tmp_path: Path, request: pytest.FixtureRequest) -> LocalStore:
    return LocalStore(tmp_path / request.param)


def ask(store: LocalStore, sql: str) -> pa.Table:
    parts = {table: scans.list_parts(store, table) for table in KEYS}
    return scans.Tables(store).answer(sql, parts=parts)


def lay(store: LocalStore, table: str, sweep_id: str, *rows: dict[str, Any]) -> Path:
    """Write one part with a row of each trial; return where it lies."""
    whole = [
        {"sweep_id": sweep_id, "trial_id": layout.trial_id(sweep_id, index), **row}
        for index, row in enumerate(rows)
    ]
    key = layout.sweep_part(table, sweep_id, 1)
    store.write(key, to_parquet(table, whole))
    return store.root / key


def test_both_ways_give_the_same_columns_and_rows(tmp_path: Path) -> None:
    ours, arrows = (LocalStore(tmp_path / folder) for folder in FOLDERS.values())
    leave_a_whole_sweep(ours)
    shutil.copytree(ours.root, arrows.root)

    for table, key in KEYS.items():
        question = f"SELECT * FROM {table} ORDER BY {', '.join(key)}"
        one, other = ask(ours, question), ask(arrows, question)
        assert one.equals(other), table
        assert one.num_rows or table == "images"


def test_what_is_not_a_number_is_above_every_number(store: LocalStore) -> None:
    lay(store, "trials", sweeps.SWEEP_ID, {"val_loss": 0.5}, {"val_loss": float("nan")})

    found = ask(store, "SELECT trial_id FROM trials WHERE val_loss > 1")

    assert found["trial_id"].to_pylist() == [layout.trial_id(sweeps.SWEEP_ID, 1)]


@pytest.mark.parametrize(
    "condition", [f"sweep_id = '{OTHER_ID}'", f"dt = '{layout.sweep_date(OTHER_ID)}'"]
)
def test_a_question_about_one_sweep_or_day_opens_no_other_part(
    store: LocalStore, condition: str
) -> None:
    unreadable = lay(store, "trials", sweeps.SWEEP_ID, {"val_loss": 0.5})
    lay(store, "trials", OTHER_ID, {"val_loss": 0.25})
    unreadable.write_bytes(b"not parquet")

    assert ask(store, f"SELECT val_loss FROM trials WHERE {condition}").to_pylist() == [
        {"val_loss": 0.25}
    ]
    with pytest.raises((duckdb.Error, OSError), match=unreadable.name):
        ask(store, "SELECT val_loss FROM trials")


def test_a_store_named_like_a_pattern_is_not_its_neighbour(tmp_path: Path) -> None:
    pattern, neighbour = LocalStore(tmp_path / "a[b]*"), LocalStore(tmp_path / "ab")
    lay(pattern, "trials", sweeps.SWEEP_ID, {"val_loss": 0.5})
    lay(neighbour, "trials", sweeps.SWEEP_ID, {"val_loss": 0.25})

    assert ask(pattern, "SELECT val_loss FROM trials").to_pylist() == [{"val_loss": 0.5}]


@pytest.mark.parametrize("folder", ["it's", "b\\s", "{a,b}", "~", "ä ö"])
def test_a_store_may_have_an_odd_name(tmp_path: Path, folder: str) -> None:
    store = LocalStore(tmp_path / folder)
    lay(store, "trials", sweeps.SWEEP_ID, {"val_loss": 0.5})

    assert ask(store, "SELECT val_loss FROM trials").to_pylist() == [{"val_loss": 0.5}]


def test_a_store_behind_a_link_is_read(tmp_path: Path) -> None:
    lay(LocalStore(tmp_path / "real"), "trials", sweeps.SWEEP_ID, {"val_loss": 0.5})
    (tmp_path / "link").symlink_to(tmp_path / "real")

    assert ask(LocalStore(tmp_path / "link"), "SELECT 1 FROM trials").num_rows == 1


@pytest.mark.parametrize("outside", ["secret.csv", "lake/../secret.csv", "lakes/secret.csv"])
def test_nothing_outside_the_lake_is_read(store: LocalStore, outside: str) -> None:
    lay(store, "trials", sweeps.SWEEP_ID, {"val_loss": 0.5})
    secret = store.root / outside
    secret.parent.mkdir(exist_ok=True)
    secret.write_text("a\n1\n")

    for function in ("read_text", "read_csv", "glob"):
        with pytest.raises(duckdb.PermissionException):
            ask(store, f"SELECT * FROM {function}('{secret}')")


def test_a_path_says_what_the_key_does() -> None:
    key = layout.sweep_part("trials", sweeps.SWEEP_ID, 12)
    path = f"/some-where/dt=1999-01-01/{key}"

    [(day, sweep_id)] = duckdb.execute(
        "SELECT regexp_extract($1, $2, 1), regexp_extract($1, $3, 1)",
        [path, layout.PART_DATE, layout.PART_SWEEP],
    ).fetchall()

    assert day == layout.part_date(key).isoformat()
    assert sweep_id == layout.part_sweep(key) == sweeps.SWEEP_ID
