"""What a sweep took: time, its parts, and its price."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from cvcore.events import SweepState
from cvcore.ledger import LEDGER
from cvcore.settings import SweepSpec

# Slot time that no trial held: Ray and its workers start, the last trials end, the best is scored.
OUTSIDE = "outside"

# What a person calls the accounts that are no training steps.
LEAKS = {
    "import": "importing TensorFlow",
    "data": "opening data and features",
    "trace": "building and compiling models",
    "eval": "validation",
    "report": "saving and reporting",
    "idle": "waiting for the next trial",
    OUTSIDE: "starting, ending and scoring the best",
}


def figures(
    state: SweepState, *, wall_seconds: float, slots: int, price_per_hour: float | None = None
) -> dict[str, Any]:
    """Sum up a sweep: the time of its slots, the part that was training steps, and the rest.

    `ledger` maps accounts to slot seconds; `price_per_hour` is that of one slot.
    """
    outcomes = [trial.outcome for trial in state.trials.values() if trial.outcome]
    spent = {name: sum(one.seconds.get(name, 0.0) for one in outcomes) for name in LEDGER}
    held, available = sum(spent.values()), wall_seconds * slots
    return {
        "wall_seconds": wall_seconds,
        "worker_seconds": held,
        "efficiency": spent["train"] / available if available > 0 else None,
        "gpu_seconds": sum(one.gpu_seconds for one in outcomes),
        "cost": None if price_per_hour is None else available / 3600 * price_per_hour,
        "ledger": {**spent, OUTSIDE: max(0.0, available - held)},
        "finished_at": time.time(),
    }


def largest_leak(ledger: Mapping[str, float]) -> tuple[str, float]:
    """Name the account that took most beside training, and its fraction of all slot time."""
    name = max(LEAKS, key=lambda one: ledger.get(one, 0.0))
    return LEAKS[name], ledger.get(name, 0.0) / (sum(ledger.values()) or 1.0)


def hours_allowed(spec: SweepSpec, *, slots: int) -> float | None:
    """Return the hours after which every trial ends: by the clock, or because money runs out."""
    search, price = spec.search, spec.resources.price_per_hour
    limits = [] if search.max_hours is None else [search.max_hours]
    if search.max_cost is not None and price:
        limits.append(search.max_cost / (price * slots))
    return min(limits, default=None)


def seconds_so_far(events: Sequence[Mapping[str, Any]]) -> float:
    """Return how long earlier drivers of this sweep worked, as far as the log tells."""
    seconds, since = 0.0, None
    for event in events:
        at = event.get("started_at") or event.get("at") or event.get("finished_at")
        if event["type"] in ("sweep_started", "sweep_resumed"):
            since = at
        elif since is not None and at is not None:
            seconds, since = seconds + max(0.0, at - since), at
    return seconds
