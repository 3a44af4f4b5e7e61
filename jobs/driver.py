"""The driver of a sweep: asks the searcher, tells the engine, writes everything into the log.

Its state follows from the event log alone: a driver that died is replaced by one that replays the
log through the same searcher and rungs and goes on.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cvcore import layout
from cvcore.errors import CvjobsError, StoreError
from cvcore.events import SweepState, TrialState
from cvcore.hyperparameters import resolve
from cvcore.lake import SweepLog
from cvcore.records import Evaluation, TrialConfig, TrialOutcome
from cvcore.search import Asha, Searcher
from cvcore.settings import SweepSpec, phases
from cvcore.spaces import Domain, Value
from cvcore.trial import Progress

# The first epochs after unfreezing say little: the rates are low and the base is upset.
MIN_GRACE = {"fine_tune": 3}


@dataclass(slots=True, kw_only=True)
class Running:
    """A trial under way, as the progress table shows it."""

    config: TrialConfig
    outcome: TrialOutcome | None = None


class SweepDriver:
    """Decide what is tried and record what happened, for any engine (see `jobs.engine.Driver`).

    `began` is the monotonic time at which it began, earlier drivers' time included; no trial goes
    on `max_hours` later. `on_change` is called after every event that a watcher may want to see.
    """

    def __init__(
        self,
        spec: SweepSpec,
        *,
        log: SweepLog,
        searcher: Searcher,
        began: float | None = None,
        max_hours: float | None = None,
        on_change: Callable[[SweepDriver], None] = lambda driver: None,
    ) -> None:
        self.spec = spec
        self.log = log
        self.running: dict[str, Running] = {}
        self.ended: list[TrialState] = []  # in the order of their ends
        self.interrupted = False
        self.outage: StoreError | None = None
        self.scoring_failure: CvjobsError | None = None
        self._searcher = searcher
        self._on_change = on_change
        self._again: list[TrialState] = []
        self._num_proposed = 0
        self._began = time.monotonic() if began is None else began
        self._max_seconds = math.inf if max_hours is None else max_hours * 3600
        self._asha: dict[str, Asha] = {}
        if spec.search.scheduler == "asha":
            self._asha = {
                phase: Asha(max_epochs=epochs, mode=self.mode, grace=MIN_GRACE.get(phase, 1))
                for phase, epochs in phases(spec.training).items()
            }

    def __getstate__(self) -> dict[str, Any]:
        """Leave nothing to a pickle: Tune snapshots what its callbacks hold, we replay the log."""
        return {}

    @property
    def state(self) -> SweepState:
        return self.log.state

    @property
    def mode(self) -> str:
        return self.spec.search.direction

    @property
    def domains(self) -> Mapping[str, Domain]:
        return {name: parameter.domain for name, parameter in self.spec.space.items()}

    @property
    def rungs(self) -> Mapping[str, Sequence[int]]:
        planned = phases(self.spec.training)
        if self._asha:
            return {name: (*self._asha[name].rungs, last) for name, last in planned.items()}
        if self.spec.search.scheduler == "none":
            return {name: (last,) for name, last in planned.items()}
        return {name: range(1, last + 1) for name, last in planned.items()}

    @property
    def best_value(self) -> float | None:
        return self.state.best[1] if self.state.best else None

    @property
    def spent(self) -> bool:
        return self.seconds > self._max_seconds

    @property
    def seconds(self) -> float:
        """Return the wall time of the sweep so far."""
        return time.monotonic() - self._began

    def replay(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Bring searcher and rungs to where the log left them; queue what was under way."""
        for event in events:
            if event["type"] == "trial_created" and event["config"]["attempt"] == 1:
                self._searcher.suggest()
                self._num_proposed += 1
            elif event["type"] == "rung" and self._asha:
                epoch = event.get("phase_epoch", event["epoch"])
                asha = self._asha[event.get("phase", "train")]
                asha.decide(event["trial_id"], epoch, event["value"])
            elif event["type"] == "trial_finished":
                outcome = TrialOutcome.from_dict(event["outcome"])
                trial = self.state.trials[event["trial_id"]]
                self.ended.append(trial)
                self._searcher.observe(trial.config.index, self._value(outcome))
        self._again = [trial for trial in self.state.trials.values() if not trial.finished]

    def next_trial(self) -> TrialConfig | None:
        if self.interrupted or self.spent:
            return None
        config = self._repeat() if self._again else self._propose()
        if config is not None:
            self._append({"type": "trial_created", "config": config.to_dict()})
            self.running[config.trial_id] = Running(config=config)
            self._on_change(self)
        return config

    def decide(self, trial_id: str, progress: Progress) -> bool:
        """Compare a trial with those that were at the same rung of the same phase."""
        asha, value = self._asha.get(progress.phase), progress.phase_value
        if asha is None or value is None or progress.phase_epoch not in asha.rungs:
            return True
        decision = asha.decide(trial_id, progress.phase_epoch, value)
        rung = {
            "trial_id": trial_id,
            "epoch": progress.outcome.epochs_run,
            "phase": progress.phase,
            "phase_epoch": progress.phase_epoch,
            "value": value,
            "decision": decision,
        }
        self._append({"type": "rung", **rung})
        return decision == "continue"

    def record(self, config: TrialConfig, progress: Progress, *, stopped: bool = False) -> None:
        if config.trial_id not in self.running:
            return
        self.running[config.trial_id] = Running(config=config, outcome=progress.outcome)
        if progress.epochs:
            epochs = [epoch.to_dict() for epoch in progress.epochs]
            self._append({"type": "epochs", **_attempt(config), "epochs": epochs})
        if progress.done or stopped:
            self._finish(config, progress.outcome)
        self._on_change(self)

    def lost(self, config: TrialConfig, *, error_type: str, message: str) -> None:
        if config.trial_id not in self.running or self.interrupted:
            return
        known = self.running[config.trial_id].outcome or TrialOutcome(status="failed")
        outcome = replace(
            known, status="failed", error_type=error_type, error_message=message, validation=None,
            finished_at=time.time(),
        )  # fmt: skip
        self._finish(config, outcome)
        self._on_change(self)

    def trial_to_score(self) -> TrialConfig | None:
        best = self.state.best
        if self.interrupted or best is None or self.state.trials[best[0]].test is not None:
            return None
        return self.state.trials[best[0]].config

    def scored(self, config: TrialConfig, evaluation: Evaluation, *, worker: str) -> None:
        key = layout.predictions(config.sweep_id, config.trial_id, "test", config.attempt)
        scored = {"evaluation": evaluation.to_dict(), "predictions": [key], "worker": worker}
        self._append({"type": "test_scored", "trial_id": config.trial_id, **scored})

    def not_scored(self, error: Exception) -> None:
        kind = StoreError if isinstance(error, StoreError) else CvjobsError
        known = isinstance(error, CvjobsError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        self.scoring_failure = kind(f"the best model could not be scored ({reason})")

    def tick(self) -> None:
        self._store(partial(self.log.flush_if_due, time.monotonic()))
        self._store(self.log.save_if_due)  # after a flush there is nothing to save

    def _finish(self, config: TrialConfig, outcome: TrialOutcome) -> None:
        """Log the end of a trial, whole: nothing about it is said elsewhere."""
        key = layout.predictions(config.sweep_id, config.trial_id, "validation", config.attempt)
        event = {
            "type": "trial_finished",
            **_attempt(config),
            "outcome": outcome.to_dict(),
            "model_uri": self._uri(config) if outcome.has_model else None,
            "predictions": [key] if outcome.status == "completed" else [],
        }
        del self.running[config.trial_id]
        self._append(event)
        self.ended.append(self.state.trials[config.trial_id])
        self._store(self.log.save_soon)  # so that this trial is not run again, whatever happens
        self._searcher.observe(config.index, self._value(outcome))

    def _propose(self) -> TrialConfig | None:
        drawn = self._searcher.suggest()
        if drawn is None:
            return None
        index = self._num_proposed
        self._num_proposed += 1
        return self._config(drawn, index=index, attempt=1)

    def _repeat(self) -> TrialConfig:
        config = self._again.pop(0).config
        return replace(config, attempt=config.attempt + 1)

    def _config(self, drawn: Mapping[str, Value], *, index: int, attempt: int) -> TrialConfig:
        model, training, columns = resolve(self.spec, drawn)
        return TrialConfig(
            sweep_id=self.state.sweep_id,
            trial_id=layout.trial_id(self.state.sweep_id, index),
            index=index,
            attempt=attempt,
            seed=_trial_seed(self.spec.search.seed, index),
            objective=self.spec.search.objective,
            mode=self.mode,
            drawn=drawn,
            columns=columns,
            model=model,
            training=training,
        )

    def _value(self, outcome: TrialOutcome) -> float | None:
        if outcome.status == "failed":
            return None
        return outcome.value(self.spec.search.objective)

    def _uri(self, config: TrialConfig) -> str:
        key = layout.model(config.sweep_id, config.trial_id)
        return f"{self.log.store.uri}/{key}"

    def _store(self, write: Callable[[], bool]) -> None:
        """Go on without the store for a while: the log keeps what it could not write."""
        try:
            if write():
                self.outage = None
        except StoreError as error:
            self.outage = error

    def _append(self, event: dict[str, Any]) -> None:
        self.log.append({**event, "at": time.time()})


def _attempt(config: TrialConfig) -> dict[str, Any]:
    return {"trial_id": config.trial_id, "attempt": config.attempt}


def _trial_seed(seed: int, index: int) -> int:
    digest = hashlib.sha256(f"{seed}/{index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") & 0x7FFFFFFF
