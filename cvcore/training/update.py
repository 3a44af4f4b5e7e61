"""What a program does with its gradients: an optimizer that sees all weights as one vector.

Adam, AdamW and SGD work element by element, so the weights come out to the same bits as one by one,
in a tenth of the operations. Measured on one core, a CNN of ten weights: 0.12 s less of the 0.37 s
that a new program takes, and 2 to 9 % less a step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from cvcore.settings import TrainingConfig

# TensorFlow's `rsqrt` rounds the last elements of a tensor otherwise than those before them.
ROUNDED_BY_PLACE = ("rmsprop",)
# Above this the copies would weigh more than what they save: 128 MB each.
MAX_VECTOR_WEIGHTS = 2**25


class Update:
    """A compiled model's trainable weights and an `optimizer` for them that is not the model's."""

    def __init__(self, model: keras.Model, *, config: TrainingConfig) -> None:
        self.optimizer = keras.optimizers.deserialize(keras.optimizers.serialize(model.optimizer))
        self._weights: list[keras.Variable] = model.trainable_variables
        self._vector = None if config.optimizer in ROUNDED_BY_PLACE else _vector(self._weights)
        self.optimizer.build(self._weights if self._vector is None else [self._vector])
        # Not all begin at 0: a loss scale does not.
        self._start = [variable.numpy() for variable in self.optimizer.variables]

    def reset(self, *, learning_rate: float) -> None:
        """Bring the optimizer back to where it was before the first step."""
        for variable, start in zip(self.optimizer.variables, self._start, strict=True):
            variable.assign(start)
        self.optimizer.learning_rate = learning_rate

    def begin(self) -> None:
        """Take the weights as they are: somebody may have set them since the last step."""
        if self._vector is not None:
            self._vector.assign(_joined(self._weights))

    def gradients(self, tape: tf.GradientTape, loss: tf.Tensor) -> Sequence[tf.Tensor]:
        """Return the gradients of a loss that was scaled, one a weight."""
        zero = tf.UnconnectedGradients.ZERO
        found: Sequence[tf.Tensor] = tape.gradient(loss, self._weights, unconnected_gradients=zero)
        return found

    def apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Make a step."""
        if self._vector is None:
            self.optimizer.apply(gradients, self._weights)
            return
        self.optimizer.apply([_joined(gradients)], [self._vector])
        sizes = [math.prod(weight.shape) for weight in self._weights]
        parts = tf.split(self._vector.value, sizes)
        for weight, part in zip(self._weights, parts, strict=True):
            weight.assign(tf.reshape(part, weight.shape))


def _vector(weights: Sequence[keras.Variable]) -> keras.Variable | None:
    """Make a variable as long as all weights together, unless they are too many or of two types."""
    size = sum(math.prod(weight.shape) for weight in weights)
    types = {weight.dtype for weight in weights}
    if size > MAX_VECTOR_WEIGHTS or len(types) != 1:
        return None
    return keras.Variable(np.zeros(size), dtype=types.pop(), name="weights")


def _joined(tensors: Sequence[Any]) -> tf.Tensor:
    return tf.concat([tf.reshape(one, [-1]) for one in tensors], axis=0)
