"""The augmentation menu: ten layers, each alone, at the user's strength or at an example's."""

from __future__ import annotations

from dataclasses import fields

import pytest

from cvcore.augmentation import MOVING, augmentations, fill_modes, menu
from cvcore.settings import ModelConfig

NAMES = [
    "horizontal flip", "vertical flip", "rotation", "contrast", "brightness", "zoom", "height",
    "width", "translation", "crop",
]  # fmt: skip


def test_every_augmentation_setting_is_on_the_menu() -> None:
    found = menu(ModelConfig())
    settings = {one.name for one in fields(ModelConfig) if one.name.startswith("augment_")}

    assert [one.name for one in found] == NAMES
    assert {one.setting for one in found} == settings - {"augment_fill"}
    assert set(MOVING) <= set(NAMES)
    assert not any(one.is_set for one in found)


def test_every_layer_stands_alone_at_its_strength() -> None:
    for one in menu(ModelConfig(augment_rotation=0.4, augment_zoom=0.1, augment_fill="wrap")):
        assert augmentations(one.model) == {one.setting: one.strength, "augment_fill": "wrap"}


def test_what_a_spec_sets_wins_over_the_example() -> None:
    model = ModelConfig(augment_contrast=0.1, augment_rotation=1.0, augment_flip="vertical")
    found = {one.name: one for one in menu(model)}

    assert {name for name in found if found[name].is_set} == {
        "vertical flip", "rotation", "contrast",
    }  # fmt: skip
    assert found["rotation"].meaning == "up to 360° either way"
    assert found["contrast"].meaning == "times 0.9 to 1.1"
    assert found["zoom"].strength == 0.3


@pytest.mark.parametrize(("flip", "set_"), [("both", [True, True]), ("horizontal", [True, False])])
def test_a_flip_both_ways_is_two_layers(flip: str, set_: list[bool]) -> None:
    both = menu(ModelConfig(augment_flip=flip))[:2]
    assert [one.is_set for one in both] == set_
    assert [one.strength for one in both] == ["horizontal", "vertical"]


def test_a_plain_model_changes_no_image() -> None:
    assert augmentations(ModelConfig(augment_fill="nearest")) == {}
    assert fill_modes() == ("reflect", "constant", "wrap", "nearest")
