"""A sweep from spec to result: open the data and the log, run the engine, score the best, close.

`sweep`, `train` (and whatever trains later) are this function with different specs.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from cvcore import layout
from cvcore.config import load_spec
from cvcore.errors import DataError, Interrupted, NoTrialCompleted, StoreError
from cvcore.lake import SweepLog
from cvcore.runtime import require_tensorflow
from cvcore.scoring import patiently
from cvcore.settings import SweepSpec
from cvcore.store import Store
from jobs.accounting import figures, hours_allowed, seconds_so_far
from jobs.adapters.console import Console
from jobs.checks import check_spec
from jobs.driver import SweepDriver
from jobs.engine import Engine, OpenEngine, WorkerSetup
from jobs.manifest import describe, first_event, write_plan
from jobs.pretrained import provide_weights
from jobs.progress import watch
from jobs.wiring import (
    EARLY,
    ENGINES,
    SEARCHERS,
    cache_folder,
    data_source,
    open_store,
    resolve,
)

if TYPE_CHECKING:
    from cvcore.datasets import Dataset


USED_UP = "the hours or the money that it may take are used up"
STOPPING = "stopping: running trials end at their next epoch (again: stop at once)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where and how a sweep runs; what it tries is in its spec."""

    store: Store
    console: Console
    engine: str
    address: str | None


def open_data(spec: SweepSpec, console: Console) -> Dataset:
    """Open the images of a spec, decoding what is not in the cache, and say what was found."""
    from cvcore.datasets import open_dataset

    started = time.perf_counter()
    source = data_source(spec.data.uri)
    dataset = open_dataset(source, config=spec.data, cache_folder=cache_folder())
    seconds = time.perf_counter() - started
    how = f"decoded {dataset.num_decoded}" if dataset.num_decoded else "decoded none, all cached"
    sizes = ", ".join(f"{len(rows)} {name}" for name, rows in dataset.indices.items())
    classes = ", ".join(dataset.class_names)
    console.note(
        f"data: {len(dataset.images)} images of {len(dataset.class_names)} classes: {classes}"
    )
    console.note(f"      {sizes}; {how} in {seconds:.1f} s")
    return dataset


def start(spec: SweepSpec, run: Run) -> dict[str, Any]:
    """Run a new sweep to its end and return its result document."""
    require_tensorflow()
    check_spec(spec, engine=run.engine)
    _probe(run.store)
    with _early(spec, run) as waiting:
        dataset = open_data(spec, run.console)
        check_spec(spec, engine=run.engine, num_classes=len(dataset.class_names))
        spec = _anchored(spec)
        provide_weights(spec, store=run.store, console=run.console)
        sweep_id = layout.new_sweep_id(datetime.now(UTC))
        started = time.monotonic()
        with (
            # First: a sweep that cannot run leaves no trace.
            _engine(spec, run, dataset, waiting=waiting) as engine,
            SweepLog.create(run.store, sweep_id) as log,
        ):
            log.append(first_event(spec, dataset))
            log.flush()
            write_plan(spec, run.store, sweep_id=sweep_id, dataset=dataset)
            with _resumable(run, sweep_id):
                return _search(spec, run, log=log, engine=engine, started=started)


