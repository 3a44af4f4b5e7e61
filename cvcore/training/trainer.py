"""The training loop of one trial, stopped and continued at any epoch.

Epochs run as one graph each (`cvcore.training.program`), or through Keras `fit`, which is the plain
path that the other is held against, and the one for several devices: the numbers are the same. The
order of the images is a function of seed and epoch, and dropout and augmentation keep their
state in the model, so training in several stretches gives the numbers of training in one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from cvcore.errors import TrialFailed
from cvcore.ledger import Ledger
from cvcore.records import EpochMetrics, Evaluation
from cvcore.settings import TrainingConfig
from cvcore.training.compilation import compile_model
from cvcore.training.devices import Placement
from cvcore.training.feed import as_tensor, epoch_order, inference_batches, training_batches
from cvcore.training.program import Blueprint, Program, Programs

# Bounds the orders made ahead for a stretch of epochs: 8 MB, 10 ms.
MAX_ORDERED_IMAGES = 2**20


@dataclass(slots=True, kw_only=True)
class Best:
    """The best epoch so far: what is kept when the trial ends."""

    epoch: int
    evaluation: Evaluation
    weights: list[npt.NDArray[Any]]
    logits: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """What a trial learns from, one example a row.

    `images` is uint8 (n, size, size, channels), or float32 features (n, ...); `labels` int32 (n,).
    `train` (num_views, num_train) int64 holds rows: epoch after epoch takes the next view, and the
    first one again after the last. `validation` (num_validation,) int64.
    """

    images: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]

    def rows(self, epoch: int) -> npt.NDArray[np.int64]:
        """Return the rows of an epoch, counted from 1."""
        view: npt.NDArray[np.int64] = self.train[(epoch - 1) % len(self.train)]
        return view


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What a phase of training begins with: what the one before it left.

    `best.weights` are those of the model that this phase trains.
    """

    epochs: tuple[EpochMetrics, ...] = ()
    best: Best | None = None


