"""Which Parquet parts a sweep has in the lake: a function of its event log, batch by batch.

Part names derive from the sweep and the batch, rows from the events up to it. Whoever replays the
log therefore knows what should be there, and can finish what a killed driver left half done.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from cvcore import layout
from cvcore.errors import PreconditionFailed
from cvcore.events import TrialState
from cvcore.rows import Row, rows_of
from cvcore.store import Store

TABLES = ("trials", "epochs", "predictions", "class_metrics", "confusion", "sweeps")

# A table is rewritten as one part when it has more: 2,000 parts query 250 times slower than one.
MAX_PARTS = 64

# Prediction files are read this many at a time, 20 ms each from S3, and so many are held at once.
NUM_READERS = 16
NUM_AHEAD = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of a table; where it `replaces`, those of earlier batches are to be deleted."""

    table: str
    batch: int
    rows: Sequence[Row]
    replaces: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the rows of a sweep derive from: its own row, None before it started, and its trials."""

    sweep: Row | None = None
    trials: Mapping[str, TrialState] = field(default_factory=dict)

    def changed_by(self, change: Known) -> Known:
        return Known(sweep=change.sweep, trials={**self.trials, **change.trials})


def plan(
    before: Known, change: Known, *, batch: int, num_parts: Mapping[str, int], max_parts: int
) -> list[Part]:
    """Say which parts the events of a batch give rise to; `change` holds the trials they changed.

    A table that only gained rows gets a part with them. Where a published row changed, or the parts
    would become more than `max_parts`, one part replaces all.
    """
    parts = []
    # Only these are compared: a flush costs what happened since the last one, not the whole sweep.
    touched = {name: before.trials[name] for name in change.trials if name in before.trials}
    old = Known(sweep=before.sweep, trials=touched)
    for table in TABLES:
        rows, kept = _difference(table, old, change)
        grown = num_parts[table] + bool(rows)
        replaces = num_parts[table] > 0 and (not kept or grown > max_parts)
        if replaces:
            whole = _rows_by_owner(table, before.changed_by(change))
            rows = [row for one in whole.values() for row in one]
        if rows or replaces:
            parts.append(Part(table=table, batch=batch, rows=rows, replaces=replaces))
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


class Publisher:
    """Bring the parts of one sweep in the lake up to its event log."""

    def __init__(self, store: Store, sweep_id: str) -> None:
        self._store = store
        self._sweep_id = sweep_id
        self._known = Known()
        self._num_parts = dict.fromkeys(TABLES, 0)
        self._waiting: dict[str, list[Part]] = {}
        self._files: dict[int, list[str]] = {}  # of predictions, by the batch of their part

    @property
    def compact(self) -> bool:
        """Whether no table has more than one part."""
        return max(self._num_parts.values()) <= 1

    def advance(self, change: Known, *, batch: int, compact: bool) -> None:
        """Plan the parts of one more batch of events, from the trials that they changed."""
        parts = plan(
            self._known,
            change,
            batch=batch,
            num_parts=self._num_parts,
            max_parts=1 if compact else MAX_PARTS,
        )
        for part in parts:
            if part.table == "predictions":
                self._files[part.batch] = [row["file"] for row in part.rows]
            earlier = [] if part.replaces else self._waiting.get(part.table, [])
            self._waiting[part.table] = [*earlier, part]
            num_earlier = 0 if part.replaces else self._num_parts[part.table]
            self._num_parts[part.table] = num_earlier + bool(part.rows)
        self._known = self._known.changed_by(change)

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
                key = layout.sweep_part(table, self._sweep_id, part.batch)
                if part.rows and key not in present:
                    missing[key] = self._content(part, present)
            first = parts[0]
            if first.replaces:
                stale = [key for key in present if layout.part_batch(key) < first.batch]
                self._store.delete(stale)
            for key, data in missing.items():
                with suppress(PreconditionFailed):  # written by an earlier try
                    self._store.write(key, data, if_absent=True)
            del self._waiting[table]

    def _content(self, part: Part, present: Collection[str]) -> bytes:
        from cvcore.tables import join_parquet, read_parquet, to_parquet

        if part.table != "predictions":
            return to_parquet(part.table, part.rows)
        return join_parquet(part.table, map(read_parquet, self._predictions(part, present)))

    def _predictions(self, part: Part, present: Collection[str]) -> Iterator[bytes]:
        """Read the files of a part, or those present parts that hold some of them already.

        2,000 files of 84 rows take 5 s from a disk, the parts they came to be one a second.
        """
        missing = dict.fromkeys(self._files[part.batch])
        for batch, files in self._files.items():
            key = layout.sweep_part(part.table, self._sweep_id, batch)
            if batch < part.batch and key in present and files and missing.keys() >= set(files):
                yield self._store.read(key)
                for file in files:
                    del missing[file]
        left = list(missing)
        with ThreadPoolExecutor(NUM_READERS) as readers:
            for start in range(0, len(left), NUM_AHEAD):
                yield from readers.map(self._store.read, left[start : start + NUM_AHEAD])
