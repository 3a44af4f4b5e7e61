"""The augmentation picture: a row a layer with its strength, and four fills of one draw."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from cvcore.augmentation import fill_modes, menu
from cvcore.pictures import AugmentedRow, FilledImage, draw_augmentation, save
from cvcore.settings import ModelConfig
from tests.figures import all_words, drawn_texts, misplaced_texts, num_drawn

pytestmark = pytest.mark.timeout(30)

NUM_DRAWS = 11
SHADES = np.random.default_rng(0).integers(0, 256, (NUM_DRAWS + 1, 8, 8, 3)).astype(np.uint8)


def figure(
    *,
    channels: int = 3,
    name: str = "part.png",
    together: bool = True,
    num_draws: int = NUM_DRAWS,
) -> Figure:
    image, draws = SHADES[0, ..., :channels], SHADES[1 : num_draws + 1, ..., :channels]
    layers = menu(ModelConfig(augment_rotation=0.123456, augment_translation=0.9))
    rows = [
        AugmentedRow(
            name=one.name, meaning=one.meaning, setting=f"{one.setting} = {one.strength}",
            is_set=one.is_set, draws=draws,
        )
        for one in layers
    ]  # fmt: skip
    if together:
        rows.append(
            AugmentedRow(
                name="together", meaning="all that is set, as in training", setting="2 settings",
                is_set=True, draws=draws,
            )
        )  # fmt: skip
    filled = np.zeros((8, 8), bool)
    filled[:, :3] = True
    fills = {
        moved: [FilledImage(mode=mode, image=image, filled=filled) for mode in fill_modes()]
        for moved in ("rotation 0.123", "translation 0.9")
    }
    return draw_augmentation(image, rows, fills, name=name)


@pytest.mark.parametrize(
    ("name", "channels"), [("part.png", 1), ("W" * 200 + ".png", 3)], ids=["grey", "a long name"]
)
def test_no_text_covers_another_or_leaves_the_figure(name: str, channels: int) -> None:
    assert misplaced_texts(figure(channels=channels, name=name)) == []


def test_every_layer_is_named_with_its_strength() -> None:
    shown = all_words(figure(num_draws=2)).splitlines()

    assert "Augmentation: part.png under 2 draws of each layer" in shown
    assert {"rotation", "augment_rotation = 0.123456", "up to 44.4° either way"} <= set(shown)
    assert {"zoom", "augment_zoom = 0.3 (example)", "together", "original"} <= set(shown)
    for moved in ("rotation 0.123", "translation 0.9"):
        assert {f"{moved}: {mode}" for mode in fill_modes()} <= set(shown)


@pytest.mark.parametrize(("together", "rows"), [(False, 10), (True, 11)])
def test_every_draw_stands_in_its_row(together: bool, rows: int) -> None:
    drawn = figure(together=together)
    sheet = drawn.subfigs[0].axes[0]
    places = {tuple(round(edge, 2) for edge in one.get_extent()) for one in sheet.images}

    assert len(sheet.images) == len(places) == rows * (NUM_DRAWS + 1)
    assert num_drawn(save(drawn, kind="png"), rows=rows, columns=NUM_DRAWS + 2) > rows * NUM_DRAWS


def test_words_stand_left_of_the_draws_and_not_on_them() -> None:
    drawn = figure()
    texts = dict(drawn_texts(drawn))
    sheet = drawn.subfigs[0].axes[0]
    start, _ = sheet.transData.transform((0, 0))

    for one in menu(ModelConfig(augment_rotation=0.123456, augment_translation=0.9)):
        assert texts[one.meaning].x1 < start


def test_a_dashed_line_runs_where_the_fill_begins() -> None:
    cells = [axes for half in figure().subfigs[1].subfigs for axes in half.axes]

    assert len(cells) == 8
    for axes in cells:
        [outline] = axes.collections
        [path] = outline.get_paths()
        assert np.ptp(path.vertices[:, 0]) < 0.01
        assert path.vertices[0, 0] == pytest.approx(3 / 8, abs=0.1)


@pytest.mark.parametrize("all_filled", [False, True])
def test_a_draw_without_margins_has_no_line(all_filled: bool) -> None:
    image = SHADES[0]
    row = AugmentedRow(name="zoom", meaning="", setting="", is_set=False, draws=SHADES[1:])
    fill = FilledImage(mode="wrap", image=image, filled=np.full((8, 8), all_filled))
    drawn = draw_augmentation(image, [row], {"zoom 0": [fill, fill]}, name="x")

    assert not drawn.subfigs[1].subfigs[0].axes[0].collections
