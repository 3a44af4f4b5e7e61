"""What a pretrained base expects of its pixels, as layers that stand inside the model.

A saved model therefore takes raw images, whatever its base was trained on.
"""

from __future__ import annotations

import keras
from keras import layers

# ImageNet statistics, values of `keras.applications.imagenet_utils`: pixels in BGR order, and
# fractions of 255 in RGB order.
CAFFE_MEANS = (103.939, 116.779, 123.68)
TORCH_MEANS = (0.485, 0.456, 0.406)
TORCH_DEVIATIONS = (0.229, 0.224, 0.225)


def preprocess(pixels: keras.KerasTensor, mode: str) -> keras.KerasTensor:
    """Bring pixels into the range and order that bases of a mode were trained on.

    `pixels` is (batch, height, width, 3) float, RGB, 0..255; so is the result, in the range and
    order of `mode`, which `cvcore.bases.Base` explains. Raises `ValueError` for an unknown mode.
    """
    if mode == "none":
        return pixels
    if mode == "tf":
        scaled: keras.KerasTensor = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
        return scaled
    if mode == "torch":
        means = [255 * mean for mean in TORCH_MEANS]
        return _normalise(pixels, means, [(255 * one) ** 2 for one in TORCH_DEVIATIONS])
    if mode == "caffe":
        return _normalise(pixels[..., ::-1], list(CAFFE_MEANS), [1.0, 1.0, 1.0])
    raise ValueError(f'preprocessing is "tf", "torch", "caffe" or "none", received {mode!r}')


def _normalise(
    pixels: keras.KerasTensor, means: list[float], variances: list[float]
) -> keras.KerasTensor:
    normalised: keras.KerasTensor = layers.Normalization(mean=means, variance=variances)(pixels)
    return normalised
