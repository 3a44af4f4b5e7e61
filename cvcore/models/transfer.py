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


def make(config: ModelConfig, *, num_classes: int) -> list[keras.layers.Layer]:
    """Make the layers around the base: augmentation, then the head; nothing is built."""
    return [*augmentation(config), *head(config, num_classes=num_classes)]


def join(
    config: ModelConfig, parts: list[keras.layers.Layer], *, image_size: int, channels: int
) -> keras.Model:
    """Build base and head; raise `ValueError` for a size, channels or weights that do not fit."""
    check(config, image_size=image_size, channels=channels)
    return assemble(config, load_base(config, image_size=image_size), parts)


def assemble(
    config: ModelConfig, base: keras.Model, parts: list[keras.layers.Layer]
) -> keras.Model:
    """Join the layers of `make` and a base to a model of images 0..255."""
    random_layers, head_layers = _parted(parts)
    inputs = keras.Input(base.input_shape[1:], name="image")
    outputs = base(_prepared(config, chain(inputs, random_layers)))
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


def join_head(
    config: ModelConfig, parts: list[keras.layers.Layer], *, feature_shape: tuple[int, ...]
) -> keras.Model:
    """Build the head alone, over the outputs of `extractor`, of the layers of `make`.

    Its initial weights are those of the whole model after the same seed.
    """
    _, own = _parted(parts)
    inputs = keras.Input(feature_shape, name="features")
    return keras.Model(inputs, chain(inputs, own[1:] if config.head == "gap" else own))


def around(config: ModelConfig, base: keras.Model, head_model: keras.Model) -> keras.Model:
    """Build the whole model around a head that was trained on features; it keeps its weights."""
    first = [keras.layers.GlobalAveragePooling2D()] if config.head == "gap" else []
    return assemble(config, base, [*augmentation(config), *first, *head_model.layers[1:]])


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


def _prepared(config: ModelConfig, pixels: keras.KerasTensor) -> keras.KerasTensor:
    mode = BASES[config.base].preprocessing if config.preprocessing == "matched" else "none"
    return preprocess(pixels, mode)


def _parted(
    parts: list[keras.layers.Layer],
) -> tuple[list[keras.layers.Layer], list[keras.layers.Layer]]:
    """Part the layers of `make` into those before the base and those behind it."""
    starts = (keras.layers.Flatten, keras.layers.GlobalAveragePooling2D)
    first = next(i for i, part in enumerate(parts) if isinstance(part, starts))
    return parts[:first], parts[first:]
