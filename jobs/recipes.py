"""`cvjobs recipes`: the built-in specs, as a list or one as a file to start from."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cvcore.catalog import recipe_names, recipe_path
from cvcore.draft import did_you_mean
from cvcore.errors import UsageError
from jobs.adapters.console import Console
from jobs.options import JsonOption, QuietOption

RecipeArgument = Annotated[
    str | None, typer.Argument(metavar="NAME", help="Print this one.", show_default=False)
]


def recipes(
    name: RecipeArgument = None, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the built-in specs, or print one."""
    console = Console.choose(json=json, quiet=quiet)
    if name is not None:
        text = _read(name)
        console.result({"name": name, "toml": text}, lambda: console.text(text.rstrip("\n")))
        console.hint(f"cvjobs sweep {name}")
        return
    listed = [_describe(one) for one in recipe_names()]

    def show() -> None:
        rows = [(one["name"], one["summary"]) for one in listed]
        console.table("Recipes", ["name", "summary"], rows)

    console.result({"recipes": listed}, show)
    console.hint(f"cvjobs recipes {listed[0]['name']} > my.toml")


def _read(name: str) -> str:
    path = recipe_path(name)
    if path is None:
        raise UsageError(
            f"no recipe {name!r}; there are: {', '.join(recipe_names())}"
            f"{did_you_mean(name, recipe_names())}",
            hint="cvjobs recipes",
        )
    return path.read_text(encoding="utf-8")


def _describe(name: str) -> dict[str, Any]:
    """Describe a recipe; the counts and figures are None where it is a space, not one model."""
    first_line = _read(name).partition("\n")[0]
    return {
        "name": name,
        "summary": first_line.removeprefix("#").strip(),
        "source": None,
        "num_params": None,
        "num_trainable_params": None,
        "documented": None,
        "measured": None,
    }
