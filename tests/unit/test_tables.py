"""The tables as a stranger reads them: by glob, with four tools, none of which is cvjobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cvcore import layout, rows
from cvcore.hyperparameters import hyperparameters
from cvcore.lake import SweepLog, publish_images
from cvcore.store import LocalStore
from cvcore.tables import (
    KEYS,
    PARTITION,
    ROW_GROUP_ROWS,
    SCHEMAS,
    from_rows,
    join_parquet,
    read_parquet,
    to_parquet,
)
from tests import sweeps

ROOT = Path(__file__).parents[2]
READERS: dict[str, Callable[[Path, str], list[dict[str, Any]]]] = {
    "duckdb": lambda lake, table: (
        duckdb.sql(
            f"SELECT * FROM read_parquet('{lake}/{table}/*/*.parquet', hive_partitioning = true)"
        )
        .to_arrow_table()
        .to_pylist()
    ),
    "pyarrow": lambda lake, table: (
        ds.dataset(lake / table, partitioning=ds.partitioning(PARTITION, flavor="hive"))
        .to_table()
        .to_pylist()
    ),
    "pandas": lambda lake, table: pd.read_parquet(lake / table, dtype_backend="pyarrow").to_dict(
        "records"
    ),
    "polars": lambda lake, table: pl.read_parquet(
        f"{lake}/{table}/*/*.parquet", hive_partitioning=True
    ).to_dicts(),
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of a sweep of two trials, still running, so that tables have several parts."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    first, second = sweeps.config(0), sweeps.config(1)
    files = (sweeps.leave_predictions(store, first, "validation"),)
    publish_images(
        store,
        sweep_id=sweeps.SWEEP_ID,
        fingerprint=sweeps.FINGERPRINT,
        rows=sweeps.images(["a.jpg", "ü.jpg"]),
    )
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        for event in (
            sweeps.started(),
            sweeps.created(first),
            sweeps.epochs(first, [1, 2]),
            sweeps.finished(first, 0.75, predictions=files),
            None,
            sweeps.created(second),
            sweeps.epochs(second, [1]),
            sweeps.finished(second, None, status="failed"),
            None,
        ):
            log.flush() if event is None else log.append(event)
    return store.root / layout.LAKE


NUM_ROWS = {
    "sweeps": 1, "trials": 2, "epochs": 3, "predictions": 4, "class_metrics": 2, "confusion": 3,
    "images": 2,
}  # fmt: skip


@pytest.mark.timeout(30)
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("table", KEYS)
def test_a_stranger_reads_every_table_by_its_glob(lake: Path, table: str, reader: str) -> None:
    found = READERS[reader](lake, table)

    assert set(found[0]) == {*SCHEMAS[table].names, "dt"}
    assert len(found) == NUM_ROWS[table]
    assert len({tuple(row[name] for name in KEYS[table]) for row in found}) == len(found)
    assert {str(row["dt"]) for row in found} == {"2025-01-02"}
    assert {row["sweep_id"] for row in found} == {sweeps.SWEEP_ID}


@pytest.mark.timeout(30)
def test_the_types_reach_the_reader(lake: Path) -> None:
    described = dict(
        duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{lake}/trials/*/*.parquet')")
        .project("column_name, column_type")
        .fetchall()
    )

    assert described["started_at"] == "TIMESTAMP WITH TIME ZONE"
    assert described["dt"] == "DATE"
    assert described["hp_filters"] == described["epochs_run"] == "BIGINT"
    assert described["hp_learning_rate"] == described["val_loss"] == "DOUBLE"
    assert described["hp_head"] == "VARCHAR"
    assert described["program_reused"] == "BOOLEAN"


def test_values_come_back_as_they_were(lake: Path) -> None:
    [trial, failed] = sorted(READERS["pyarrow"](lake, "trials"), key=lambda row: row["trial_id"])

    assert trial["started_at"] == datetime.fromtimestamp(sweeps.STARTED_AT + 1, UTC)
    assert trial["val_f1_weighted"] == 0.75
    assert trial["hp_filters"] == 16
    assert trial["hp_base"] is None  # belongs to another family of models
    assert trial["dt"] == date(2025, 1, 2)
    assert (failed["status"], failed["error_type"]) == ("failed", "ValueError")
    assert failed["val_loss"] is failed["test_accuracy"] is failed["best_epoch"] is None


@pytest.mark.parametrize("table", KEYS)
def test_a_schema_keeps_the_rules(table: str) -> None:
    schema = SCHEMAS[table]

    assert schema.metadata[b"schema_version"] == b"1"
    assert set(KEYS[table]) <= set(schema.names)
    for field in schema:
        assert re.fullmatch("[a-z][a-z0-9_]*", field.name)
        assert not pa.types.is_unsigned_integer(field.type)
        assert not pa.types.is_dictionary(field.type)
        assert field.nullable != (field.name in {"sweep_id", *KEYS[table]})
        if pa.types.is_timestamp(field.type):
            assert field.type == pa.timestamp("us", tz="UTC")


def test_every_hyperparameter_has_its_column() -> None:
    columns = [name for name in SCHEMAS["trials"].names if name.startswith("hp_")]

    assert columns == [f"hp_{name}" for name in hyperparameters()]


def test_what_a_later_version_brought_stands_behind_all_that_was_there() -> None:
    first = [k for k, one in hyperparameters().items() if one.metadata["since"] == 1]
    names = SCHEMAS["trials"].names

    end = names.index(f"hp_{first[-1]}") + 1
    assert names[end - len(first) : end] == [f"hp_{name}" for name in first]
    assert names[end:][:3] == ["num_features_computed", "feature_views", "weights_sha256"]
    assert len(names[end:]) == 3 + len(hyperparameters()) - len(first)


def test_a_part_says_its_version_and_is_compressed_as_promised() -> None:
    table = from_rows("trials", [rows.trial_row(sweeps.config(0), sweeps.outcome(0.5))])
    file = pq.ParquetFile(pa.BufferReader(to_parquet("trials", table)))

    assert file.schema_arrow.metadata[b"schema_version"] == b"1"
    group = file.metadata.row_group(0)
    columns = {
        group.column(index).path_in_schema: group.column(index)
        for index in range(group.num_columns)
    }
    assert {column.compression for column in columns.values()} == {"ZSTD"}
    assert "RLE_DICTIONARY" in columns["status"].encodings
    assert "RLE_DICTIONARY" in columns["seed"].encodings
    assert "RLE_DICTIONARY" not in columns["val_loss"].encodings


@pytest.mark.timeout(30)
def test_row_groups_have_the_promised_size_however_small_the_pieces() -> None:
    config = sweeps.config(0)
    piece = from_rows(
        "epochs", [{"sweep_id": config.sweep_id, "trial_id": config.trial_id, "epoch": 1}] * 50_000
    )

    metadata = pq.ParquetFile(pa.BufferReader(join_parquet("epochs", iter([piece] * 5)))).metadata

    sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert sizes == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 250_000 - 2 * ROW_GROUP_ROWS]


def test_no_rows_are_a_file_with_a_schema() -> None:
    assert read_parquet(to_parquet("epochs", [])).schema.equals(SCHEMAS["epochs"])


def test_a_column_the_table_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sweeps has no column colour"):
        to_parquet("sweeps", [{"sweep_id": "1", "colour": "red"}])


def test_a_key_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="non-nullable"):
        to_parquet("epochs", [{"sweep_id": "1", "trial_id": "2"}])


def test_every_column_is_explained_and_nothing_else() -> None:
    text = (ROOT / "docs" / "results-format.md").read_text()
    sections = re.split(r"^### `(\w+)`$", text, flags=re.MULTILINE)[1:]
    explained = {
        name: re.findall(r"^\| `(\w+)` \|", body, flags=re.MULTILINE)
        for name, body in zip(sections[::2], sections[1::2], strict=True)
    }

    assert explained == {table: schema.names for table, schema in SCHEMAS.items()}
