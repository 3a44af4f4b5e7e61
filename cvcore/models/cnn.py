"""The CNN family: blocks of convolution, ReLU, dropout and max pooling."""

from __future__ import annotations

import keras
from keras import layers

from cvcore import geometry
from cvcore.models.blocks import augmentation, chain, head, scaling
from cvcore.settings import ModelConfig


def make(config: ModelConfig, *, num_classes: int) -> list[keras.layers.Layer]:
    """Make the layers of the CNN that `config` describes, input to logits; nothing is built."""
    return [
        *augmentation(config),
        *scaling(config.input_scaling),
        *_blocks(config),
        *head(config, num_classes=num_classes),
    ]


def join(
    config: ModelConfig, parts: list[keras.layers.Layer], *, image_size: int, channels: int
) -> keras.Model:
    """Build the model of these layers; raise `ValueError` if the image shrinks to nothing."""
    geometry.check(config, image_size=image_size)
    inputs = keras.Input((image_size, image_size, channels), name="image")
    return keras.Model(inputs, chain(inputs, parts), name="cnn")


def _blocks(config: ModelConfig) -> list[keras.layers.Layer]:
    drops = config.dropout > 0 and config.dropout_at in ("blocks", "everywhere")
    parts: list[keras.layers.Layer] = []
    after_last_pool = 0
    for layer in geometry.layers(config):
        if layer.kind == "convolution":
            if drops and parts:
                parts.append(layers.Dropout(config.dropout))
            parts.append(
                layers.Conv2D(
                    layer.filters,
                    layer.window,
                    strides=layer.stride,
                    padding=layer.padding,
                    activation="relu",
                )
            )
        else:
            parts.append(
                layers.MaxPooling2D(layer.window, strides=layer.stride, padding=layer.padding)
            )
            after_last_pool = len(parts)
    if drops:
        parts.append(layers.Dropout(config.dropout))
    if config.dropout > 0 and config.dropout_at == "last_pool":
        parts.insert(after_last_pool or len(parts), layers.Dropout(config.dropout))
    return parts
