"""The driver's decisions follow from its log: what is proposed, repeated, stopped and lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cvcore.errors import StoreError
from cvcore.lake import SweepLog
from cvcore.records import TrialConfig
from cvcore.search import RandomSearch
from cvcore.settings import SearchConfig, SweepSpec, TrainingConfig
from cvcore.spaces import Parameter, Real
from cvcore.store import LocalStore
from cvcore.trial import Progress
from jobs.driver import SweepDriver, figures
from tests import sweeps
from tests.lakes import rows

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


def reached(epoch: int, value: float, *, done: bool = False) -> Progress:
    status = "completed" if done else "stopped"
    outcome = replace(sweeps.outcome(value, status=status), epochs_run=epoch)
    return Progress(epochs=(), outcome=outcome, done=done)


def proposed(driver: SweepDriver) -> TrialConfig:
    config = driver.next_trial()
    assert config is not None
    return config


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(str(tmp_path))


def test_a_driver_proposes_as_many_trials_as_the_spec_allows(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        configs = [proposed(driver) for _ in range(6)]
        assert driver.next_trial() is None
    assert [config.index for config in configs] == list(range(6))
    assert len({config.seed for config in configs}) == 6
    assert all(config.attempt == 1 for config in configs)
    assert all(0 <= config.seed < 2**31 for config in configs)


@pytest.mark.parametrize("num_proposed", range(1, 6))
def test_a_replayed_driver_goes_on_as_if_it_had_not_died(
    store: LocalStore, tmp_path: Path, num_proposed: int
) -> None:
    other = LocalStore(str(tmp_path / "undisturbed"))
    with new_log(other) as log:
        driver = driver_of(log)
        undisturbed = [proposed(driver) for _ in range(6)]
    with new_log(store) as log:
        driver = driver_of(log)
        first = [proposed(driver) for _ in range(num_proposed)]
        driver.record(first[0], reached(9, 0.5, done=True))
        log.save()
    with resumed(store) as log:
        driver = driver_of(log)
        rest = []
        while (config := driver.next_trial()) is not None:
            rest.append(config)
    repeated = [replace(config, attempt=2) for config in undisturbed[1:num_proposed]]
    assert rest == [*repeated, *undisturbed[num_proposed:]]


def test_a_replayed_driver_remembers_its_rungs(store: LocalStore) -> None:
    """Three trials were good at the first rung: a fourth that is not is cut, before and after."""
    with new_log(store) as log:
        driver = driver_of(log)
        for value in (0.9, 0.8, 0.7):
            config = proposed(driver)
            driver.decide(config.trial_id, reached(1, value))
            driver.record(config, reached(9, value, done=True))
        log.save()
    with resumed(store) as log:
        driver = driver_of(log)
        assert driver.rungs == {"train": (1, 3, 9)}
        config = proposed(driver)
        assert not driver.decide(config.trial_id, reached(1, 0.1))
        assert driver.decide(config.trial_id, reached(2, 0.1))  # no rung
        better = proposed(driver)
        assert driver.decide(better.trial_id, reached(1, 0.95))


def test_what_is_said_of_a_trial_after_its_end_changes_nothing(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        config = proposed(driver)
        driver.record(config, reached(9, 0.5, done=True))
        state, num_events = driver.state, len(log.events)
        driver.record(config, reached(9, 0.9, done=True))
        driver.lost(config, error_type="worker_died", message="too late")
        assert driver.state is state
        assert len(log.events) == num_events


def test_a_lost_trial_keeps_what_was_known_of_it(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        config = proposed(driver)
        driver.record(config, reached(3, 0.5))
        driver.lost(config, error_type="worker_died", message="gone")
        log.flush()
    (row,) = rows(store, "trials")
    assert (row["status"], row["error_type"], row["error_message"]) == (
        *("failed", "worker_died", "gone"),
    )
    assert row["epochs_run"] == 3
    assert row["val_f1_weighted"] is None


def test_an_interrupted_driver_starts_and_loses_nothing_more(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        config = proposed(driver)
        driver.interrupted = True
        assert driver.next_trial() is None
        driver.lost(config, error_type="worker_died", message="by Ctrl-C")
        assert not driver.state.trials[config.trial_id].finished


def test_no_trial_starts_when_the_hours_are_up(store: LocalStore) -> None:
    spec = replace(SPEC, search=replace(SPEC.search, max_hours=0.0))
    with new_log(store) as log:
        assert driver_of(log, spec).next_trial() is None


class Away(LocalStore):
    """A store that can be switched off."""

    off = False

    def write(self, key: str, data: bytes, **condition: object) -> None:
        if self.off:
            raise StoreError("the store is away")
        super().write(key, data, **condition)  # type: ignore[arg-type]


def test_an_outage_is_endured_and_made_up_for(tmp_path: Path) -> None:
    store = Away(str(tmp_path))
    with new_log(store) as log:
        driver = driver_of(log)
        log.flush()
        store.off = True
        config = proposed(driver)
        driver.record(config, reached(3, 0.5), stopped=True)
        driver.tick()
        assert str(driver.outage) == "the store is away"
        assert rows(store, "trials") == []
        store.off = False
        another = proposed(driver)
        driver.record(another, reached(3, 0.6), stopped=True)
        assert driver.outage is None
        log.flush()
    assert [row["val_f1_weighted"] for row in rows(store, "trials")] == [0.5, 0.6]


def test_the_figures_add_up_what_trials_spent(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        for _ in range(2):
            driver.record(proposed(driver), reached(9, 0.5, done=True))
        summed = figures(driver.state, wall_seconds=2.0, slots=2)
    assert summed["worker_seconds"] == pytest.approx(2 * 7 * 0.5)  # seven buckets of half a second
    assert summed["efficiency"] == pytest.approx(2 * 0.5 / (2.0 * 2))
