"""Which Parquet parts a sweep has in the lake: a function of its event log, batch by batch.

Part names derive from the sweep and the batch, rows from the events up to it. Whoever replays the
log therefore knows what should be there, and can finish what a killed driver left half done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cvcore import layout
from cvcore.errors import PreconditionFailed
from cvcore.events import TrialState
from cvcore.rows import Row, rows_of
from cvcore.store import Store

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("trials", "epochs", "predictions", "class_metrics", "confusion", "sweeps")

# A table is rewritten as one part when it has more: 2,000 parts query 250 times slower than one.
MAX_PARTS = 64

# Prediction files are read this many at a time, 20 ms each from S3, and so many are held at once.
NUM_READERS = 16
NUM_AHEAD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rows of a sweep derive from: its own row, None before it started, and its trials."""

    sweep: Row | None = None
    trials: Mapping[str, TrialState] = field(default_factory=dict)

    def changed_by(self, change: Known) -> Known:
        return Known(sweep=change.sweep, trials={**self.trials, **change.trials})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a table: its own rows, behind those of the parts that it `joins`.

    Where it `replaces`, the parts of all earlier batches are to be deleted. Parts that it joins are
    named by their batches; should one be gone, all rows follow from `whole`.
    """

    table: str
    batch: int
    rows: Sequence[Row]
    replaces: bool
    joins: tuple[int, ...] = ()
    whole: Known = field(default_factory=Known)

    @property
    def is_empty(self) -> bool:
        return not self.rows and not self.joins


def plan(
    before: Known,
    change: Known,
    after: Known,
    *,
    batch: int,
    standing: Mapping[str, Sequence[int]],
    max_parts: int,
) -> list[Part]:
    """Say which parts the events of a batch give rise to; `change` holds the trials they changed.

    A table that only gained rows gets a part with them. Where the parts, `standing` by their
    batches, would become more than `max_parts`, one joins them all; where a published row changed,
    one replaces them.
    """
    parts = []
    # Only these are compared: a flush costs what happened since the last one, not the whole sweep.
    touched = {name: before.trials[name] for name in change.trials if name in before.trials}
    old = Known(sweep=before.sweep, trials=touched)
    for table in TABLES:
        rows, kept = _difference(table, old, change)
        there = standing[table]
        replaces = bool(there) and (not kept or len(there) + bool(rows) > max_parts)
        joins = tuple(there) if replaces and kept else ()
        if replaces and not kept:
            rows = all_rows(table, after)
        if rows or replaces:
            whole = after if joins else Known()
            part = Part(
                table=table, batch=batch, rows=rows, replaces=replaces, joins=joins, whole=whole
            )
            parts.append(part)
    return parts


def _difference(table: str, before: Known, after: Known) -> tuple[list[Row], bool]:
    """Return the rows that are new, and whether the old ones still stand."""
    old = _rows_by_owner(table, before)
    added: list[Row] = []
    kept = True
    for owner, rows in _rows_by_owner(table, after).items():
        known = old.get(owner, [])
        kept = kept and rows[: len(known)] == known
        added += rows[len(known) :]
    return added, kept


def _rows_by_owner(table: str, known: Known) -> dict[str, list[Row]]:
    """Map a trial, or the sweep itself, to its rows of a table."""
    if table == "sweeps":
        return {"": [known.sweep]} if known.sweep else {}
    return {name: rows_of(table, trial) for name, trial in sorted(known.trials.items())}


def all_rows(table: str, known: Known) -> list[Row]:
    """Derive all rows of a table, a trial's one after the other."""
    return [row for rows in _rows_by_owner(table, known).values() for row in rows]


class Publisher:
    """Bring the parts of one sweep in the lake up to its event log."""

    def __init__(self, store: Store, sweep_id: str) -> None:
        self._store = store
        self._sweep_id = sweep_id
        self._known = Known()
        self._standing: dict[str, list[int]] = {table: [] for table in TABLES}
        self._waiting: dict[str, list[Part]] = {}

    @property
    def compact(self) -> bool:
        """Whether no table has more than one part."""
        return max(map(len, self._standing.values())) <= 1

    def advance(self, change: Known, *, batch: int, compact: bool) -> None:
        """Plan the parts of one more batch of events, from the trials that they changed."""
        after = self._known.changed_by(change)
        parts = plan(
            self._known,
            change,
            after,
            batch=batch,
            standing=self._standing,
            max_parts=1 if compact else MAX_PARTS,
        )
        for part in parts:
            earlier = [] if part.replaces else self._waiting.get(part.table, [])
            self._waiting[part.table] = [*earlier, part]
            there = [] if part.replaces else self._standing[part.table]
            self._standing[part.table] = there if part.is_empty else [*there, part.batch]
        self._known = after

    def publish(self) -> None:
        """Delete the parts that were replaced and write those that are missing.

        In this order, and the new bytes ready before: a reader may for a moment find fewer rows,
        never one twice.
        """
        for table, parts in list(self._waiting.items()):
            present = {
                one.key for one in self._store.list(layout.sweep_parts(table, self._sweep_id))
            }
            missing = {}
            for part in parts:
                key = self._key(table, part.batch)
                if not part.is_empty and key not in present:
                    missing[key] = self._content(part, present)
            first = parts[0]
            if first.replaces:
                stale = [key for key in present if layout.part_batch(key) < first.batch]
                self._store.delete(stale)
            for key, data in missing.items():
                with suppress(PreconditionFailed):  # written by an earlier try
                    self._store.write(key, data, if_absent=True)
            del self._waiting[table]

    def _key(self, table: str, batch: int) -> str:
        return layout.sweep_part(table, self._sweep_id, batch)

    def _content(self, part: Part, present: Collection[str]) -> bytes:
        """Lay out a part; from the log alone where one that it joins is gone, damaged or older."""
        import pyarrow as pa

        joined = [self._key(part.table, batch) for batch in part.joins]
        if not joined:
            return self._write(part.table, part.rows)
        if set(joined) <= set(present):
            with suppress(pa.ArrowException):
                return self._write(part.table, part.rows, joined=joined)
        return self._write(part.table, all_rows(part.table, part.whole))

    def _write(self, table: str, rows: Sequence[Row], *, joined: Sequence[str] = ()) -> bytes:
        """Write rows as one file, with those of the parts `joined`.

        To join what is written is what makes a compaction cheap: the rows of 2,000 trials take a
        second to be derived anew, and the files of their predictions 5 s to be read.
        """
        from cvcore.tables import join_parquet, join_sorted, to_parquet

        if table == "predictions":
            files = [row["file"] for row in rows]
            return join_parquet(table, self._read([*joined, *files]))
        return join_sorted(table, self._read(joined), rows) if joined else to_parquet(table, rows)

    def _read(self, keys: Sequence[str]) -> Iterator[pa.Table]:
        """Read Parquet files, some ahead."""
        from cvcore.tables import read_parquet

        with ThreadPoolExecutor(NUM_READERS) as readers:
            for start in range(0, len(keys), NUM_AHEAD):
                found = readers.map(self._store.read, keys[start : start + NUM_AHEAD])
                yield from map(read_parquet, found)
