"""Looking into models: Grad-CAM lies where the class was put, feature maps are the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cvcore.errors import UsageError
from cvcore.settings import ModelConfig

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]

SIDE, SQUARE = 24, 8
# A corner a class: the square's first row and column.
CORNERS = ((0, 0), (16, 16))


def with_square(seed: int, corner: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Noise, with a square at `corner` that is far brighter."""
    image = np.random.default_rng(seed).integers(0, 100, (SIDE, SIDE, 1)).astype(np.uint8)
    if corner is not None:
        row, column = corner
        image[row : row + SQUARE, column : column + SQUARE] = 230
    return image


def anywhere(seed: int) -> tuple[int, int]:
    row, column = np.random.default_rng(seed + 1000).integers(0, SIDE - SQUARE, 2)
    return int(row), int(column)


def trained(config: ModelConfig, images: list[NDArray[np.uint8]], labels: list[int]) -> Any:
    """Train a model of the product until it tells these images apart."""
    import keras

    from cvcore.models import build

    keras.utils.set_random_seed(0)
    model = build(config, image_size=SIDE, channels=1, num_classes=2, precision="float32")
    losses = {
        "softmax": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "sigmoid": keras.losses.BinaryCrossentropy(from_logits=True),
    }
    model.compile(
        optimizer=keras.optimizers.Adam(0.01), loss=losses[config.output], jit_compile=False
    )
    model.fit(
        np.stack(images).astype(np.float32), np.array(labels), batch_size=64, epochs=60, verbose=0
    )
    return model


def heat_ratio(heat: NDArray[np.float32], corner: tuple[int, int]) -> float:
    """Mean heat inside the square over that outside, on the pixels of the image."""
    scale = SIDE // heat.shape[0]
    pixels = np.kron(heat, np.ones((scale, scale)))
    inside = np.zeros((SIDE, SIDE), bool)
    inside[corner[0] : corner[0] + SQUARE, corner[1] : corner[1] + SQUARE] = True
    return float(pixels[inside].mean() / max(pixels[~inside].mean(), 1e-9))


