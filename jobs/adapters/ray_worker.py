"""The worker of a Ray sweep: a process that keeps what the next trial needs, too.

A module of its own, for it is what every worker imports.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune import Trainable

from cvcore.errors import CvjobsError, StoreError
from cvcore.records import Evaluation, TrialConfig
from cvcore.scoring import score_best
from cvcore.settings import MODEL_NAMES, TRAINING_NAMES
from cvcore.trial import TrialSession
from jobs.engine import REPORT_SECONDS, WorkerSetup

# The key of a Tune configuration that holds what the worker is to do, as JSON: Tune copies and
# flattens a nested configuration at every report.
TASK = "task"


class Outgrown(Exception):
    """Refuse a trial: this process has grown too large, it is for a fresh one."""


class TrialActor(Trainable):  # type: ignore[misc]
    """A warm worker: keeps TensorFlow, the data and the store from trial to trial.

    The last thing one of them does in a sweep is to score the best model: a fresh process would
    import TensorFlow once more for it.
    """

    def setup(self, config: dict[str, Any]) -> None:
        # What this process worked before it was here: it imported Ray and Tune.
        imported = time.process_time()
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self._num_trials, self._settled = 0, 0
        self._setup = WorkerSetup.from_dict(json.loads(config[TASK])["setup"])
        self._bench, data_seconds = self._setup.open(worker)
        self._begin(config, waited={"import": imported, "data": data_seconds})

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config, waited={"idle": time.perf_counter() - self._idle_since})
        return True

    def _has_outgrown(self) -> bool:
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if self._num_trials <= self._setup.settled_trials:
            self._settled = largest
            return False
        return largest > self._setup.max_growth * self._settled

    def step(self) -> dict[str, Any]:
        worst = float("-inf") if self._trial.mode == "max" else float("inf")
        if self._session is None:
            scored = {"scored": self._score(), "worker": self._bench.worker}
            return {"epoch": 0, "value": worst, "done": True, **scored}
        if self._session.trainer is None and self._has_outgrown():
            # Tune gives up the process of a trial that raises; of one that ends it keeps it, and a
            # `reset_config` that returns False would lose the trial.
            raise Outgrown
        progress = self._session.step(max_seconds=REPORT_SECONDS)
        self._idle_since = time.perf_counter()
        value = progress.outcome.value(self._trial.objective)
        return {
            "epoch": progress.outcome.epochs_run,
            "value": worst if value is None else value,
            "trial": self._trial.trial_id,
            "progress": progress,
            "done": progress.done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        if self._session is not None:
            self._session.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: str) -> None:
        if self._session is not None:
            self._session.load(Path(checkpoint))

    def _begin(self, config: dict[str, Any], *, waited: dict[str, float]) -> None:
        task = json.loads(config[TASK])
        self._trial = _trial_of(task, config)
        self._num_trials += 1
        self._idle_since = time.perf_counter()
        self._session: TrialSession | None = None
        if not task["score"]:
            self._session = TrialSession(
                self._trial,
                self._bench,
                rungs=task["rungs"],
                best_value=task["best_value"],
                waited=waited,
            )

    def _score(self) -> Evaluation | CvjobsError:
        try:
            return score_best(self._trial, self._bench)
        except StoreError as error:
            return error
        except Exception as error:  # noqa: BLE001  the trials are done and must be kept
            return CvjobsError(f"{type(error).__name__}: {error}")


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
