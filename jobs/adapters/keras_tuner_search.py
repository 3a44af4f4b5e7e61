"""Bayesian optimisation with a Gaussian process, as a searcher: the oracle of keras-tuner.

Only the oracle's mathematics is used. Its trials are kept here, in memory, and not through
`create_trial`, which writes each to disk and gives up after three failures in a row.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from cvcore import spaces
from cvcore.runtime import start_tensorflow
from cvcore.search import Proposed
from cvcore.settings import SweepSpec
from cvcore.spaces import Choice, Integer, Parameter, Value

if TYPE_CHECKING:
    from keras_tuner import HyperParameters
    from keras_tuner.engine.trial import Trial

# A fit costs up to a second, and asked again the process answers much the same.
MAX_REJECTIONS = 3


class BayesianSearch:
    """Propose where a Gaussian process is optimistic; trials under way count as mediocre."""

    def __init__(self, spec: SweepSpec) -> None:
        start_tensorflow(threads=spec.resources.cpus_per_trial)  # keras-tuner brings Keras along
        import keras_tuner

        self._spec = spec
        self._proposed = Proposed(spec)
        self._trials: list[Trial] = []
        self._hyperparameters = _translate(spec)
        dimensions = len(self._hyperparameters.space)
        self._oracle = keras_tuner.oracles.BayesianOptimizationOracle(
            objective=keras_tuner.Objective(spec.search.objective, spec.search.direction),
            num_initial_points=max(3, min(3 * dimensions, spec.search.trials // 3)),
            hyperparameters=self._hyperparameters,
            seed=spec.search.seed + 1,  # to the oracle 0 means "any"
        )

    def suggest(self) -> dict[str, Value] | None:
        if self._proposed.exhausted:
            return None
        drawn = self._ask()
        self._proposed.add(drawn)
        self._begin(drawn)
        return drawn

    def observe(self, index: int, value: float | None) -> None:
        trial = self._trials[index]
        del self._oracle.ongoing_trials[trial.trial_id]
        if value is None or not math.isfinite(value):
            trial.status = "FAILED"
        else:
            trial.score = value
            trial.status = "COMPLETED"

    def _ask(self) -> dict[str, Value]:
        for _ in range(MAX_REJECTIONS):
            values = self._propose()
            if values is None:  # the oracle's random draws all collided
                break
            drawn = _plain(self._spec, values)
            inside = spaces.contains(self._spec.space, drawn, fixed=self._spec.fixed)
            if inside and self._proposed.is_new(drawn):
                return drawn
        return self._proposed.draw()

    def _propose(self) -> dict[str, Any] | None:
        """Ask the oracle, on one thread: matrices this small are slower on several."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a length scale at its bound is no news to anyone
            answer = self._oracle.populate_space(str(len(self._trials)))
        values: dict[str, Any] | None = answer["values"]
        return values

    def _begin(self, drawn: Mapping[str, Value]) -> None:
        from keras_tuner.engine.trial import Trial

        hyperparameters = self._hyperparameters.copy()
        hyperparameters.values = dict(drawn)
        name = str(len(self._trials))
        trial = Trial(hyperparameters=hyperparameters, trial_id=name, status="RUNNING")
        self._trials.append(trial)
        self._oracle.trials[name] = trial
        self._oracle.ongoing_trials[name] = trial


def _translate(spec: SweepSpec) -> HyperParameters:
    """Register every parameter of the space under the conditions that can still vary."""
    from keras_tuner import HyperParameters

    hyperparameters = HyperParameters()
    for name, parameter in spec.space.items():
        settled = {key: when for key, when in parameter.when.items() if key not in spec.space}
        if not all(spec.fixed[key] in when for key, when in settled.items()):
            continue
        with ExitStack() as scopes:
            for key, when in _conditions(spec, parameter):
                scopes.enter_context(hyperparameters.conditional_scope(key, list(when)))
            _register(hyperparameters, name, parameter.domain)
    return hyperparameters


def _conditions(spec: SweepSpec, parameter: Parameter) -> list[tuple[str, tuple[Value, ...]]]:
    """List a parameter's conditions, outermost first: those of its conditions before its own."""
    found: list[tuple[str, tuple[Value, ...]]] = []
    for key, when in parameter.when.items():
        if key in spec.space:
            found += [*_conditions(spec, spec.space[key]), (key, when)]
    return found


def _register(hyperparameters: HyperParameters, name: str, domain: spaces.Domain) -> None:
    if isinstance(domain, Choice):
        hyperparameters.Choice(name, list(domain.values))
    elif isinstance(domain, Integer):
        highest = domain.grid()[-1]
        hyperparameters.Int(name, domain.low, highest, step=domain.step)
    else:
        sampling = "log" if domain.log else "linear"
        hyperparameters.Float(name, domain.low, domain.high, sampling=sampling)


def _plain(spec: SweepSpec, values: Mapping[str, Any]) -> dict[str, Value]:
    """Turn the oracle's values into plain Python ones, in the order of the space."""
    drawn: dict[str, Value] = {}
    for name, parameter in spec.space.items():
        if name not in values:
            continue
        domain, value = parameter.domain, values[name]
        if isinstance(domain, Choice):
            drawn[name] = value
        elif isinstance(domain, Integer):
            drawn[name] = int(value)
        else:
            drawn[name] = min(max(float(value), domain.low), domain.high)
    return drawn