@pytest.mark.slow
def test_the_heat_of_a_class_lies_on_the_corner_that_decides() -> None:
    from cvcore.models import inspection

    labels = [number % 2 for number in range(64)]
    images = [with_square(seed, CORNERS[label]) for seed, label in enumerate(labels)]
    config = ModelConfig(num_blocks=2, filters=4, dense_units=0, head="flatten")
    model = trained(config, images, labels)

    for label, corner in enumerate(CORNERS):
        image = with_square(500 + label, corner)
        assert inspection.logits(model, image).argmax() == label
        heat = inspection.grad_cam(model, image, label)
        assert heat.shape == (SIDE // 4, SIDE // 4)
        assert heat.min() >= 0
        assert heat_ratio(heat, corner) > 5


@pytest.mark.slow
def test_the_heat_follows_the_square_behind_a_global_average() -> None:
    from cvcore.models import inspection

    labels = [number % 2 for number in range(64)]
    images = [with_square(seed, anywhere(seed) if seed % 2 else None) for seed in range(64)]
    config = ModelConfig(num_blocks=2, filters=4, dense_units=8, head="gap", output="sigmoid")
    model = trained(config, images, labels)

    for seed in (501, 503, 505):
        image = with_square(seed, anywhere(seed))
        assert inspection.logits(model, image)[0, 0] > 0
        assert heat_ratio(inspection.grad_cam(model, image, 1), anywhere(seed)) > 5


def test_behind_a_global_average_the_heat_is_that_of_paper_and_pencil() -> None:
    """Channels x and 255 - x, logit = mean of the first - 2 means of the second."""
    import keras

    from cvcore.models import inspection

    inputs = keras.Input((4, 4, 1))
    convolution, logit = keras.layers.Conv2D(2, 1, activation="relu"), keras.layers.Dense(1)
    outputs = logit(keras.layers.GlobalAveragePooling2D()(convolution(inputs)))
    model = keras.Model(inputs, outputs)
    convolution.set_weights([np.array([1.0, -1.0]).reshape(1, 1, 1, 2), np.array([0.0, 255.0])])
    logit.set_weights([np.array([[1.0], [-2.0]]), np.array([7.0])])
    image = np.arange(0, 256, 16, dtype=np.uint8).reshape(4, 4, 1)
    x = image[..., 0].astype(float)
    evidence = (x - 2 * (255 - x)) / 16

    assert inspection.logits(model, image)[0, 0] == pytest.approx(evidence.sum() + 7)
    for_second, for_first = (inspection.grad_cam(model, image, index) for index in (1, 0))
    assert for_second == pytest.approx(np.maximum(evidence, 0), abs=1e-4)
    assert for_first == pytest.approx(np.maximum(-evidence, 0), abs=1e-4)


@pytest.mark.parametrize(("base", "head"), [("mobilenet_v2", "gap"), ("vgg16", "flatten")])
def test_maps_inside_a_base_are_those_the_decision_rests_on(
    base: str, head: str, tmp_path: Path
) -> None:
    import keras

    from cvcore.models import build, inspection

    config = ModelConfig(
        family="transfer", base=base, weights="none", head=head, dense_units=0,
        augment_flip="both", augment_contrast=0.5,
    )  # fmt: skip
    built = build(config, image_size=32, channels=3, num_classes=3, precision="float32")
    built.save(tmp_path / "model.keras")
    model = keras.models.load_model(tmp_path / "model.keras", compile=False)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    names = inspection.telling_layers(model)
    maps = inspection.feature_maps(model, image, names)
    last = maps[-1].values
    vector = last.mean(axis=(0, 1)) if head == "gap" else last.reshape(-1)
    kernel, bias = model.get_layer("logits").get_weights()

    sides = [one.values.shape[0] for one in maps]
    assert sides == sorted(set(sides), reverse=True)
    assert sides[-1] == 1
    assert len(names) >= 5
    assert vector @ kernel + bias == pytest.approx(inspection.logits(model, image)[0], abs=1e-4)
    assert inspection.grad_cam(model, image, 2).shape == (1, 1)


def test_every_convolution_and_pooling_of_a_cnn_is_shown() -> None:
    from cvcore.models import build, inspection

    config = ModelConfig(num_blocks=2, filters=3, augment_rotation=0.2, dropout=0.5)
    model = build(config, image_size=16, channels=1, num_classes=2, precision="float32")
    image = np.full((16, 16, 1), 128, np.uint8)
    maps = inspection.feature_maps(model, image, inspection.telling_layers(model))

    assert [one.kind for one in maps] == ["Conv2D", "MaxPooling2D"] * 2
    assert [one.values.shape for one in maps] == [(16, 16, 3), (8, 8, 3), (8, 8, 6), (4, 4, 6)]
    # Pooling 2 x 2 of what the convolution gave.
    pooled = maps[0].values.reshape(8, 2, 8, 2, 3).max(axis=(1, 3))
    assert (pooled == maps[1].values).all()
    reverse = [one.layer for one in maps][::-1]
    assert [one.layer for one in inspection.feature_maps(model, image, reverse)] == reverse


def test_a_squeeze_inside_a_base_is_no_stage_of_it() -> None:
    import keras
    from keras import layers

    from cvcore.models import inspection

    inside = keras.Input((8, 8, 1))
    first = layers.Conv2D(2, 3, padding="same", name="first")(inside)
    squeezed = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(first)
    excited = layers.Multiply(name="excited")([first, squeezed])
    padded = layers.ZeroPadding2D(1, name="padded")(excited)
    last = layers.Conv2D(2, 3, strides=2, name="last")(padded)
    inputs = keras.Input((8, 8, 1))
    features = keras.Model(inside, last)(inputs)
    model = keras.Model(inputs, layers.Dense(2)(layers.Flatten()(features)))

    assert inspection.telling_layers(model) == ["excited", "last"]
    assert {"first", "squeeze", "padded"} <= set(inspection.layers_with_maps(model))


def test_a_model_without_a_head_has_no_place_of_decision() -> None:
    import keras

    from cvcore.models import inspection

    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="dense")
    with pytest.raises(UsageError, match="'dense' has no layer that turns feature maps"):
        inspection.grad_cam(model, np.zeros((8,), np.uint8), 0)
