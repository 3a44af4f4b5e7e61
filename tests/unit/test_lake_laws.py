"""The laws of the lake: one row a key, none lost, whenever the driver dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cvcore import layout
from cvcore.errors import UsageError
from cvcore.lake import SweepLog
from cvcore.parts import TABLES
from cvcore.store import LocalStore, Store
from tests import sweeps
from tests.lakes import (
    Crash,
    Failing,
    a_whole_sweep,
    contents,
    drive,
    keys,
    none_twice,
    parts,
    rows,
)

ROOT = Path(__file__).parents[2]

several_examples = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process wrote survives it without; only a power cut needs `fsync`."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def num_changes(store: Store) -> int:
    counting = Failing(store, 0)
    with SweepLog.create(counting, sweeps.SWEEP_ID) as log:
        drive(log, a_whole_sweep(store))
    return -counting.fuse


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_death_at_any_change_loses_and_doubles_nothing(tmp_path: Path, after: bool) -> None:
    total = num_changes(LocalStore(tmp_path / "whole"))
    expected = contents(LocalStore(tmp_path / "whole"))
    assert total > 30
    for fuse in range(1, total + 1):
        store = LocalStore(tmp_path / f"{fuse}")
        events = list(a_whole_sweep(store))
        log = SweepLog.create(Failing(store, fuse, after=after), sweeps.SWEEP_ID)
        with pytest.raises(Crash):
            drive(log, events)
        log.close()
        none_twice(store)  # before anybody repairs anything
        for again in (1, 2, 3):  # the repair may die as well
            with suppress(Crash, UsageError):
                SweepLog.open(Failing(store, again, after=after), sweeps.SWEEP_ID).close()
            none_twice(store)

        finish(store, [event for event in events if isinstance(event, dict)])

        assert contents(store) == expected, fuse


def finish(store: Store, events: list[dict[str, Any]]) -> None:
    """Open the log after a death and append the events that are not in it."""
    if not list(store.list(layout.events_folder(sweeps.SWEEP_ID))):
        log = SweepLog.create(store, sweeps.SWEEP_ID)
    else:
        log = SweepLog.open(store, sweeps.SWEEP_ID)
    with log:
        for event in json.loads(json.dumps(events))[len(log.events) :]:
            log.append(event)
        log.flush()
        assert not log.compact()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("create"), st.integers(0, 3)),
        st.tuples(st.just("epochs"), st.integers(0, 3)),
        st.tuples(st.just("finish"), st.integers(0, 3)),
        st.tuples(st.just("score"), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 1)),
        st.tuples(st.sampled_from(["save", "flush", "compact", "die", "resume"]), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.timeout(120)
@several_examples
@given(operations=OPERATIONS, fuse=st.integers(1, 40))
def test_any_history_leaves_one_row_a_key(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, int]], fuse: int
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    log = SweepLog.create(Failing(store, fuse), sweeps.SWEEP_ID)
    try:
        drive(log, [sweeps.started(), "flush"])
        for name, index in operations:
            log = step(log, store, name, index)
        log.flush()
    except Crash:
        pass
    log.close()
    none_twice(store)
    if not list(store.list(layout.events_folder(sweeps.SWEEP_ID))):
        return

    with SweepLog.open(store, sweeps.SWEEP_ID) as log:
        log.flush()  # what was only saved is published now
        state = log.state

    trials = state.trials.values()
    assert keys(store, "trials") == [
        (one.config.trial_id,) for one in sorted(trials, key=trial_name) if one.finished
    ]
    assert keys(store, "epochs") == [
        (one.config.trial_id, epoch)
        for one in sorted(trials, key=trial_name)
        for epoch in one.epochs
    ]
    assert [row["status"] for row in rows(store, "sweeps")] == [state.status]
    assert {row["trial_id"] for row in rows(store, "trials") if row["test_accuracy"]} == {
        one.config.trial_id for one in trials if one.test
    }
    none_twice(store)


def trial_name(trial: Any) -> str:
    return str(trial.config.trial_id)


def step(log: SweepLog, store: Store, name: str, index: int) -> SweepLog:
    """Do one thing a driver may do; a thing that makes no sense now is left out."""
    trial_id = layout.trial_id(sweeps.SWEEP_ID, index)
    trial = log.state.trials.get(trial_id)
    if name == "create" and (trial is None or not trial.finished):
        attempt = trial.config.attempt + 1 if trial else 1
        log.append(sweeps.created(sweeps.config(index, attempt=attempt)))
    elif name == "epochs" and trial:
        log.append(sweeps.epochs(trial.config, [len(trial.epochs) + 1]))
    elif name == "finish" and trial and not trial.finished:
        files = (sweeps.leave_predictions(store, trial.config, "validation"),)
        log.append(sweeps.finished(trial.config, index / 4, predictions=files))
    elif name == "score" and trial and trial.finished:
        files = (sweeps.leave_predictions(store, trial.config, "test"),)
        log.append(sweeps.scored(trial.config, files))
    elif name == "end":
        log.append(sweeps.ended("sweep_interrupted" if index else "sweep_finished"))
    elif name == "resume":
        drive(log, [{"type": "sweep_resumed"}, "flush"])
    elif name in ("save", "flush", "compact"):
        getattr(log, name)()
    elif name == "die":
        log.close()
        return SweepLog.open(log.store, sweeps.SWEEP_ID)
    return log


DRIVER = """
import sys, time
from cvcore.lake import SweepLog
from cvcore.store import LocalStore
from tests import sweeps

store = LocalStore(sys.argv[1])
log = SweepLog.create(store, sweeps.SWEEP_ID)
log.append(sweeps.started())
for index in range(10_000):
    trial = sweeps.config(index)
    log.append(sweeps.created(trial))
    log.append(sweeps.epochs(trial, [1, 2]))
    log.flush()
    log.append(sweeps.finished(trial))
    if index % 7 == 6:
        log.compact()
    print(index, flush=True)
"""


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_kill_9_in_the_middle_leaves_one_row_a_key(store: LocalStore) -> None:
    command = [sys.executable, "-c", DRIVER, str(store.root)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        while int(child.stdout.readline()) < 23:
            pass
        os.kill(child.pid, signal.SIGKILL)
    none_twice(store)

    with SweepLog.open(store, sweeps.SWEEP_ID) as log:
        drive(log, [{"type": "sweep_resumed"}, "flush"])
        num_finished = sum(trial.finished for trial in log.state.trials.values())
        assert num_finished >= 22
        assert len(keys(store, "trials")) == num_finished
        assert len(keys(store, "epochs")) == 2 * num_finished
        log.compact()
    assert max(len(parts(store, table)) for table in TABLES) == 1
    assert len(keys(store, "trials")) == num_finished
