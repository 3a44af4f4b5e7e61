"""Sweeps that do not end by themselves: killed, interrupted, robbed of a worker; and what is left.

Each command runs in a session of its own and is watched from outside, through its store alone.
"""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cvcore.events import SweepState, read_batches
from cvcore.store import Store
from tests.lakes import none_twice
from tests.runs import (
    LONG,
    RATES,
    Answer,
    Child,
    child,
    elsewhere,
    finished_trials,
    gone,
    here,
    local,
    log_of,
    only_sweep,
    settings,
    table,
    tiny,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

on_ray = pytest.mark.services
in_one_process = pytest.mark.xdist_group("tensorflow")

NUM_TRIALS = 6
# Trials of some seconds and short ones in turn, so that rows of both are there to be seen.
SPACE = (RATES, "space.batch_size={choice = [1, 64]}", "search.algorithm=grid")


def type_sweep(folder: Path, *typed: str) -> list[str]:
    store = str(folder / "store")
    return ["sweep", tiny(folder), "--store", store, *settings(*LONG, *SPACE), *typed]


def summary(state: SweepState) -> dict[str, tuple[Any, ...]]:
    """Say of every finished trial what must not change any more."""
    return {
        name: (trial.config.attempt, trial.config.seed, trial.outcome.finished_at)
        for name, trial in state.trials.items()
        if trial.outcome
    }


@dataclass(kw_only=True)
class Story:
    """What was seen of a sweep whose worker, and then whose driver, was killed."""

    store: Store
    early: list[dict[str, Any]] = field(default_factory=list)
    early_epochs: list[dict[str, Any]] = field(default_factory=list)
    killed_worker: str = ""
    killed_trial: str = ""
    family: dict[int, str] = field(default_factory=dict)
    at_death: SweepState | None = None
    second_resume: int = 0
    resumed: Answer | None = None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("killed")
    told = Story(store=local(folder / "store"))
    typed = ["--trials", str(NUM_TRIALS), "--max-concurrent", "2", "--epochs", "400"]
    with child(folder, *type_sweep(folder, *typed)) as sweep:
        watch_rows_come(sweep, told)
        kill_a_worker(sweep, told)
        told.family = sweep.family()
        assert len(told.family) > 4  # Ray is among them
        os.kill(sweep.process.pid, signal.SIGKILL)
        sweep.process.wait()
    sweep_id = only_sweep(told.store)
    told.at_death = log_of(told.store, sweep_id)
    again = ["sweep", "--resume", sweep_id, "--store", told.store.uri, "--json"]
    with child(folder, *again, "--max-concurrent", "2") as resumed:
        number = len(read_batches(told.store, sweep_id))
        resumed.until(
            lambda: len(read_batches(told.store, sweep_id)) > number, "the log of the resumed sweep"
        )
        told.second_resume = elsewhere(*again, "--engine", "inline").code
        told.resumed = resumed.end()
    return told


def watch_rows_come(sweep: Child, told: Story) -> None:
    def some_are_there() -> bool:
        told.early_epochs = table(told.store, "epochs")
        told.early = table(told.store, "trials")
        ended = {row["trial_id"] for row in told.early}
        return bool(ended) and any(row["trial_id"] not in ended for row in told.early_epochs)

    sweep.until(some_are_there, "the row of a finished trial, and epochs of one that runs")


def kill_a_worker(sweep: Child, told: Story) -> None:
    """Kill the process that a finished trial names: by then it works on another trial."""
    told.killed_worker = told.early[0]["worker"]
    pid = int(told.killed_worker.rpartition(":")[2])
    assert pid in sweep.family()
    os.kill(pid, signal.SIGKILL)

    def it_was_noticed() -> bool:
        state = log_of(told.store, only_sweep(told.store))
        ended = {name: t.outcome for name, t in state.trials.items() if t.outcome}
        failed = [name for name, outcome in ended.items() if outcome.status == "failed"]
        told.killed_trial = failed[0] if failed else ""
        return bool(failed) and len(ended) >= 3

    sweep.until(it_was_noticed, "the failed trial of the killed worker, and more trials after it")


def eventually_gone(family: dict[int, str], *, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not gone(family) and time.monotonic() < deadline:
        time.sleep(0.1)
    return gone(family)


@on_ray
def test_rows_are_there_while_the_sweep_runs(story: Story) -> None:
    assert story.early
    assert {row["status"] for row in story.early} == {"completed"}
    ended = {row["trial_id"] for row in story.early}
    running = [row for row in story.early_epochs if row["trial_id"] not in ended]
    assert running
    assert all(row["val_loss"] is not None for row in running)


@on_ray
def test_a_killed_worker_fails_its_trial_and_no_other(story: Story) -> None:
    rows = {row["trial_id"]: row for row in table(story.store, "trials")}
    failed = [name for name, row in rows.items() if row["status"] == "failed"]
    assert failed == [story.killed_trial]
    assert rows[story.killed_trial]["error_type"] == "worker_died"
    assert "process" in rows[story.killed_trial]["error_message"]
    assert story.killed_trial not in {row["trial_id"] for row in story.early}


@on_ray
def test_a_resumed_sweep_ends_with_every_trial_once(story: Story) -> None:
    assert story.resumed
    assert story.resumed.code == 0, story.resumed.stderr
    document = story.resumed.document
    assert document["trials"] == {"completed": NUM_TRIALS - 1, "stopped": 0, "failed": 1}
    none_twice(story.store)
    rows = table(story.store, "trials")
    assert [row["trial_index"] for row in rows] == list(range(NUM_TRIALS))
    tried = {(row["hp_batch_size"], row["hp_learning_rate"]) for row in rows}
    assert len(tried) == NUM_TRIALS  # the search went on where it was
    (sweep,) = table(story.store, "sweeps")
    assert (sweep["status"], sweep["num_completed"]) == ("completed", NUM_TRIALS - 1)


@on_ray
def test_what_had_finished_did_not_run_again(story: Story) -> None:
    assert story.at_death
    assert story.at_death.status == "running"
    finished = summary(story.at_death)
    assert len(finished) >= 3
    state = log_of(story.store, story.at_death.sweep_id)
    assert {name: summary(state)[name] for name in finished} == finished
    rows = {row["trial_id"]: row for row in table(story.store, "trials")}
    under_way = set(story.at_death.trials) - set(finished)
    assert under_way
    attempts = {name: row["attempt"] for name, row in rows.items()}
    assert attempts == {name: 2 if name in under_way else 1 for name in rows}
    for row in story.early:
        assert rows[row["trial_id"]]["finished_at"] == row["finished_at"]


@on_ray
def test_epochs_are_those_of_the_last_attempt(story: Story) -> None:
    rows = {row["trial_id"]: row for row in table(story.store, "trials")}
    numbers: dict[str, list[int]] = {}
    for row in table(story.store, "epochs"):
        numbers.setdefault(row["trial_id"], []).append(row["epoch"])
        assert row["attempt"] == rows[row["trial_id"]]["attempt"]
    for name, row in rows.items():
        assert numbers.get(name, []) == list(range(1, row["epochs_run"] + 1))


@on_ray
def test_a_second_driver_of_the_same_sweep_exits_6(story: Story) -> None:
    assert story.second_resume == 6


def resume_command(answer: Answer) -> list[str]:
    """Read what to type next off the last line of stderr."""
    label, _, command = answer.stderr.splitlines()[-1].partition(": cvjobs ")
    assert label == "next"
    return shlex.split(command)


@pytest.mark.parametrize(
    "engine", [pytest.param("ray", marks=on_ray), pytest.param("inline", marks=in_one_process)]
)
def test_ctrl_c_saves_what_finished_and_says_how_to_go_on(
    engine: str, tmp_path: Path, tensorflow: None, capsys: pytest.CaptureFixture[str]
) -> None:
    store = local(tmp_path / "store")
    typed = type_sweep(tmp_path, "--engine", engine, "--trials", "3", "--max-concurrent", "1")
    typed += settings("space.batch_size={choice = [32, 64]}")
    with child(tmp_path, *typed, "--json") as sweep:
        sweep.until(lambda: bool(finished_trials(store)), "a finished trial")
        family = sweep.family()
        sweep.interrupt()
        answer = sweep.end()
        assert eventually_gone(family)

    assert answer.code == 130, answer.stderr
    assert answer.document["error"]["exit_code"] == 130
    assert "Traceback" not in answer.stderr
    before = log_of(store, only_sweep(store))
    assert before.status == "interrupted"
    finished = summary(before)
    rows = table(store, "trials")
    assert {row["trial_id"] for row in rows} == set(finished)
    assert {row["status"] for row in rows} == {"completed"}
    assert 1 <= len(rows) < 3
    assert f"{len(rows)} trials are finished and saved" in answer.stderr
    none_twice(store)

    command = resume_command(answer)
    assert command[:3] == ["sweep", "--resume", before.sweep_id]
    assert ("--engine" in command) is (engine == "inline")
    went_on = here(capsys, *command, "--engine", "inline")
    assert went_on.code == 0, went_on.stderr
    none_twice(store)
    after = log_of(store, before.sweep_id)
    assert after.counts == {"completed": 3, "stopped": 0, "failed": 0}
    assert {name: summary(after)[name] for name in finished} == finished
    epochs = Counter(row["trial_id"] for row in table(store, "epochs"))
    assert epochs == {row["trial_id"]: 100 for row in table(store, "trials")}


@in_one_process
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    """In an epoch of some seconds, whose end the first Ctrl-C waits for."""
    store = local(tmp_path / "store")
    slow = ("model.filters=64", "model.kernel_size=7", "training.batch_size=1", *LONG)
    data = ("--data", "builtin:castings?images=200&size=64", "--set", "data.image_size=64")
    typed = ("train", tiny(tmp_path), "--store", store.uri, *settings(*slow), *data)
    with child(tmp_path, *typed) as training:
        training.until(lambda: bool(table(store, "epochs")), "the first epoch")
        training.interrupt()
        training.until(lambda: "stopping: running" in training.stderr, "an answer to Ctrl-C")
        training.interrupt()
        answer = training.end()
    assert answer.code == 130, answer.stderr
    assert "Traceback" not in answer.stderr
    assert log_of(store, only_sweep(store)).status == "running"  # as if killed


@on_ray
def test_a_killed_driver_leaves_no_process_behind(story: Story) -> None:
    """The last of this file: two agents of Ray take a minute to notice, the rest a second."""
    assert eventually_gone(story.family, seconds=90)
