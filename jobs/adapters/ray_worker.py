"""The worker of a Ray sweep: what Tune starts, stops and reuses. A process of its own trains.

A module of its own, for it is what every worker imports.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from cvcore.records import TrialConfig
from cvcore.settings import MODEL_NAMES, TRAINING_NAMES
from jobs.engine import WorkerSetup
from jobs.trial_process import ProcessEnded, TrialProcess, claim, start

# The key of a Tune configuration that holds what the worker is to do, as JSON: Tune copies and
# flattens a nested configuration at every report.
TASK = "task"


class TrialActor(Trainable):  # type: ignore[misc]
    """Hand trials to a process that stays warm from one to the next, and replace it when it grew.

    The last thing one of them does in a sweep is to score the best model: a fresh process would
    import TensorFlow once more for it.
    """

    _setup: WorkerSetup
    _process: TrialProcess
    _trial: TrialConfig
    _is_to_score: bool

    def setup(self, config: dict[str, Any]) -> None:
        # What this process worked before it was here: it imported Ray and Tune.
        self._waited = {"import": time.process_time()}
        self._setup = WorkerSetup.from_dict(json.loads(config[TASK])["setup"])
        self._hire(claim(Path(self._setup.waiting)) if self._setup.waiting else None)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        worst = float("-inf") if self._trial.mode == "max" else float("inf")
        if self._is_to_score:
            scored, worker = self._process.score(self._trial)
            return {"epoch": 0, "value": worst, "done": True, "scored": scored, "worker": worker}
        progress = self._process.step()
        value = progress.outcome.value(self._trial.objective)
        return {
            "epoch": progress.outcome.epochs_run,
            "value": worst if value is None else value,
            "trial": self._trial.trial_id,
            "progress": progress,
            "done": progress.done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        self._process.save(checkpoint_dir)

    def load_checkpoint(self, checkpoint: str) -> None:
        self._process.load(checkpoint)

    def cleanup(self) -> None:
        self._process.end()

    def _begin(self, config: dict[str, Any]) -> None:
        task = json.loads(config[TASK])
        self._trial = _trial_of(task, config)
        self._is_to_score = task["score"]
        if self._is_to_score:
            return
        if self._has_outgrown():
            self._process.end()
            self._hire(None)
        self._largest = self._process.begin(self._trial, task, self._waited)
        self._num_trials += 1
        self._waited = {}

    def _has_outgrown(self) -> bool:
        if self._num_trials <= self._setup.settled_trials:
            self._settled = self._largest
            return False
        limit: float = self._setup.max_growth * self._settled
        return self._largest > limit

    def _hire(self, path: Path | None) -> None:
        """Open the process at `path`, or else a new one; book the time until it is there."""
        started = time.perf_counter()
        self._num_trials, self._largest, self._settled = 0, 0, 0
        try:
            self._process = TrialProcess(path) if path else self._started()
            data_seconds = self._process.open(self._setup)
        except ProcessEnded:
            if path is None:
                raise
            return self._hire(None)
        imported = time.perf_counter() - started - data_seconds
        before = self._waited.get("import", 0.0)
        self._waited = {"import": before + imported, "data": data_seconds}

    def _started(self) -> TrialProcess:
        with tempfile.TemporaryDirectory(prefix="cvjobs-") as folder:
            path = Path(folder, "worker")
            start([path], threads=self._setup.threads)
            return TrialProcess(path)


def _trial_of(task: Mapping[str, Any], config: Mapping[str, Any]) -> TrialConfig:
    """Read the trial off a Tune config, whose top level a scheduler may have changed."""
    trial = TrialConfig.from_dict(task["trial"])
    changed = {name: config[name] for name, value in trial.drawn.items() if config[name] != value}
    if not changed:
        return trial
    in_model = {name: value for name, value in changed.items() if name in MODEL_NAMES}
    in_training = {name: value for name, value in changed.items() if name in TRAINING_NAMES}
    return replace(
        trial,
        drawn={**trial.drawn, **changed},
        columns={**trial.columns, **changed},
        model=replace(trial.model, **in_model),
        training=replace(trial.training, **in_training),
    )
