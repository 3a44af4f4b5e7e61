"""How DuckDB reads the parts of the tables: by itself from a local disk, through Arrow from S3.

In 1,000 parts of 1,000 trials its own reader finds the top ten in half of Arrow's CPU, and with all
their columns in a tenth: it fetches those for the ten only. Its S3 extension would have to be
fetched from the network, so there Arrow brings the bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cvcore import layout
from cvcore.store import Store
from cvcore.tables import COUNT, FLAG, KEYS, NUMBER, PARTITION, SCHEMAS, TEXT, TIME

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from duckdb import DuckDBPyConnection

SETTINGS = {
    "python_enable_replacements": "false",
    "enable_external_access": "false",  # but for `allowed_directories`
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "TimeZone": "'UTC'",
    "parquet_metadata_cache": "true",  # a part never changes
    "lock_configuration": "true",  # last: nothing changes after it
}

SQL_TYPES = {
    TEXT: "VARCHAR",
    COUNT: "BIGINT",
    NUMBER: "DOUBLE",
    FLAG: "BOOLEAN",
    TIME: "TIMESTAMPTZ",
    pa.list_(pa.float32()): "FLOAT[]",
}


def list_parts(store: Store, table: str) -> list[str]:
    """List the keys of a table's parts."""
    listed = store.list(layout.lake_folder(table))
    return [part.key for part in listed if part.key.endswith(".parquet")]


class Tables:
    """DuckDB on the parts of a store's tables, and on nothing outside the lake.

    It stays open between questions, with what it read of the parts' metadata: over 1,000 parts the
    top ten then takes half of what it takes the first time. Not for several threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._filesystem, self._root = store.arrow_filesystem()
        # DuckDB would take `[1]` in the name of a folder for a pattern, and read its neighbour.
        self._by_itself = self._filesystem.type_name == "local" and not set("*?[") & set(self._root)
        self._connection: DuckDBPyConnection | None = None
        self._parts: dict[str, list[str]] = {}

    def answer(self, sql: str, *values: str, parts: Mapping[str, list[str]]) -> pa.Table:
        """Run a query over tables that consist of these parts."""
        connection = self._connection or self._connect()
        for table, keys in parts.items():
            if self._parts.get(table) != keys:
                self._define(connection, table, keys)
                self._parts[table] = keys
        return connection.sql(sql, params=list(values)).to_arrow_table()

    def close(self) -> None:
        """Let go of everything; the next question opens it anew."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._parts = {}

    def _connect(self) -> DuckDBPyConnection:
        import duckdb

        self._connection = connection = duckdb.connect(":memory:")
        if self._by_itself:
            lake = _list([f"{self._root}/{layout.LAKE}"])
            connection.execute(f"SET allowed_directories = {lake}")
        for name, value in SETTINGS.items():
            connection.execute(f"SET {name} = {value}")
        return connection

    def _define(self, connection: DuckDBPyConnection, table: str, keys: list[str]) -> None:
        """Say what a table consists of; the last word counts."""
        paths = [f"{self._root}/{key}" for key in keys]
        connection.unregister(table)
        connection.execute(f"DROP VIEW IF EXISTS {table}")
        if not paths:
            connection.register(table, _schema(table).empty_table())
        elif self._by_itself:
            connection.execute(_view(table, paths))
        else:
            connection.register(table, _dataset(self._filesystem, table, keys, paths))


def _schema(table: str) -> pa.Schema:
    """Return the columns of a table, the partition included."""
    return pa.unify_schemas([SCHEMAS[table], PARTITION])


def _view(table: str, paths: list[str]) -> str:
    """Define a table as a scan of its parts; a column that older ones lack is null there.

    What a path says is not read from the file, so that a question for a day or a sweep opens no
    file of another.
    """
    columns = {name: f'"{name}"' for name in SCHEMAS[table].names}
    columns["dt"] = f"CAST(regexp_extract(filename, '{layout.PART_DATE}', 1) AS DATE)"
    if _belongs_to_sweep(table):
        columns["sweep_id"] = f"regexp_extract(filename, '{layout.PART_SWEEP}', 1)"
    selected = ", ".join(f'{source} AS "{name}"' for name, source in columns.items())
    fields = ", ".join(
        f"'{field.name}': "
        f"{{name: '{field.name}', type: '{SQL_TYPES[field.type]}', default_value: NULL}}"
        for field in SCHEMAS[table]
    )
    # Parquet's statistics leave NaN out: without `can_have_nan` a filter passes it over.
    return (
        f"CREATE VIEW {table} AS SELECT {selected} FROM read_parquet({_list(paths)}, "
        f"schema = MAP {{{fields}}}, can_have_nan = true)"
    )


def _list(paths: Iterable[str]) -> str:
    quoted = ("'" + path.replace("'", "''") + "'" for path in paths)
    return f"[{', '.join(quoted)}]"


def _dataset(filesystem: Any, table: str, keys: list[str], paths: list[str]) -> ds.Dataset:
    """Lay the schema over the parts of a table, for Arrow to read."""
    import pyarrow.dataset as ds

    return ds.FileSystemDataset.from_paths(
        paths,
        schema=_schema(table),
        format=ds.ParquetFileFormat(),
        filesystem=filesystem,
        partitions=[_contents(table, key) for key in keys],
    )


def _contents(table: str, key: str) -> ds.Expression:
    """Say what all rows of a part have in common: a query for other rows does not open it."""
    import pyarrow.dataset as ds

    day = ds.field("dt") == layout.part_date(key)
    if not _belongs_to_sweep(table):
        return day
    sweep_id = layout.part_sweep(key)
    whole = day & (ds.field("sweep_id") == sweep_id)
    if "trial_id" not in KEYS[table]:
        return whole
    after_all = f"{sweep_id}{chr(ord('-') + 1)}"
    return whole & (ds.field("trial_id") > f"{sweep_id}-") & (ds.field("trial_id") < after_all)


def _belongs_to_sweep(table: str) -> bool:
    """Tell whether the parts of a table are named after a sweep, all but those of `images`."""
    return table != "images"
