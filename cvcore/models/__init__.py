"""Model families: `build(config, ...)` gives a Keras model that ends in logits.

To add a family: write `<family>.py` with `make` and `join` of the same signatures, name it in
`FAMILIES`, and give its hyperparameters in `cvcore.model_settings.ModelConfig`. A model comes in
two steps because a program that was compiled once serves many trials: `make` draws every seed of a
trial's layers and costs nothing, `join` builds the model and costs most.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import keras

from cvcore.settings import ModelConfig

FAMILIES = {
    "cnn": "cvcore.models.cnn",
    "transfer": "cvcore.models.transfer",
}


Layers = list[keras.layers.Layer]


def make(config: ModelConfig, *, num_classes: int, precision: str) -> Layers:
    """Make the layers that a trial begins with, unbuilt; their seeds follow Keras' global seed."""
    if config.output == "sigmoid" and num_classes != 2:
        raise ValueError(f'output = "sigmoid" needs 2 classes, the data has {num_classes}')
    with _computing_in(precision):
        found: Layers = import_module(FAMILIES[config.family]).make(config, num_classes=num_classes)
    return found


def join(
    config: ModelConfig, parts: Layers, *, image_size: int, channels: int, precision: str
) -> keras.Model:
    """Build the model of layers from `make`."""
    with _computing_in(precision):
        model: keras.Model = import_module(FAMILIES[config.family]).join(
            config, parts, image_size=image_size, channels=channels
        )
    return model


def build(
    config: ModelConfig, *, image_size: int, channels: int, num_classes: int, precision: str
) -> keras.Model:
    """Build a model that ends in logits.

    It takes images (batch, image_size, image_size, channels) with values 0..255. Logits are (batch,
    num_classes) float32, or (batch, 1) with `output = "sigmoid"`. Initial weights follow Keras'
    global seed. Raises `ValueError` for what does not fit.
    """
    parts = make(config, num_classes=num_classes, precision=precision)
    return join(config, parts, image_size=image_size, channels=channels, precision=precision)


def frozen_base(
    config: ModelConfig, *, image_size: int, channels: int, precision: str
) -> keras.Model:
    """Build the base of a transfer model with its weights; raises `ValueError` as `build` does."""
    from cvcore.models.pretrained import check, load_base

    check(config, image_size=image_size, channels=channels)
    with _computing_in(precision):
        return load_base(config, image_size=image_size)


def build_extractor(config: ModelConfig, base: keras.Model, *, precision: str) -> keras.Model:
    """Build the frozen part of a transfer model: images 0..255 to what its head takes in."""
    from cvcore.models import transfer

    with _computing_in(precision):
        return transfer.extractor(config, base)


def join_head(
    config: ModelConfig, parts: Layers, *, feature_shape: tuple[int, ...], precision: str
) -> keras.Model:
    """Build the part of a transfer model behind `build_extractor`, of layers from `make`."""
    from cvcore.models import transfer

    with _computing_in(precision):
        return transfer.join_head(config, parts, feature_shape=feature_shape)


def build_around(
    config: ModelConfig, base: keras.Model, head: keras.Model, *, precision: str
) -> keras.Model:
    """Join a base and a head from `join_head` to the model that `build` would give."""
    from cvcore.models import transfer

    with _computing_in(precision):
        return transfer.around(config, base, head)


@contextmanager
def _computing_in(precision: str) -> Iterator[None]:
    """Build layers of one dtype policy."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
