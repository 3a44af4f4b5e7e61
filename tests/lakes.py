"""What the tests of the lake share: a sweep with everything in it, a stranger's reading, death."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import pyarrow.parquet as pq

from cvcore import layout
from cvcore.lake import SweepLog
from cvcore.parts import TABLES
from cvcore.store import Store, StoredObject
from cvcore.tables import KEYS
from tests import sweeps


class Crash(Exception):
    """Stands for the death of the driver."""


class Failing:
    """A store that dies at its `fuse`-th change, either before or after doing it."""

    def __init__(self, store: Store, fuse: int, *, after: bool = False) -> None:
        self.inner = store
        self.fuse = fuse
        self.after = after
        self.uri = store.uri
        self.read = store.read
        self.list = store.list
        self.version = store.version

    def write(self, key: str, data: bytes, **condition: Any) -> None:
        self._change(lambda: self.inner.write(key, data, **condition))

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._change(lambda key=key: self.inner.delete([key]))

    def _change(self, change: Any) -> None:
        self.fuse -= 1
        if self.fuse == 0 and not self.after:
            raise Crash
        change()
        if self.fuse == 0:
            raise Crash


def parts(store: Store, table: str) -> list[StoredObject]:
    return list(store.list(layout.lake_folder(table)))


def rows(store: Store, table: str) -> list[dict[str, Any]]:
    """Read a table as a stranger does: every file, without asking the log."""
    filesystem, root = store.arrow_filesystem()
    return [
        row
        for part in parts(store, table)
        for row in pq.ParquetFile(filesystem.open_input_file(f"{root}/{part.key}"))
        .read()
        .to_pylist()
    ]


def keys(store: Store, table: str) -> list[tuple[Any, ...]]:
    """Return the keys of all rows, each once or the test fails."""
    found = Counter(tuple(row[name] for name in KEYS[table]) for row in rows(store, table))
    assert not [key for key, count in found.items() if count > 1]
    return sorted(found)


def none_twice(store: Store) -> None:
    for table in TABLES:
        keys(store, table)


Step = dict[str, Any] | Literal["save", "flush"]


def a_whole_sweep(store: Store) -> Iterator[Step]:
    """Yield the events of a sweep with everything in it, and when its driver saves or flushes."""
    yield sweeps.started()
    first, second, third = (sweeps.config(index) for index in range(3))
    yield sweeps.created(first)
    yield sweeps.epochs(first, [1, 2])
    yield "flush"
    yield sweeps.created(second)
    yield sweeps.epochs(second, [1])
    yield {
        "type": "rung",
        "trial_id": first.trial_id,
        "epoch": 2,
        "value": 0.5,
        "decision": "continue",
    }
    yield "flush"
    yield sweeps.epochs(first, [3])
    yield sweeps.finished(
        first, 0.9, predictions=(sweeps.leave_predictions(store, first, "validation"),)
    )
    yield "save"
    yield "flush"
    again = sweeps.config(1, attempt=2)  # the worker of the second trial died
    yield sweeps.created(again)
    yield "save"
    yield "flush"
    yield sweeps.epochs(again, [1, 2])
    yield sweeps.finished(again, None, status="failed")
    yield sweeps.created(third)
    yield sweeps.finished(
        third, 0.8, predictions=(sweeps.leave_predictions(store, third, "validation"),)
    )
    yield "flush"
    yield sweeps.scored(first, (sweeps.leave_predictions(store, first, "test"),))
    yield "flush"
    yield sweeps.ended()
    yield "flush"


def drive(log: SweepLog, steps: Iterable[Step]) -> None:
    for step in steps:
        if isinstance(step, str):
            getattr(log, step)()
        else:
            log.append(step)


def leave_a_whole_sweep(store: Store) -> None:
    """Write a finished sweep of three trials."""
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, a_whole_sweep(store))


def contents(store: Store) -> dict[str, list[str]]:
    return {
        table: sorted(json.dumps(row, default=str) for row in rows(store, table))
        for table in TABLES
    }


def publish_scores(
    store: Store, values: list[float | None], *, sweep_id: str = sweeps.SWEEP_ID, **changes: str
) -> None:
    """Publish a running sweep whose trials scored `values`; None failed."""
    with SweepLog.create(store, sweep_id) as log:
        drive(log, [sweeps.started(**changes), "flush"])
        for index, value in enumerate(values):
            trial = sweeps.config(index, sweep_id=sweep_id)
            status = "failed" if value is None else "completed"
            log.append(sweeps.created(trial))
            log.append(sweeps.finished(trial, value, status=status))
            log.flush()
