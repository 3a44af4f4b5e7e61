"""A lake of many sweeps, laid down through the schemas and part names of cvjobs itself.

Values are random; a curve falls and flattens, so that columns compress about as real ones do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from cvcore import layout
from cvcore.store import Store
from cvcore.tables import SCHEMAS, join_parquet, read_parquet, to_parquet

NUM_EPOCHS = 30
FIRST_DAY = datetime(2025, 1, 1, tzinfo=UTC)
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
TABLES = ("trials", "epochs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The rows of one sweep: Arrow tables with the schemas of `trials` and `epochs`."""

    sweep_id: str
    trials: pa.Table
    epochs: pa.Table


def draw_sweeps(*, num_trials: int, trials_per_sweep: int) -> Iterator[Sweep]:
    """Draw sweeps, ten a day, until there are `num_trials`; the same ones every time."""
    for number, start in enumerate(range(0, num_trials, trials_per_sweep)):
        begun = FIRST_DAY + timedelta(days=number // 10, minutes=number % 10)
        sweep_id = f"{begun:%Y%m%d-%H%M%S}-{number:06x}"
        count = min(trials_per_sweep, num_trials - start)
        yield _draw(sweep_id, begun, count, rng=np.random.default_rng(number))


def _draw(sweep_id: str, begun: datetime, count: int, *, rng: np.random.Generator) -> Sweep:
    names = pa.array([layout.trial_id(sweep_id, index) for index in range(count)])
    best = rng.beta(8, 2, size=count)
    seconds = rng.uniform(1, 60, size=count)
    trials = {
        "sweep_id": pa.repeat(pa.scalar(sweep_id), count),
        "trial_id": names,
        "trial_index": np.arange(count),
        "status": pa.repeat(pa.scalar("completed"), count),
        "seed": rng.integers(0, 2**31, size=count),
        "epochs_run": np.full(count, NUM_EPOCHS),
        "best_epoch": rng.integers(1, NUM_EPOCHS + 1, size=count),
        "num_params": rng.choice([12_345, 98_765, 2_345_678], size=count),
        "val_loss": 1.0 - best,
        "val_accuracy": best,
        "val_f1_weighted": best * 0.99,
        "images_per_second": rng.uniform(1e3, 1e5, size=count),
        "seconds_train": seconds,
        "seconds_trace": rng.uniform(0.1, 1, size=count),
        "seconds_eval": seconds * 0.1,
        "worker": rng.choice([f"node-{n}:1" for n in range(8)], size=count),
        "attempt": np.ones(count, np.int64),
        "started_at": _times(begun, np.cumsum(seconds)),
        "finished_at": _times(begun, np.cumsum(seconds) + seconds),
        "hp_learning_rate": 10 ** rng.uniform(-4, -1, size=count),
        "hp_optimizer": rng.choice(OPTIMIZERS, size=count),
        "hp_batch_size": rng.choice([16, 32, 64], size=count),
    }
    return Sweep(
        sweep_id=sweep_id,
        trials=_table("trials", trials),
        epochs=_table("epochs", _curves(sweep_id, names, best, seconds, begun, rng)),
    )


def _curves(
    sweep_id: str,
    names: pa.Array,
    best: np.ndarray,
    seconds: np.ndarray,
    begun: datetime,
    rng: np.random.Generator,
) -> dict[str, object]:
    count = len(names) * NUM_EPOCHS
    owner = np.repeat(np.arange(len(names)), NUM_EPOCHS)
    epoch = np.tile(np.arange(1, NUM_EPOCHS + 1), len(names))
    accuracy = best[owner] * (1 - np.exp(-epoch / 6)) + rng.normal(0, 0.005, size=count)
    return {
        "sweep_id": pa.repeat(pa.scalar(sweep_id), count),
        "trial_id": names.take(pa.array(owner)),
        "epoch": epoch,
        "phase": pa.repeat(pa.scalar("train"), count),
        "loss": 1.0 - accuracy,
        "accuracy": accuracy,
        "val_loss": 1.05 - accuracy,
        "val_accuracy": accuracy,
        "val_f1_weighted": accuracy * 0.99,
        "learning_rate": np.full(count, 1e-3),
        "seconds": rng.uniform(0.1, 2, size=count),
        "attempt": np.ones(count, np.int64),
        "recorded_at": _times(begun, np.cumsum(seconds)[owner] + epoch),
    }


def _table(name: str, columns: dict[str, object]) -> pa.Table:
    """Fill what is not drawn with nulls, as the trials of an older version have them."""
    schema = SCHEMAS[name]
    count = len(columns["trial_id"])  # type: ignore[arg-type]
    arrays = [
        pa.array(columns[field.name], type=field.type)
        if field.name in columns and not isinstance(columns[field.name], pa.Array)
        else columns.get(field.name, pa.nulls(count, field.type))
        for field in schema
    ]
    return pa.table(arrays, schema=schema)


def _times(begun: datetime, seconds: np.ndarray) -> pa.Array:
    micros = (begun.timestamp() * 1e6 + seconds * 1e6).astype(np.int64)
    return pa.array(micros).cast(SCHEMAS["trials"].field("started_at").type)


def publish(store: Store, sweep: Sweep, *, num_parts: int) -> int:
    """Leave a sweep as its driver does while it runs: several parts a table; return their bytes."""
    size_bytes = 0
    for name in TABLES:
        table = getattr(sweep, name)
        rows = -(-table.num_rows // num_parts)
        for batch in range(num_parts):
            data = to_parquet(name, table.slice(batch * rows, rows))
            store.write(layout.sweep_part(name, sweep.sweep_id, batch + 1), data, if_absent=True)
            size_bytes += len(data)
    return size_bytes


def compact(store: Store, sweep_id: str, *, num_parts: int) -> int:
    """Replace the parts of a sweep by one a table, in the order `cvcore.parts` does it.

    The lake's own compaction derives the rows from the event log, which these sweeps do not have;
    the bytes it writes are the same.
    """
    size_bytes = 0
    for name in TABLES:
        keys = [layout.sweep_part(name, sweep_id, batch + 1) for batch in range(num_parts)]
        data = join_parquet(name, (read_parquet(store.read(key)) for key in keys))
        store.delete(keys)
        store.write(layout.sweep_part(name, sweep_id, num_parts + 1), data, if_absent=True)
        size_bytes += len(data)
    return size_bytes
