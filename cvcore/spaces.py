"""The search space: one definition that drives every search algorithm.

A space is an ordered mapping from hyperparameter name to `Parameter`. A parameter is a domain and,
optionally, a condition; where the condition does not hold the parameter is absent from the trial.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of a few values, all of one type."""

    values: tuple[Value, ...]

    def sample(self, rng: random.Random) -> Value:
        return rng.choice(self.values)

    def contains(self, value: object) -> bool:
        return any(value == known and type(value) is type(known) for known in self.values)

    def grid(self) -> tuple[Value, ...]:
        return self.values

    def to_dict(self) -> dict[str, Any]:
        return {"choice": list(self.values)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Integer:
    """A whole number between two bounds, both included, `step` apart."""

    low: int
    high: int
    step: int = 1

    def sample(self, rng: random.Random) -> int:
        return rng.choice(self.grid())

    def contains(self, value: object) -> bool:
        return type(value) is int and value in self.grid()

    def grid(self) -> range:
        return range(self.low, self.high + 1, self.step)

    def to_dict(self) -> dict[str, Any]:
        bounds = {"integer": [self.low, self.high]}
        return bounds if self.step == 1 else {**bounds, "step": self.step}


@dataclass(frozen=True, slots=True, kw_only=True)
class Real:
    """A real number between two bounds, both included, uniform in itself or in its logarithm.

    `steps` is how many values a grid search tries, evenly spread; without it there is no grid.
    """

    low: float
    high: float
    log: bool = False
    steps: int | None = None

    def sample(self, rng: random.Random) -> float:
        return self.at(rng.random())

    def at(self, fraction: float) -> float:
        """Map 0..1 onto the domain."""
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            value = math.exp(low + fraction * (high - low))
        else:
            value = self.low + fraction * (self.high - self.low)
        return min(max(value, self.low), self.high)

    def contains(self, value: object) -> bool:
        return isinstance(value, float) and self.low <= value <= self.high

    def grid(self) -> tuple[float, ...] | None:
        if self.steps is None:
            return None
        if self.steps == 1:
            return (self.at(0.5),)
        values = (self.at(i / (self.steps - 1)) for i in range(self.steps))
        return tuple(dict.fromkeys(values))  # neighbouring bounds round to the same number

    def to_dict(self) -> dict[str, Any]:
        bounds: dict[str, Any] = {"log" if self.log else "uniform": [self.low, self.high]}
        return bounds if self.steps is None else {**bounds, "steps": self.steps}


Domain = Choice | Integer | Real


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A domain and the condition under which it is part of a trial.

    `when` maps the name of an earlier parameter (or fixed setting) to the values that admit it.
    """

    domain: Domain
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)

    def holds(self, known: Mapping[str, Any]) -> bool:
        return all(known.get(name) in values for name, values in self.when.items())

    def to_dict(self) -> dict[str, Any]:
        if not self.when:
            return self.domain.to_dict()
        conditions = {name: v[0] if len(v) == 1 else list(v) for name, v in self.when.items()}
        return {**self.domain.to_dict(), "when": conditions}


Space = Mapping[str, Parameter]


def sample(space: Space, *, rng: random.Random, fixed: Mapping[str, Any]) -> dict[str, Value]:
    """Draw one value for every parameter whose condition holds.

    `fixed` holds the settings outside the space that conditions may refer to.
    """
    drawn: dict[str, Value] = {}
    for name, parameter in space.items():
        if parameter.holds({**fixed, **drawn}):
            drawn[name] = parameter.domain.sample(rng)
    return drawn


def contains(space: Space, values: Mapping[str, Any], *, fixed: Mapping[str, Any]) -> bool:
    """Tell whether exactly the parameters whose conditions hold are present, each in its domain."""
    known = {**fixed, **{name: values[name] for name in space if name in values}}
    for name, parameter in space.items():
        visible = {key: value for key, value in known.items() if key != name}
        if parameter.holds(visible) != (name in values):
            return False
        if name in values and not parameter.domain.contains(values[name]):
            return False
    return set(values) <= set(space)


def grid(space: Space, *, fixed: Mapping[str, Any]) -> Iterator[dict[str, Value]]:
    """Yield every combination once, conditions honoured, the last parameter varying fastest.

    Raises `ValueError` naming a parameter that has no grid.
    """
    for name, parameter in space.items():
        if parameter.domain.grid() is None:
            raise ValueError(name)
    yield from _extend(list(space.items()), {}, fixed)


def _extend(
    rest: list[tuple[str, Parameter]], drawn: dict[str, Value], fixed: Mapping[str, Any]
) -> Iterator[dict[str, Value]]:
    if not rest:
        yield dict(drawn)
        return
    (name, parameter), *others = rest
    if not parameter.holds({**fixed, **drawn}):
        yield from _extend(others, drawn, fixed)
        return
    for value in parameter.domain.grid() or ():
        yield from _extend(others, {**drawn, name: value}, fixed)
