"""Parts that the families share: augmentation in front, the head behind."""

from __future__ import annotations

import keras
from keras import layers

from cvcore.settings import ModelConfig


def augmentation(config: ModelConfig) -> list[keras.layers.Layer]:
    """List the random layers of a config; all of them are the identity outside training.

    A crop that cuts off the fraction f and resizes back is a shift by up to f/2 followed by a zoom
    to the middle 1 - f: the window never leaves the image, and inference sees it whole.
    """
    fill = config.augment_fill
    found: list[keras.layers.Layer] = []
    if config.augment_flip != "none":
        mode = "horizontal_and_vertical" if config.augment_flip == "both" else config.augment_flip
        found.append(layers.RandomFlip(mode))
    if config.augment_rotation:
        found.append(layers.RandomRotation(config.augment_rotation, fill_mode=fill))
    if config.augment_zoom:
        found.append(layers.RandomZoom(config.augment_zoom, fill_mode=fill))
    if config.augment_height or config.augment_width:
        # Keras 3 has no RandomHeight and RandomWidth: at a fixed size a stretch along one axis is
        # a zoom along it.
        found.append(layers.RandomZoom(config.augment_height, config.augment_width, fill_mode=fill))
    if config.augment_translation:
        shift = config.augment_translation
        found.append(layers.RandomTranslation(shift, shift, fill_mode=fill))
    if config.augment_crop:
        cut = config.augment_crop
        found.append(layers.RandomTranslation(cut / 2, cut / 2, fill_mode=fill))
        found.append(layers.RandomZoom((-cut, -cut), fill_mode=fill))
    if config.augment_contrast:
        found.append(layers.RandomContrast(config.augment_contrast, value_range=(0, 255)))
    if config.augment_brightness:
        found.append(layers.RandomBrightness(config.augment_brightness, value_range=(0, 255)))
    return found


def scaling(mode: str) -> list[keras.layers.Layer]:
    """List the layer that brings pixels 0..255 to the range of `input_scaling`."""
    if mode == "unit":
        return [layers.Rescaling(1 / 255)]
    if mode == "symmetric":
        return [layers.Rescaling(1 / 127.5, offset=-1)]
    return []


def head(config: ModelConfig, *, num_classes: int) -> list[keras.layers.Layer]:
    """List the layers from feature maps to logits (float32 whatever the precision)."""
    drops = config.dropout > 0 and config.dropout_at in ("head", "everywhere")
    pooled = layers.Flatten() if config.head == "flatten" else layers.GlobalAveragePooling2D()
    found: list[keras.layers.Layer] = [pooled]
    if config.dense_units:
        found.append(layers.Dense(config.dense_units, activation="relu"))
    if drops:
        found.append(layers.Dropout(config.dropout))
    num_logits = 1 if config.output == "sigmoid" else num_classes
    found.append(layers.Dense(num_logits, dtype="float32", name="logits"))
    return found


def chain(inputs: keras.KerasTensor, parts: list[keras.layers.Layer]) -> keras.KerasTensor:
    """Apply layers one after the other."""
    for part in parts:
        inputs = part(inputs)
    return inputs
