"""The arithmetic of sizes, and that its message shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import geometry
from cvcore.settings import ModelConfig

MODELS = st.builds(
    ModelConfig,
    num_blocks=st.integers(1, 5),
    kernel_size=st.integers(1, 7),
    conv_stride=st.integers(1, 4),
    conv_padding=st.sampled_from(["same", "valid"]),
    pool_size=st.integers(1, 4),
    pool_stride=st.one_of(st.none(), st.integers(1, 4)),
    pool_padding=st.sampled_from(["same", "valid"]),
)


def test_the_documents_casting_network_ends_in_35_by_35() -> None:
    model = ModelConfig(num_blocks=3, kernel_size=3, conv_padding="valid", pool_size=2)
    assert geometry.check(model, image_size=300) == 35


def test_the_message_shows_the_sizes_and_the_step_that_fails() -> None:
    model = ModelConfig(num_blocks=4, conv_stride=2, conv_padding="valid", pool_size=2)
    with pytest.raises(
        ValueError, match=r"sizes 32 -> 15 -> 7 -> 3 -> 1, then convolution 3x3"
    ) as e:
        geometry.check(model, image_size=32)
    assert "floor((1 - 3) / 2) + 1 = 0" in str(e.value)
    assert "block 3" in str(e.value)


@given(model=MODELS, image_size=st.integers(8, 64))
def test_a_size_is_left_exactly_where_no_step_reaches_nothing(
    model: ModelConfig, image_size: int
) -> None:
    sizes = [image_size]
    for layer in geometry.layers(model):
        sizes.append(layer.after(sizes[-1]) if sizes[-1] > 0 else 0)
    assert geometry.fits(model, image_size=image_size) == (min(sizes) >= 1)
    if min(sizes) >= 1:
        assert geometry.check(model, image_size=image_size) == sizes[-1]


@given(model=MODELS, image_size=st.integers(8, 64))
def test_a_larger_image_never_leaves_less(model: ModelConfig, image_size: int) -> None:
    if geometry.fits(model, image_size=image_size):
        smaller = geometry.check(model, image_size=image_size)
        assert geometry.check(model, image_size=image_size + 1) >= smaller


def test_a_transfer_model_has_no_geometry_of_its_own() -> None:
    assert geometry.check(ModelConfig(family="transfer"), image_size=160) == 160
