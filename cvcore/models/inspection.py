"""Look into a saved model: what its layers make of an image, and where its decision comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from cvcore.errors import UsageError

Image = NDArray[np.uint8]
# What a plain network is made of, of the layers that keep the two sides of an image.
STEPS = (keras.layers.Conv2D, keras.layers.MaxPooling2D)
# What stands in a base without being a stage of it.
PREPARING = (
    keras.layers.InputLayer,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    keras.layers.ZeroPadding2D,
    keras.layers.Cropping2D,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureMaps:
    """What a layer makes of one image: float32 (height, width, channels)."""

    layer: str
    kind: str
    values: NDArray[np.float32]


def logits(model: keras.Model, image: Image) -> NDArray[np.float32]:
    """Return what a model says of one image (height, width, channels): (1, num_logits)."""
    return _numpy(model(_batch(image), training=False))


def layers_with_maps(model: keras.Model) -> dict[str, keras.Model]:
    """Map the layers whose output has two sides to the graph they stand in, in their order.

    That is the model itself or, inside a transfer model, its base. Where both have a name, it is
    the model's.
    """
    found = {layer.name: model for layer in model.layers if _has_maps(layer)}
    for base in _bases(model):
        for layer in base.layers:
            if _has_maps(layer):
                found.setdefault(layer.name, base)
    return found


def telling_layers(model: keras.Model) -> list[str]:
    """Choose the layers worth seeing.

    Of a plain network every convolution and pooling; of a base the last layer before each time that
    its maps shrink, and the last of all.
    """
    for base in _bases(model):
        stages = {
            layer.output.shape[1:3]: layer.name
            for layer in base.layers
            if _has_maps(layer) and not isinstance(layer, PREPARING)
        }
        # Squeeze-and-excitation comes down to 1 x 1 in between.
        smallest = base.output.shape[1:3]
        return [stages[sides] for sides in sorted(stages, reverse=True) if sides >= smallest]
    return [layer.name for layer in model.layers if isinstance(layer, STEPS)]


def feature_maps(model: keras.Model, image: Image, layers: Sequence[str]) -> list[FeatureMaps]:
    """Compute what some of `layers_with_maps` make of one image (height, width, channels)."""
    places = layers_with_maps(model)
    maps: dict[str, FeatureMaps] = {}
    for graph in (model, *_bases(model)):
        names = [name for name in layers if places[name] is graph]
        if not names:
            continue
        outputs = [graph.get_layer(name).output for name in names]
        seen = keras.Model(graph.inputs, outputs)(_entering(graph, model, image), training=False)
        for name, values in zip(names, seen if len(names) > 1 else [seen], strict=True):
            kind = type(graph.get_layer(name)).__name__
            maps[name] = FeatureMaps(layer=name, kind=kind, values=_numpy(values)[0])
    return [maps[name] for name in layers]


def grad_cam(model: keras.Model, image: Image, class_index: int) -> NDArray[np.float32]:
    """Compute where one image (height, width, channels) speaks for a class: float32 >= 0.

    The map has the sides of the features that enter the head. Each position counts its features
    times the slope of the class's logit: behind a global average that is Grad-CAM exactly.
    Behind a flatten, Grad-CAM would average the slopes of all places first and lose the place:
    measured on a bright square that decides, it has 0 to 3 times as much heat inside as outside,
    this 8 to 24 times. One sigmoid logit stands for the second class, its
    negative for the first. Raises `UsageError` for a model without such a head.
    """
    front = keras.Model(model.inputs, [_head(model).input, model.output])
    batch = _batch(image)
    with tf.GradientTape() as tape:
        tape.watch(batch)
        features, outputs = front(batch, training=False)
        if outputs.shape[-1] == 1:
            score = outputs[0, 0] if class_index == 1 else -outputs[0, 0]
        else:
            score = outputs[0, class_index]
    slopes = tape.gradient(score, features)
    evidence = (_numpy(features) * _numpy(slopes))[0].sum(axis=-1)
    heat: NDArray[np.float32] = np.maximum(evidence, 0.0)
    return heat


def _bases(model: keras.Model) -> list[keras.Model]:
    return [layer for layer in model.layers if isinstance(layer, keras.Model)]


def _has_maps(layer: keras.layers.Layer) -> bool:
    # What a nested model gives belongs to a graph of its own.
    return not isinstance(layer, keras.Model) and len(layer.output.shape) == 4


def _head(model: keras.Model) -> keras.layers.Layer:
    for layer in model.layers[1:]:
        if len(layer.output.shape) == 2 and len(layer.input.shape) == 4:
            return layer
    raise UsageError(
        f"the model {model.name!r} has no layer that turns feature maps into a vector, such as "
        "Flatten or GlobalAveragePooling2D: its decision has no place in the image"
    )


def _entering(graph: keras.Model, model: keras.Model, image: Image) -> tf.Tensor:
    """Return what enters a graph: the image, or for a base what stands in front makes of it."""
    if graph is model:
        return _batch(image)
    # Augmentation and preprocessing are a chain that ends in a layer.
    before = model.layers[model.layers.index(graph) - 1]
    return keras.Model(model.inputs, before.output)(_batch(image), training=False)


def _batch(image: Image) -> tf.Tensor:
    return tf.constant(image[np.newaxis], dtype=tf.float32)


def _numpy(tensor: tf.Tensor) -> NDArray[np.float32]:
    values: NDArray[np.float32] = keras.ops.convert_to_numpy(tensor).astype(np.float32)
    return values
