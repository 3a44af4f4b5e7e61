"""The tables that analysts read: their keys, one explicit Arrow schema each, Parquet bytes.

docs/results-format.md explains every column; a test holds the two together. A new column is
nullable and comes at the end of its table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cvcore.hyperparameters import hyperparameters
from cvcore.ledger import LEDGER

SCHEMA_VERSION = 1

# What DuckDB itself writes: small enough to skip by statistics, large enough to compress.
ROW_GROUP_ROWS = 122_880

# The hive partition that every path carries as `dt=YYYY-MM-DD`: the day the sweep started, UTC.
PARTITION = pa.schema([pa.field("dt", pa.date32())])

KEYS: dict[str, tuple[str, ...]] = {
    "sweeps": ("sweep_id",),
    "trials": ("trial_id",),
    "epochs": ("trial_id", "epoch"),
    "predictions": ("trial_id", "split", "path"),
    "class_metrics": ("trial_id", "split", "class"),
    "confusion": ("trial_id", "split", "label", "predicted"),
    "images": ("dataset_fingerprint", "path"),
}

TEXT = pa.string()
COUNT = pa.int64()
NUMBER = pa.float64()
FLAG = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")

_TYPES: dict[type, pa.DataType] = {str: TEXT, int: COUNT, float: NUMBER, bool: FLAG}


def _hyperparameters(*, since: int) -> dict[str, pa.DataType]:
    """Map the columns of the hyperparameters that one version of the table brought."""
    declared = {name: one.metadata for name, one in hyperparameters().items()}
    return {f"hp_{k}": _TYPES[v["kind"]] for k, v in declared.items() if v["since"] == since}


_COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "sweeps": {
        "sweep_id": TEXT,
        "name": TEXT,
        "recipe": TEXT,
        "status": TEXT,
        "objective": TEXT,
        "mode": TEXT,
        "algorithm": TEXT,
        "scheduler": TEXT,
        "started_at": TIME,
        "finished_at": TIME,
        "num_completed": COUNT,
        "num_stopped": COUNT,
        "num_failed": COUNT,
        "best_trial_id": TEXT,
        "best_value": NUMBER,
        "wall_seconds": NUMBER,
        "worker_seconds": NUMBER,
        "efficiency": NUMBER,
        "dataset_fingerprint": TEXT,
        "data_uri": TEXT,
        "spec_toml": TEXT,
        "versions": TEXT,
        "code_version": TEXT,
        "gpu_seconds": NUMBER,
        "cost": NUMBER,
    },
    "trials": {
        "sweep_id": TEXT,
        "trial_id": TEXT,
        "trial_index": COUNT,
        "status": TEXT,
        "seed": COUNT,
        "epochs_run": COUNT,
        "best_epoch": COUNT,
        "num_params": COUNT,
        "num_trainable_params": COUNT,
        "val_loss": NUMBER,
        "val_accuracy": NUMBER,
        "val_f1_weighted": NUMBER,
        "test_loss": NUMBER,
        "test_accuracy": NUMBER,
        "test_f1_weighted": NUMBER,
        "images_per_second": NUMBER,
        **{f"seconds_{bucket}": NUMBER for bucket in LEDGER},
        "gpu_seconds": NUMBER,
        "program_reused": FLAG,
        "features_reused": FLAG,
        "worker": TEXT,
        "device": TEXT,
        "strategy": TEXT,
        "attempt": COUNT,
        "error_type": TEXT,
        "error_message": TEXT,
        "model_uri": TEXT,
        "started_at": TIME,
        "finished_at": TIME,
        **_hyperparameters(since=1),
        "num_features_computed": COUNT,
        "feature_views": COUNT,
        "weights_sha256": TEXT,
        **_hyperparameters(since=2),
    },
    "epochs": {
        "sweep_id": TEXT,
        "trial_id": TEXT,
        "epoch": COUNT,
        "phase": TEXT,
        "loss": NUMBER,
        "accuracy": NUMBER,
        "val_loss": NUMBER,
        "val_accuracy": NUMBER,
        "val_f1_weighted": NUMBER,
        "learning_rate": NUMBER,
        "seconds": NUMBER,
        "attempt": COUNT,
        "recorded_at": TIME,
    },
    "predictions": {
        "sweep_id": TEXT,
        "trial_id": TEXT,
        "split": TEXT,
        "path": TEXT,
        "label": TEXT,
        "predicted": TEXT,
        "correct": FLAG,
        "probabilities": pa.list_(pa.float32()),
    },
    "class_metrics": {
        "sweep_id": TEXT,
        "trial_id": TEXT,
        "split": TEXT,
        "class": TEXT,
        "precision": NUMBER,
        "recall": NUMBER,
        "f1": NUMBER,
        "support": COUNT,
    },
    "confusion": {
        "sweep_id": TEXT,
        "trial_id": TEXT,
        "split": TEXT,
        "label": TEXT,
        "predicted": TEXT,
        "count": COUNT,
    },
    "images": {
        "sweep_id": TEXT,
        "dataset_fingerprint": TEXT,
        "path": TEXT,
        "label": TEXT,
        "split": TEXT,
        "group_id": TEXT,
        "sha256": TEXT,
        "width": COUNT,
        "height": COUNT,
        "channels": COUNT,
        "bytes": COUNT,
        "status": TEXT,
        "reason": TEXT,
    },
}


def _schema(table: str) -> pa.Schema:
    required = {"sweep_id", *KEYS[table]}
    fields = [
        pa.field(name, kind, nullable=name not in required)
        for name, kind in _COLUMNS[table].items()
    ]
    return pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION), "table": table})


SCHEMAS: dict[str, pa.Schema] = {table: _schema(table) for table in KEYS}


def from_rows(table: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Lay rows out as the table's schema says; a missing column is null.

    Raises `ValueError` for a column that the table does not have.
    """
    schema = SCHEMAS[table]
    listed = list(rows)
    unknown = {name for row in listed for name in row} - set(schema.names)
    if unknown:
        raise ValueError(f"the table {table} has no column {', '.join(sorted(unknown))}")
    return pa.Table.from_pylist(listed, schema=schema)


