"""A background that only transparent pixels hold: `data.alpha` decides whether a model sees it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.bench_alpha import GROUNDS, draw, picture, readings, train_command, write_images
from cvcore.datasets.decoding import decode
from tests.runs import here

# 100 test images, half of each class: a guess is this far off once in a thousand times.
CHANCE = 0.165


def decoded(label: str, *, foreground_seed: int, alpha: str) -> np.ndarray:
    file = BytesIO()
    draw(foreground_seed, label).save(file, format="PNG")
    return decode(file.getvalue(), image_size=24, channels="rgb", alpha=alpha).array


@given(foreground_seed=st.integers(0, 2**31), alpha=st.sampled_from(["white", "black"]))
def test_laid_on_one_colour_nothing_is_left_of_the_hidden_ground(
    foreground_seed: int, alpha: str
) -> None:
    one, other = (decoded(label, foreground_seed=foreground_seed, alpha=alpha) for label in GROUNDS)
    assert np.array_equal(one, other)


@given(foreground_seed=st.integers(0, 2**31))
def test_dropping_alpha_brings_the_hidden_ground_back(foreground_seed: int) -> None:
    corners = {
        label: decoded(label, foreground_seed=foreground_seed, alpha="drop")[0, 0].astype(int)
        for label in GROUNDS
    }
    for label, corner in corners.items():
        nearest = min(GROUNDS, key=lambda name: int(abs(corner - GROUNDS[name]).sum()))
        assert nearest == label


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.xdist_group("tensorflow")
@pytest.mark.usefixtures("tensorflow")
@pytest.mark.parametrize(("alpha", "lowest", "highest"), [
    ("white", 0.5 - CHANCE, 0.5 + CHANCE),
    ("drop", 0.95, 1.0),
])  # fmt: skip
def test_a_model_uses_the_hidden_ground_only_where_alpha_is_dropped(
    alpha: str,
    lowest: float,
    highest: float,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_images(tmp_path / "images")
    answer = here(capsys, *train_command(folder, alpha=alpha, seed=0, scratch=tmp_path))
    assert answer.code == 0, answer.stderr
    assert lowest <= answer.document["best"]["test_accuracy"] <= highest


def test_the_picture_of_the_docs_shows_both_classes_three_ways(tmp_path: Path) -> None:
    from PIL import Image

    picture(tmp_path / "alpha.png", size=60)
    with Image.open(tmp_path / "alpha.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(2**20)}
    assert {(255, 255, 255), (0, 0, 0)} <= colours
    one, other = (readings(draw(7, label)) for label in sorted(GROUNDS))
    assert [np.array_equal(one[way], other[way]) for way in one] == [True, False, True]
