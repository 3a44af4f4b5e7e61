"""The driver's decisions follow from its log: what is proposed, repeated and lost."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from cvcore.errors import CvjobsError, StoreError
from cvcore.search import RandomSearch
from cvcore.settings import SweepSpec
from cvcore.store import LocalStore
from jobs.driver import SweepDriver
from tests import sweeps
from tests.drivers import SPEC, driver_of, new_log, proposed, reached, resumed
from tests.lakes import rows


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


class Noting(RandomSearch):
    """A search that notes what it is told."""

    def __init__(self, spec: SweepSpec) -> None:
        super().__init__(spec)
        self.told: list[tuple[int, float | None]] = []

    def observe(self, index: int, value: float | None) -> None:
        self.told.append((index, value))


def test_what_is_said_of_a_trial_after_its_end_changes_nothing(store: LocalStore) -> None:
    with new_log(store) as log:
        searcher = Noting(SPEC)
        driver = SweepDriver(SPEC, log=log, searcher=searcher)
        config = proposed(driver)
        driver.record(config, reached(9, 0.5, done=True))
        known, num_events = driver.state.trials[config.trial_id], len(log.events)
        driver.record(config, reached(9, 0.9, done=True))
        driver.lost(config, error_type="worker_died", message="too late")
        assert searcher.told == [(0, 0.5)]
        assert driver.running == {}
        assert driver.state.trials[config.trial_id] is known
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


def test_when_the_hours_are_up_no_trial_starts_and_all_that_run_are_to_end(
    store: LocalStore,
) -> None:
    searcher = RandomSearch(SPEC)
    an_hour_ago = time.monotonic() - 3600
    with new_log(store) as log:
        fresh = SweepDriver(SPEC, log=log, searcher=searcher, began=an_hour_ago, max_hours=1.1)
        assert not fresh.spent
        assert fresh.next_trial() is not None
        late = SweepDriver(SPEC, log=log, searcher=searcher, began=an_hour_ago, max_hours=0.9)
        assert late.spent
        assert late.next_trial() is None


def test_the_best_trial_is_to_be_scored_once(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        assert driver.trial_to_score() is None
        worse, better = proposed(driver), proposed(driver)
        driver.record(worse, reached(9, 0.5, done=True))
        driver.record(better, reached(9, 0.6, done=True))
        assert driver.trial_to_score() == better
        driver.interrupted = True
        assert driver.trial_to_score() is None
        driver.interrupted = False
        driver.scored(better, sweeps.evaluation("test", 0.7), worker="here:1")
        assert driver.trial_to_score() is None
        assert driver.state.trials[better.trial_id].test == sweeps.evaluation("test", 0.7)


@pytest.mark.parametrize(
    ("error", "kind"), [(StoreError("away"), StoreError), (MemoryError("full"), CvjobsError)]
)
def test_what_kept_the_best_from_being_scored_is_remembered(
    store: LocalStore, error: Exception, kind: type[Exception]
) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        driver.not_scored(error)
    assert type(driver.scoring_failure) is kind
    assert str(error) in str(driver.scoring_failure)


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
