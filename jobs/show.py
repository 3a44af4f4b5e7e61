"""How results look to a person: the end of a sweep, and its plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cvcore.store import Store
from jobs.adapters.console import Console

SHOWN = 10
# Measures beside the objective; hyperparameters that do not differ between trials are left out.
MEASURES = ("status", "epochs_run", "val_f1_weighted", "val_accuracy", "val_loss")


def sweep(console: Console, document: Mapping[str, Any], *, store: Store) -> None:
    """Show the leaderboard of a finished sweep, where everything lies, and what to type next."""
    from cvcore.results import leaderboard

    sweep_id, best = document["sweep_id"], document["best"]
    leaders = leaderboard(store, sweep_id)
    leaderboard_table(console, f"leaderboard of {sweep_id}", leaders)
    counts = ", ".join(f"{number} {status}" for status, number in document["trials"].items())
    efficiency = document["efficiency"] or 0.0
    console.text(
        f"best      trial {best['trial_id']}: {best['objective']} {best['value']:.4f}, on the "
        f"untouched test split f1_weighted {best['test_f1_weighted']:.4f}, "
        f"accuracy {best['test_accuracy']:.4f}"
    )
    console.text(
        f"trials    {counts} in {document['wall_seconds']:.1f} s; "
        f"{efficiency:.0%} of the slots' time was training steps"
    )
    console.text(f"model     {best['model_uri']}")
    console.text(f"tables    {store.uri}/lake/<table>/*/*.parquet")
    where = "" if store.uri.endswith("cvstore") else f" --store {store.uri}"
    console.hint(f"cvjobs results leaderboard {sweep_id}{where}")
    console.hint(f"cvjobs results query 'SELECT * FROM epochs LIMIT 5'{where}")
    console.hint(f"cvjobs predict {best['model_uri']} --data <images> --output predictions.parquet")


def leaderboard_table(console: Console, title: str, leaders: list[dict[str, Any]]) -> None:
    """Print the best trials with the hyperparameters in which they differ."""
    shown = leaders[:SHOWN]
    varied = [
        name
        for name in (shown[0] if shown else {})
        if name.startswith("hp_") and len({repr(one.get(name)) for one in leaders}) > 1
    ]
    columns = ["rank", "trial", *MEASURES, *(name.removeprefix("hp_") for name in varied)]
    rows = [
        [rank, one["trial_id"], *(one.get(name) for name in (*MEASURES, *varied))]
        for rank, one in enumerate(shown, start=1)
    ]
    console.table(title, columns, rows)


def trial(console: Console, document: Mapping[str, Any]) -> None:
    """Print a trial: what it was, its epochs, and how each class fared."""
    row = document["trial"]
    known = [(name, value) for name, value in row.items() if value is not None]
    console.table(f"trial {row['trial_id']}", ["column", "value"], known)
    for name in ("epochs", "class_metrics", "confusion"):
        found = document[name]
        if found:
            console.table(name, list(found[0]), [list(one.values()) for one in found])


def plan(console: Console, document: Mapping[str, Any]) -> None:
    """Show what a sweep would do."""
    console.text(document["spec_toml"])
    data, resources = document["data"], document["resources"]
    splits = ", ".join(f"{number} {name}" for name, number in data["splits"].items())
    configurations = document["num_configurations"]
    known = "infinitely many" if configurations is None else str(configurations)
    console.text(f"data            {data['images']} images: {splits}")
    console.text(f"configurations  {known}, of which at most {document['trials']} are tried")
    console.text(f"engine          {document['engine']}, resources {resources}")
    console.text("would write     " + "\n                ".join(document["writes"]))
    console.text("nothing was started or written (dry run)")
