"""Trials that train nothing: what is left of a sweep is its orchestration.

A trial tells what a real one tells: epoch metrics, an outcome with a confusion matrix, a file of
predictions. Driver, log and tables are real.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from cvcore import layout
from cvcore.lake import SweepLog
from cvcore.ledger import LEDGER
from cvcore.predictions import predictions_file
from cvcore.records import ClassMetrics, EpochMetrics, Evaluation, TrialConfig, TrialOutcome
from cvcore.search import RandomSearch
from cvcore.settings import SearchConfig, SweepSpec, TrainingConfig
from cvcore.spaces import Choice, Parameter, Real
from cvcore.store import Store
from cvcore.trial import Progress
from jobs.accounting import figures
from jobs.driver import SweepDriver

NUM_EPOCHS = 3
OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd")
LABELS = ("crack", "ok")
NUM_IMAGES = 84  # validated, as in the sweep of 840 images


def spec_of(num_trials: int, *, num_epochs: int) -> SweepSpec:
    """Describe a random search over two hyperparameters, without early stopping."""
    return SweepSpec(
        training=TrainingConfig(epochs=num_epochs),
        search=SearchConfig(trials=num_trials, scheduler="none"),
        space={
            "learning_rate": Parameter(domain=Real(low=1e-4, high=1e-1, log=True)),
            "optimizer": Parameter(domain=Choice(values=OPTIMIZERS)),
        },
    )


@contextmanager
def sweep(
    store: Store,
    *,
    num_trials: int,
    slots: int,
    num_epochs: int = NUM_EPOCHS,
    on_change: Callable[[SweepDriver], None] = lambda driver: None,
) -> Iterator[SweepDriver]:
    """Open a sweep as `cvjobs sweep` does, and end it as that does: with one part a table."""
    spec = spec_of(num_trials, num_epochs=num_epochs)
    started = time.time()
    with SweepLog.create(store, layout.new_sweep_id(datetime.now(UTC))) as log:
        search = spec.search
        first = {
            "name": "simulated", "objective": search.objective, "mode": search.direction,
            "algorithm": search.algorithm, "scheduler": search.scheduler, "started_at": started,
        }  # fmt: skip
        log.append({"type": "sweep_started", **first})
        log.flush()
        yield SweepDriver(spec, log=log, searcher=RandomSearch(spec), on_change=on_change)
        ended = figures(log.state, wall_seconds=time.time() - started, slots=slots)
        log.append({"type": "sweep_finished", **ended})
        log.flush()


def progress_of(trial: TrialConfig, *, worker: str) -> Progress:
    """Report a whole trial; its score is drawn from its seed."""
    value = trial.seed % 100_003 / 100_003
    now = time.time()
    num_epochs = trial.training.epochs
    return Progress(
        epochs=tuple(_epoch(n, value * n / num_epochs, now) for n in range(1, num_epochs + 1)),
        outcome=TrialOutcome(
            status="completed",
            epochs_run=num_epochs,
            best_epoch=num_epochs,
            validation=_evaluation(value),
            num_params=10_000,
            num_trainable_params=10_000,
            images_per_second=1000.0,
            seconds=dict.fromkeys(LEDGER, 0.01),
            worker=worker,
            device="cpu",
            started_at=now,
            finished_at=now,
        ),
        done=True,
        phase_epoch=num_epochs,
        phase_value=value,
    )


def leave_predictions(store: Store, trial_id: str) -> None:
    """Write what the worker of a first attempt leaves in the store for the driver to publish."""
    sweep_id = layout.trial_sweep(trial_id)
    labels = [LABELS[number % 2] for number in range(NUM_IMAGES)]
    data = predictions_file(
        sweep_id=sweep_id,
        trial_id=trial_id,
        split="validation",
        paths=[f"{label}/{number:04d}.jpeg" for number, label in enumerate(labels)],
        labels=labels,
        predicted=labels,
        probabilities=[(0.25, 0.75)] * NUM_IMAGES,
    )
    store.write(layout.predictions(sweep_id, trial_id, "validation", 1), data)


def _epoch(number: int, value: float, now: float) -> EpochMetrics:
    return EpochMetrics(
        epoch=number,
        loss=1.0 / number,
        accuracy=value,
        val_loss=1.0 - value,
        val_accuracy=value,
        val_f1_weighted=value,
        learning_rate=1e-3,
        seconds=0.01,
        recorded_at=now,
    )


def _evaluation(value: float) -> Evaluation:
    half = NUM_IMAGES // 2
    return Evaluation(
        split="validation",
        loss=1.0 - value,
        accuracy=value,
        f1_weighted=value,
        f1_macro=value,
        classes=tuple(
            ClassMetrics(label=label, precision=value, recall=value, f1=value, support=half)
            for label in LABELS
        ),
        confusion=((half, 0), (0, half)),
    )
