"""Who stops trials early under Ray Tune: our own rungs, or Tune's HyperBand and PBT."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import (
    FIFOScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from cvcore.spaces import Choice, Domain, Integer, Real
from jobs.adapters.ray_worker import TASK
from jobs.engine import Driver


class RungScheduler(FIFOScheduler):  # type: ignore[misc]
    """Ask the driver at every report; first come, first served."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = TrialScheduler.CONTINUE
        if not self._driver.decide(result["trial"], result["progress"]):
            decision = TrialScheduler.STOP
        return decision


class Population(PopulationBasedTraining):  # type: ignore[misc]
    """PBT in which a trial stays itself when it goes on with the weights of a better one."""

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        # Tune refuses any searcher here, for its result would be credited to values that changed
        # since. Ours takes that into account: what is drawn is where a trial begins.
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], Any]:
        """Take over the other's values, changed a little, but not who it is."""
        config, operations = super()._get_new_config(trial, trial_to_clone)
        return {**config, TASK: trial.config[TASK]}, operations


def own_scheduler(name: str, driver: Driver) -> TrialScheduler:
    """Build Tune's scheduler over the driver's last rung."""
    num_epochs = driver.rungs["train"][-1]
    if name == "hyperband":
        return HyperBandScheduler(
            time_attr="epoch", metric="value", mode=driver.mode, max_t=num_epochs
        )
    return Population(
        time_attr="epoch",
        metric="value",
        mode=driver.mode,
        perturbation_interval=max(1, num_epochs // 5),
        hyperparam_mutations={name: _tune_domain(d) for name, d in driver.domains.items()},
    )


def _tune_domain(domain: Domain) -> Any:
    if isinstance(domain, Choice):
        return list(domain.values)
    if isinstance(domain, Integer):
        return list(domain.grid())
    if isinstance(domain, Real) and domain.log:
        return tune.loguniform(domain.low, domain.high)
    return tune.uniform(domain.low, domain.high)
