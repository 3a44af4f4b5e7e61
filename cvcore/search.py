"""Who proposes the next configuration, and who is cut short.

A searcher is a pure function of the calls it received: a driver that died repeats them and goes on
with the same decisions. Nothing here knows how or where a trial runs.
"""

from __future__ import annotations

import json
import math
import random
from bisect import bisect_right, insort
from collections.abc import Iterator, Mapping
from typing import Protocol

from cvcore import geometry, spaces
from cvcore.errors import ConfigError
from cvcore.hyperparameters import resolve
from cvcore.settings import SweepSpec
from cvcore.spaces import Real, Space, Value

# Draws in a row that may be infeasible or known already before a searcher gives up on luck.
MAX_REJECTIONS = 1000
# Combinations of the parameters that decide on feasibility beyond which nobody counts.
MAX_COUNTED = 20_000
# What `cvcore.geometry` looks at.
_GEOMETRY = (
    "family", "num_blocks", "kernel_size", "conv_stride", "conv_padding", "pool_size",
    "pool_stride", "pool_padding", "kernel_size_per_block", "pool_size_per_block",
    "filters_per_block",
)  # fmt: skip


class Searcher(Protocol):
    """Propose configurations, learn from their objective; at most `search.trials` of them.

    Any number of proposals may be waiting for their value, and values may come in any order.
    """

    def suggest(self) -> dict[str, Value] | None:
        """Return the next configuration, None when budget or space is exhausted.

        The first call answers proposal 0, the next one 1, and so on. Raises `ConfigError` if no
        feasible configuration is found.
        """

    def observe(self, index: int, value: float | None) -> None:
        """Take in the objective of proposal `index`; None if the trial failed."""


def is_feasible(spec: SweepSpec, drawn: Mapping[str, Value]) -> bool:
    """Tell whether something of the image is left behind the model these values make."""
    model = resolve(spec, drawn)[0]
    return geometry.fits(model, image_size=spec.data.image_size)


class Proposed:
    """The configurations proposed so far, and how to draw one more that differs from them all."""

    def __init__(self, spec: SweepSpec) -> None:
        self._spec = spec
        self._seen: set[str] = set()
        continuous = any(isinstance(one.domain, Real) for one in spec.space.values())
        self._limit = math.inf if continuous else count_configurations(spec) or math.inf

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def exhausted(self) -> bool:
        """Tell whether budget or space allows no further proposal."""
        return len(self) >= min(self._spec.search.trials, self._limit)

    def is_new(self, drawn: Mapping[str, Value]) -> bool:
        """Tell whether a configuration is feasible and was not proposed before."""
        return _identity(drawn) not in self._seen and is_feasible(self._spec, drawn)

    def add(self, drawn: Mapping[str, Value]) -> None:
        self._seen.add(_identity(drawn))

    def draw(self) -> dict[str, Value]:
        """Draw a new configuration at random, decided by the seed and the number so far."""
        spec = self._spec
        for attempt in range(MAX_REJECTIONS):
            rng = random.Random(f"{spec.search.seed}/{len(self)}/{attempt}")
            drawn = spaces.sample(spec.space, rng=rng, fixed=spec.fixed)
            if self.is_new(drawn):
                return drawn
        if math.isfinite(self._limit):  # few are left: take the first of them
            for drawn in spaces.grid(spec.space, fixed=spec.fixed):
                if self.is_new(drawn):
                    return drawn
        raise ConfigError(
            [
                f"space: none of {MAX_REJECTIONS} random configurations fits an image of "
                f"{spec.data.image_size}x{spec.data.image_size} pixels and is new"
            ],
            hint="--set data.image_size=..., or smaller strides, pools and num_blocks",
        )


class RandomSearch:
    """Draw independently, never the same configuration twice."""

    def __init__(self, spec: SweepSpec) -> None:
        self._proposed = Proposed(spec)

    def suggest(self) -> dict[str, Value] | None:
        if self._proposed.exhausted:
            return None
        drawn = self._proposed.draw()
        self._proposed.add(drawn)
        return drawn

    def observe(self, index: int, value: float | None) -> None:
        """Learn nothing."""


