"""Random draws of an image: by the model's own layers, repeatable, filled only where it is said."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cvcore.augmentation import MOVING, Augmentation, fill_modes, menu
from cvcore.settings import ModelConfig

pytestmark = [
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]

IMAGE = np.random.default_rng(0).integers(60, 196, (24, 24, 3)).astype(np.uint8)
MENU = {one.name: one for one in menu(ModelConfig())}


def draws(config: ModelConfig, *, count: int = 8, seed: int = 0) -> NDArray[np.uint8]:
    from cvcore.models.draws import augmented

    return augmented(IMAGE, config, num_draws=count, seed=seed)


def margins(config: ModelConfig) -> NDArray[np.bool_]:
    from cvcore.models.draws import filled

    return filled(IMAGE, config, num_draws=8, seed=0)


def near(filled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The fill, the rim of the image and all pixels beside them, which interpolation mixes."""
    framed = np.pad(filled, ((0, 0), (1, 1), (1, 1)), constant_values=True)
    beside = [framed[:, y : y + 24, x : x + 24] for y in range(3) for x in range(3)]
    return np.logical_or.reduce(beside)


@pytest.mark.parametrize("layer", MENU.values(), ids=lambda layer: layer.name)
def test_every_layer_changes_the_image_and_repeats_itself(layer: Augmentation) -> None:
    drawn = draws(layer.model)

    assert drawn.shape == (8, 24, 24, 3)
    assert drawn.dtype == np.uint8
    assert (drawn != IMAGE).any(axis=(1, 2, 3)).sum() >= 2
    assert (drawn == draws(layer.model)).all()
    assert (drawn != draws(layer.model, seed=1)).any()


def test_a_plain_model_draws_the_image_itself() -> None:
    assert (draws(ModelConfig()) == IMAGE).all()


@pytest.mark.parametrize("name", MOVING)
def test_fill_modes_differ_in_the_margins_alone(name: str) -> None:
    filled = margins(MENU[name].model)
    setting = {MENU[name].setting: MENU[name].strength}
    drawn = [draws(ModelConfig(augment_fill=mode, **setting)) for mode in fill_modes()]

    assert 0 < filled.mean() < 0.5
    for number, one in enumerate(drawn):
        for other in drawn[:number]:
            differing = (one != other).any(axis=-1)
            assert differing.any()
            assert not (differing & ~near(filled)).any()


def test_the_constant_fill_is_black_and_no_other() -> None:
    filled = margins(MENU["translation"].model)
    for mode in fill_modes():
        drawn = draws(ModelConfig(augment_fill=mode, augment_translation=0.2))
        brightness = drawn[filled].mean()
        assert brightness < 10 if mode == "constant" else brightness > 90


def test_a_crop_never_leaves_the_image() -> None:
    assert not margins(MENU["crop"].model).any()


def test_a_flip_is_a_mirror_image_or_nothing() -> None:
    for name, mirrored in (("horizontal flip", IMAGE[:, ::-1]), ("vertical flip", IMAGE[::-1])):
        found = draws(MENU[name].model)
        flipped = (found == mirrored).all(axis=(1, 2, 3))
        assert (flipped | (found == IMAGE).all(axis=(1, 2, 3))).all()
        assert 0 < flipped.sum() < 8


def test_brightness_moves_all_pixels_by_what_its_meaning_says() -> None:
    assert MENU["brightness"].meaning == "up to 76 of 255 up or down"
    moved = draws(MENU["brightness"].model).astype(int) - IMAGE.astype(int)
    assert 10 < np.abs(moved).max() <= 77
    unclipped = moved[(np.abs(moved) < 60).all(axis=(1, 2, 3))]
    assert len(unclipped) >= 2
    for one in unclipped:
        assert np.ptp(one) <= 1  # by the same number, rounded
