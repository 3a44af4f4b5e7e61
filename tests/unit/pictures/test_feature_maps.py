"""The picture of a decision: the image, the heat over it, and the maps of every layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from cvcore.pictures import Heat, LayerMaps, centre, draw_features, liveliest, save
from cvcore.pictures.style import SIGNED
from tests.figures import all_words, misplaced_texts, num_drawn

pytestmark = pytest.mark.timeout(30)

RNG = np.random.default_rng(0)
TWO = {"crack": 0.875, "ok": 0.125}
MANY = {f"a_class_with_a_name_far_too_long_{i:02}": (i + 1) / 78 for i in range(12)}


def layer(side: int, count: int, *, name: str = "conv2d", signed: bool = False) -> LayerMaps:
    values = RNG.random((side, side, count)).astype(np.float32) - (0.5 if signed else 0)
    return LayerMaps(name=name, kind="Conv2D", values=values, channels=liveliest(values, 16))


def figure(
    *layers: LayerMaps,
    chances: Mapping[str, float] = TWO,
    channels: int = 3,
    heat: float = 1.0,
    name: str = "part.png",
) -> Figure:
    image = RNG.integers(0, 256, (20, 20, channels)).astype(np.uint8)
    likeliest = sorted(chances, key=lambda one: -chances[one])[:2]
    maps = (heat * RNG.random((5, 5))).astype(np.float32)
    heats = [Heat(label=one, probability=chances[one], values=maps) for one in likeliest]
    return draw_features(image, layers, heats, chances, name=name)


FIGURES = {
    "a cnn": lambda: figure(layer(20, 16), layer(10, 16, name="max_pooling2d"), layer(5, 64)),
    "a grey image": lambda: figure(layer(20, 3), channels=1),
    "one layer of many channels": lambda: figure(layer(8, 64, name="block_2_add", signed=True)),
    "many classes": lambda: figure(layer(8, 20), chances=MANY, name="W" * 200 + ".png"),
    "long names": lambda: figure(
        layer(8, 20, name="convnext_tiny_stage_0_block_2_identity"), layer(4, 20, name="x" * 90)
    ),
    "a single position": lambda: figure(layer(1, 40)),
    "no heat": lambda: figure(layer(8, 20), heat=0.0),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_covers_another_or_leaves_the_figure(name: str) -> None:
    assert misplaced_texts(FIGURES[name]()) == []


def test_layers_and_classes_are_named() -> None:
    silent = np.zeros((4, 4, 3), np.float32)
    silent[0, 0, 1] = 0.5
    last = LayerMaps(name="relu", kind="ReLU", values=silent, channels=[1, 0, 2])
    shown = set(all_words(figure(layer(20, 16), last)).splitlines())

    assert {"part.png: crack, 0.875", "Input, 20 × 20", "Probabilities"} <= shown
    assert {"Grad-CAM: crack, 0.875", "Grad-CAM: ok, 0.125", "ok  0.125"} <= shown
    assert {"conv2d", "Conv2D, 20 × 20 × 16", "relu", "from 0 to 0.5, 2 silent"} <= shown
    assert "no place speaks for it" not in shown


def test_where_nothing_speaks_for_a_class_it_is_said() -> None:
    assert all_words(figure(layer(8, 2), heat=0.0)).count("no place speaks for it") == 2


def test_the_heat_lies_over_the_whole_image_clear_where_it_is_nothing() -> None:
    _, first, second, _ = figure(layer(8, 2)).subfigs[0].axes[:4]
    for axes in (first, second):
        image, heat = axes.images
        assert [*heat.get_extent()] == [*image.get_extent()] == [-0.5, 19.5, 19.5, -0.5]
        assert heat.get_alpha() == pytest.approx(0.75 * heat.get_array() / heat.get_array().max())


def test_sixteen_maps_stand_in_a_row() -> None:
    drawn = figure(layer(8, 16), layer(8, 40), layer(8, 5))
    sheet = drawn.subfigs[1].axes[0]
    tops = sorted(round(one.get_extent()[3], 2) for one in sheet.images)

    assert len(sheet.images) == 16 + 16 + 5
    assert [tops.count(top) for top in sorted(set(tops))] == [16, 16, 5]
    assert num_drawn(save(drawn, kind="png"), rows=2, columns=8) == 16


def test_values_of_both_signs_have_colours_around_white() -> None:
    sheet = figure(layer(8, 4, signed=True), layer(8, 4)).subfigs[1].axes[0]
    signed, positive = sheet.images[:4], sheet.images[4:]

    for one in signed:
        assert one.get_cmap().name == SIGNED
        assert one.norm.vmin == -one.norm.vmax
    assert {one.norm.vmin for one in positive} == {0}


def test_the_liveliest_channels_are_those_that_vary_then_the_strong() -> None:
    values = np.zeros((4, 4, 5), np.float32)
    values[..., 0] = 9.0  # strong, and the same everywhere
    values[0, 0, 2] = 2.0
    values[0, 0, 4] = -5.0
    assert liveliest(values, 3) == [4, 2, 0]
    assert liveliest(values, 99) == [4, 2, 0, 1, 3]
    assert liveliest(values[:1, :1], 3) == [0, 4, 2]


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_the_centre_of_a_single_hot_place_is_its_middle(
    height: int, width: int, data: st.DataObject
) -> None:
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    heat = np.zeros((height, width), np.float32)
    assert centre(heat) is None
    heat[row, column] = 3.0
    assert centre(heat) == pytest.approx(((column + 0.5) / width, (row + 0.5) / height))
    assert centre(np.ones_like(heat)) == pytest.approx((0.5, 0.5))
