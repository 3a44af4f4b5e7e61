"""The arithmetic of sizes, and that its message shows it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import geometry
from cvcore.hyperparameters import resolve
from cvcore.settings import ModelConfig, SweepSpec

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


LISTS = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@given(
    num_blocks=st.integers(1, 5),
    filters=LISTS,
    kernels=LISTS,
    pools=LISTS,
    image_size=st.integers(8, 64),
)
def test_the_last_number_of_a_list_stands_for_the_blocks_that_follow(
    num_blocks: int, filters: list[int], kernels: list[int], pools: list[int], image_size: int
) -> None:
    def text(numbers: list[int]) -> str:
        return ",".join(map(str, numbers[:num_blocks]))

    def model(numbers: dict[str, list[int]]) -> ModelConfig:
        lists = {f"{name}_per_block": text(given) for name, given in numbers.items()}
        return ModelConfig(num_blocks=num_blocks, conv_padding="valid", **lists)

    given_short = {"filters": filters, "kernel_size": kernels, "pool_size": pools}
    whole = {name: [*numbers, *[numbers[-1]] * num_blocks] for name, numbers in given_short.items()}
    short = model(given_short)
    assert list(geometry.layers(short)) == list(geometry.layers(model(whole)))
    assert geometry.fits(short, image_size=image_size) == geometry.fits(
        model(whole), image_size=image_size
    )
    convolutions = [one for one in geometry.layers(short) if one.kind == "convolution"]
    assert [one.filters for one in convolutions] == whole["filters"][:num_blocks]
    assert [one.window for one in convolutions] == whole["kernel_size"][:num_blocks]


def test_a_list_takes_the_place_of_number_and_growth() -> None:
    model = ModelConfig(filters=64, filters_growth=4.0, filters_per_block="8,16")
    found = [one.filters for one in geometry.layers(model) if one.kind == "convolution"]
    assert found == [8, 16, 16]


@pytest.mark.parametrize("name", ["filters", "kernel_size", "pool_size"])
def test_a_list_longer_than_the_model_is_refused(name: str) -> None:
    model = ModelConfig(num_blocks=2, **{f"{name}_per_block": "1,2,3"})
    with pytest.raises(ValueError, match=rf"model\.{name}_per_block has 3 numbers for 2 blocks"):
        geometry.check(model, image_size=96)
    assert not geometry.fits(model, image_size=96)


def test_what_a_list_replaces_is_null_in_the_columns() -> None:
    lists = {"filters_per_block": "8", "kernel_size_per_block": "3,5", "pool_size_per_block": "2"}
    columns = resolve(SweepSpec(model=ModelConfig(**lists)), {})[2]
    for name in ("filters", "filters_growth", "kernel_size", "pool_size"):
        assert columns[name] is None
    assert {name: columns[name] for name in lists} == lists


def test_a_transfer_model_has_no_geometry_of_its_own() -> None:
    assert geometry.check(ModelConfig(family="transfer"), image_size=160) == 160
