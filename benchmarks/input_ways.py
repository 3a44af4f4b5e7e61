"""The same folder of images as batches for training, four ways as documented, and two of ours.

A way is opened once and then gives epochs, each every image once, float32, shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cvcore.datasets import Dataset, open_dataset, open_source
from cvcore.settings import DataConfig

BATCH_SIZE = 32
MAX_EPOCHS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """Images in one folder a class, and where a way may keep what it decoded."""

    images: Path
    cache: Path
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What came of one pass: how many images, and the mean of their top left pixels."""

    num_images: int
    mean: float


class Way(Protocol):
    """Open a folder; return what runs one epoch, to be called with its number from 0."""

    def __call__(self, folder: Folder) -> Callable[[int], Epoch]: ...


def image_dataset_from_directory(folder: Folder) -> Callable[[int], Epoch]:
    return _iterate_tf_data(_keras_dataset(folder))


def cached_image_dataset_from_directory(folder: Folder) -> Callable[[int], Epoch]:
    return _iterate_tf_data(_keras_dataset(folder).cache())


def image_data_generator(folder: Folder) -> Callable[[int], Epoch]:
    """Keras' legacy generator; its epoch ends after `len` batches."""
    import tensorflow as tf

    generator = tf.keras.preprocessing.image.ImageDataGenerator()
    with redirect_stdout(StringIO()):  # it prints what it finds
        flow = generator.flow_from_directory(
            str(folder.images),
            target_size=(folder.size, folder.size),
            batch_size=BATCH_SIZE,
            class_mode="sparse",
        )
    return lambda number: _sum(flow[index][0] for index in range(len(flow)))


def scikit_image_array(folder: Folder) -> Callable[[int], Epoch]:
    """Read everything into one array at the first epoch, as notebooks do."""
    arrays: list[Any] = []

    def epoch(number: int) -> Epoch:
        if not arrays:
            arrays.append(_read_with_scikit_image(folder))
        order = np.random.default_rng(number).permutation(len(arrays[0]))
        starts = range(0, len(order), BATCH_SIZE)
        return _sum(arrays[0][order[s : s + BATCH_SIZE]].astype(np.float32) for s in starts)

    return epoch


def cvjobs_batches(folder: Folder) -> Callable[[int], Epoch]:
    """Our array as `cvcore.training` feeds it to Keras' `fit`."""
    import tensorflow as tf

    from cvcore.training.feed import as_tensor, epoch_order, training_batches

    dataset = open_with_cvjobs(folder)
    images, labels = as_tensor(dataset.images), tf.constant(dataset.labels)
    rows = np.arange(len(dataset.labels))
    # One pipeline for many epochs, as `fit` gets it.
    orders = np.stack([epoch_order(rows, seed=0, epoch=number) for number in range(MAX_EPOCHS)])
    batches = iter(training_batches(images, labels, orders=orders, batch_size=BATCH_SIZE))
    num_batches = -(-len(rows) // BATCH_SIZE)
    return lambda number: _sum(images for images, _ in islice(batches, num_batches))


def cvjobs_in_graph(folder: Folder) -> Callable[[int], Epoch]:
    """Our array, gathered by a loop inside one compiled function."""
    import tensorflow as tf

    from cvcore.training.feed import as_tensor, epoch_order

    dataset = open_with_cvjobs(folder)
    images = as_tensor(dataset.images)
    rows = np.arange(len(dataset.labels))

    def epoch(number: int) -> Epoch:
        order = tf.constant(epoch_order(rows, seed=0, epoch=number))
        total, count = _compiled_epoch()(images, order)
        return Epoch(num_images=int(count), mean=float(total) / int(count))

    return epoch


@cache
def _compiled_epoch() -> Any:
    """Trace the loop once a process for images of any size, as a worker does for many trials."""
    import tensorflow as tf

    any_images, any_order = tf.TensorSpec([None] * 4, tf.uint8), tf.TensorSpec([None], tf.int64)

    @tf.function(input_signature=[any_images, any_order])
    def gather(images: Any, order: Any) -> tuple[Any, Any]:
        total, count = tf.zeros(()), tf.zeros((), tf.int32)
        for start in tf.range(0, tf.shape(order)[0], BATCH_SIZE):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch = tf.cast(tf.gather(images, order[start : start + BATCH_SIZE]), tf.float32)
            corner = batch[:, 0, 0, 0]  # few operations more: here they are what is measured
            total += tf.reduce_sum(corner)
            count += tf.size(corner)
        return total, count

    return gather


WAYS: dict[str, Way] = {
    "image_dataset_from_directory": image_dataset_from_directory,
    "image_dataset_from_directory, .cache()": cached_image_dataset_from_directory,
    "ImageDataGenerator": image_data_generator,
    "scikit-image into an array": scikit_image_array,
    "cvjobs, as fed to fit": cvjobs_batches,
    "cvjobs, gathered in the graph, one thread": cvjobs_in_graph,
}
IN_SLOT = ("cvjobs, gathered in the graph, one thread",)
OURS = tuple(name for name in WAYS if name.startswith("cvjobs"))


def open_with_cvjobs(folder: Folder) -> Dataset:
    """Decode the folder with all cores, unless its cache holds it already."""
    config = DataConfig(uri=str(folder.images), image_size=folder.size)
    return open_dataset(open_source(str(folder.images)), config=config, cache_folder=folder.cache)


def _keras_dataset(folder: Folder) -> Any:
    import keras

    return keras.utils.image_dataset_from_directory(
        folder.images,
        image_size=(folder.size, folder.size),
        batch_size=BATCH_SIZE,
        seed=0,
        verbose=False,
    )


def _iterate_tf_data(dataset: Any) -> Callable[[int], Epoch]:
    """Prefetch as TensorFlow's guide advises."""
    import tensorflow as tf

    ahead = dataset.prefetch(tf.data.AUTOTUNE)
    return lambda number: _sum(images for images, _ in ahead)


def _read_with_scikit_image(folder: Folder) -> np.ndarray:
    from skimage.io import imread
    from skimage.transform import resize

    read = []
    for path in sorted(folder.images.glob("*/*")):
        image = imread(path)
        if image.shape[:2] != (folder.size, folder.size):
            shape = (folder.size, folder.size)
            image = resize(image, shape, preserve_range=True).astype(np.uint8)
        read.append(image)
    return np.stack(read)


def _sum(batches: Iterable[Any]) -> Epoch:
    total, count = 0.0, 0
    for batch in batches:
        corner = np.asarray(batch[:, 0, 0, 0])
        total += float(corner.sum(dtype=np.float64))
        count += len(corner)
    return Epoch(num_images=count, mean=total / count)
