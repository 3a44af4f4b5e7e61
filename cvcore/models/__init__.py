"""Model families: `build(config, ...)` gives a Keras model that ends in logits.

To add a family: write `<family>.py` with a `build` of the same signature, name it in `FAMILIES`,
and give its hyperparameters in `cvcore.settings.ModelConfig`.
"""

from __future__ import annotations

from importlib import import_module

import keras

from cvcore.settings import ModelConfig

FAMILIES = {
    "cnn": "cvcore.models.cnn",
    "transfer": "cvcore.models.transfer",
}


def build(
    config: ModelConfig, *, image_size: int, channels: int, num_classes: int, precision: str
) -> keras.Model:
    """Build a model that ends in logits.

    It takes images (batch, image_size, image_size, channels) with values 0..255. Logits are (batch,
    num_classes) float32, or (batch, 1) with `output = "sigmoid"`. Initial weights follow Keras'
    global seed. Raises `ValueError` for what does not fit.
    """
    if config.output == "sigmoid" and num_classes != 2:
        raise ValueError(f'output = "sigmoid" needs 2 classes, the data has {num_classes}')
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        family = import_module(FAMILIES[config.family])
        model: keras.Model = family.build(
            config, image_size=image_size, channels=channels, num_classes=num_classes
        )
    finally:
        keras.config.set_dtype_policy(previous)
    return model
