"""Run trials one after the other in this process: the same trial code, open to a debugger."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from cvcore.errors import UsageError
from cvcore.records import TrialConfig
from cvcore.runtime import require_tensorflow, start_tensorflow
from cvcore.scoring import Bench, score_best
from cvcore.settings import ResourcesConfig
from cvcore.trial import TrialSession
from jobs.engine import REPORT_SECONDS, Driver, WorkerSetup


class InlineEngine:
    """One slot: this process."""

    slots = 1

    def __init__(self, bench: Bench, *, data_seconds: float) -> None:
        self._bench = bench
        self._waited = {"data": data_seconds}

    def search(self, driver: Driver) -> None:
        while not driver.interrupted and (config := driver.next_trial()) is not None:
            self._run(config, driver)
        if (best := driver.trial_to_score()) is not None:
            try:
                evaluation = score_best(best, self._bench)
                driver.scored(best, evaluation, worker=self._bench.worker)
            except Exception as error:  # noqa: BLE001  the trials are done and must be kept
                driver.not_scored(error)

    def _run(self, config: TrialConfig, driver: Driver) -> None:
        session = TrialSession(
            config,
            self._bench,
            rungs=driver.rungs,
            best_value=driver.best_value,
            waited=self._waited,
        )
        self._waited = {}
        while True:
            progress = session.step(max_seconds=REPORT_SECONDS)
            ends = progress.done or driver.spent
            goes_on = not ends and driver.decide(config.trial_id, progress)
            driver.record(config, progress, stopped=not goes_on)
            if not goes_on or driver.interrupted:
                return
            driver.tick()


@contextmanager
def open_engine(
    setup: WorkerSetup, *, resources: ResourcesConfig, scheduler: str, address: str | None
) -> Iterator[InlineEngine]:
    """Open the data in this process; raises `UsageError` for what only Ray can do."""
    require_tensorflow()
    if address is not None:
        raise UsageError(
            f"the inline engine runs in this process, received --address {address!r}",
            hint="add --engine ray, or leave out --address",
        )
    if scheduler in ("hyperband", "pbt"):
        raise UsageError(
            f'search.scheduler = "{scheduler}" pauses and copies trials, which needs --engine ray',
            hint="--engine ray, or --set search.scheduler=asha",
        )
    setup = replace(setup, plain=True)
    if resources.gpus_per_trial is not None:
        setup = replace(setup, use_gpus=resources.gpus_per_trial > 0)
        _require_gpus(setup, resources.gpus_per_trial)
    bench, seconds = setup.open(f"{socket.gethostname()}:{os.getpid()}")
    yield InlineEngine(bench, data_seconds=seconds)


def _require_gpus(setup: WorkerSetup, wanted: float) -> None:
    """Raise `UsageError` where this process sees fewer GPUs than a trial asks for."""
    if wanted == 0:
        return
    start_tensorflow(threads=setup.threads, deterministic=setup.deterministic)
    import tensorflow as tf

    found = len(tf.config.list_physical_devices("GPU"))
    if found < wanted:
        raise UsageError(
            f"a trial asks for {wanted:g} GPU, this process sees {found}",
            hint="--set resources.gpus_per_trial=...   (cvjobs doctor lists the devices)",
        )
