"""What a user writes by hand for the sweep that `bench_sweep` times: the images and the CNN."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

NUM_BLOCKS = 3


def datasets(
    folder: str, *, size: int, batch_size: int, seed: int
) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Read the training images, shuffled anew every epoch, and the fixed validation images."""
    import keras
    import tensorflow as tf

    def images(split: str) -> tf.data.Dataset:
        found = keras.utils.image_dataset_from_directory(
            Path(folder, split),
            image_size=(size, size),
            batch_size=batch_size,
            shuffle=split == "train",
            seed=seed,
            verbose=False,
        )
        return found.prefetch(tf.data.AUTOTUNE)

    return images("train"), images("validation")


def cnn(configuration: Mapping[str, Any], *, size: int) -> keras.Model:
    """Build and compile the CNN of a configuration: the layers of `cvcore.models.cnn`."""
    import keras
    from keras import layers

    model = keras.Sequential([keras.Input((size, size, 3)), layers.Rescaling(1 / 255)])
    for block in range(NUM_BLOCKS):
        filters = configuration["filters"] * 2**block
        stride = configuration["conv_stride"]
        model.add(layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D(configuration["pool_size"]))
    model.add(layers.Flatten())
    model.add(layers.Dense(configuration["dense_units"], activation="relu"))
    model.add(layers.Dense(2))
    model.compile(
        optimizer=keras.optimizers.Adam(configuration["learning_rate"]),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model
