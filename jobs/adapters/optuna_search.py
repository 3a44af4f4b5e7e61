"""The tree-structured Parzen estimator of Optuna as a searcher."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING

from cvcore.search import Proposed, is_feasible
from cvcore.settings import SweepSpec
from cvcore.spaces import Choice, Domain, Integer, Value

if TYPE_CHECKING:
    from optuna import Trial

# Proposals in a row that Optuna may waste before one is drawn at random instead.
MAX_REJECTIONS = 50
MAX_RANDOM_STARTS = 10


class TpeSearch:
    """Propose where good trials are dense and bad ones are not; ask and tell, no storage."""

    def __init__(self, spec: SweepSpec) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._spec = spec
        self._proposed = Proposed(spec)
        self._trials: list[Trial] = []
        self._states = optuna.trial.TrialState
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=spec.search.seed,
                n_startup_trials=min(MAX_RANDOM_STARTS, max(2, spec.search.trials // 3)),
                constant_liar=True,  # proposals still running are taken to be bad
            )
        directions = optuna.study.StudyDirection
        direction = directions.MAXIMIZE if spec.search.direction == "max" else directions.MINIMIZE
        self._study = optuna.create_study(sampler=sampler, direction=direction)

    def suggest(self) -> dict[str, Value] | None:
        if self._proposed.exhausted:
            return None
        trial, drawn = self._ask()
        self._proposed.add(drawn)
        self._trials.append(trial)
        return drawn

    def observe(self, index: int, value: float | None) -> None:
        if value is None or not math.isfinite(value):
            self._study.tell(self._trials[index], state=self._states.FAIL)
        else:
            self._study.tell(self._trials[index], value)

    def _ask(self) -> tuple[Trial, dict[str, Value]]:
        for _ in range(MAX_REJECTIONS):
            trial = self._study.ask()
            drawn = self._define(trial)
            if self._proposed.is_new(drawn):
                return trial, drawn
            # Pruned counts as bad, so that infeasible regions are left; failed does not count.
            feasible = is_feasible(self._spec, drawn)
            wasted = self._states.FAIL if feasible else self._states.PRUNED
            self._study.tell(trial, state=wasted)
        self._study.enqueue_trial(dict(self._proposed.draw()))
        trial = self._study.ask()
        return trial, self._define(trial)

    def _define(self, trial: Trial) -> dict[str, Value]:
        drawn: dict[str, Value] = {}
        for name, parameter in self._spec.space.items():
            if parameter.holds({**self._spec.fixed, **drawn}):
                drawn[name] = _suggest(trial, name, parameter.domain)
        return drawn


def _suggest(trial: Trial, name: str, domain: Domain) -> Value:
    if isinstance(domain, Choice):
        index = domain.values.index(trial.suggest_categorical(name, domain.values))
        return domain.values[index]
    if isinstance(domain, Integer):
        highest = domain.grid()[-1]  # Optuna wants a range that the step divides
        return trial.suggest_int(name, domain.low, highest, step=domain.step)
    return trial.suggest_float(name, domain.low, domain.high, log=domain.log)
