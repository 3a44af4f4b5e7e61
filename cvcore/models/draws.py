"""One image under random draws of the augmentation, as a model in training would see it."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
from numpy.typing import NDArray

from cvcore.models.blocks import augmentation
from cvcore.settings import ModelConfig


def augmented(
    image: NDArray[np.uint8], config: ModelConfig, *, num_draws: int, seed: int
) -> NDArray[np.uint8]:
    """Draw an image (height, width, channels) with a model's own random layers.

    Returns (num_draws, height, width, channels). A seed always gives the same draws, whatever fills
    the margins.
    """
    keras.utils.set_random_seed(seed)
    drawn = np.repeat(image[np.newaxis].astype(np.float32), num_draws, axis=0)
    for layer in augmentation(config):
        drawn = layer(drawn, training=True)
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def filled(
    image: NDArray[np.uint8], config: ModelConfig, *, num_draws: int, seed: int
) -> NDArray[np.bool_]:
    """Tell which pixels of those draws are fill: (num_draws, height, width).

    Only layers that move an image may be set.
    """
    white = np.full_like(image, 255)
    alone = replace(config, augment_fill="constant")
    black: NDArray[np.bool_] = augmented(white, alone, num_draws=num_draws, seed=seed)[..., 0] < 128
    return black
