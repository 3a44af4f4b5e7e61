"""Heads on a frozen MobileNetV2 in plain Keras, in a loop, as a user writes it.

The base is built once for all heads and the decoded images stay in memory; every head is trained
with the base in front of it, which sees every image again every epoch.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers


class EpochSeconds(keras.callbacks.Callback):  # type: ignore[misc]
    """Time every epoch with its validation; the first with all since this was made."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._since = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the seconds since the epoch before."""
        now = time.perf_counter()
        self.seconds.append(now - self._since)
        self._since = now


def images(plan: Mapping[str, Any], split: str) -> tf.data.Dataset:
    """Decode a split once and keep it in memory; training images are shuffled every epoch."""
    shown = keras.utils.image_dataset_from_directory(
        Path(plan["data"], split),
        image_size=(plan["size"], plan["size"]),
        batch_size=None,
        shuffle=False,
        verbose=False,
    )
    cached = shown.cache()
    if split == "train":
        cached = cached.shuffle(len(shown), seed=0)
    return cached.batch(plan["batch_size"]).prefetch(tf.data.AUTOTUNE)


def mobilenet(plan: Mapping[str, Any]) -> keras.Model:
    """Load the frozen base; random weights where the plan names none."""
    shape = (plan["size"], plan["size"], 3)
    base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=None)
    if plan["weights"] is not None:
        base.load_weights(plan["weights"])
    base.trainable = False
    return base


def with_head(head: Mapping[str, Any], base: keras.Model) -> keras.Model:
    """Build and compile the base with one head: the layers of `cvcore.models.transfer`."""
    inputs = keras.Input(base.input_shape[1:])
    outputs = base(layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    outputs = layers.GlobalAveragePooling2D()(outputs)
    if head["dense_units"]:
        outputs = layers.Dense(head["dense_units"], activation="relu")(outputs)
    outputs = layers.Dropout(head["dropout"])(outputs)
    model = keras.Model(inputs, layers.Dense(2)(outputs))
    model.compile(
        optimizer=keras.optimizers.Adam(head["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def train_heads(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Train head after head, each to the last epoch; score the best of them on the test images."""
    training, validation, test = (images(plan, one) for one in ("train", "validation", "test"))
    base = mobilenet(plan)
    rows, best_loss, test_accuracy = [], math.inf, math.nan
    for number, head in enumerate(plan["heads"]):
        keras.utils.set_random_seed(number)
        timing = EpochSeconds()
        model = with_head(head, base)
        keeping = keras.callbacks.EarlyStopping(  # stops nothing: patience for all epochs
            "val_loss", patience=plan["epochs"], restore_best_weights=True
        )
        history = model.fit(
            training,
            validation_data=validation,
            epochs=plan["epochs"],
            shuffle=False,  # shuffled already
            callbacks=[timing, keeping],
            verbose=0,
        ).history
        if min(history["val_loss"]) < best_loss:
            best_loss = min(history["val_loss"])
            test_accuracy = model.evaluate(test, verbose=0, return_dict=True)["accuracy"]
        rows.append({"val_accuracy": history["val_accuracy"], "epoch_seconds": timing.seconds})
    return {"heads": rows, "test_accuracy": test_accuracy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    plan = json.loads(options.plan.read_text())
    options.output.write_text(json.dumps(train_heads(plan)))


if __name__ == "__main__":
    main()
