"""The menu of random changes to training images: what each does at a strength, and one to show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any

from cvcore.settings import MODEL_NAMES, ModelConfig

# Layers that move an image, and so leave a margin to be filled.
MOVING = ("rotation", "translation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """One layer of the menu at one strength, alone; `is_set`: the spec says so."""

    name: str
    setting: str
    strength: str | float
    meaning: str
    is_set: bool
    model: ModelConfig = field(repr=False)


def menu(model: ModelConfig) -> list[Augmentation]:
    """List every layer at the strength that `model` sets, or at one that shows what it does."""
    found = []
    for name, (setting, example, meaning) in _MENU.items():
        given = getattr(model, setting)
        if isinstance(example, str):
            is_set, strength = given in (example, "both"), example
        else:
            is_set, strength = given > 0, given or example
        alone: dict[str, Any] = {setting: strength, "augment_fill": model.augment_fill}
        found.append(
            Augmentation(
                name=name,
                setting=setting,
                strength=strength,
                meaning=meaning(strength),
                is_set=is_set,
                model=replace(ModelConfig(), **alone),
            )
        )
    return found


def augmentations(model: ModelConfig) -> dict[str, Any]:
    """Return the settings of a model that change an image, with the fill; none: empty."""
    names = [name for name in MODEL_NAMES if name.startswith("augment_") and name != "augment_fill"]
    changing = {
        name: getattr(model, name) for name in names if getattr(model, name) not in ("none", 0.0)
    }
    return {**changing, "augment_fill": model.augment_fill} if changing else {}


def fill_modes() -> tuple[str, ...]:
    """List what can fill a margin."""
    declared = {one.name: one.metadata for one in fields(ModelConfig)}
    modes: tuple[str, ...] = declared["augment_fill"]["choices"]
    return modes


def _sizes(factor: float) -> str:
    """Say what Keras' zoom by -factor to +factor does: it divides sizes by 1 + zoom."""
    return f"{1 / (1 + factor):.2f} to {1 / (1 - factor):.2f}"


# Name -> its setting, a strength that shows what it does, what a strength means.
_MENU: dict[str, tuple[str, Any, Callable[[Any], str]]] = {
    "horizontal flip": ("augment_flip", "horizontal", lambda _: "left and right swapped, or not"),
    "vertical flip": ("augment_flip", "vertical", lambda _: "top and bottom swapped, or not"),
    "rotation": ("augment_rotation", 0.1, lambda f: f"up to {360 * f:.3g}° either way"),
    "contrast": ("augment_contrast", 0.5, lambda f: f"times {1 - f:.3g} to {1 + f:.3g}"),
    "brightness": (
        "augment_brightness", 0.3, lambda f: f"up to {255 * f:.0f} of 255 up or down",
    ),
    "zoom": ("augment_zoom", 0.3, lambda f: f"size times {_sizes(f)}"),
    "height": ("augment_height", 0.3, lambda f: f"height times {_sizes(f)}"),
    "width": ("augment_width", 0.3, lambda f: f"width times {_sizes(f)}"),
    "translation": (
        "augment_translation", 0.2, lambda f: f"up to {100 * f:.3g} % of a side, any way",
    ),
    "crop": ("augment_crop", 0.3, lambda f: f"a window of {100 * (1 - f):.3g} % of each side"),
}  # fmt: skip
