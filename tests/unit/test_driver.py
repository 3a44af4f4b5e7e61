"""The driver's decisions follow from its log: what is proposed, repeated, stopped and lost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.errors import StoreError
from cvcore.lake import SweepLog
from cvcore.records import TrialConfig
from cvcore.search import RandomSearch
from cvcore.settings import ModelConfig, SearchConfig, SweepSpec, TrainingConfig
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


TWO_PHASES = replace(
    SPEC,
    model=ModelConfig(family="transfer"),
    training=TrainingConfig(epochs=9, fine_tune_epochs=10),
)


@pytest.mark.parametrize(
    ("epochs", "fine_tune_epochs", "expected"),
    [
        (9, 0, {"train": (1, 3, 9)}),
        (9, 10, {"train": (1, 3, 9), "fine_tune": (3, 9, 10)}),
        (5, 3, {"train": (1, 3, 5), "fine_tune": (3,)}),
        (1, 1, {"train": (1,), "fine_tune": (1,)}),
        (9, 60, {"train": (1, 3, 9), "fine_tune": (7, 21, 60)}),
    ],
)
def test_fine_tuning_has_rungs_of_its_own_none_before_its_third_epoch(
    store: LocalStore, epochs: int, fine_tune_epochs: int, expected: dict[str, tuple[int, ...]]
) -> None:
    training = TrainingConfig(epochs=epochs, fine_tune_epochs=fine_tune_epochs)
    with new_log(store) as log:
        assert driver_of(log, replace(SPEC, training=training)).rungs == expected


def test_phases_never_meet_in_one_rung(store: LocalStore) -> None:
    """Six heads that stood at epoch 3 cut no fine-tuned model that is worse than all of them."""
    with new_log(store) as log:
        driver = driver_of(log, TWO_PHASES)
        trials = [proposed(driver).trial_id for _ in range(6)]
        for trial in trials:
            driver.decide(trial, reached(3, 0.9))
        tuned = [reached(3, value, phase="fine_tune", before=9) for value in (0.5, 0.4, 0.3)]
        decisions = [driver.decide(*one) for one in zip(trials, tuned, strict=False)]
    assert decisions == [True, True, False]  # the third of three meets the two before it


@pytest.mark.parametrize("before", [2, 9])
def test_rungs_count_from_the_start_of_the_phase(store: LocalStore, before: int) -> None:
    """Whatever the epochs of a head that may have stopped early."""
    with new_log(store) as log:
        driver = driver_of(log, TWO_PHASES)
        for value in (0.9, 0.8):
            driver.decide(proposed(driver).trial_id, reached(3, value, phase="fine_tune", before=9))
        trial = proposed(driver).trial_id
        for epoch in (1, 2):
            assert driver.decide(trial, reached(epoch, 0.1, phase="fine_tune", before=before))
        assert not driver.decide(trial, reached(3, 0.1, phase="fine_tune", before=before))
        logged = [event for event in log.events if event["type"] == "rung"]
    assert [(one["epoch"], one["phase"], one["phase_epoch"]) for one in logged] == [
        *(2 * [(12, "fine_tune", 3)]),
        (before + 3, "fine_tune", 3),
    ]


def test_features_still_being_computed_meet_no_rung(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log, TWO_PHASES)
        trial = proposed(driver).trial_id
        waiting = Progress(epochs=(), outcome=sweeps.outcome(None, status="stopped"), done=False)
        assert driver.decide(trial, waiting)
        assert not [event for event in log.events if event["type"] == "rung"]


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 8),
            st.sampled_from([("train", 1), ("train", 3), ("fine_tune", 3), ("fine_tune", 9)]),
            st.integers(0, 5),
        ),
        max_size=30,
    ),
    cut=st.integers(0, 30),
)
def test_a_replayed_log_of_both_phases_decides_as_if_the_driver_had_lived(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[int, tuple[str, int], int]],
    cut: int,
) -> None:
    spec = replace(TWO_PHASES, search=replace(TWO_PHASES.search, trials=9))
    told = [
        (trial, reached(epoch, score / 5, phase=phase, before=0 if phase == "train" else 9))
        for trial, (phase, epoch), score in steps
    ]
    folder = tmp_path_factory.mktemp("stores")
    with new_log(LocalStore(folder / "lived")) as log:
        driver = driver_of(log, spec)
        names = [proposed(driver).trial_id for _ in range(9)]
        lived = [driver.decide(names[trial], progress) for trial, progress in told]
    store = LocalStore(folder / "died")
    with new_log(store) as log:
        driver = driver_of(log, spec)
        for _ in range(9):
            proposed(driver)
        decided = [driver.decide(names[trial], progress) for trial, progress in told[:cut]]
        log.save()
    with resumed(store) as log:
        driver = driver_of(log, spec)
        decided += [driver.decide(names[trial], progress) for trial, progress in told[cut:]]
    assert decided == lived


def test_a_log_of_before_there_were_phases_is_one_of_the_first(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        for value in (0.9, 0.8):
            trial = proposed(driver).trial_id
            old = {"type": "rung", "trial_id": trial, "epoch": 3, "value": value}
            log.append({**old, "decision": "continue", "at": 0.0})
        log.save()
    with resumed(store) as log:
        driver = driver_of(log, TWO_PHASES)
        third = [proposed(driver).trial_id for _ in range(3)][-1]  # the first two again, and it
        assert not driver.decide(third, reached(3, 0.1))


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
