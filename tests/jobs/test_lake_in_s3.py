"""The lake in a bucket: the same laws, and strangers with their own S3 clients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from cvcore.lake import SweepLog
from cvcore.parts import TABLES
from cvcore.store import Store
from cvcore.tables import KEYS, PARTITION, SCHEMAS
from jobs.wiring import open_store
from tests import sweeps
from tests.lakes import (
    Crash,
    Failing,
    a_whole_sweep,
    contents,
    drive,
    keys,
    leave_a_whole_sweep,
    none_twice,
    parts,
)
from tests.services import S3Server

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]


@pytest.fixture
def store(s3_uri: str) -> Store:
    return open_store(s3_uri)


def arrow_dataset(store: Store, table: str) -> ds.Dataset:
    filesystem, root = store.arrow_filesystem()
    return ds.dataset(
        f"{root}/lake/{table}",
        filesystem=filesystem,
        partitioning=ds.partitioning(PARTITION, flavor="hive"),
    )


def by_duckdb(store: Store, table: str) -> list[dict[str, Any]]:
    rows = arrow_dataset(store, table)
    assert rows is not None  # DuckDB's own S3 extension cannot be fetched without a network
    return duckdb.sql("SELECT * FROM rows").to_arrow_table().to_pylist()


def by_pandas(store: Store, table: str) -> list[dict[str, Any]]:
    filesystem, root = store.arrow_filesystem()
    return pd.read_parquet(f"{root}/lake/{table}", filesystem=filesystem).to_dict("records")


def by_polars(store: Store, table: str) -> list[dict[str, Any]]:
    return pl.read_parquet(
        f"{store.uri}/lake/{table}/*/*.parquet",
        hive_partitioning=True,
        storage_options=storage_options,
    ).to_dicts()


storage_options: dict[str, str] = {}
READERS: dict[str, Callable[[Store, str], list[dict[str, Any]]]] = {
    "duckdb": by_duckdb,
    "pandas": by_pandas,
    "polars": by_polars,
    "pyarrow": lambda store, table: arrow_dataset(store, table).to_table().to_pylist(),
}


def test_strangers_read_every_table_of_a_running_sweep(store: Store, s3_server: S3Server) -> None:
    environment = s3_server.environment("analyst")
    storage_options.update(
        aws_endpoint_url=s3_server.endpoint,
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_region="us-east-1",
        aws_allow_http="true",
    )
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, list(a_whole_sweep(store))[:-2])  # not yet finished, so several parts a table
        for table in TABLES:
            expected = keys(store, table)
            for name, read in READERS.items():
                rows = read(store, table)
                assert set(rows[0]) == {*SCHEMAS[table].names, "dt"}, (name, table)
                found = sorted(tuple(row[key] for key in KEYS[table]) for row in rows)
                assert found == expected, (name, table)


def test_a_whole_sweep_ends_as_one_part_a_table(store: Store) -> None:
    leave_a_whole_sweep(store)

    assert [len(parts(store, table)) for table in TABLES] == [1] * len(TABLES)


@pytest.mark.slow
def test_a_death_at_some_changes_loses_and_doubles_nothing(s3_uri: str) -> None:
    whole = open_store(f"{s3_uri}/whole")
    leave_a_whole_sweep(whole)
    for fuse in range(5, 60, 9):
        store = open_store(f"{s3_uri}/{fuse}")
        events = list(a_whole_sweep(store))
        log = SweepLog.create(Failing(store, fuse), sweeps.SWEEP_ID)
        with suppress(Crash):
            drive(log, events)
        log.close()
        none_twice(store)

        with SweepLog.open(store, sweeps.SWEEP_ID) as log:
            for event in [one for one in events if isinstance(one, dict)][len(log.events) :]:
                log.append(event)
            log.flush()

        assert contents(store) == contents(whole), fuse
