"""Receptive fields: what the formula says is what a unit really depends on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cvcore import geometry
from cvcore.geometry import Layer
from cvcore.kernels import Kernel
from cvcore.pictures.filtering import convolve
from cvcore.receptive_field import views
from cvcore.settings import ModelConfig

PADDINGS = ("valid", "same")


def layer(window: int, stride: int = 1, padding: str = "valid") -> Layer:
    return Layer(
        block=1, kind="convolution", filters=1, window=window, stride=stride, padding=padding
    )


def chains(paddings: tuple[str, ...]) -> st.SearchStrategy[list[Layer]]:
    one = st.builds(layer, st.integers(1, 5), st.integers(1, 3), st.sampled_from(paddings))
    return st.lists(one, min_size=1, max_size=4)


def influence(chain: list[Layer], image_size: int) -> np.ndarray:
    """Tell which unit depends on which pixel, bool (units, pixels): light one pixel at a time."""
    columns = []
    for pixel in range(image_size):
        values = np.zeros((image_size, 1))
        values[pixel] = 1.0
        for one in chain:
            ones = Kernel(name="ones", rows=((1.0,),) * one.window)
            values = convolve(values, ones, stride=one.stride, padding=one.padding)
        columns.append(values[:, 0] > 0)
    return np.stack(columns, axis=1)


def seen(chain: list[Layer], image_size: int) -> np.ndarray:
    """Return that, for chains that leave something of the image."""
    size = image_size
    for one in chain:
        size = one.after(size)
        assume(size > 0)
    return influence(chain, image_size)


def test_two_stacked_3x3_convolutions_see_5x5() -> None:
    assert [view.field for view in views([layer(3), layer(3)], image_size=9)] == [3, 5]


def test_the_documents_casting_network_sees_22_pixels() -> None:
    model = ModelConfig(num_blocks=3, kernel_size=3, conv_padding="valid", pool_size=2)
    found = list(views(geometry.layers(model), image_size=300))

    assert [view.field for view in found] == [3, 4, 8, 10, 18, 22]
    assert [view.jump for view in found] == [1, 2, 2, 4, 4, 8]
    assert [view.size for view in found] == [298, 149, 147, 73, 71, 35]


@pytest.mark.parametrize("padding", PADDINGS)
def test_the_sizes_are_those_of_the_geometry(padding: str) -> None:
    model = ModelConfig(num_blocks=3, conv_padding=padding, pool_padding=padding, conv_stride=2)
    *_, last = views(geometry.layers(model), image_size=96)

    assert last.size == geometry.check(model, image_size=96)


@settings(deadline=None)
@given(
    chain=st.sampled_from(PADDINGS).flatmap(lambda padding: chains((padding,))),
    image_size=st.integers(8, 40),
)
def test_a_unit_sees_exactly_its_field_where_windows_touch(
    chain: list[Layer], image_size: int
) -> None:
    assume(all(one.stride <= one.window for one in chain))
    sees = seen(chain, image_size)
    last = list(views(chain, image_size=image_size))[-1]

    assert sees.shape[0] == last.size
    for unit, pixels in enumerate(sees):
        first = last.start + unit * last.jump
        field = range(first, first + last.field)
        assert list(np.flatnonzero(pixels)) == [one for one in field if 0 <= one < image_size]


@settings(deadline=None)
@given(chain=chains(PADDINGS), image_size=st.integers(8, 40))
def test_no_unit_sees_beyond_its_field(chain: list[Layer], image_size: int) -> None:
    sees = seen(chain, image_size)
    last = list(views(chain, image_size=image_size))[-1]

    for unit, pixels in enumerate(sees):
        first = last.start + unit * last.jump
        assert set(np.flatnonzero(pixels)) <= set(range(first, first + last.field))


@given(chain=chains(("valid",)), image_size=st.integers(60, 90))
def test_the_middle_is_the_field_of_the_unit_in_the_middle(
    chain: list[Layer], image_size: int
) -> None:
    for view in views(chain, image_size=image_size):
        assume(view.size > 0)
        first, last = view.middle
        assert last - first + 1 == view.field
        assert first >= 0
        assert last < image_size
        assert abs((first + last) / 2 - (image_size - 1) / 2) <= 1.5 * view.jump


def test_a_stride_beyond_the_window_skips_pixels() -> None:
    assert [view.skips for view in views([layer(3, 3), layer(2, 3)], image_size=30)] == [
        False,
        True,
    ]
