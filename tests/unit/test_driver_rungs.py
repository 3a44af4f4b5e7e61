"""Who is cut follows from the log, rung by rung and phase by phase, whoever died in between."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.settings import ModelConfig, TrainingConfig
from cvcore.store import LocalStore
from cvcore.trial import Progress
from tests import sweeps
from tests.drivers import SPEC, driver_of, new_log, proposed, reached, resumed


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
