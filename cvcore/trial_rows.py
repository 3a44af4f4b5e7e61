"""The rows of one trial, straight from the row groups that may hold them.

The name of a trial says which parts are its sweep's, and the footers of these say which row groups
to read. Among 30 million epochs DuckDB has a thousand footers to look at for the same rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cvcore import layout
from cvcore.store import Store
from cvcore.tables import KEYS, SCHEMAS

# Row groups that were read for one trial hold many others; so much of them is kept.
MAX_KEPT_BYTES = 64 * 2**20


class TrialRows:
    """Finds rows by trial, and keeps the row groups it read last; not for several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._filesystem, self._root = store.arrow_filesystem()
        self._parts: dict[str, _Part] = {}
        self._groups: OrderedDict[tuple[str, int], _Group] = OrderedDict()

    def parts(self, table: str, trial_id: str) -> list[str]:
        """List the keys of the parts that a trial's rows can be in; none where it is no name."""
        if not layout.is_identifier(trial_id):
            return []
        try:
            prefix = layout.sweep_parts(table, layout.trial_sweep(trial_id))
        except ValueError:  # no date in front
            return []
        return [one.key for one in self._store.list(prefix)]

    def find(self, table: str, trial_id: str, *, parts: Sequence[str]) -> pa.Table:
        """Return a trial's rows in these parts, in the order of the table's key.

        Raises `OSError` or `pyarrow.ArrowException` where a part cannot be read, or is gone.
        """
        rows = [SCHEMAS[table].empty_table()]
        for key in parts:
            for number in self._part(key).candidates(trial_id):
                rows += self._group(table, key, number).rows(trial_id)
        by = [(name, "ascending") for name in KEYS[table] if name != "trial_id"]
        found = pa.concat_tables(rows)
        return found.sort_by(by) if by else found

    def _part(self, key: str) -> _Part:
        if key not in self._parts:
            with self._open(key) as file:
                self._parts[key] = _Part.of(file.metadata)
        return self._parts[key]

    def _group(self, table: str, key: str, number: int) -> _Group:
        if (key, number) not in self._groups:
            with self._open(key) as file:
                self._groups[key, number] = _Group.of(file.read_row_group(number), SCHEMAS[table])
            while len(self._groups) > 1 and self.num_kept_bytes > MAX_KEPT_BYTES:
                self._groups.popitem(last=False)
        self._groups.move_to_end((key, number))
        return self._groups[key, number]

    def _open(self, key: str) -> pq.ParquetFile:
        return pq.ParquetFile(f"{self._root}/{key}", filesystem=self._filesystem)

    @property
    def num_kept_bytes(self) -> int:
        return sum(one.table.nbytes for one in self._groups.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The first and last trial of each row group; None where its footer does not say."""

    ranges: tuple[tuple[str, str] | None, ...]

    @classmethod
    def of(cls, metadata: pq.FileMetaData) -> _Part:
        column = metadata.schema.to_arrow_schema().names.index("trial_id")
        ranges = []
        for number in range(metadata.num_row_groups):
            known = metadata.row_group(number).column(column).statistics
            has = known is not None and known.has_min_max
            ranges.append((known.min, known.max) if has else None)
        return cls(ranges=tuple(ranges))

    def candidates(self, trial_id: str) -> list[int]:
        """List the row groups that may hold a trial."""
        ranges = enumerate(self.ranges)
        return [n for n, known in ranges if known is None or known[0] <= trial_id <= known[1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """One row group, and where in it the rows of each trial are: runs of first row and number."""

    table: pa.Table
    runs: dict[str, list[tuple[int, int]]]

    @classmethod
    def of(cls, table: pa.Table, schema: pa.Schema) -> _Group:
        runs: dict[str, list[tuple[int, int]]] = {}
        start = 0
        encoded = pc.run_end_encode(table["trial_id"].combine_chunks())
        for name, end in zip(encoded.values.to_pylist(), encoded.run_ends.to_pylist(), strict=True):
            runs.setdefault(name, []).append((start, end - start))
            start = end
        known = set(table.column_names)
        columns = [
            table[one.name] if one.name in known else pa.nulls(table.num_rows, one.type)
            for one in schema
        ]
        return cls(table=pa.table(columns, schema=schema), runs=runs)

    def rows(self, trial_id: str) -> list[pa.Table]:
        return [self.table.slice(*run) for run in self.runs.get(trial_id, [])]
