"""The transfer family: a frozen pretrained base in inference mode, and a head.

The preprocessing belongs to the base and stands inside the model, so that it cannot be mismatched.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import keras
from keras import layers

from cvcore.catalog import BASES
from cvcore.models.blocks import augmentation, chain, head
from cvcore.settings import ModelConfig

# ImageNet means of the "caffe" mode, in BGR order; values of `keras.applications.imagenet_utils`.
CAFFE_MEANS_BGR = (103.939, 116.779, 123.68)


def build(config: ModelConfig, *, image_size: int, channels: int, num_classes: int) -> keras.Model:
    """Build base and head; raise `ValueError` for a size, channels or weights that do not fit."""
    known = BASES[config.base]
    if channels != 3:
        raise ValueError(f'{config.base} needs data.channels = "rgb", received "grayscale"')
    if image_size < known.minimum_size:
        raise ValueError(
            f"{config.base} needs data.image_size >= {known.minimum_size}, received {image_size}"
        )
    base = getattr(keras.applications, known.builder)(
        include_top=False,
        weights="imagenet" if config.weights == "imagenet" else None,
        input_shape=(image_size, image_size, channels),
    )
    if config.weights not in ("imagenet", "none"):
        _load(base, Path(config.weights))
    base.trainable = False
    inputs = keras.Input((image_size, image_size, channels), name="image")
    outputs = chain(inputs, augmentation(config))
    outputs = base(_preprocess(outputs, known.preprocessing), training=False)
    outputs = chain(outputs, head(config, num_classes=num_classes))
    return keras.Model(inputs, outputs, name=config.base)


def _preprocess(pixels: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    if mode == "tf":
        return layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    if mode == "caffe":
        reversed_channels = pixels[..., ::-1]
        shift = layers.Normalization(mean=CAFFE_MEANS_BGR, variance=(1.0, 1.0, 1.0))
        shifted: keras.KerasTensor = shift(reversed_channels)
        return shifted
    raise ValueError(f"unknown preprocessing {mode!r}")


def _load(base: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"model.weights: no file {str(path)!r}")
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that it leaves at their random weights.
            warnings.simplefilter("error", UserWarning)
            base.load_weights(str(path))
    except (ValueError, OSError, UserWarning) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"the weights in {path.name} do not fit {base.name}: {reason}") from error
