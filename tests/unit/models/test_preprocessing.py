"""Known pixels through the preprocessing of every base: the numbers, the order, the saved file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvcore.bases import BASES

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(60)]

SIZE = 8
RED = np.broadcast_to(np.array([255.0, 0.0, 0.0], np.float32), (1, SIZE, SIZE, 3))
# What becomes of (255, 0, 0), by hand: (p / 127.5 - 1), ((p / 255 - mean) / deviation), BGR - mean.
RED_BECOMES = {
    "tf": (1.0, -1.0, -1.0),
    "torch": (0.515 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
    "caffe": (-103.939, -116.779, 255 - 123.68),
    "none": (255.0, 0.0, 0.0),
}


def preprocessing(mode: str) -> Any:
    """Build a model that is the preprocessing alone."""
    import keras

    from cvcore.models.preprocessing import preprocess

    inputs = keras.Input((SIZE, SIZE, 3))
    return keras.Model(inputs, preprocess(inputs, mode))


def images() -> np.ndarray:
    """Return a red image and one of random pixels, the extremes among them."""
    random = np.random.default_rng(0).integers(0, 256, (1, SIZE, SIZE, 3)).astype(np.float32)
    random[0, 0, 0], random[0, 0, 1] = 0, 255
    return np.concatenate([RED, random])


@pytest.mark.parametrize("name", BASES)
def test_a_base_sees_the_pixels_that_keras_would_give_it(tensorflow: None, name: str) -> None:
    import keras

    builder = getattr(keras.applications, BASES[name].builder)
    module = getattr(keras.applications, builder.__module__.rpartition(".")[2])
    expected = module.preprocess_input(images())
    seen = preprocessing(BASES[name].preprocessing)(images())
    np.testing.assert_allclose(seen, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", RED_BECOMES)
def test_red_stays_in_the_channel_where_the_base_looks_for_it(tensorflow: None, mode: str) -> None:
    seen = preprocessing(mode)(RED)
    np.testing.assert_allclose(seen[0, 0, 0], RED_BECOMES[mode], rtol=0, atol=1e-4)


@pytest.mark.parametrize("mode", RED_BECOMES)
def test_a_saved_model_loads_in_safe_mode_and_preprocesses_alike(
    tensorflow: None, mode: str, tmp_path: Path
) -> None:
    import keras

    model = preprocessing(mode)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(images()), model(images()))


def test_an_unknown_mode_is_refused_with_those_that_exist(tensorflow: None) -> None:
    with pytest.raises(ValueError, match='"tf", "torch", "caffe" or "none", received \'imagenet\''):
        preprocessing("imagenet")


def test_every_mode_of_the_table_is_tested_by_hand() -> None:
    assert {base.preprocessing for base in BASES.values()} == set(RED_BECOMES)
