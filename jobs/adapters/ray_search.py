"""Run trials with Ray Tune: warm workers that are reused, steps of whole rungs, few reports.

Measured with 2 slots: a fresh Tune actor costs 4.3 s before TensorFlow, a reused one 40 ms, and a
report 12 ms in one controller thread. Hence the class API (the function API's reuse loses innocent
trials whose predecessor takes over 2 s to end) and a `reset_config` that always succeeds.
"""

from __future__ import annotations

import os
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle, tune
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune import TuneError
from ray.tune.search import Searcher

from cvcore.errors import CvjobsError
from cvcore.records import Evaluation, TrialConfig
from cvcore.scoring import score_best
from cvcore.settings import MODEL_NAMES, TRAINING_NAMES
from cvcore.trial import Progress, TrialSession
from jobs.adapters.ray_schedulers import RungScheduler, own_scheduler
from jobs.engine import REPORT_SECONDS, Driver, WorkerSetup

# Ray explains the death of a worker at length.
MAX_REASON_LENGTH = 500


class TrialActor(tune.Trainable):  # type: ignore[misc]
    """A warm worker: keeps TensorFlow, the data and the store from trial to trial."""

    def setup(self, config: dict[str, Any]) -> None:
        self._idle_since = time.perf_counter()
        worker = f"{socket.gethostname()}:{os.getpid()}"
        self._bench, data_seconds = WorkerSetup.from_dict(config["setup"]).open(worker)
        self._begin(config, waited={"data": data_seconds})

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config, waited={"idle": time.perf_counter() - self._idle_since})
        return True

    def step(self) -> dict[str, Any]:
        progress = self._session.step(max_seconds=REPORT_SECONDS)
        self._idle_since = time.perf_counter()
        value = progress.outcome.value(self._session.config.objective)
        return {
            "epoch": progress.outcome.epochs_run,
            "value": self._worst if value is None else value,
            "progress": progress,
            "done": progress.done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        self._session.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint: str) -> None:
        self._session.load(Path(checkpoint))

    def _begin(self, config: dict[str, Any], *, waited: dict[str, float]) -> None:
        trial = _trial_of(config)
        self._worst = float("-inf") if trial.mode == "max" else float("inf")
        self._session = TrialSession(
            trial,
            self._bench,
            rungs=config["rungs"],
            best_value=config["best_value"],
            waited=waited,
        )


class RayEngine:
    """Ray Tune on this machine or a cluster."""

    def __init__(
        self, setup: WorkerSetup, *, share: Mapping[str, float], scheduler: str, slots: int
    ) -> None:
        self.slots = slots
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
                    # One proposal waits, so that the worker of a trial that ends is kept for it.
                    max_concurrent_trials=self.slots + 1,
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name="sweep",
                    storage_path=folder,
                    stop=_OnInterrupt(driver),
                    callbacks=[recorder],
                    failure_config=tune.FailureConfig(max_failures=0),
                    verbose=0,
                ),
            )
            try:
                tuner.fit()
            except TuneError:
                if recorder.failure is not None:
                    raise recorder.failure from None
                raise

    def score(self, config: TrialConfig) -> Evaluation:
        task = ray.remote(num_cpus=self._share["cpu"], num_gpus=self._share["gpu"])(_score)
        evaluation: Evaluation = ray.get(task.remote(self._setup.to_dict(), config.to_dict()))
        return evaluation


class Proposals(Searcher):  # type: ignore[misc]
    """Give Tune the driver's next trial; the driver hears of results from `_Recorder`."""

    def __init__(self, driver: Driver, setup: WorkerSetup, configs: dict[str, TrialConfig]) -> None:
        super().__init__()
        self._driver, self._setup, self._configs = driver, setup.to_dict(), configs

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        config = None if self._driver.interrupted else self._driver.next_trial()
        if config is None:
            finished: str = Searcher.FINISHED
            return finished
        self._configs[trial_id] = config
        return {
            **config.drawn,
            "trial": config.to_dict(),
            "setup": self._setup,
            "rungs": {phase: list(epochs) for phase, epochs in self._driver.rungs.items()},
            "best_value": self._driver.best_value,
        }

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
        if config is not None:
            kind, message = _reason(trial)
            with self._remembered():
                self._driver.lost(config, error_type=kind, message=message)
        self._forget(trial.trial_id)

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


class _OnInterrupt(tune.Stopper):  # type: ignore[misc]
    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._driver.interrupted


def _trial_of(config: dict[str, Any]) -> TrialConfig:
    """Read the trial off a Tune config, whose top level a scheduler may have changed."""
    trial = TrialConfig.from_dict(config["trial"])
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


def _reason(trial: Any) -> tuple[str, str]:
    """Say in one line why a worker was lost."""
    # Tune's own `get_error` looks in its storage, where the file does not lie yet.
    path = trial.pickled_error_file
    error = cloudpickle.loads(Path(path).read_bytes()) if path else None
    cause = getattr(error, "cause", None) or error
    lines = [line.strip() for line in str(cause or "").splitlines() if line.strip()]
    message = lines[-1][:MAX_REASON_LENGTH] if lines else "the worker ended without a word"
    if cause is None or isinstance(cause, RayActorError):
        return "worker_died", message
    if isinstance(cause, OutOfMemoryError):
        return "out_of_memory", message
    return type(cause).__name__, message


def _score(setup: dict[str, Any], config: dict[str, Any]) -> Evaluation:
    bench, _ = WorkerSetup.from_dict(setup).open("score")
    return score_best(TrialConfig.from_dict(config), bench)
