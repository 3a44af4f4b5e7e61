"""The state of a sweep follows from its events, whichever way it is reached."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cvcore import layout
from cvcore.events import COUNTED, SweepState, apply, fold
from tests import sweeps

STATUSES = st.sampled_from(COUNTED)
VALUES = st.none() | st.sampled_from([0.25, 0.5, 0.75, float("nan")])
STEPS = st.lists(st.tuples(st.integers(0, 5), STATUSES, VALUES, st.integers(1, 2)), max_size=20)


def events_of(
    steps: list[tuple[int, str, float | None, int]], *, mode: str = "max"
) -> list[dict[str, Any]]:
    """Create every trial when it is first met, and again for a second attempt; then finish it."""
    events = [sweeps.started(mode=mode)]
    for index, status, value, attempt in steps:
        trial = sweeps.config(index, attempt=attempt)
        events.append(sweeps.created(trial))
        events.append(sweeps.epochs(trial, [1]))
        events.append(sweeps.finished(trial, value, status=status))
    return events


@given(steps=STEPS, mode=st.sampled_from(["max", "min"]))
def test_counts_and_the_best_are_those_of_the_trials(
    steps: list[tuple[int, str, float | None, int]], mode: str
) -> None:
    state = fold(sweeps.SWEEP_ID, events_of(steps, mode=mode))

    ends = [trial.outcome.status for trial in state.trials.values() if trial.outcome]
    assert state.counts == {status: ends.count(status) for status in COUNTED}
    ranked = sorted(
        (-value if mode == "max" else value, name)
        for name, trial in state.trials.items()
        if trial.outcome
        and trial.outcome.status == "completed"
        # Equal scores have equal losses here, so that the name decides.
        and (value := trial.value("val_f1_weighted")) is not None
    )
    assert (state.best or ("", None))[0] == (ranked[0][1] if ranked else "")
    if state.best:
        assert state.best[1] == state.trials[state.best[0]].value("val_f1_weighted")


@given(steps=STEPS)
def test_an_event_names_the_trials_that_it_changed_and_touches_no_other(
    steps: list[tuple[int, str, float | None, int]],
) -> None:
    state = SweepState(sweep_id=sweeps.SWEEP_ID)
    ends = [{"type": "sweep_resumed"}, sweeps.ended()]
    for event in [*events_of(steps), *ends]:
        before = dict(state.trials)
        named = set(apply(state, event))
        changed = {name for name, one in state.trials.items() if before.get(name) is not one}
        assert changed == named


def test_what_was_known_of_a_trial_stays_as_it_was() -> None:
    """Whoever holds a trial's state may go on reading it: a batch that is yet to be stored does."""
    trial = sweeps.config(0)
    state = fold(sweeps.SWEEP_ID, [sweeps.started(), sweeps.created(trial)])
    known = state.trials[trial.trial_id]

    apply(state, sweeps.epochs(trial, [1]))
    apply(state, sweeps.finished(trial))

    assert (known.epochs, known.outcome) == ({}, None)


def test_a_finished_trial_is_not_repeated() -> None:
    trial = sweeps.config(0)
    events = [sweeps.started(), sweeps.created(trial), sweeps.finished(trial, 0.5)]
    again = sweeps.created(sweeps.config(0, attempt=2))
    state = fold(sweeps.SWEEP_ID, [*events, again])

    assert state.best == (layout.trial_id(sweeps.SWEEP_ID, 0), 0.5)
    assert state.trials[trial.trial_id].config.attempt == 1
