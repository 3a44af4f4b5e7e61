"""Base models of `keras.applications` with their weights, which must fit to the last layer."""

from __future__ import annotations

import random
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np

from cvcore.bases import BASES
from cvcore.settings import ModelConfig

# A base without pretrained weights is the same one in every trial.
RANDOM_BASE_SEED = 0
# Of ImageNet's channels, in 0..1; their squares are all below 0.053.
IMAGENET_DEVIATIONS = (0.229, 0.224, 0.225)


def check(config: ModelConfig, *, image_size: int, channels: int) -> None:
    """Raise `ValueError` where the base cannot take such images."""
    known = BASES[config.base]
    if channels != 3:
        raise ValueError(f'{config.base} needs data.channels = "rgb", received "grayscale"')
    if image_size < known.minimum_size:
        raise ValueError(
            f"{config.base} needs data.image_size >= {known.minimum_size}, received {image_size}"
        )


def load_base(config: ModelConfig, *, image_size: int) -> keras.Model:
    """Build the base with its weights, frozen: it makes the same of an image in any mode."""
    with _own_seed():
        base = getattr(keras.applications, BASES[config.base].builder)(
            include_top=False,
            weights="imagenet" if config.weights == "imagenet" else None,
            input_shape=(image_size, image_size, 3),
        )
    if config.weights not in ("imagenet", "none"):
        load_weights(base, Path(config.weights))
    base.trainable = False
    for layer in base.layers:
        # As a layer that does not learn, batch normalisation is in inference mode; EfficientNet
        # also drops whole paths in training, and Keras hands the mode of the model around it down
        # whatever `training=` it was called with (keras issue 20285).
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0.0
    return base


def load_weights(base: keras.Model, path: Path) -> None:
    """Load a weights file into a base; raise `ValueError` naming the layer that does not fit."""
    if not path.is_file():
        raise ValueError(f"model.weights: no file {str(path)!r}")
    try:
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always", UserWarning)
            base.load_weights(str(path))
        # Keras only warns of layers that it leaves at their random weights.
        left_out = [str(one.message) for one in noted if issubclass(one.category, UserWarning)]
        if left_out:
            raise ValueError(left_out[0])
    except (ValueError, OSError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        reason = _reason(str(error).strip())
        raise ValueError(f"the weights in {path.name} do not fit {base.name}: {reason}") from error
    _mend_variance(base)


def _mend_variance(base: keras.Model) -> None:
    """Square the variance of EfficientNet's own normalisation where the file has its root.

    Keras' ImageNet files of EfficientNet B0-B7 do; for `weights="imagenet"` alone Keras adds a
    layer that makes up for it (tensorflow issue 62193).
    """
    for layer in base.layers:
        if isinstance(layer, keras.layers.Normalization):
            found = np.ravel(keras.ops.convert_to_numpy(layer.adapt_variance))
            if found.shape == (3,) and np.allclose(found, IMAGENET_DEVIATIONS, atol=1e-3):
                layer.adapt_variance.assign(keras.ops.square(layer.adapt_variance))
                layer.finalize_state()


def _reason(text: str) -> str:
    """Name the first layer that does not fit, out of the many lines in which Keras says it."""
    layer = re.search(r"for object <\w+ name=([^,>]+)", text)
    shapes = re.search(r"variable\.shape=(\([^)]*\)).*?value\.shape=(\([^)]*\))", text)
    if layer and shapes:
        return f"layer {layer[1]!r} has shape {shapes[1]}, the file {shapes[2]}"
    telling = re.search(r"^Layer .*$", text, re.MULTILINE)
    if telling:
        return telling[0]
    unreadable = re.search(r"for object <\w+ name=([^,>]+).*\n+(.+)", text)
    if unreadable:
        return f"layer {unreadable[1]!r}: {unreadable[2]}"
    return text.partition("\n")[0]


@contextmanager
def _own_seed() -> Iterator[None]:
    """Initialise a base without pretrained weights alike in every trial and process."""
    state = random.getstate()
    random.seed(RANDOM_BASE_SEED)
    try:
        yield
    finally:
        random.setstate(state)
