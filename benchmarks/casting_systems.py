"""The systems of the casting document in plain Keras 3: its three loaders and its models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.casting_split import CASTINGS, CLASSES, class_counts

if TYPE_CHECKING:
    import keras

WEIGHTS = CASTINGS.parents[1] / "models" / "mobilenet_v2_1.0_160_no_top.weights.h5"
# The document resizes to 224; the weights at hand are those of 160.
BASE_SIZE = 160
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is run: images in `folder`/{train,validation,test}/<class>, `size` pixels a side."""

    folder: Path
    size: int
    epochs: int
    transfer_epochs: int
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """Images as one loader hands them to `fit`: arrays, or batches that bring their labels.

    `test` is in the order of `test_labels`.
    """

    train: dict[str, Any]
    validation: Any
    test: Any
    test_labels: np.ndarray


def labels_of(plan: Plan, split: str) -> np.ndarray:
    """Return the labels of a split in the order of all loaders: by class, then by name."""
    return np.repeat(np.arange(len(CLASSES)), class_counts(plan.folder / split))


def load_with_scikit_image(plan: Plan) -> Loaded:
    """Read every file into one float32 array of 0 to 255."""
    from skimage import io, transform

    def read(path: Path) -> np.ndarray:
        image = io.imread(path)
        if image.shape[0] == plan.size:
            return image
        return transform.resize(image, (plan.size, plan.size), preserve_range=True)

    def images(split: str) -> np.ndarray:
        paths = [p for name in CLASSES for p in sorted((plan.folder / split / name).iterdir())]
        return np.stack([read(path) for path in paths]).astype(np.float32)

    train = {"x": images("train"), "y": labels_of(plan, "train"), "batch_size": BATCH_SIZE}
    return Loaded(
        train=train,
        validation=(images("validation"), labels_of(plan, "validation")),
        test=images("test"),
        test_labels=labels_of(plan, "test"),
    )


def load_with_keras(plan: Plan) -> Loaded:
    """Use the generator of old Keras, values 0 to 1; Keras 3 has it as `tf.keras` alone."""
    import tensorflow as tf

    def batches(split: str) -> Any:
        generator = tf.keras.preprocessing.image.ImageDataGenerator(rescale=1 / 255)
        return generator.flow_from_directory(
            plan.folder / split,
            target_size=(plan.size, plan.size),
            batch_size=BATCH_SIZE,
            class_mode="sparse",
            shuffle=split == "train",
            seed=plan.seed,
        )

    return Loaded(
        train={"x": batches("train")},
        validation=batches("validation"),
        test=batches("test"),
        test_labels=labels_of(plan, "test"),
    )


def load_with_tensorflow(plan: Plan, *, size: int | None = None) -> Loaded:
    """Use `image_dataset_from_directory`, values 0 to 255; only training is shuffled."""
    import keras

    def batches(split: str) -> Any:
        side = size or plan.size
        found = keras.utils.image_dataset_from_directory(
            plan.folder / split,
            image_size=(side, side),
            batch_size=BATCH_SIZE,
            shuffle=split == "train",
            seed=plan.seed,
            verbose=False,
        )
        return found.prefetch(1)

    return Loaded(
        train={"x": batches("train"), "shuffle": False},  # shuffled already
        validation=batches("validation"),
        test=batches("test"),
        test_labels=labels_of(plan, "test"),
    )


def cnn(size: int, *in_front: keras.layers.Layer) -> keras.Model:
    """Build the document's CNN: 4,394,786 parameters at 300 pixels."""
    import keras
    from keras import layers

    convolutions = [
        part
        for filters in (8, 16, 16)
        for part in (layers.Conv2D(filters, 3, activation="relu"), layers.MaxPooling2D(2))
    ]
    end = [layers.Flatten(), layers.Dense(224, activation="relu"), layers.Dense(2)]
    return keras.Sequential([keras.Input((size, size, 3)), *in_front, *convolutions, *end])


def augmented_cnn(size: int) -> keras.Model:
    """Build the CNN with the document's four random layers in front."""
    from keras import layers

    return cnn(
        size,
        layers.RandomFlip("horizontal"),
        layers.RandomFlip("vertical"),
        layers.RandomContrast(0.1),
        layers.RandomRotation(1.0, fill_mode="constant"),
    )


def mobilenet(weights: Path | None = WEIGHTS) -> keras.Model:
    """Build the frozen MobileNetV2 with its head: 2,260,546 parameters, 2,562 of them trained."""
    import keras
    from keras import layers

    shape = (BASE_SIZE, BASE_SIZE, 3)
    base = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=None)
    if weights is not None:
        base.load_weights(str(weights))
    base.trainable = False
    inputs = keras.Input(shape)
    outputs = base(layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    outputs = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(outputs))
    return keras.Model(inputs, layers.Dense(2)(outputs))
