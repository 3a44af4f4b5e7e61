"""Drivers of sweeps for the tests: what they are given, told, and asked."""

from __future__ import annotations

from dataclasses import replace

from cvcore.lake import SweepLog
from cvcore.records import TrialConfig
from cvcore.search import RandomSearch
from cvcore.settings import SearchConfig, SweepSpec, TrainingConfig
from cvcore.spaces import Parameter, Real
from cvcore.store import LocalStore
from cvcore.trial import Progress
from jobs.driver import SweepDriver
from tests import sweeps

SPEC = SweepSpec(
    training=TrainingConfig(epochs=9),
    search=SearchConfig(trials=6, scheduler="asha"),
    space={"learning_rate": Parameter(domain=Real(low=1e-4, high=1e-1, log=True))},
)


def driver_of(log: SweepLog, spec: SweepSpec = SPEC) -> SweepDriver:
    driver = SweepDriver(spec, log=log, searcher=RandomSearch(spec))
    driver.replay(log.events)
    return driver


def new_log(store: LocalStore) -> SweepLog:
    log = SweepLog.create(store, sweeps.SWEEP_ID)
    log.append(sweeps.started(scheduler="asha"))
    return log


def resumed(store: LocalStore) -> SweepLog:
    log = SweepLog.open(store, sweeps.SWEEP_ID)
    log.append({"type": "sweep_resumed", "at": 0.0})
    return log


def reached(
    epoch: int, value: float, *, done: bool = False, phase: str = "train", before: int = 0
) -> Progress:
    """Stand at an epoch of a phase that began after `before` epochs of another one."""
    status = "completed" if done else "stopped"
    outcome = replace(sweeps.outcome(value, status=status), epochs_run=before + epoch)
    return Progress(
        epochs=(), outcome=outcome, done=done, phase=phase, phase_epoch=epoch, phase_value=value
    )


def proposed(driver: SweepDriver) -> TrialConfig:
    config = driver.next_trial()
    assert config is not None
    return config
