"""Our Ray engine as it is, but for its workers, which wait instead of training."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.simulated_trials import leave_predictions, progress_of
from benchmarks.waiting import warm_up
from cvcore.errors import CvjobsError
from cvcore.records import TrialConfig
from cvcore.store import LocalStore
from cvcore.trial import Progress
from jobs.adapters import ray_search
from jobs.engine import WorkerSetup


class WaitingProcess:
    """What stands in for `jobs.trial_process.TrialProcess`: one report a trial, and no socket."""

    def __init__(self, trial_seconds: float, store_uri: str) -> None:
        self._trial_seconds, self._store = trial_seconds, LocalStore(store_uri)

    def begin(
        self, trial: TrialConfig, task: Mapping[str, Any], waited: Mapping[str, float]
    ) -> int:
        self._trial = trial
        return 0

    def step(self) -> Progress:
        warm_up()
        time.sleep(self._trial_seconds)
        leave_predictions(self._store, self._trial.trial_id)
        return progress_of(self._trial, worker=str(os.getpid()))

    def score(self, trial: TrialConfig) -> tuple[CvjobsError, str]:
        return CvjobsError("nothing was trained, nothing is to be scored"), str(os.getpid())

    def end(self) -> None:
        """Nothing waits for it."""


@contextmanager
def waiting_engine(
    setup: WorkerSetup, trial_seconds: float, *, share: Mapping[str, float], slots: int
) -> Iterator[ray_search.RayEngine]:
    """Open the engine with workers whose trials take `trial_seconds`."""

    class WaitingActor(ray_search.TrialActor):
        """The actor as it is, with nobody behind it."""

        def _hire(self, path: Path | None) -> None:
            self._num_trials, self._largest, self._settled = 0, 0, 0
            self._process = WaitingProcess(trial_seconds, setup.store_uri)  # type: ignore[assignment]
            self._waited = {}

    trained = ray_search.TrialActor
    ray_search.TrialActor = WaitingActor  # type: ignore[misc]
    try:
        yield ray_search.RayEngine(setup, share=share, scheduler="none", slots=slots, waiting=1)
    finally:
        ray_search.TrialActor = trained  # type: ignore[misc]