def to_parquet(table: str, source: Iterable[Mapping[str, Any]] | pa.Table) -> bytes:
    """Write rows, or an Arrow table with the right columns, as one Parquet file."""
    whole = source if isinstance(source, pa.Table) else from_rows(table, source)
    return join_parquet(table, [whole])


def join_parquet(table: str, pieces: Iterable[pa.Table]) -> bytes:
    """Write Arrow tables as one Parquet file, a row group at a time.

    At most one row group and one piece are held uncompressed.
    """
    schema = SCHEMAS[table]
    encoded = [field.name for field in schema if field.type in (TEXT, COUNT)]
    sink = BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd", use_dictionary=encoded) as writer:
        for group in _row_groups(pieces, schema):
            writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
    return sink.getvalue()


def _row_groups(pieces: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Cut a row of tables anew, into as many rows as a row group has."""
    waiting: list[pa.Table] = []
    num_waiting = 0
    for piece in pieces:
        waiting.append(conform(piece, schema))
        num_waiting += piece.num_rows
        while num_waiting >= ROW_GROUP_ROWS:
            whole = pa.concat_tables(waiting)
            yield whole.slice(0, ROW_GROUP_ROWS)
            waiting = [whole.slice(ROW_GROUP_ROWS)]
            num_waiting -= ROW_GROUP_ROWS
    if num_waiting:
        yield pa.concat_tables(waiting)


def join_sorted(table: str, pieces: Iterable[pa.Table], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Write Arrow tables and further rows as one Parquet file, in the order of the table's key.

    Raises `pyarrow.ArrowInvalid` where one has another schema, of an older version.
    """
    schema = SCHEMAS[table]
    known = list(pieces)
    if not all(one.schema.equals(schema, check_metadata=True) for one in known):
        raise pa.ArrowInvalid(f"not the present schema of {table}")
    whole = pa.concat_tables([*known, from_rows(table, rows)])
    return to_parquet(table, whole.sort_by([(name, "ascending") for name in KEYS[table]]))


def conform(found: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table with a schema's columns; one that it lacks, as older files do, is null."""
    if found.schema.equals(schema):
        return found
    known = set(found.column_names)
    columns = [
        found[one.name].cast(one.type) if one.name in known else pa.nulls(len(found), one.type)
        for one in schema
    ]
    return pa.table(columns, schema=schema)


def read_parquet(data: bytes) -> pa.Table:
    """Read a whole Parquet file."""
    # Not `read_table`, which takes 1.2 ms for a file of 84 rows; one thread, because it is small.
    return pq.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
