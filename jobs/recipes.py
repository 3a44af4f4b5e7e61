"""`cvjobs recipes`: the built-in specs, as a list or one as a file to start from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from cvcore.catalog import recipe_figures, recipe_names, recipe_path
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
    figures = recipe_figures()
    listed = [_describe(one, figures.get(one, {})) for one in recipe_names()]

    def show() -> None:
        columns = ["name", "what", "parameters", "documented", "measured"]
        console.table("Recipes", columns, [_row(one) for one in listed])
        console.text(_footnote(figures))

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


def _describe(name: str, figures: Mapping[str, Any]) -> dict[str, Any]:
    """Describe a recipe; what is not known of it, or is not one number, is None."""
    first_line = _read(name).partition("\n")[0]
    return {
        "name": name,
        "summary": first_line.removeprefix("#").strip(),
        "source": figures.get("source"),
        "num_params": figures.get("num_params"),
        "num_trainable_params": figures.get("num_trainable_params"),
        "num_trainable_params_fine_tuning": figures.get("num_trainable_params_fine_tuning"),
        "documented": figures.get("documented"),
        "measured": figures.get("measured"),
    }


def _footnote(figures: Mapping[str, Any]) -> str:
    """Say on which images each figure was found: they are not the same."""
    measured = [one["measured"] for one in figures.values() if one["measured"]]
    ((data, num_seeds),) = {(one["data"], one["num_seeds"]) for one in measured}
    return (
        "documented: on the document's own images, on the split it reports\n"
        f"measured:   on {data}; lowest to highest of {num_seeds} seeds\n"
        "            (empty for VGG16 and ResNet50, whose weights were not at hand)"
    )


def _row(recipe: Mapping[str, Any]) -> list[str]:
    num_params = recipe["num_params"]
    return [
        recipe["name"],
        recipe["summary"],
        "" if num_params is None else f"{num_params:,}",
        _score(recipe["documented"]),
        _score(recipe["measured"]),
    ]


def _score(score: Mapping[str, Any] | None) -> str:
    """Write a score with its spread, such as `F1 0.79-0.92`; the metric's split is in the JSON."""
    if score is None:
        return ""
    metric = "F1" if "f1" in score["metric"] else "accuracy"
    ends = dict.fromkeys(f"{score[end]:.3f}" for end in ("low", "high"))
    return f"{metric} {'-'.join(ends)}"