class Trainer:
    """Train one model epoch by epoch and remember its best weights.

    `score` turns validation logits into an `Evaluation` and `better(new, old)` ranks two of them.
    After every epoch `epochs` has one more entry. With `programs` and one device the epochs run in
    the graph, in a program that an earlier trial may have compiled. A later phase goes on from the
    `past`, whose epochs count: `config.epochs` is the last epoch of this phase.
    """

    def __init__(
        self,
        blueprint: Blueprint,
        arrays: Arrays,
        *,
        config: TrainingConfig,
        seed: int,
        placement: Placement,
        score: Callable[[npt.NDArray[np.float32]], Evaluation],
        better: Callable[[Evaluation, Evaluation], bool],
        programs: Programs | None = None,
        ledger: Ledger | None = None,
        phase: str = "train",
        past: Past | None = None,
    ) -> None:
        past = past or Past()
        self.ledger = ledger or Ledger()
        self.config = config
        self.phase = phase
        self.num_past = len(past.epochs)
        self.epochs: list[EpochMetrics] = list(past.epochs)
        self.best = past.best
        self._arrays = arrays
        self._seed = seed
        self._score, self._better = score, better
        self._program: Program | None = None
        self.program_reused = False
        with self.ledger.booked("trace"):
            self._images = as_tensor(arrays.images)
            self._labels = tf.constant(arrays.labels)
            self._build(blueprint, placement=placement, programs=programs)

    def _build(
        self, blueprint: Blueprint, *, placement: Placement, programs: Programs | None
    ) -> None:
        config, seed = self.config, self._seed
        if programs is not None and placement.strategy is None:
            self._program, self.program_reused = programs.get(blueprint, config=config, seed=seed)
            self.model, self._forward = self._program.model, self._program.forward
            return
        keras.utils.set_random_seed(seed)
        with placement.strategy.scope() if placement.strategy else nullcontext():
            self.model = blueprint.build()
            compile_model(self.model, config)
        self._forward = tf.function(
            lambda batch: self.model(batch, training=False), reduce_retracing=True
        )

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return what holds the state of the training: a program has its own."""
        return self.model.optimizer if self._program is None else self._program.optimizer

    @property
    def finished(self) -> bool:
        """Tell whether the epochs are used up or patience has run out."""
        done = len(self.epochs)
        patience = self.config.early_stopping_patience
        since = max(self.best.epoch, self.num_past) if self.best else done
        stale = patience > 0 and done - since >= patience
        return done >= self.config.epochs or stale

    def advance(self, *, until_epoch: int, max_seconds: float = math.inf) -> list[EpochMetrics]:
        """Train to the end of `until_epoch`, at least one epoch; return the new epochs.

        Stops earlier at the first epoch that ends after `max_seconds`, or when `finished`. Raises
        `TrialFailed` when the loss is no longer a number.
        """
        first = len(self.epochs)
        last = min(until_epoch, self.config.epochs)
        if self.finished or last <= first:
            return []
        deadline = time.perf_counter() + max_seconds
        if self._program is not None:
            self._run_graph(self._program, last, deadline=deadline)
        else:
            self._fit(last, deadline=deadline)
        return self.epochs[first:]

    def _run_graph(self, program: Program, last: int, *, deadline: float) -> None:
        """Train epoch by epoch in the graph."""
        batch_size = self.config.batch_size
        with self.ledger.booked("trace"):
            program.warm_up(self._images, self._labels)
        while len(self.epochs) < last:
            epoch = len(self.epochs) + 1
            started = time.perf_counter()
            with self.ledger.booked("train"):
                logs = program.epoch(self._images, self._labels, self._order(epoch), batch_size)
            self.record(epoch, logs, seconds=time.perf_counter() - started)
            if self.finished or time.perf_counter() > deadline:
                return

    def _fit(self, last: int, *, deadline: float) -> None:
        """Train through Keras `fit`, some million images at a time."""
        first, num_train = len(self.epochs), self._arrays.train.shape[1]
        last = min(last, first + max(1, MAX_ORDERED_IMAGES // num_train))
        orders = np.stack([self._order(epoch) for epoch in range(first + 1, last + 1)])
        batch_size = self.config.batch_size
        # The first step of a phase carries tracing and compilation; later stretches reuse both.
        with self.ledger.booked("trace" if first == self.num_past else "train"):
            self.model.fit(
                training_batches(self._images, self._labels, orders=orders, batch_size=batch_size),
                initial_epoch=first,
                epochs=last,
                steps_per_epoch=math.ceil(num_train / batch_size),
                shuffle=False,  # the order is in the batches already
                callbacks=[_AfterEpoch(self, deadline=deadline)],
                verbose=0,
            )

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return epoch_order(self._arrays.rows(epoch), seed=self._seed, epoch=epoch)

    def logits(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return logits (len(indices), num_logits) float32 in inference mode."""
        parts = [self._forward(batch).numpy() for batch in inference_batches(self._images, indices)]
        return np.concatenate(parts).astype(np.float32)

    def restore_best(self) -> None:
        """Put the weights of the best epoch back into the model."""
        if self.best is not None:
            self.model.set_weights(self.best.weights)

    def record(self, epoch: int, logs: dict[str, float], *, seconds: float) -> None:
        """Score the epoch that just ended on the validation split."""
        with self.ledger.booked("eval"):
            self._record(epoch, logs, seconds=seconds)

    def _record(self, epoch: int, logs: dict[str, float], *, seconds: float) -> None:
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise TrialFailed("diverged", f"the training loss is {loss} in epoch {epoch}")
        logits = self.logits(self._arrays.validation)
        if not np.isfinite(logits).all():
            raise TrialFailed("diverged", f"validation logits are not finite after epoch {epoch}")
        evaluation = self._score(logits)
        if self.best is None or self._better(evaluation, self.best.evaluation):
            weights = self.model.get_weights()
            self.best = Best(epoch=epoch, evaluation=evaluation, weights=weights, logits=logits)
        metrics = EpochMetrics(
            epoch=epoch,
            phase=self.phase,
            loss=loss,
            accuracy=float(logs["accuracy"]),
            val_loss=evaluation.loss,
            val_accuracy=evaluation.accuracy,
            val_f1_weighted=evaluation.f1_weighted,
            learning_rate=float(self.optimizer.learning_rate.numpy()),
            seconds=seconds,
            recorded_at=time.time(),
        )
        self.epochs.append(metrics)


class _AfterEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Hand every epoch to the trainer, time its parts, and end the stretch when it is time."""

    def __init__(self, trainer: Trainer, *, deadline: float) -> None:
        super().__init__()
        self._trainer = trainer
        self._deadline = deadline
        # A stretch starts with `fit` itself: its set-up is part of its first epoch's price.
        self._before = trainer.ledger.seconds()["train"]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._trainer.ledger.switch("train")

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        trainer = self._trainer
        trained = trainer.ledger.seconds()["train"]
        trainer.record(epoch + 1, logs or {}, seconds=trained - self._before)
        self._before = trained
        if trainer.finished or time.perf_counter() > self._deadline:
            self.model.stop_training = True
