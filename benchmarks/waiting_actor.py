"""Our Ray engine as it is, but for its workers, which wait instead of training."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ray import tune

from benchmarks.simulated_trials import leave_predictions, progress_of
from benchmarks.waiting import warm_up
from cvcore.records import TrialConfig
from cvcore.store import LocalStore
from jobs.adapters import ray_search
from jobs.engine import WorkerSetup


@contextmanager
def waiting_engine(
    setup: WorkerSetup, trial_seconds: float, *, share: Mapping[str, float], slots: int
) -> Iterator[ray_search.RayEngine]:
    """Open the engine with workers whose trials take `trial_seconds`."""

    class WaitingActor(tune.Trainable):  # type: ignore[misc]
        """Reports once a trial, as a worker does that meets no rung before the last epoch."""

        def setup(self, config: dict[str, Any]) -> None:
            self._trial = TrialConfig.from_dict(config["trial"])

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self._trial = TrialConfig.from_dict(new_config["trial"])
            return True

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            """Leave nothing: no weights are trained."""

        def step(self) -> dict[str, Any]:
            warm_up()
            time.sleep(trial_seconds)
            leave_predictions(LocalStore(setup.store_uri), self._trial)
            progress = progress_of(self._trial, worker=str(os.getpid()))
            return {
                "epoch": progress.outcome.epochs_run,
                "value": progress.phase_value,
                "progress": progress,
                "done": True,
            }

    trained = ray_search.TrialActor
    ray_search.TrialActor = WaitingActor  # type: ignore[misc,assignment]
    try:
        yield ray_search.RayEngine(setup, share=share, scheduler="none", slots=slots)
    finally:
        ray_search.TrialActor = trained  # type: ignore[misc]
