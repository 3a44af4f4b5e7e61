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
from cvcore.tables import KEYS, SCHEMAS, conform

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
        groups = [group for key in parts for group in self._candidates(table, key, trial_id)]
        rows = [piece for group in groups for piece in group.rows(trial_id)]
        found = pa.concat_tables([SCHEMAS[table].empty_table(), *rows])
        by = [(name, "ascending") for name in KEYS[table] if name != "trial_id"]
        return found.sort_by(by) if by else found

    def _candidates(self, table: str, key: str, trial_id: str) -> list[_Group]:
        """Return the row groups of a part that may hold a trial; opens it once, if at all."""
        part = self._parts.get(key)
        numbers = part.candidates(trial_id) if part else []
        if part is None or any((key, number) not in self._groups for number in numbers):
            with pq.ParquetFile(f"{self._root}/{key}", filesystem=self._filesystem) as file:
                part = self._parts[key] = _Part.of(file.metadata)
                numbers = part.candidates(trial_id)
                for number in numbers:
                    if (key, number) not in self._groups:
                        read = file.read_row_group(number)
                        self._groups[key, number] = _Group.of(read, SCHEMAS[table])
        found = [self._groups[key, number] for number in numbers]
        for number in numbers:
            self._groups.move_to_end((key, number))
        while len(self._groups) > 1 and self.num_kept_bytes > MAX_KEPT_BYTES:
            self._groups.popitem(last=False)
        return found

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
        return cls(table=conform(table, schema), runs=runs)

    def rows(self, trial_id: str) -> list[pa.Table]:
        return [self.table.slice(*run) for run in self.runs.get(trial_id, [])]
