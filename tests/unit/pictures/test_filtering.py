"""The NumPy filter, detector and pool do what the Keras layers do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvcore.errors import UsageError
from cvcore.kernels import Kernel, parse_kernel
from cvcore.pictures.filtering import Window, circle, convolve, max_pool, relu, run_stages

pytestmark = [pytest.mark.xdist_group("tensorflow"), pytest.mark.timeout(60)]

PADDINGS = st.sampled_from(["valid", "same"])
IMAGES = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9)).map(
    lambda drawn: np.random.default_rng(drawn[2]).normal(size=drawn[:2])
)


def through(layer: Any, image: np.ndarray) -> np.ndarray:
    """Send one grey image through a Keras layer."""
    return np.asarray(layer(image[np.newaxis, ..., np.newaxis].astype(np.float32)))[0, ..., 0]


@settings(deadline=None, max_examples=60)
@given(
    image=IMAGES, height=st.integers(1, 5), width=st.integers(1, 5), stride=st.integers(1, 4),
    padding=PADDINGS,
)  # fmt: skip
def test_filter_and_detect_are_conv2d_with_relu(
    tensorflow: None, image: np.ndarray, height: int, width: int, stride: int, padding: str
) -> None:
    import keras

    assume(padding == "same" or (image.shape[0] >= height and image.shape[1] >= width))
    weights = np.random.default_rng(height * 10 + width).normal(size=(height, width))
    kernel = Kernel(name="random", rows=tuple(tuple(row) for row in weights))
    layer = keras.layers.Conv2D(
        1, (height, width), strides=stride, padding=padding, use_bias=False, activation="relu"
    )
    layer.build((None, *image.shape, 1))
    layer.set_weights([weights[..., np.newaxis, np.newaxis]])

    found = relu(convolve(image, kernel, stride=stride, padding=padding))

    np.testing.assert_allclose(found, through(layer, image), atol=1e-5)


@settings(deadline=None, max_examples=60)
@given(image=IMAGES, size=st.integers(1, 5), stride=st.integers(1, 4), padding=PADDINGS)
def test_condense_is_max_pooling_2d(
    tensorflow: None, image: np.ndarray, size: int, stride: int, padding: str
) -> None:
    import keras

    assume(padding == "same" or min(image.shape) >= size)
    layer = keras.layers.MaxPooling2D(size, strides=stride, padding=padding)

    found = max_pool(image, size=size, stride=stride, padding=padding)

    np.testing.assert_allclose(found, through(layer, image), atol=1e-5)


def test_the_circle_of_the_document_is_one_pixel_wide_and_symmetric() -> None:
    drawn = circle()

    assert drawn.shape == (64, 64)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    for turned in (drawn.T, drawn[::-1], drawn[:, ::-1]):
        assert np.array_equal(turned, drawn)
    # One pixel wide: nowhere a full square of 2 x 2.
    assert max((drawn[1:, 1:] + drawn[:-1, 1:] + drawn[1:, :-1] + drawn[:-1, :-1]).ravel()) < 4


def test_the_condensation_is_conv_stride_times_pool_stride() -> None:
    window = Window(conv_stride=2, conv_padding="same", pool_size=4, pool_stride=4)
    stages = run_stages(circle(), parse_kernel("bottom-sobel"), window)

    assert window.condensation == 8
    assert stages.filtered.shape == stages.detected.shape == (32, 32)
    assert stages.condensed.shape == (8, 8)


def test_an_image_that_shrinks_to_nothing_is_a_usage_error() -> None:
    window = Window(conv_stride=8, pool_size=9, pool_stride=1)

    with pytest.raises(UsageError, match=r"window of 9 x 9 does not fit into the 8 x 8"):
        run_stages(circle(), parse_kernel("edge"), window)