class GridSearch:
    """Go through every combination in order, the last parameter of the space varying fastest."""

    def __init__(self, spec: SweepSpec) -> None:
        self._left = spec.search.trials
        combinations = spaces.grid(spec.space, fixed=spec.fixed)
        self._feasible = (drawn for drawn in combinations if is_feasible(spec, drawn))

    def suggest(self) -> dict[str, Value] | None:
        if self._left == 0:
            return None
        self._left -= 1
        return next(self._feasible, None)

    def observe(self, index: int, value: float | None) -> None:
        """Learn nothing."""


def count_configurations(spec: SweepSpec) -> int | None:
    """Count the feasible configurations of a space.

    None: infinitely many, or too many to go through. A real parameter counts as its `steps` in a
    grid search and as infinite in any other.
    """
    space, fixed = spec.space, spec.fixed
    on_grid = spec.search.algorithm == "grid"
    if any(isinstance(one.domain, Real) and not on_grid for one in space.values()):
        return None
    if any(one.domain.grid() is None for one in space.values()):
        return None
    deciding = {name: space[name] for name in _deciding(space)}
    if math.prod(len(one.domain.grid() or ()) for one in deciding.values()) > MAX_COUNTED:
        return None
    total = 0
    for drawn in spaces.grid(deciding, fixed=fixed):
        if is_feasible(spec, drawn):
            others = (one for name, one in space.items() if name not in deciding)
            present = (one for one in others if one.holds({**fixed, **drawn}))
            total += math.prod(len(one.domain.grid() or ()) for one in present)
    return total


def _deciding(space: Space) -> Iterator[str]:
    """Yield the parameters that decide what is feasible or which others are present, in order."""
    referred = {name for one in space.values() for name in one.when}
    return (name for name in space if name in _GEOMETRY or name in referred)


def _identity(drawn: Mapping[str, Value]) -> str:
    return json.dumps(drawn, sort_keys=True)


class Asha:
    """Asynchronous successive halving, the variant that stops: cut all but the best third.

    Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020
    (arXiv:1810.05934). At a rung a trial goes on if it is among the best floor(n / 3) of the n
    trials seen there so far, itself included; while n is below 3 nobody is cut. The decisions
    follow from the order of the calls alone, so a log of them restores the state.
    """

    FACTOR = 3

    def __init__(self, *, max_epochs: int, mode: str, grace: int = 1) -> None:
        self._sign = 1.0 if mode == "max" else -1.0
        grace = max(grace, math.ceil(max_epochs / self.FACTOR**2))
        rungs = []
        while grace < max_epochs:
            rungs.append(grace)
            grace *= self.FACTOR
        self._rungs = tuple(rungs)
        self._seen: dict[int, list[float]] = {epoch: [] for epoch in rungs}  # ascending
        self._decided: dict[tuple[int, str], str] = {}

    @property
    def rungs(self) -> tuple[int, ...]:
        """List the epochs after which trials are compared; the last epoch is not one."""
        return self._rungs

    def decide(self, trial_id: str, epoch: int, value: float) -> str:
        """Return "continue" or "stop"; asked again about the same rung, the same answer."""
        if epoch not in self._seen:
            return "continue"
        if (epoch, trial_id) not in self._decided:
            self._decided[epoch, trial_id] = self._compare(epoch, value)
        return self._decided[epoch, trial_id]

    def _compare(self, epoch: int, value: float) -> str:
        score = -math.inf if math.isnan(value) else self._sign * value
        rung = self._seen[epoch]
        insort(rung, score)
        if len(rung) < self.FACTOR:
            return "continue"
        better = len(rung) - bisect_right(rung, score)
        return "continue" if better < len(rung) // self.FACTOR else "stop"
