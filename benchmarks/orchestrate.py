"""Run simulated trials under one orchestration, measured from within its driver.

One process a measurement, so that its memory is that of nothing else. The rivals are Ray Tune as
its documentation shows it: a function that reports every epoch. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from benchmarks.processes import resident_bytes
from benchmarks.simulated_trials import leave_predictions, progress_of, sweep
from benchmarks.waiting import wait
from cvcore.settings import DataConfig
from cvcore.store import LocalStore
from jobs.engine import WorkerSetup

if TYPE_CHECKING:
    from jobs.driver import SweepDriver

# Resident memory is noted when so many trials have finished, and at the end.
NOTED_AT = (20, 200)


class Meter:
    """Times one search in this process, and notes the memory of it as trials finish."""

    def __init__(self) -> None:
        self.num_finished = 0
        self._resident: dict[int, int] = {}
        self._started = time.perf_counter(), time.process_time()
        self._elsewhere = [0.0, 0.0]

    def finished(self, num_finished: int) -> None:
        self.num_finished = num_finished
        if num_finished in NOTED_AT:
            self._resident.setdefault(num_finished, resident_bytes(os.getpid()))

    @contextmanager
    def elsewhere(self) -> Iterator[None]:
        """Leave out what happens on other machines in reality."""
        before = time.perf_counter(), time.process_time()
        yield
        now = time.perf_counter(), time.process_time()
        self._elsewhere = [e + n - b for e, n, b in zip(self._elsewhere, now, before, strict=True)]

    def read(self) -> dict[str, Any]:
        """Return the seconds of the search so far, of wall clock and of this process' CPU."""
        now = time.perf_counter(), time.process_time()
        wall, cpu = (n - s - e for n, s, e in zip(now, self._started, self._elsewhere, strict=True))
        resident = {**self._resident, self.num_finished: resident_bytes(os.getpid())}
        return {"wall_seconds": wall, "driver_cpu_seconds": cpu, "resident_bytes": resident}


def driver_alone(
    folder: Path, *, num_trials: int, slots: int, trial_seconds: float
) -> dict[str, Any]:
    """Drive trials that are over at once, all in this process: `trial_seconds` is not waited."""
    store = LocalStore(folder)
    meter = Meter()
    running: deque[Any] = deque()
    with sweep(store, num_trials=num_trials, slots=slots, on_change=_counted(meter)) as driver:
        while True:
            while len(running) < slots and (trial := driver.next_trial()) is not None:
                running.append(trial)
            if not running:
                break
            trial = running.popleft()
            with meter.elsewhere():
                leave_predictions(store, trial.trial_id)
                progress = progress_of(trial, worker="")
            driver.record(trial, progress)
            driver.tick()
    return meter.read()


def cvjobs(folder: Path, *, num_trials: int, slots: int, trial_seconds: float) -> dict[str, Any]:
    """Drive them through our Ray engine, whose workers wait instead of training."""
    from jobs.adapters.ray_cluster import cluster

    with cluster(None):
        from benchmarks.waiting_actor import waiting_engine

        setup = WorkerSetup(
            store_uri=str(folder / "store"), data=DataConfig(), fingerprint="",
            cache_folder=str(folder), threads=1, deterministic=False, use_gpus=False,
        )  # fmt: skip
        meter = Meter()
        share = {"CPU": _share(slots), "GPU": 0.0}
        with (
            waiting_engine(setup, trial_seconds, share=share, slots=slots) as engine,
            sweep(
                LocalStore(setup.store_uri),
                num_trials=num_trials,
                slots=slots,
                on_change=_counted(meter),
            ) as driver,
        ):
            engine.search(driver)
        trials = driver.state.trials.values()
        workers = {trial.outcome.worker for trial in trials if trial.outcome}
        return {**meter.read(), "num_workers": len(workers)}


def ray_tune(
    folder: Path, *, num_trials: int, slots: int, trial_seconds: float, reuse_actors: bool
) -> dict[str, Any]:
    """Run them as Ray Tune's documentation does; by default every trial gets a fresh actor."""
    import ray
    from ray import tune

    ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1")
    meter = Meter()

    class Count(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(
            self, iteration: int, trials: list[Any], trial: Any, **_: Any
        ) -> None:
            meter.finished(meter.num_finished + 1)

    tuner = tune.Tuner(
        tune.with_resources(
            partial(wait, trial_seconds=trial_seconds, warms_up=reuse_actors),
            {"cpu": _share(slots)},
        ),
        param_space={"learning_rate": tune.loguniform(1e-4, 1e-1)},
        tune_config=tune.TuneConfig(
            num_samples=num_trials, metric="val_accuracy", mode="max", reuse_actors=reuse_actors
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=str(folder), callbacks=[Count()]),
    )
    results = tuner.fit()
    measured = meter.read()
    ray.shutdown()
    workers = {one.metrics["worker"] for one in results if one.metrics}
    return {**measured, "num_failed": results.num_errors, "num_workers": len(workers)}


SYSTEMS: dict[str, Callable[..., dict[str, Any]]] = {
    "driver": driver_alone,
    "cvjobs": cvjobs,
    "ray-tune": partial(ray_tune, reuse_actors=False),
    "ray-tune-reuse": partial(ray_tune, reuse_actors=True),
}


def _counted(meter: Meter) -> Callable[[SweepDriver], None]:
    return lambda driver: meter.finished(sum(driver.state.counts.values()))


def _share(slots: int) -> float:
    """Divide the machine's CPUs into logical slots."""
    return (os.cpu_count() or 1) / slots


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--trial-seconds", type=float, required=True)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        measured = SYSTEMS[options.system](
            Path(folder),
            num_trials=options.trials,
            slots=options.slots,
            trial_seconds=options.trial_seconds,
        )
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
