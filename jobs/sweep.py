"""`cvjobs sweep`: try many configurations, keep the best model, leave open tables."""

from __future__ import annotations

from typing import Any

from cvcore.config import load_spec
from cvcore.errors import UsageError
from jobs.adapters.console import Console
from jobs.options import (
    DEFAULT_STORE,
    AddressOption,
    DataOption,
    DryRunOption,
    EngineOption,
    EpochsOption,
    JsonOption,
    MaxConcurrentOption,
    MaxCostOption,
    MaxHoursOption,
    NameOption,
    QuietOption,
    ResumeOption,
    SetOption,
    SpecArgument,
    StoreOption,
    TrialsOption,
)


def sweep(
    spec: SpecArgument = None,
    data: DataOption = None,
    store: StoreOption = DEFAULT_STORE,
    name: NameOption = None,
    trials: TrialsOption = None,
    epochs: EpochsOption = None,
    set_: SetOption = None,
    address: AddressOption = None,
    engine: EngineOption = "ray",
    max_concurrent: MaxConcurrentOption = None,
    max_hours: MaxHoursOption = None,
    max_cost: MaxCostOption = None,
    resume: ResumeOption = None,
    dry_run: DryRunOption = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search for the best classifier; no SPEC: on generated castings."""
    console = Console.choose(json=json, quiet=quiet)
    limits: dict[str, Any] = {
        "trials": trials, "max_concurrent": max_concurrent,
        "max_hours": max_hours, "max_cost": max_cost,
    }  # fmt: skip
    if resume is None:
        loaded = load_spec(
            spec, overrides=set_ or (), data=data, name=name, epochs=epochs, **limits
        )
    else:
        fixed = {
            "SPEC": spec, "--data": data, "--name": name, "--epochs": epochs, "--set": set_,
            "--dry-run": dry_run,
        }  # fmt: skip
        _refuse_with_resume({key: value for key, value in fixed.items() if value})

    from jobs import launch, plan, show

    run = launch.run_of(store=store, console=console, engine=engine, address=address)
    if dry_run:
        document = plan.describe(loaded, run)
        console.result(document, lambda: show.plan(console, document))
        return
    if resume is not None:
        document = launch.resume(resume, run, limits=limits)
    else:
        document = launch.start(loaded, run)
    console.result(document, lambda: show.sweep(console, document, store=run.store))


def _refuse_with_resume(given: dict[str, Any]) -> None:
    """A resumed sweep goes on with its own spec, or its trials would not compare."""
    if given:
        raise UsageError(
            f"--resume goes on with the stored spec of the sweep; received also {', '.join(given)}",
            hint="leave them out (--trials, --max-hours and --max-cost may change), or start a new "
            "sweep",
        )
