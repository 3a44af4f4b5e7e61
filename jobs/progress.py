"""What a person sees while a sweep runs: one live table, or a line per finished trial."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cvcore.events import TrialState
from cvcore.settings import SweepSpec, phases
from jobs.adapters.console import Console, broken_heading
from jobs.driver import Running, SweepDriver

REFRESH_SECONDS = 0.25
FINISHED_SHOWN = 12


@contextmanager
def watch(console: Console, spec: SweepSpec) -> Iterator[Callable[[SweepDriver], None]]:
    """Yield what the driver calls after every change."""
    searched = list(spec.space)
    fixed = ["trial", "status", "epoch", broken_heading(spec.search.objective), "seconds"]
    columns = [*fixed, *(broken_heading(name) for name in searched)]
    num_announced = 0
    drawn_at = 0.0
    warned_of = ""
    with console.live_table(at_least=len(fixed)) as update:

        def on_change(driver: SweepDriver) -> None:
            nonlocal drawn_at, warned_of, num_announced
            if driver.outage is not None and str(driver.outage) != warned_of:
                warned_of = str(driver.outage)
                console.warn(f"{warned_of}; going on, rows are kept until it answers")
            if not sys.stderr.isatty():
                _announce(console, driver, driver.ended[num_announced:])
                num_announced = len(driver.ended)
            elif time.monotonic() - drawn_at > REFRESH_SECONDS:
                drawn_at = time.monotonic()
                update(_title(driver), columns, _rows(driver, searched))

        yield on_change


def _title(driver: SweepDriver) -> str:
    counts = driver.state.counts
    done = ", ".join(f"{number} {status}" for status, number in counts.items() if number)
    best = f", best {driver.best_value:.4f}" if driver.best_value is not None else ""
    num_running = sum(one.outcome is not None for one in driver.running.values())
    return (
        f"{driver.spec.name} {driver.state.sweep_id}: {num_running} running"
        f"{', ' + done if done else ''} of {driver.spec.search.trials}{best}"
    )


def _rows(driver: SweepDriver, searched: list[str]) -> list[list[Any]]:
    running = [_running_row(driver, one, searched) for one in driver.running.values()]
    rows = [_finished_row(driver, trial, searched) for trial in driver.ended[-FINISHED_SHOWN:]]
    return rows + running


def _running_row(driver: SweepDriver, one: Running, searched: list[str]) -> list[Any]:
    outcome = one.outcome
    status = "running" if outcome else "waiting"
    if outcome and outcome.epochs_run == 0 and outcome.num_features_computed is not None:
        status = f"features: {outcome.num_features_computed:,}"
    return [
        one.config.index,
        status,
        f"{outcome.epochs_run if outcome else 0}/{_num_epochs(driver)}",
        outcome.value(driver.spec.search.objective) if outcome else None,
        None,
        *(one.config.columns.get(name) for name in searched),
    ]


def _finished_row(driver: SweepDriver, trial: TrialState, searched: list[str]) -> list[Any]:
    outcome = trial.outcome
    if outcome is None:
        return []
    failed = outcome.status == "failed"
    return [
        trial.config.index,
        f"failed: {outcome.error_type}" if failed else outcome.status,
        f"{outcome.epochs_run}/{_num_epochs(driver)}",
        outcome.value(driver.spec.search.objective),
        round(outcome.finished_at - outcome.started_at, 1),
        *(trial.config.columns.get(name) for name in searched),
    ]


def _num_epochs(driver: SweepDriver) -> int:
    return sum(phases(driver.spec.training).values())


def _announce(console: Console, driver: SweepDriver, ended: Sequence[TrialState]) -> None:
    """Say of finished trials how they ended; for logs and pipes."""
    for trial in ended:
        outcome = trial.outcome
        if outcome is None:
            continue
        value = outcome.value(driver.spec.search.objective)
        score = f"{driver.spec.search.objective} {value:.4f}" if value is not None else ""
        reason = f"{outcome.error_type}: {outcome.error_message}" if outcome.error_type else score
        console.note(
            f"trial {trial.config.index} {outcome.status} after {outcome.epochs_run} epochs: "
            f"{reason}"
        )
