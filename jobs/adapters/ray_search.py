"""Run trials with Ray Tune: warm workers that are reused, steps of whole rungs, few reports.

Measured with 2 slots: a fresh Tune actor costs 4.3 s before TensorFlow, a reused one 40 ms, and a
report 12 ms in one controller thread. Hence the class API (the function API's reuse loses innocent
trials whose predecessor takes over 2 s to end) and a `reset_config` that always succeeds.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import TuneError
from ray.tune.search import Searcher

from cvcore.errors import CvjobsError
from cvcore.records import Evaluation, TrialConfig
from cvcore.trial import Progress
from jobs.adapters.ray_schedulers import RungScheduler, own_scheduler
from jobs.adapters.ray_worker import TASK, TrialActor
from jobs.engine import Driver, WorkerSetup
from jobs.trial_process import ProcessEnded

# Ray explains the death of a worker at length.
MAX_REASON_LENGTH = 500


class RayEngine:
    """Ray Tune on this machine or a cluster."""

    def __init__(
        self,
        setup: WorkerSetup,
        *,
        share: Mapping[str, float],
        scheduler: str,
        slots: int,
        waiting: int,
    ) -> None:
        self.slots = slots
        self._num_proposed = slots + waiting
        self._setup = setup
        self._scheduler = scheduler
        self._share = {kind.lower(): amount for kind, amount in share.items()}

    def search(self, driver: Driver) -> None:
        configs: dict[str, TrialConfig] = {}
        recorder = _Recorder(driver, configs)
        scheduler = RungScheduler(driver) if self._scheduler in ("asha", "none") else None
        with tempfile.TemporaryDirectory(prefix="cvjobs-tune-") as folder:
            tuner = tune.Tuner(
                tune.with_resources(TrialActor, self._share),
                tune_config=tune.TuneConfig(
                    search_alg=Proposals(driver, self._setup, configs),
                    scheduler=scheduler or own_scheduler(self._scheduler, driver),
                    num_samples=-1,
                    max_concurrent_trials=self._num_proposed,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=folder,
                    stop=_Ends(driver),
                    callbacks=[recorder],
                    failure_config=tune.FailureConfig(max_failures=0),
                    # Our models are in the store; Tune would save each trial at its end, too.
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except TuneError:
                if recorder.failure is not None:
                    raise recorder.failure from None
                raise


class Proposals(Searcher):  # type: ignore[misc]
    """Give Tune the driver's next trial; the driver hears of results from `_Recorder`."""

    def __init__(self, driver: Driver, setup: WorkerSetup, configs: dict[str, TrialConfig]) -> None:
        super().__init__()
        self._driver, self._setup, self._configs = driver, setup.to_dict(), configs
        self._no_more = False
        self._to_score = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return a trial; after the last one has ended, the task of scoring the best.

        None while the last ones run: Tune then keeps the worker that is free first.
        """
        config = None if self._no_more else self._driver.next_trial()
        if config is not None:
            self._configs[trial_id] = config
            return {**config.drawn, TASK: self._task(config, score=False)}
        self._no_more = True
        if self._configs and not self._driver.interrupted:
            return None
        best = None if self._to_score else self._driver.trial_to_score()
        if best is None:
            finished: str = Searcher.FINISHED
            return finished
        self._to_score = True
        return {**best.drawn, TASK: self._task(best, score=True)}

    def _task(self, config: TrialConfig, *, score: bool) -> str:
        return json.dumps(
            {
                "trial": config.to_dict(),
                "setup": self._setup,
                "rungs": {phase: list(epochs) for phase, epochs in self._driver.rungs.items()},
                "best_value": self._driver.best_value,
                "score": score,
            }
        )

    def on_trial_complete(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: results reach the driver through the callback."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the driver's event log is the truth, Tune's own state is thrown away."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: see `save`."""


class _Recorder(tune.Callback):  # type: ignore[misc]
    def __init__(self, driver: Driver, configs: dict[str, TrialConfig]) -> None:
        self._driver, self._configs = driver, configs
        self._last: dict[str, tuple[TrialConfig, Progress]] = {}
        self.failure: CvjobsError | None = None  # Tune would make a traceback of it

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._driver.tick()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "scored" in result:
            with self._remembered():
                self._take_score(result["scored"], worker=result["worker"])
            return
        progress: Progress = result["progress"]
        config = self._configs[trial.trial_id]
        stopped = result["done"] and not progress.done
        with self._remembered():
            self._driver.record(config, progress, stopped=stopped)
        self._last[trial.trial_id] = (config, replace(progress, epochs=()))
        if result["done"]:
            self._forget(trial.trial_id)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Record a trial that its scheduler ended between two reports."""
        if trial.trial_id in self._configs and not self._driver.interrupted:
            config, progress = self._last.get(trial.trial_id, (None, None))
            if config is not None and progress is not None:
                with self._remembered():
                    self._driver.record(config, progress, stopped=True)
        self._forget(trial.trial_id)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        config = self._configs.get(trial.trial_id)
        kind, message = _reason(trial)
        if config is not None:
            with self._remembered():
                self._driver.lost(config, error_type=kind, message=message)
        elif json.loads(trial.config[TASK])["score"]:
            self._driver.not_scored(CvjobsError(f"{kind}: {message}"))
        self._forget(trial.trial_id)

    def _take_score(self, found: Evaluation | CvjobsError, *, worker: str) -> None:
        best = self._driver.trial_to_score()
        if isinstance(found, CvjobsError):
            self._driver.not_scored(found)
        elif best is not None:
            self._driver.scored(best, found, worker=worker)

    @contextmanager
    def _remembered(self) -> Iterator[None]:
        try:
            yield
        except CvjobsError as error:
            self.failure = error
            raise

    def _forget(self, tune_id: str) -> None:
        self._configs.pop(tune_id, None)
        self._last.pop(tune_id, None)


class _Ends(tune.Stopper):  # type: ignore[misc]
    """Stop each trial when the budget is spent, and all at once on an interrupt."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return self._driver.spent

    def stop_all(self) -> bool:
        return self._driver.interrupted


def _reason(trial: Any) -> tuple[str, str]:
    """Say in one line why a worker was lost."""
    # Tune's own `get_error` looks in its storage, where the file does not lie yet.
    path = trial.pickled_error_file
    error = cloudpickle.loads(Path(path).read_bytes()) if path else None
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause or "").splitlines() if line.strip()]
    message = lines[-1][:MAX_REASON_LENGTH] if lines else "the worker ended without a word"
    if cause is None or isinstance(cause, RayActorError | ProcessEnded):
        return "worker_died", message
    if isinstance(cause, OutOfMemoryError):
        return "out_of_memory", message
    return type(cause).__name__, message
