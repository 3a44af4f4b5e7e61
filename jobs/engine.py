"""The contract between who decides (the driver) and who runs (an engine): Ray, or this process.

An engine asks the driver for trials, trains them rung by rung in workers, and hands every stretch
of progress back. It knows nothing of searchers, tables or logs; the driver nothing of processes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from cvcore.errors import DataError
from cvcore.records import Evaluation, TrialConfig
from cvcore.scoring import Bench
from cvcore.settings import DataConfig, ResourcesConfig
from cvcore.spaces import Domain
from cvcore.trial import Progress
from jobs.wiring import data_source, download, open_store

# How long a worker may train before it reports, however far the next rung is: rows must be
# readable within 10 s, and an interrupted sweep waits for nothing longer than this plus an epoch.
REPORT_SECONDS = 2.0


class Driver(Protocol):
    """Decide what is tried and record what happened; called from one thread."""

    @property
    def rungs(self) -> Mapping[str, Sequence[int]]:
        """Map each phase to its epochs, ascending, at which every trial must report.

        They count from the start of the phase; the last one ends it.
        """

    @property
    def mode(self) -> str:
        """The direction of the objective, "max" or "min"."""

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The search space, for schedulers that change hyperparameters under way."""

    @property
    def best_value(self) -> float | None:
        """The best objective of a completed trial so far."""

    @property
    def interrupted(self) -> bool:
        """Whether running trials are to stop at their next report, unfinished."""

    @property
    def spent(self) -> bool:
        """Whether the time or the money is used up: running trials end at their next report."""

    def next_trial(self) -> TrialConfig | None:
        """Propose a trial; None when there is nothing more to try for now or ever."""

    def decide(self, trial_id: str, progress: Progress) -> bool:
        """Tell whether an unfinished trial goes on."""

    def record(self, config: TrialConfig, progress: Progress, *, stopped: bool = False) -> None:
        """Take new epochs, and the outcome if the trial is done or was stopped."""

    def lost(self, config: TrialConfig, *, error_type: str, message: str) -> None:
        """Record a trial whose worker ended without a word."""

    def trial_to_score(self) -> TrialConfig | None:
        """Name the best trial if the test split has not seen its model; asked at the end."""

    def scored(self, config: TrialConfig, evaluation: Evaluation, *, worker: str) -> None:
        """Take the best trial's scores on the test split, and who found them."""

    def not_scored(self, error: Exception) -> None:
        """Remember why the best trial could not be scored: a resume makes up for it."""

    def tick(self) -> None:
        """Do what is due by the clock; to be called about once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """All a worker needs to open the data and the store, on any node; only numbers and text.

    `plain` trains through Keras `fit`, which a debugger can follow. A worker is replaced that has
    grown beyond `max_growth` times what it was after `settled_trials`: TensorFlow keeps some 10 MB
    of every program it ever compiled, whoever lets go of it. `waiting` names a folder in which
    processes that have imported TensorFlow wait to be used; empty: there are none.
    """

    store_uri: str
    data: DataConfig
    fingerprint: str
    cache_folder: str
    threads: int
    deterministic: bool
    use_gpus: bool = True
    gpu_fraction: float = 1.0
    plain: bool = False
    settled_trials: int = 20
    max_growth: float = 1.2
    waiting: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> WorkerSetup:
        return cls(**{**document, "data": DataConfig(**document["data"])})

    def open(self, worker: str) -> tuple[Bench, float]:
        """Open data and store; return them with the seconds it took.

        Raises `DataError` if the images are no longer those the sweep was planned on.
        """
        from cvcore.datasets import open_dataset

        started = time.perf_counter()
        source = data_source(self.data.uri)
        dataset = open_dataset(source, config=self.data, cache_folder=Path(self.cache_folder))
        if dataset.fingerprint != self.fingerprint:
            raise DataError(
                f"the images at {self.data.uri} changed since the sweep began: fingerprint "
                f"{dataset.fingerprint} on {worker}, expected {self.fingerprint}",
                hint=f"cvjobs data check {self.data.uri}",
            )
        bench = Bench(
            dataset=dataset,
            data=self.data,
            store=open_store(self.store_uri),
            worker=worker,
            threads=self.threads,
            cache_folder=Path(self.cache_folder),
            fetch=download,
            deterministic=self.deterministic,
            use_gpus=self.use_gpus,
            gpu_fraction=self.gpu_fraction,
            plain=self.plain,
        )
        return bench, time.perf_counter() - started


class Engine(Protocol):
    """Run trials; opened as a context manager by the functions in `jobs.wiring.ENGINES`."""

    @property
    def slots(self) -> int:
        """How many trials run at once."""

    def search(self, driver: Driver) -> None:
        """Run trials until the driver has no more, then score the best; or until interrupted."""


class OpenEngine(Protocol):
    """The signature behind each name in `jobs.wiring.ENGINES`."""

    def __call__(
        self, setup: WorkerSetup, *, resources: ResourcesConfig, scheduler: str, address: str | None
    ) -> Any:
        """Return a context manager that yields an `Engine`."""
