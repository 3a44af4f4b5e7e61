"""What exists by name: base models and the built-in specs. Literal tables, nothing imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A pretrained base model: where Keras keeps it and what it expects.

    `builder` is an attribute of `keras.applications`, `preprocessing` a mode of
    `cvcore.models.transfer`: "tf" is -1..1, "torch" standardised RGB, "caffe" zero-centred BGR,
    "none" raw 0..255 (scaled inside the model). Sizes are pixels a side.
    """

    builder: str
    preprocessing: str
    default_size: int
    minimum_size: int


BASES: dict[str, Base] = {
    "mobilenet_v2": Base(
        builder="MobileNetV2", preprocessing="tf", default_size=224, minimum_size=32
    ),
    "resnet50": Base(builder="ResNet50", preprocessing="caffe", default_size=224, minimum_size=32),
    "vgg16": Base(builder="VGG16", preprocessing="caffe", default_size=224, minimum_size=32),
}

DEFAULT_RECIPE = "quickstart"
RECIPES_FOLDER = Path(__file__).parent / "recipes"


def recipe_names() -> list[str]:
    """List the built-in specs, the default one first."""
    names = sorted(path.stem for path in RECIPES_FOLDER.glob("*.toml"))
    return sorted(names, key=lambda name: name != DEFAULT_RECIPE)


def recipe_path(name: str) -> Path | None:
    """Find a built-in spec by name."""
    path = RECIPES_FOLDER / f"{name}.toml"
    return path if name in recipe_names() else None
