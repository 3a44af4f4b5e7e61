"""Models: counts known from outside, augmentation that rests at inference, real weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvcore.settings import ModelConfig

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(120)]

WEIGHTS = Path(os.environ.get("CVJOBS_SHARED", "../shared")) / (
    "models/mobilenet_v2_1.0_160_no_top.weights.h5"
)


def built(
    config: ModelConfig, *, image_size: int = 32, channels: int = 3, num_classes: int = 2
) -> Any:
    from cvcore.models import build

    return build(
        config,
        image_size=image_size,
        channels=channels,
        num_classes=num_classes,
        precision="float32",
    )


def images(count: int = 4, size: int = 32, channels: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, size, size, channels)).astype(np.float32)


def test_a_cnn_has_the_parameters_that_paper_and_pencil_give(tensorflow: None) -> None:
    # conv 3*3*3*8+8, conv 3*3*8*16+16, 8x8x16 flat to 5, 5 to 3.
    config = ModelConfig(num_blocks=2, filters=8, dense_units=5)
    model = built(config, num_classes=3)
    assert model.count_params() == (224 + 1168) + (8 * 8 * 16 * 5 + 5) + (5 * 3 + 3)
    assert model.output_shape == (None, 3)


def test_pooling_of_one_and_no_dense_units_leave_the_layers_out(tensorflow: None) -> None:
    config = ModelConfig(num_blocks=1, pool_size=1, dense_units=0, head="gap", dropout=0.0)
    kinds = [type(layer).__name__ for layer in built(config).layers]
    assert kinds == ["InputLayer", "Rescaling", "Conv2D", "GlobalAveragePooling2D", "Dense"]


@pytest.mark.parametrize(
    "strength",
    [
        {"augment_flip": "both"},
        {"augment_rotation": 0.3},
        {"augment_contrast": 0.5},
        {"augment_zoom": 0.3},
        {"augment_translation": 0.3},
        {"augment_crop": 0.3},
        {"augment_height": 0.3},
        {"augment_width": 0.3},
        {"augment_brightness": 0.3},
    ],
    ids=lambda strength: next(iter(strength)),
)
def test_augmentation_changes_images_in_training_and_none_at_inference(
    tensorflow: None, strength: dict[str, float | str]
) -> None:
    import keras

    from cvcore.models.blocks import augmentation, chain

    inputs = keras.Input((32, 32, 3))
    model = keras.Model(inputs, chain(inputs, augmentation(ModelConfig(**strength))))
    batch = images(count=64)  # the chance that a flip leaves all of them as they are is 2**-128
    assert np.array_equal(model(batch, training=False), batch)
    assert not np.array_equal(model(batch, training=True), batch)


@pytest.mark.parametrize(("name", "axis"), [("augment_height", 1), ("augment_width", 2)])
def test_a_stretch_moves_pixels_along_its_own_axis_only(
    tensorflow: None, name: str, axis: int
) -> None:
    """An image that changes along the other axis only stays as it is."""
    from cvcore.models.blocks import augmentation

    (layer,) = augmentation(ModelConfig(**{name: 0.5}))
    ramp = np.linspace(0, 255, 32, dtype=np.float32)
    across = np.broadcast_to(ramp[:, None, None], (8, 32, 32, 3))
    along = np.swapaxes(across, 1, 2)
    moved, still = (across, along) if axis == 1 else (along, across)
    np.testing.assert_allclose(layer(still, training=True), still, atol=1e-3)
    assert np.abs(layer(moved, training=True) - moved).max() > 5


def test_brightness_stays_within_its_part_of_the_range(tensorflow: None) -> None:
    from cvcore.models.blocks import augmentation

    (layer,) = augmentation(ModelConfig(augment_brightness=0.2))
    gray = np.full((64, 8, 8, 3), 128.0, np.float32)
    change = np.asarray(layer(gray, training=True)) - gray
    assert np.ptp(change, axis=(1, 2, 3)).max() < 1e-3  # an image as a whole
    assert 20 < np.abs(change).max() <= 0.2 * 255 + 1e-3
    assert np.max(layer(gray + 120, training=True)) <= 255


def test_every_augmentation_of_the_menu_is_one_of_the_layers(tensorflow: None) -> None:
    from cvcore.models.blocks import augmentation

    strengths = {
        name: 0.1
        for name in ModelConfig.__dataclass_fields__
        if name.startswith("augment_") and name not in ("augment_flip", "augment_fill")
    }
    found = augmentation(ModelConfig(augment_flip="both", **strengths))
    kinds = [type(layer).__name__ for layer in found]
    assert kinds == [
        *("RandomFlip", "RandomRotation", "RandomZoom", "RandomZoom", "RandomTranslation"),
        *("RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness"),
    ]
    assert augmentation(ModelConfig()) == []


def layers_of(config: ModelConfig) -> list[Any]:
    return list(built(config).layers)


def test_a_list_gives_every_block_its_own_number(tensorflow: None) -> None:
    config = ModelConfig(
        num_blocks=4, filters=99, kernel_size=9, pool_size=8, filters_per_block="8,16",
        kernel_size_per_block="5,3", pool_size_per_block="2,1,4",
    )  # fmt: skip
    found = layers_of(config)
    convolutions = [one for one in found if type(one).__name__ == "Conv2D"]
    assert [one.filters for one in convolutions] == [8, 16, 16, 16]
    assert [one.kernel_size[0] for one in convolutions] == [5, 3, 3, 3]
    pools = [one for one in found if type(one).__name__ == "MaxPooling2D"]
    assert [(one.pool_size[0], one.strides[0]) for one in pools] == [(2, 2), (4, 4), (4, 4)]


def test_a_list_of_equal_numbers_is_the_number(tensorflow: None) -> None:
    lists = ModelConfig(filters_per_block="6", kernel_size_per_block="3", pool_size_per_block="2")
    plain = ModelConfig(filters=6, filters_growth=1.0)
    described = [
        [(type(one).__name__, one.output.shape) for one in layers_of(config)]
        for config in (lists, plain)
    ]
    assert described[0] == described[1]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("head", "CPCPFDxN"),
        ("blocks", "CPxCPxFDN"),
        ("everywhere", "CPxCPxFDxN"),
        ("last_pool", "CPCPxFDN"),
    ],
)
def test_dropout_stands_where_it_is_said(tensorflow: None, where: str, expected: str) -> None:
    """C convolution, P pooling, F flatten, D hidden dense, N logits, x dropout."""
    config = ModelConfig(num_blocks=2, dropout=0.5, dropout_at=where)
    names = {"Conv2D": "C", "MaxPooling2D": "P", "Flatten": "F", "Dense": "D", "Dropout": "x"}
    kinds = [names.get(type(layer).__name__, "") for layer in layers_of(config)]
    assert "".join(kinds)[:-1] + "N" == expected


def test_dropout_after_the_last_pool_where_a_later_block_has_none(tensorflow: None) -> None:
    config = ModelConfig(
        num_blocks=2, dropout=0.5, dropout_at="last_pool", pool_size_per_block="2,1"
    )
    kinds = [type(layer).__name__ for layer in layers_of(config)]
    assert kinds[2:6] == ["Conv2D", "MaxPooling2D", "Dropout", "Conv2D"]
    config = ModelConfig(num_blocks=1, dropout=0.5, dropout_at="last_pool", pool_size=1)
    kinds = [type(layer).__name__ for layer in layers_of(config)]
    assert kinds[2:4] == ["Conv2D", "Dropout"]  # no pool at all: behind the blocks


def test_a_random_crop_never_looks_beyond_the_image(tensorflow: None) -> None:
    import keras

    from cvcore.models.blocks import augmentation, chain

    config = ModelConfig(augment_crop=0.5, augment_fill="constant")
    inputs = keras.Input((32, 32, 1))
    model = keras.Model(inputs, chain(inputs, augmentation(config)))
    white = np.full((16, 32, 32, 1), 255.0, np.float32)
    assert np.min(model(white, training=True)[:, 2:-2, 2:-2]) > 254


@pytest.mark.parametrize("scaling, low, high", [("unit", 0, 1), ("symmetric", -1, 1)])
def test_scaling_brings_pixels_to_its_range(
    tensorflow: None, scaling: str, low: float, high: float
) -> None:
    from cvcore.models.blocks import scaling as scaling_layers

    (layer,) = scaling_layers(scaling)
    assert np.allclose(layer(np.array([0.0, 255.0], np.float32)), [low, high])


def test_sigmoid_output_of_three_classes_is_refused(tensorflow: None) -> None:
    with pytest.raises(ValueError, match='output = "sigmoid" needs 2 classes, the data has 3'):
        built(ModelConfig(output="sigmoid"), num_classes=3)


def test_mobilenet_has_the_documents_parameters_and_takes_real_weights(tensorflow: None) -> None:
    if not WEIGHTS.is_file():
        pytest.skip(f"no pretrained weights at {WEIGHTS}")
    config = ModelConfig(family="transfer", weights=str(WEIGHTS), head="gap", dense_units=0)
    model = built(config, image_size=160)
    assert model.count_params() == 2_260_546
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 2_562
    random = built(ModelConfig(family="transfer", weights="none", head="gap"), image_size=160)
    name = "mobilenetv2_1.00_160"
    assert not np.array_equal(
        model.get_layer(name).get_weights()[0], random.get_layer(name).get_weights()[0]
    )


SLOW = pytest.mark.slow
FAMILIES = [
    "mobilenet_v2",
    "efficientnet_b0",
    *(
        pytest.param(name, marks=SLOW)
        for name in (
            "convnext_tiny", "densenet121", "efficientnet_v2_b0", "inception_v3", "mobilenet",
            "mobilenet_v3_small", "nasnet_mobile", "resnet50", "resnet50_v2", "vgg16", "xception",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("base", FAMILIES)
def test_a_base_makes_the_same_of_an_image_in_training_frozen_or_not(
    tensorflow: None, base: str
) -> None:
    """No dropped paths, no statistics of a batch; and nothing is learned by looking."""
    from cvcore.models.transfer import unfreeze

    config = ModelConfig(family="transfer", base=base, weights="none", head="gap", dense_units=0)
    model, batch = built(config, image_size=75), images(size=75)
    expected = model(batch, training=False)
    before = model.get_weights()
    assert np.array_equal(model(batch, training=True), expected)
    unfreeze(model, base=base, at="0")
    assert np.array_equal(model(batch, training=True), expected)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.array_equal(old, new)


def test_weights_of_another_architecture_are_refused_by_name(tensorflow: None) -> None:
    if not WEIGHTS.is_file():
        pytest.skip(f"no pretrained weights at {WEIGHTS}")
    config = ModelConfig(family="transfer", base="vgg16", weights=str(WEIGHTS))
    with pytest.raises(ValueError, match="do not fit vgg16"):
        built(config, image_size=64)
