"""The built-in specs by name, and what is known of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


def recipe_figures() -> dict[str, dict[str, Any]]:
    """Map recipes to `source`, parameter counts, and `documented` and `measured` scores.

    The counts are for two classes; a test builds every model and counts again. A score names its
    `metric` and the lowest and highest value; a measured one its data, its seeds and the median.
    """
    found: dict[str, dict[str, Any]] = json.loads((RECIPES_FOLDER / "figures.json").read_bytes())
    return found
