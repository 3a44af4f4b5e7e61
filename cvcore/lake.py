"""The event log of a sweep: the one thing its driver writes, and the lake follows from.

The driver is the only writer of a sweep's rows. It appends events in numbered batches that nobody
can overwrite; docs/decisions/0003-one-writer-and-a-log.md has the reasons.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from cvcore import layout
from cvcore.errors import LeaseHeld, PreconditionFailed
from cvcore.events import (
    Event,
    SweepState,
    apply,
    decode_event,
    encode_batch,
    known_sweeps,
    read_batches,
    read_state,
)
from cvcore.parts import Known, Publisher
from cvcore.rows import sweep_row
from cvcore.store import Store
from cvcore.tables import to_parquet

# Rows are promised within 10 s of the event.
FLUSH_SECONDS = 5.0

# Ends of trials that follow each other fast are saved together: a write takes 2 to 5 ms on a disk
# and 20 to 50 to S3, while nothing else is decided.
MAX_SAVING_FRACTION = 0.1

# After these the lake holds one part a table.
COMPACTING = {"sweep_finished", "compacted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    number: int
    data: bytes
    change: Known | None  # to be published with it
    compact: bool


class SweepLog:
    """The log of one sweep, open for writing; a context manager that gives it up at the end.

    Raises `LeaseHeld` as soon as another run is seen to write the same log, and `StoreError` where
    a flush does not reach the store; the next flush goes on where that one ended.
    """

    def __init__(self, store: Store, sweep_id: str) -> None:
        self.store = store
        self.sweep_id = sweep_id
        self.events: list[Event] = []
        self.state = SweepState(sweep_id=sweep_id)
        self._writer = secrets.token_hex(8)
        self._publisher = Publisher(store, sweep_id)
        self._num_batches = 0
        self._lines: list[str] = []
        self._changed: set[str] = set()  # trials, since the last batch that publishes
        self._compact = False
        self._sealed: _Sealed | None = None
        self._unpublished = False
        self._flushed_at = float("-inf")
        self._owes = False
        self._saves_again_at = float("-inf")
        self._lock = _Lock(store, sweep_id)

    @classmethod
    def create(cls, store: Store, sweep_id: str) -> SweepLog:
        """Begin the log of a new sweep; its first event is `sweep_started`."""
        return cls(store, sweep_id)

    @classmethod
    def open(cls, store: Store, sweep_id: str) -> SweepLog:
        """Replay a log and put the sweep's parts in order; raises `UsageError` if there is none.

        To go on with the sweep, append `sweep_resumed` and flush: that takes the rows of unfinished
        trials out of the lake, and the log from a driver that still runs on another machine.
        """
        log = cls(store, sweep_id)
        try:
            log._replay()
        except BaseException:
            log.close()
            raise
        return log

    def append(self, event: Event) -> None:
        """Take note of an event; the next flush stores it."""
        line = json.dumps(event, separators=(",", ":"))
        self._take(decode_event(line))
        self._lines.append(line)

    def flush_if_due(self, now: float) -> bool:
        """Flush if the last time is long enough ago, and say so; `now`: seconds, steady clock."""
        due = now - self._flushed_at >= FLUSH_SECONDS
        if due:
            self._flushed_at = now
            self.flush()
        return due

    def save(self) -> None:
        """Store the events so far; their rows come with the next flush.

        One small write, for what must not be lost and not be repeated.
        """
        started = time.monotonic()
        try:
            self._store(publishes=False)
        finally:  # a store that does not answer is not asked all the time either
            now = time.monotonic()
            self._saves_again_at = now + (now - started) * (1 / MAX_SAVING_FRACTION - 1)
        self._owes = False

    def save_soon(self) -> bool:
        """Save at once, unless the last save is so recent that `save_if_due` is to do it."""
        self._owes = True
        return self.save_if_due()

    def save_if_due(self) -> bool:
        """Save what `save_soon` left, if it is time; return whether it was."""
        due = self._owes and time.monotonic() >= self._saves_again_at
        if due:
            self.save()
        return due

    def flush(self) -> None:
        """Store the events so far, then the rows that follow from them."""
        self._store(publishes=True)
        self._owes = False
        self._publisher.publish()

    def compact(self) -> bool:
        """Rewrite every table as one part; returns whether there was anything to do."""
        self.flush()
        if self._publisher.compact:
            return False
        self.append({"type": "compacted"})
        self.flush()
        return True

    def close(self) -> None:
        """Give the log up, without a flush."""
        self._lock.release()

    def __enter__(self) -> SweepLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _replay(self) -> None:
        for batch in read_batches(self.store, self.sweep_id):
            for event in batch.events:
                self._take(event)
            self._num_batches += 1
            if batch.publishes:
                change, compact = self._changes(), self._compact
                self._publisher.advance(change, batch=self._num_batches, compact=compact)
                self._compact = False
            self._unpublished = not batch.publishes
        self._publisher.publish()

    def _take(self, event: Event) -> None:
        self._changed.update(apply(self.state, event))
        self.events.append(event)
        self._compact = self._compact or event["type"] in COMPACTING

    def _changes(self) -> Known:
        """Hand out what changed since the last time."""
        trials = {name: self.state.trials[name] for name in self._changed}
        self._changed.clear()
        return Known(sweep=sweep_row(self.state) if self.state.started else None, trials=trials)

    def _store(self, *, publishes: bool) -> None:
        """Write the next batch, after one that did not reach the store earlier."""
        if self._sealed is not None:
            self._write(self._sealed)
        if self._lines or (publishes and self._unpublished):
            # Its bytes are fixed now, so that a repeated write is recognised.
            data = encode_batch(self._writer, self._lines, publishes=publishes)
            self._sealed = _Sealed(
                number=self._num_batches + 1,
                data=data,
                change=self._changes() if publishes else None,
                compact=self._compact,
            )
            self._lines = []
            self._compact = self._compact and not publishes
            self._write(self._sealed)

    def _write(self, batch: _Sealed) -> None:
        key = layout.events(self.sweep_id, batch.number)
        try:
            self.store.write(key, batch.data, if_absent=True)
        except PreconditionFailed:
            if self.store.read(key) != batch.data:
                raise _held(self.store, self.sweep_id) from None
        self._sealed = None
        self._num_batches = batch.number
        self._unpublished = batch.change is None
        if batch.change is not None:
            self._publisher.advance(batch.change, batch=batch.number, compact=batch.compact)


def compact_sweeps(store: Store) -> dict[str, list[str]]:
    """Rewrite every table of the sweeps that do not run as one part, and mend what a crash left.

    Returns sweep ids as `compacted`, `compact` (before already) and `running` (left alone).
    """
    done: dict[str, list[str]] = {"compacted": [], "compact": [], "running": []}
    for sweep_id in known_sweeps(store):
        try:
            done[_compact_sweep(store, sweep_id)].append(sweep_id)
        except LeaseHeld:
            done["running"].append(sweep_id)
    return done


def _compact_sweep(store: Store, sweep_id: str) -> str:
    # To open the log of a running sweep would be to write beside its driver.
    if read_state(store, sweep_id).status == "running":
        return "running"
    with SweepLog.open(store, sweep_id) as log:
        return "compacted" if log.compact() else "compact"


def publish_images(
    store: Store, *, sweep_id: str, fingerprint: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Publish a dataset's rows of the images table, unless some sweep did already.

    `rows` have every column but `sweep_id`, which becomes that of the first sweep.
    """
    claim = layout.images_claim(fingerprint)
    with suppress(PreconditionFailed):
        store.write(claim, json.dumps({"sweep_id": sweep_id}).encode(), if_absent=True)
    owner = json.loads(store.read(claim))["sweep_id"]
    key = layout.lake_part("images", layout.sweep_date(owner), fingerprint)
    if store.version(key) is None:
        data = to_parquet("images", [{**row, "sweep_id": owner} for row in rows])
        with suppress(PreconditionFailed):
            store.write(key, data, if_absent=True)


class _Lock:
    """Keeps a second driver on this machine out; the kernel lets go when the first one dies.

    Between machines the numbered batches do the same, one flush later.
    """

    def __init__(self, store: Store, sweep_id: str) -> None:
        name = hashlib.sha256(f"{os.getuid()} {store.uri} {sweep_id}".encode()).hexdigest()[:32]
        self._path = Path(tempfile.gettempdir(), f"cvjobs-{name}.lock")
        self._file = self._path.open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A file that its holder took away while this one waited for it locks nothing.
            kept = os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except (BlockingIOError, FileNotFoundError):
            kept = False
        if not kept:
            self._file.close()
            raise _held(store, sweep_id)

    def release(self) -> None:
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()


def _held(store: Store, sweep_id: str) -> LeaseHeld:
    return LeaseHeld(
        f"another run is writing the sweep {sweep_id} in {store.uri}",
        hint=f"cvjobs results leaderboard {sweep_id} --store {store.uri}",
    )
