"""The transfer family: a pretrained base, which works in training as at inference, and a head.

The preprocessing belongs to the base and stands inside the model, so that it cannot be mismatched.
The head is made before the base: its initial weights then depend on the seed alone, whether or not
a base is built beside it, which is what lets a head train on cached features.
"""

from __future__ import annotations

import keras

from cvcore.bases import BASES
from cvcore.draft import did_you_mean
from cvcore.models.blocks import augmentation, chain, head
from cvcore.models.preprocessing import preprocess
from cvcore.models.pretrained import check, load_base
from cvcore.settings import ModelConfig


def build(config: ModelConfig, *, image_size: int, channels: int, num_classes: int) -> keras.Model:
    """Build base and head; raise `ValueError` for a size, channels or weights that do not fit."""
    check(config, image_size=image_size, channels=channels)
    random_layers, parts = augmentation(config), head(config, num_classes=num_classes)
    base = load_base(config, image_size=image_size)
    return assemble(config, base, random_layers=random_layers, head_layers=parts)


def assemble(
    config: ModelConfig,
    base: keras.Model,
    *,
    random_layers: list[keras.layers.Layer],
    head_layers: list[keras.layers.Layer],
) -> keras.Model:
    """Join augmentation, preprocessing, base and head to a model of images 0..255."""
    inputs = keras.Input(base.input_shape[1:], name="image")
    outputs = chain(inputs, random_layers)
    outputs = base(_prepared(config, outputs))
    return keras.Model(inputs, chain(outputs, head_layers), name=config.base)


def extractor(config: ModelConfig, base: keras.Model) -> keras.Model:
    """Build what a frozen base makes of images 0..255: what the head's own layers take in.

    Its outputs are pooled vectors (batch, features) where the head begins with a global average,
    else feature maps (batch, height, width, features).
    """
    inputs = keras.Input(base.input_shape[1:], name="image")
    outputs = base(_prepared(config, inputs), training=False)
    if config.head == "gap":
        outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    return keras.Model(inputs, outputs, name="extractor")


def build_head(
    config: ModelConfig, *, feature_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Build the head alone, over the outputs of `extractor`.

    Its initial weights are those that `build` gives the same head after the same seed.
    """
    augmentation(config)  # draws its seeds first, as in `build`
    parts = head(config, num_classes=num_classes)
    inputs = keras.Input(feature_shape, name="features")
    return keras.Model(inputs, chain(inputs, parts[1:] if config.head == "gap" else parts))


def _prepared(config: ModelConfig, pixels: keras.KerasTensor) -> keras.KerasTensor:
    mode = BASES[config.base].preprocessing if config.preprocessing == "matched" else "none"
    return preprocess(pixels, mode)


def around(config: ModelConfig, base: keras.Model, head_model: keras.Model) -> keras.Model:
    """Build the whole model around a head that was trained on features; it keeps its weights."""
    first = [keras.layers.GlobalAveragePooling2D()] if config.head == "gap" else []
    parts = [*first, *head_model.layers[1:]]
    return assemble(config, base, random_layers=augmentation(config), head_layers=parts)


def unfreeze(model: keras.Model, *, base: str, at: str) -> None:
    """Let a built model's base learn from a layer on; compile it afterwards.

    `at` is a layer's name, its number from 0, or "auto", the boundary of `cvcore.bases`. Batch
    normalisation learns scale and shift and keeps its statistics. Raises `ValueError` for no such
    layer.
    """
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    names = [layer.name for layer in inner.layers]
    wanted = BASES[base].fine_tune_at if at == "auto" else at
    if wanted.isdecimal() and int(wanted) < len(names):
        first = int(wanted)
    elif wanted in names:
        first = names.index(wanted)
    else:
        raise ValueError(
            f"training.fine_tune.at: {base} has the layers 0 ({names[0]}) to {len(names) - 1} "
            f"({names[-1]}), received {at!r}{did_you_mean(wanted, names)}"
        )
    inner.trainable = True
    for number, layer in enumerate(inner.layers):
        learns = number >= first
        layer.trainable = learns
        if isinstance(layer, keras.layers.BatchNormalization):
            # Keras hands the mode of the model down, whatever `training=` the base was called with
            # (keras issue 20285): only as a layer that does not learn it stays in inference mode.
            layer.trainable = False
            for weight in (layer.gamma, layer.beta):
                if weight is not None:
                    weight.trainable = learns
