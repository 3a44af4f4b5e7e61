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


def test_weights_of_another_architecture_are_refused_by_name(tensorflow: None) -> None:
    if not WEIGHTS.is_file():
        pytest.skip(f"no pretrained weights at {WEIGHTS}")
    config = ModelConfig(family="transfer", base="vgg16", weights=str(WEIGHTS))
    with pytest.raises(ValueError, match="do not fit vgg16"):
        built(config, image_size=64)
