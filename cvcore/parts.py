"""Which Parquet parts a sweep has in the lake: a function of its event log, batch by batch.

Part names derive from the sweep and the batch, rows from the events up to it. Whoever replays the
log therefore knows what should be there, and can finish what a killed driver left half done.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from cvcore import layout
from cvcore.errors import PreconditionFailed
from cvcore.events import SweepState
from cvcore.rows import Row, rows_of, sweep_row
from cvcore.store import Store

TABLES = ("trials", "epochs", "predictions", "class_metrics", "confusion", "sweeps")

# A table is rewritten as one part when it has more: 2,000 parts query 250 times slower than one.
MAX_PARTS = 64

# Prediction files are read this many at a time, 20 ms each from S3.
NUM_READERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a table; where it `replaces`, those of earlier batches are to be deleted."""

    table: str
    batch: int
    rows: Sequence[Row]
    replaces: bool


def plan(
    before: SweepState,
    after: SweepState,
    *,
    batch: int,
    num_parts: Mapping[str, int],
    max_parts: int,
) -> list[Part]:
    """Say which parts the events of a batch give rise to.

    A table that only gained rows gets a part with them. Where a published row changed, or the parts
    would become more than `max_parts`, one part replaces all.
    """
    parts = []
    for table in TABLES:
        rows, kept = _difference(table, before, after)
        grown = num_parts[table] + bool(rows)
        replaces = num_parts[table] > 0 and (not kept or grown > max_parts)
        if replaces:
            rows = [row for one in _rows_by_owner(table, after).values() for row in one]
        if rows or replaces:
            parts.append(Part(table=table, batch=batch, rows=rows, replaces=replaces))
    return parts


def _difference(table: str, before: SweepState, after: SweepState) -> tuple[list[Row], bool]:
    """Return the rows that are new, and whether the old ones still stand."""
    same = {name for name, trial in after.trials.items() if before.trials.get(name) is trial}
    old = _rows_by_owner(table, before, leave_out=same)
    added: list[Row] = []
    kept = True
    for owner, rows in _rows_by_owner(table, after, leave_out=same).items():
        known = old.get(owner, [])
        kept = kept and rows[: len(known)] == known
        added += rows[len(known) :]
    return added, kept


def _rows_by_owner(
    table: str, state: SweepState, *, leave_out: Collection[str] = ()
) -> dict[str, list[Row]]:
    """Map a trial, or the sweep itself, to its rows of a table."""
    if table == "sweeps":
        return {state.sweep_id: [sweep_row(state)]} if state.started else {}
    trials = sorted(state.trials.items())
    return {name: rows_of(table, trial) for name, trial in trials if name not in leave_out}


class Publisher:
    """Bring the parts of one sweep in the lake up to its event log."""

    def __init__(self, store: Store, sweep_id: str) -> None:
        self._store = store
        self._state = SweepState(sweep_id=sweep_id)
        self._num_parts = dict.fromkeys(TABLES, 0)
        self._waiting: dict[str, list[Part]] = {}

    @property
    def compact(self) -> bool:
        """Whether no table has more than one part."""
        return max(self._num_parts.values()) <= 1

    def advance(self, state: SweepState, *, batch: int, compact: bool) -> None:
        """Plan the parts of one more batch of events, which ends in `state`."""
        parts = plan(
            self._state,
            state,
            batch=batch,
            num_parts=self._num_parts,
            max_parts=1 if compact else MAX_PARTS,
        )
        for part in parts:
            earlier = [] if part.replaces else self._waiting.get(part.table, [])
            self._waiting[part.table] = [*earlier, part]
            num_earlier = 0 if part.replaces else self._num_parts[part.table]
            self._num_parts[part.table] = num_earlier + bool(part.rows)
        self._state = state

    def publish(self) -> None:
        """Delete the parts that were replaced and write those that are missing.

        In this order, and the new bytes ready before: a reader may for a moment find fewer rows,
        never one twice.
        """
        for table, parts in list(self._waiting.items()):
            sweep_id = self._state.sweep_id
            present = {one.key for one in self._store.list(layout.sweep_parts(table, sweep_id))}
            missing = {}
            for part in parts:
                key = layout.sweep_part(table, sweep_id, part.batch)
                if part.rows and key not in present:
                    missing[key] = self._content(part)
            first = parts[0]
            if first.replaces:
                stale = [key for key in present if layout.part_batch(key) < first.batch]
                self._store.delete(stale)
            for key, data in missing.items():
                with suppress(PreconditionFailed):  # written by an earlier try
                    self._store.write(key, data, if_absent=True)
            del self._waiting[table]

    def _content(self, part: Part) -> bytes:
        from cvcore.tables import join_parquet, read_parquet, to_parquet

        if part.table != "predictions":
            return to_parquet(part.table, part.rows)
        with ThreadPoolExecutor(NUM_READERS) as readers:
            files = readers.map(self._store.read, [row["file"] for row in part.rows])
            return join_parquet(part.table, (read_parquet(data) for data in files))
