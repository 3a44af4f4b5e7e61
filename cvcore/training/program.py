"""A model compiled to run whole epochs in the graph, and used again by trials of its structure.

Measured on one core: a fresh Keras model and `fit` cost 1.2 s of tracing and set-up a trial, a
fresh program 0.7 s, a reused one 0.35 s; a new model leaks 6-10 MB, a reused program 0.02 MB.
Losses and weights are those of `fit` to the last bit (tests/unit/training/test_program.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from cvcore.settings import TrainingConfig
from cvcore.training.compilation import accuracy, compile_model
from cvcore.training.update import Update

# Programs a worker keeps: each holds a model, its gradients' slots and two graphs.
MAX_PROGRAMS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Blueprint:
    """A model in two steps: `make` draws every seed, `join` builds the model from the layers.

    `key` is equal for two blueprints whose models differ in their seeds alone; None: never.
    """

    make: Callable[[], list[keras.layers.Layer]]
    join: Callable[[list[keras.layers.Layer]], keras.Model]
    key: Hashable = None

    def build(self) -> keras.Model:
        return self.join(self.make())


class Program:
    """A compiled model, its training epoch and its inference as graphs."""

    def __init__(self, blueprint: Blueprint, *, config: TrainingConfig, seed: int) -> None:
        keras.utils.set_random_seed(seed)
        self._layers = blueprint.make()
        self.model = blueprint.join(self._layers)
        compile_model(self.model, config)
        self._update = Update(self.model, config=config)
        self._loss = keras.metrics.Mean(name="loss")
        self._accuracy = accuracy(self.model)
        # Measured on one core at 96x96: 4 to 6 s of compilation, then 3 to 4 times the seconds.
        self._train = tf.function(self._step, jit_compile=True) if config.xla else self._step
        self.forward = tf.function(
            lambda batch: self.model(batch, training=False), reduce_retracing=True
        )
        self._epoch: Any = None
        # While a GPU trains on one batch the next is gathered and copied to it (written for it, not
        # seen on one). On a CPU that only costs: at 300x300 running ahead by TensorFlow's default
        # of 10 took 153 us an image instead of 92.
        self._num_in_flight = 2 if tf.config.list_logical_devices("GPU") else 1

    def reset(self, blueprint: Blueprint, *, config: TrainingConfig, seed: int) -> None:
        """Give every variable the value it would have in a model built from this seed."""
        keras.utils.set_random_seed(seed)
        for mine, fresh in zip(self._layers, blueprint.make(), strict=True):
            _reset_layer(mine, fresh)
        self._update.reset(learning_rate=config.learning_rate)

    @property
    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return what holds the state of the training; the model's own is not used."""
        return self._update.optimizer

    def warm_up(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Trace and optimize the epoch without training, once."""
        if self._epoch is not None:
            return
        any_rows = [None, *images.shape[1:]]
        signature = [
            tf.TensorSpec(any_rows, images.dtype),
            tf.TensorSpec([None], labels.dtype),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int64),
        ]
        self._epoch = tf.function(self._run_epoch, input_signature=signature)
        self.epoch(images, labels, np.zeros(0, dtype=np.int64), 1)

    def epoch(
        self, images: tf.Tensor, labels: tf.Tensor, order: npt.NDArray[np.int64], batch_size: int
    ) -> dict[str, float]:
        """Train on the rows of `order` in batches; return running means of loss and accuracy."""
        if self._epoch is None:
            self.warm_up(images, labels)
        self._loss.reset_state()
        self._accuracy.reset_state()
        self._epoch(images, labels, tf.constant(order), tf.constant(batch_size, tf.int64))
        return {"loss": float(self._loss.result()), "accuracy": float(self._accuracy.result())}

    def _run_epoch(
        self, images: tf.Tensor, labels: tf.Tensor, order: tf.Tensor, batch_size: tf.Tensor
    ) -> None:
        self._update.begin()
        for start in tf.range(tf.constant(0, tf.int64), tf.size(order, tf.int64), batch_size):
            tf.autograph.experimental.set_loop_options(parallel_iterations=self._num_in_flight)
            rows = order[start : start + batch_size]
            self._train(tf.cast(tf.gather(images, rows), tf.float32), tf.gather(labels, rows))

    def _step(self, batch: tf.Tensor, labels: tf.Tensor) -> None:
        model = self.model
        with tf.GradientTape() as tape:
            logits = model(batch, training=True)
            loss = model.compute_loss(x=batch, y=labels, y_pred=logits, training=True)
            scaled = self._update.optimizer.scale_loss(loss)
        self._update.apply(self._update.gradients(tape, scaled))
        self._loss.update_state(loss, sample_weight=tf.size(labels))
        self._accuracy.update_state(labels, logits)


class Programs:
    """The programs of a worker; the one that was not used for longest goes first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Program] = OrderedDict()

    def get(
        self, blueprint: Blueprint, *, config: TrainingConfig, seed: int
    ) -> tuple[Program, bool]:
        """Return a program in its initial state, and whether it is one that was used before."""
        key = (blueprint.key, config.optimizer, config.optimizer_epsilon, config.xla)
        program = self._kept.get(key) if blueprint.key is not None else None
        if program is not None:
            self._kept.move_to_end(key)
            program.reset(blueprint, config=config, seed=seed)
            return program, True
        keras.utils.clear_session()  # layers are named from 1 again; other programs do not mind
        built = Program(blueprint, config=config, seed=seed)
        if blueprint.key is not None:
            self._kept[key] = built
            while len(self._kept) > MAX_PROGRAMS:
                self._kept.popitem(last=False)
        return built, False


def _reset_layer(mine: keras.layers.Layer, fresh: keras.layers.Layer) -> None:
    """Bring a built layer to where `fresh`, which is not built, would begin."""
    for weight in mine.weights:
        initializer = getattr(fresh, f"{weight.name}_initializer")
        weight.assign(initializer(weight.shape, dtype=weight.dtype))
    states, fresh_states = (_seed_states(layer) for layer in (mine, fresh))
    for state, value in zip(states, fresh_states, strict=True):
        state.assign(value)


def _seed_states(layer: keras.layers.Layer) -> list[Any]:
    known = {id(weight) for weight in layer.weights}
    return [variable for variable in layer.variables if id(variable) not in known]
