"""How results look to a person: the end of a sweep, and its plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cvcore.store import Store
from jobs.accounting import largest_leak
from jobs.adapters.console import Console, broken_heading, num_columns
from jobs.options import DEFAULT_STORE

SHOWN = 10
# Columns of the trials table and what heads them: a leaderboard is to fit on a terminal.
MEASURES = {
    "status": "status", "epochs_run": "epochs", "val_f1_weighted": "val_f1\nweighted",
    "val_accuracy": "val\naccuracy", "val_loss": "val\nloss",
}  # fmt: skip
EPOCH_COLUMNS = (
    "epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "val_f1_weighted",
    "learning_rate", "seconds",
)  # fmt: skip


def sweep(console: Console, document: Mapping[str, Any], *, store: Store) -> None:
    """Show the leaderboard of a finished sweep, where everything lies, and what to type next."""
    from cvcore.results import Results

    sweep_id, best = document["sweep_id"], document["best"]
    leaders = Results(store).leaderboard(sweep_id)
    leaderboard_table(console, sweep_id, leaders)
    counts = ", ".join(f"{number} {status}" for status, number in document["trials"].items())
    efficiency = document["efficiency"] or 0.0
    console.text(
        f"best      trial {best['trial_id']}: {best['objective']} {best['value']:.4f}\n"
        f"          on the untouched test split f1_weighted {best['test_f1_weighted']:.4f}, "
        f"accuracy {best['test_accuracy']:.4f}"
    )
    leak, fraction = largest_leak(document["ledger"])
    console.text(f"trials    {counts} in {document['wall_seconds']:.1f} s{_price(document)}")
    console.text(
        f"time      {efficiency:.0%} of the slots' time was training steps; "
        f"the largest leak: {leak}, {fraction:.0%}"
    )
    if features := document["features"]:
        console.text(
            f"features  {features['computed']:,} computed; {features['trials_reusing']} of "
            f"{features['trials']} trials had nothing to compute"
        )
    console.text(f"model     {best['model_uri']}")
    console.text(f"tables    {store.uri}/lake/<table>/*/*.parquet")
    here = str(Path(DEFAULT_STORE).absolute())
    where = "" if store.uri == here else f" --store {store.uri}"
    console.hint(f"cvjobs results leaderboard {sweep_id}{where}")
    console.hint(f"cvjobs results query 'SELECT * FROM epochs LIMIT 5'{where}")
    predict = f"cvjobs predict {best['trial_id']} --data <images> --output predictions.parquet"
    console.hint(f"{predict}{where}")


def _price(document: Mapping[str, Any]) -> str:
    gpus = document["gpu_seconds"]
    on_gpus = f", {gpus:.0f} GPU-seconds" if gpus else ""
    return (
        on_gpus if document["cost"] is None else f"{on_gpus}, at a cost of {document['cost']:.4g}"
    )


def leaderboard_table(console: Console, sweep_id: str, leaders: list[dict[str, Any]]) -> None:
    """Print the best trials with the hyperparameters in which they differ, as far as they fit."""
    names = _varied(leaders)
    heads = [broken_heading(name.removeprefix("hp_")) for name in names]
    columns = ["rank", "trial", *MEASURES.values(), *heads]
    rows = [
        [rank, one["trial_id"].rpartition("-")[2], *(one.get(n) for n in (*MEASURES, *names))]
        for rank, one in enumerate(leaders[:SHOWN], start=1)
    ]
    num_always = 2 + len(MEASURES)
    num_fitting = num_columns(columns, rows, at_least=num_always, width=console.width)
    console.table(
        f"leaderboard of sweep {sweep_id}: {len(rows)} of {len(leaders)} trials",
        columns[:num_fitting],
        [row[:num_fitting] for row in rows],
    )
    left_out = [name.removeprefix("hp_") for name in names[num_fitting - num_always :]]
    also = f"; also varied: {', '.join(left_out)}" if left_out else ""
    console.text(f"a trial's id is {sweep_id}-<trial>{also}")


def _varied(leaders: list[dict[str, Any]]) -> list[str]:
    """List the hyperparameters that differ between trials, none that only repeats another."""
    found: dict[tuple[str, ...], str] = {}
    for name in leaders[0] if leaders else ():
        values = tuple(repr(one.get(name)) for one in leaders)
        if name.startswith("hp_") and len(set(values)) > 1:
            found.setdefault(values, name)
    return list(found.values())


def trial(console: Console, document: Mapping[str, Any]) -> None:
    """Print a trial: what it was, its epochs, and how each class fared."""
    row = document["trial"]
    known = [(name, value) for name, value in row.items() if value is not None and name != "dt"]
    console.table(f"trial {row['trial_id']}", ["column", "value"], known)
    epochs = [[one[name] for name in EPOCH_COLUMNS] for one in document["epochs"]]
    console.table("epochs", [broken_heading(name) for name in EPOCH_COLUMNS], epochs)
    for name in ("class_metrics", "confusion"):
        found = document[name]
        if found:
            title = name.replace("_", " ")
            console.table(title, list(found[0]), [list(one.values()) for one in found])


def plan(console: Console, document: Mapping[str, Any]) -> None:
    """Show what a sweep would do."""
    console.text(document["spec_toml"])
    data, resources = document["data"], document["resources"]
    splits = ", ".join(f"{number} {name}" for name, number in data["splits"].items())
    configurations = document["num_configurations"]
    known = "infinitely many" if configurations is None else str(configurations)
    console.text(f"data            {data['images']} images: {splits}")
    console.text(f"configurations  {known}, of which at most {document['trials']} are tried")
    each = ", ".join(f"{name} {value}" for name, value in resources.items() if value is not None)
    console.text(f"engine          {document['engine']}; {each}")
    console.text("would write     " + "\n                ".join(document["writes"]))
    console.text("nothing was started or written (dry run)")
