"""`cvjobs results`: what was tried and how it went, read from the tables."""

from __future__ import annotations

from typing import Annotated

import typer

from jobs import show as views
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    JsonOption,
    QuietOption,
    StoreOption,
    SweepIdArgument,
    TrialIdArgument,
)
from jobs.wiring import open_store

SWEEP_COLUMNS = (
    "sweep_id", "name", "status", "num_completed", "num_stopped", "num_failed", "objective",
    "best_value", "wall_seconds",
)  # fmt: skip

SqlArgument = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the tables.")]

app = typer.Typer(help="Ask what was tried and how it went.", no_args_is_help=True)


@app.command()
def sweeps(
    store: StoreOption = DEFAULT_STORE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the sweeps, newest first."""
    from cvcore.results import list_sweeps

    console = Console.choose(json=json, quiet=quiet)
    found = list_sweeps(open_store(store))
    rows = [[sweep[name] for name in SWEEP_COLUMNS] for sweep in found]
    console.result({"sweeps": found}, lambda: console.table("sweeps", SWEEP_COLUMNS, rows))
    console.hint(f"cvjobs results leaderboard --store {store}" if found else "cvjobs sweep")


@app.command()
def leaderboard(
    sweep_id: SweepIdArgument = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Rank the finished trials of a sweep, best first."""
    from cvcore.results import leaderboard as rank

    console = Console.choose(json=json, quiet=quiet)
    trials = rank(open_store(store), sweep_id)
    title = f"leaderboard of {trials[0]['sweep_id']}" if trials else "no trial has finished yet"
    console.result({"trials": trials}, lambda: views.leaderboard_table(console, title, trials))
    if trials:
        console.hint(f"cvjobs results show {trials[0]['trial_id']} --store {store}")


@app.command()
def show(
    trial_id: TrialIdArgument,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show all that is known of a finished trial."""
    from cvcore.results import show as find

    console = Console.choose(json=json, quiet=quiet)
    document = find(open_store(store), trial_id)
    console.result(document, lambda: views.trial(console, document))


@app.command()
def query(
    sql: SqlArgument,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer one SELECT over the tables (SHOW TABLES lists them)."""
    from cvcore.results import query as ask

    console = Console.choose(json=json, quiet=quiet)
    answer = ask(open_store(store), sql)
    rows = list(zip(*(column.to_pylist() for column in answer.columns), strict=True))
    console.result(
        {"columns": answer.column_names, "rows": rows},
        lambda: console.table(f"{answer.num_rows} rows", answer.column_names, rows),
    )


@app.command()
def compact(
    store: StoreOption = DEFAULT_STORE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Rewrite every ended sweep as one file a table, and mend what a crash left."""
    from cvcore.lake import compact_sweeps

    console = Console.choose(json=json, quiet=quiet)
    document = compact_sweeps(open_store(store))
    rows = [[what, sweep_id] for what, found in document.items() for sweep_id in found]
    console.result(document, lambda: console.table("sweeps", ["what", "sweep_id"], rows))
