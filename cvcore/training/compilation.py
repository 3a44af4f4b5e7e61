"""Optimizer, loss and accuracy of a model, chosen from its settings and its logits."""

from __future__ import annotations

import keras

from cvcore.settings import TrainingConfig

OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def compile_model(model: keras.Model, config: TrainingConfig) -> None:
    """Compile a model that ends in logits, one a class or a single sigmoid one."""
    options = {"learning_rate": config.learning_rate}
    if config.optimizer_epsilon is not None and config.optimizer != "sgd":
        options["epsilon"] = config.optimizer_epsilon
    optimizer = OPTIMIZERS[config.optimizer](**options)
    if model.output_shape[-1] == 1:
        loss: keras.losses.Loss = keras.losses.BinaryCrossentropy(from_logits=True)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=[accuracy(model)], jit_compile=config.xla)


def accuracy(model: keras.Model) -> keras.metrics.Metric:
    """Count correct predictions of logits; a single logit says class 1 above 0."""
    if model.output_shape[-1] == 1:
        return keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0)
    return keras.metrics.SparseCategoricalAccuracy(name="accuracy")
