"""Who stops trials early under Ray Tune: our own rungs, or Tune's HyperBand and PBT."""

from __future__ import annotations

from typing import Any

from ray import tune
from ray.tune.schedulers import (
    FIFOScheduler,
    HyperBandScheduler,
    PopulationBasedTraining,
    TrialScheduler,
)

from cvcore.spaces import Choice, Domain, Integer, Real
from jobs.engine import Driver


class RungScheduler(FIFOScheduler):  # type: ignore[misc]
    """Ask the driver at every report; first come, first served."""

    def __init__(self, driver: Driver) -> None:
        super().__init__()
        self._driver = driver

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision: str = TrialScheduler.CONTINUE
        trial_id = result["config/trial/trial_id"]
        if not self._driver.decide(trial_id, result["progress"]):
            decision = TrialScheduler.STOP
        return decision


def own_scheduler(name: str, driver: Driver) -> TrialScheduler:
    """Build Tune's scheduler over the driver's last rung."""
    num_epochs = driver.rungs[-1]
    if name == "hyperband":
        return HyperBandScheduler(
            time_attr="epoch", metric="value", mode=driver.mode, max_t=num_epochs
        )
    return PopulationBasedTraining(
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