def resume(sweep_id: str, run: Run, *, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Go on with a stopped or killed sweep; `limits` are flags that may change, None: as it was."""
    require_tensorflow()
    with SweepLog.open(run.store, sweep_id) as log:
        spec = _stored_spec(log, limits)
        check_spec(spec, engine=run.engine)
        with _early(spec, run) as waiting:
            dataset = open_data(spec, run.console)
            _same_data(log, dataset)
            started = time.monotonic()
            with _engine(spec, run, dataset, waiting=waiting) as engine:
                log.append({"type": "sweep_resumed", "at": time.time()})
                log.flush()
                with _resumable(run, sweep_id):
                    return _search(spec, run, log=log, engine=engine, started=started)


def _anchored(spec: SweepSpec) -> SweepSpec:
    """Make the paths of a spec absolute: workers and `--resume` start in other folders."""
    uri, weights = spec.data.uri, spec.model.weights
    if "://" not in uri and not uri.startswith("builtin:"):
        uri = str(Path(uri).expanduser().absolute())
    if "://" not in weights and weights not in ("imagenet", "none"):
        weights = str(Path(weights).expanduser().absolute())
    return replace(
        spec, data=replace(spec.data, uri=uri), model=replace(spec.model, weights=weights)
    )


def _probe(store: Store) -> None:
    """Raise `StoreError` now, not after the images are decoded, where the store does not answer."""
    store.version(layout.probe("answers"))


def _early(spec: SweepSpec, run: Run) -> AbstractContextManager[str]:
    """Start what the engine needs and does not depend on the data."""
    if run.engine not in EARLY:
        return nullcontext("")
    early: AbstractContextManager[str] = resolve(EARLY[run.engine])(
        spec.resources, address=run.address
    )
    return early


@contextmanager
def _engine(spec: SweepSpec, run: Run, dataset: Dataset, *, waiting: str) -> Iterator[Engine]:
    """Start what runs the trials; raises `UsageError` where it cannot be had."""
    setup = WorkerSetup(
        store_uri=run.store.uri,
        data=spec.data,
        fingerprint=dataset.fingerprint,
        cache_folder=str(cache_folder()),
        threads=spec.resources.cpus_per_trial,
        deterministic=spec.training.deterministic,
        waiting=waiting,
    )
    open_engine: OpenEngine = resolve(ENGINES[run.engine])
    with open_engine(
        setup, resources=spec.resources, scheduler=spec.search.scheduler, address=run.address
    ) as engine:
        yield engine


def _search(
    spec: SweepSpec, run: Run, *, log: SweepLog, engine: Engine, started: float
) -> dict[str, Any]:
    """Run what is left; `started` is the monotonic time before the engine was started."""
    searcher = resolve(SEARCHERS[spec.search.algorithm])(spec)
    with watch(run.console, spec) as on_change:
        driver = SweepDriver(
            spec,
            log=log,
            searcher=searcher,
            began=started - seconds_so_far(log.events),
            max_hours=hours_allowed(spec, slots=engine.slots),
            on_change=on_change,
        )
        driver.replay(log.events)
        with _interruptible(driver, run.console):
            engine.search(driver)
            summary = figures(
                log.state,
                wall_seconds=driver.seconds,
                slots=engine.slots,
                price_per_hour=spec.resources.price_per_hour,
            )
    failure = driver.scoring_failure
    if driver.interrupted or failure is not None:
        log.append({"type": "sweep_interrupted", **summary})
        patiently(log.flush)
        stop = Interrupted if failure is None else type(failure)
        raise stop(
            f"{failure or 'stopped'}: {len(_finished(log))} trials are finished and saved in "
            f"{run.store.uri}",
            hint=_resume_command(run, log.sweep_id),
        ) from failure
    cut_short = driver.spent and log.state.counts["completed"] < spec.search.trials
    return _conclude(spec, run, log=log, summary=summary, spent=cut_short)


def _conclude(
    spec: SweepSpec, run: Run, *, log: SweepLog, summary: dict[str, Any], spent: bool
) -> dict[str, Any]:
    """Close the log, keep only the best model, and describe the result."""
    best = log.state.best
    status = "completed" if best else "failed"
    log.append({"type": "sweep_finished", "status": status, **summary})
    patiently(log.flush)
    if best is None:
        errors = {
            f"{trial.outcome.error_type}: {trial.outcome.error_message}"
            for trial in log.state.trials.values()
            if trial.outcome and trial.outcome.error_type
        }
        nothing = USED_UP if spent else "none ran to its end"
        raise NoTrialCompleted(
            f"no trial of sweep {log.sweep_id} completed: "
            f"{'; '.join(sorted(errors)[:3]) or nothing}",
            hint=f"{_resume_command(run, log.sweep_id)} --max-hours ... (or --max-cost)"
            if spent
            else f"cvjobs results leaderboard {log.sweep_id} --store {run.store.uri}",
        )
    if spent:
        run.console.note(
            f"{USED_UP}; to go on: {_resume_command(run, log.sweep_id)} --max-hours ..."
        )
    models = [layout.model(log.sweep_id, name) for name in log.state.trials if name != best[0]]
    with suppress(StoreError):  # the result stands; what is left over only takes room
        run.store.delete(models)
    return describe(spec, run.store, log)


def _stored_spec(log: SweepLog, limits: Mapping[str, Any]) -> SweepSpec:
    with TemporaryDirectory() as folder:
        path = Path(folder, "spec.toml")
        path.write_text(log.state.started["spec_toml"], encoding="utf-8")
        return load_spec(path, **limits)


def _same_data(log: SweepLog, dataset: Dataset) -> None:
    planned = log.state.started["dataset_fingerprint"]
    if dataset.fingerprint != planned:
        uri = log.state.started["data_uri"]
        raise DataError(
            f"the images at {uri} changed since the sweep {log.sweep_id} began (fingerprint "
            f"{dataset.fingerprint}, expected {planned}); its trials would not compare",
            hint=f"cvjobs sweep --data {uri}   (a new sweep)",
        )


def _resume_command(run: Run, sweep_id: str) -> str:
    command = ["cvjobs", "sweep", "--resume", sweep_id, "--store", run.store.uri]
    if run.engine != "ray":
        command += ["--engine", run.engine]
    if run.address is not None:
        command += ["--address", run.address]
    return shlex.join(command)


@contextmanager
def _resumable(run: Run, sweep_id: str) -> Iterator[None]:
    """Where the store stays away, say how to go on when it is back."""
    try:
        yield
    except StoreError as error:
        raise StoreError(error.message, hint=_resume_command(run, sweep_id)) from error


def _finished(log: SweepLog) -> list[str]:
    return [name for name, trial in log.state.trials.items() if trial.finished]


@contextmanager
def _interruptible(driver: SweepDriver, console: Console) -> Iterator[None]:
    """Let the first Ctrl-C (or SIGTERM) end the sweep in order, and the second one at once."""

    def stop(signum: int, frame: Any) -> None:
        if driver.interrupted:
            sys.exit(Interrupted.exit_code)
        driver.interrupted = True
        if console.mode != "quiet":  # past the console: a handler must not re-enter its streams
            os.write(2, STOPPING.encode())

    kept = {one: signal.signal(one, stop) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in kept.items():
            signal.signal(one, handler)


def run_of(*, store: str, console: Console, engine: str, address: str | None) -> Run:
    """Open the store of a run."""
    return Run(store=open_store(store), console=console, engine=engine, address=address)
