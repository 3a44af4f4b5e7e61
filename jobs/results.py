"""`cvjobs results`: what was tried and how it went, read from the tables."""

from __future__ import annotations

from typing import Annotated, Any

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

# What heads the sweeps, and where it comes from.
SWEEP_COLUMNS = {
    "sweep_id": "sweep_id", "name": "name", "status": "status", "done": "num_completed",
    "stopped": "num_stopped", "failed": "num_failed", "best": "best_value",
    "seconds": "wall_seconds",
}  # fmt: skip

SqlArgument = Annotated[str, typer.Argument(metavar="SQL", help="One SELECT, or SHOW TABLES.")]

app = typer.Typer(help="Ask what was tried and how it went.", no_args_is_help=True)


@app.command()
def sweeps(
    store: StoreOption = DEFAULT_STORE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """List the sweeps, newest first."""
    from cvcore.results import Results

    console = Console.choose(json=json, quiet=quiet)
    opened = open_store(store)
    found = Results(opened).list_sweeps()
    rows = [[_cell(sweep, name) for name in SWEEP_COLUMNS.values()] for sweep in found]

    def show() -> None:
        if found:
            console.table(f"sweeps in {opened.uri}", list(SWEEP_COLUMNS), rows)
        else:
            console.note(f"no sweep in {opened.uri}")

    console.result({"sweeps": found}, show)
    hint = "cvjobs results leaderboard" if found else "cvjobs sweep"
    console.hint(f"{hint} --store {store}")


@app.command()
def leaderboard(
    sweep_id: SweepIdArgument = None,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Rank the finished trials of a sweep, best first."""
    from cvcore.results import Results

    console = Console.choose(json=json, quiet=quiet)
    opened = open_store(store)
    trials = Results(opened).leaderboard(sweep_id)

    def show() -> None:
        if trials:
            views.leaderboard_table(console, trials[0]["sweep_id"], trials)
        else:
            console.note(f"no trial has finished yet in {opened.uri}")

    console.result({"trials": trials}, show)
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
    from cvcore.results import Results

    console = Console.choose(json=json, quiet=quiet)
    document = Results(open_store(store)).show(trial_id)
    console.result(document, lambda: views.trial(console, document))


@app.command()
def query(
    sql: SqlArgument,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Answer one SELECT over the tables."""
    from cvcore.results import Results

    console = Console.choose(json=json, quiet=quiet)
    answer = Results(open_store(store)).query(sql)
    rows = list(zip(*(column.to_pylist() for column in answer.columns), strict=True))
    console.result(
        {"columns": answer.column_names, "rows": rows},
        lambda: console.records(f"{answer.num_rows} rows", answer.column_names, rows),
    )


@app.command()
def compact(
    store: StoreOption = DEFAULT_STORE, json: JsonOption = False, quiet: QuietOption = False
) -> None:
    """Rewrite ended sweeps as one file a table.

    Mends what a crash left; running sweeps are left alone.
    """
    from cvcore.lake import compact_sweeps

    console = Console.choose(json=json, quiet=quiet)
    opened = open_store(store)
    document = compact_sweeps(opened)
    rows = [[what, sweep_id] for what, found in document.items() for sweep_id in found]

    def show() -> None:
        if rows:
            console.table("sweeps", ["what", "sweep_id"], rows)
        else:
            console.note(f"no sweep in {opened.uri}")

    console.result(document, show)


def _cell(sweep: dict[str, Any], name: str) -> Any:
    value = sweep[name]
    if name == "best_value" and value is not None:
        return f"{value:.4f} {sweep['objective'].removeprefix('val_')}"
    return value
