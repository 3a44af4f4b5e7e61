"""All ways to condense by a factor: what arrives, what is lost, what it costs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cvcore.kernels import parse_kernel
from cvcore.pictures.condensation import WEAKEST, Way, detections, keep, splits, ways
from cvcore.pictures.filtering import Window, circle

SOBEL = parse_kernel("bottom-sobel")
WINDOWS = st.builds(
    Window,
    conv_stride=st.integers(1, 4),
    conv_padding=st.sampled_from(["valid", "same"]),
    pool_size=st.integers(1, 4),
    pool_stride=st.integers(1, 4),
    pool_padding=st.sampled_from(["valid", "same"]),
)
IMAGES = st.tuples(st.integers(6, 24), st.integers(6, 24), st.integers(0, 9)).map(
    lambda drawn: np.random.default_rng(drawn[2]).random(size=drawn[:2])
)


def touching(found: list[Way], padding: str) -> list[Way]:
    return [
        way
        for way in found
        if way.window.conv_padding == padding and way.window.pool_size == way.window.pool_stride
    ]


def test_eight_is_split_in_four_ways() -> None:
    assert splits(8) == [(1, 8), (2, 4), (4, 2), (8, 1)]
    assert splits(1) == [(1, 1)]


def test_the_document_asked_for_the_best_way_to_condense_by_eight() -> None:
    found = ways(circle(), SOBEL, condensation=8)
    plain = touching(found, "same")

    assert len(found) == 14
    assert {way.window.condensation for way in found} == {8}
    assert [way.num_windows for way in plain] == [64**2, 32**2, 16**2, 8**2]
    assert [way.condensed.shape for way in plain if way.condensed is not None] == [(8, 8)] * 4
    # The more the convolution strides over, the less arrives: pooling is the better half.
    for measure in ("energy_fraction", "places_fraction"):
        values = [getattr(way, measure) for way in plain]
        assert values == sorted(values, reverse=True)
    assert plain[0].places_fraction == 1.0
    assert plain[-1].places_fraction is not None
    assert plain[-1].places_fraction < 0.25


@settings(deadline=None)
@given(image=IMAGES, window=WINDOWS)
def test_what_is_kept_is_what_the_output_shows(image: np.ndarray, window: Window) -> None:
    """Random pixels give no two equal detections, so values of the output name their origin."""
    way = keep(image, SOBEL, window)
    every = detections(image, SOBEL)
    if way.condensed is None or way.energy_fraction is None:
        assert way.condensed is None or every.max() == 0
        return
    clear = every[every > WEAKEST * every.max()]
    shown = np.intersect1d(way.condensed.round(9), clear.round(9))

    assert way.energy_fraction == pytest.approx((shown**2).sum() / (clear**2).sum(), rel=1e-6)
    assert way.places_fraction is not None
    assert 0 <= way.places_fraction <= 1


def test_padding_beside_a_bright_image_is_no_detection() -> None:
    bright = np.ones((20, 20))
    bright[10:] = 1.5

    assert detections(bright, SOBEL)[[0, -1]].max() == 0
    assert set(np.nonzero(detections(bright, SOBEL))[0]) == {9, 10}


def test_a_window_that_takes_everything_keeps_everything() -> None:
    window = Window(conv_padding="same", pool_size=1, pool_stride=1)
    way = keep(circle(), SOBEL, window)

    assert (way.energy_fraction, way.places_fraction) == (pytest.approx(1.0), 1.0)


def test_a_way_that_leaves_nothing_of_the_image_keeps_nothing() -> None:
    left = touching(ways(circle(6), SOBEL, condensation=8), "valid")[0]

    assert left.condensed is None
    assert (left.num_windows, left.energy_fraction, left.places_fraction) == (0, 0.0, 0.0)


def test_a_flat_image_has_nothing_to_keep() -> None:
    for way in ways(np.zeros((32, 32)), SOBEL, condensation=4):
        assert (way.energy_fraction, way.places_fraction) == (None, None)
