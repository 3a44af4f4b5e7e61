"""Laws every domain and every space obeys."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import spaces
from cvcore.spaces import Choice, Domain, Integer, Parameter, Real

unit_floats = st.floats(1e-6, 1e3)


@st.composite
def domains(draw: st.DrawFn) -> Domain:
    kind = draw(st.sampled_from(["choice", "integer", "real"]))
    if kind == "choice":
        values = draw(st.lists(st.integers(), min_size=1, max_size=4, unique=True))
        return Choice(values=tuple(values))
    if kind == "integer":
        low, width = draw(st.integers(-50, 50)), draw(st.integers(1, 20))
        return Integer(low=low, high=low + width, step=draw(st.integers(1, 5)))
    low, high = sorted(draw(st.lists(unit_floats, min_size=2, max_size=2, unique=True)))
    steps = draw(st.integers(1, 5))
    return Real(low=low, high=high, log=draw(st.booleans()), steps=steps)


@st.composite
def conditional_spaces(draw: st.DrawFn) -> dict[str, Parameter]:
    """Draw spaces in which a parameter may depend on any earlier one."""
    space: dict[str, Parameter] = {}
    for name in "abcd"[: draw(st.integers(0, 4))]:
        when: dict[str, Any] = {}
        if space and draw(st.booleans()):
            other = draw(st.sampled_from(sorted(space)))
            grid = list(space[other].domain.grid() or ())
            when = {other: tuple(draw(st.lists(st.sampled_from(grid), min_size=1, max_size=2)))}
        space[name] = Parameter(domain=draw(domains()), when=when)
    return space


@given(domain=domains(), seed=st.integers())
def test_a_sample_lies_in_its_domain(domain: Domain, seed: int) -> None:
    assert domain.contains(domain.sample(random.Random(seed)))


@given(domain=domains())
def test_a_grid_lies_in_its_domain_and_repeats_nothing(domain: Domain) -> None:
    grid = list(domain.grid() or ())
    assert all(domain.contains(value) for value in grid)
    assert len(set(grid)) == len(grid) > 0


def test_a_grid_between_neighbouring_numbers_repeats_nothing() -> None:
    low, high = 999.9999999999999, 1000.0
    assert Real(low=low, high=high, steps=3).grid() == (low, high)


@given(space=conditional_spaces(), seed=st.integers())
def test_a_drawn_configuration_lies_in_its_space_also_after_json(
    space: dict[str, Parameter], seed: int
) -> None:
    drawn = spaces.sample(space, rng=random.Random(seed), fixed={})
    assert spaces.contains(space, drawn, fixed={})
    assert spaces.contains(space, json.loads(json.dumps(drawn)), fixed={})


@given(space=conditional_spaces())
def test_a_grid_of_a_space_is_in_it_and_distinct(space: dict[str, Parameter]) -> None:
    combinations = list(spaces.grid(space, fixed={}))
    assert all(spaces.contains(space, one, fixed={}) for one in combinations)
    assert len({json.dumps(one, sort_keys=True) for one in combinations}) == len(combinations) > 0


def test_a_parameter_whose_condition_fails_is_absent() -> None:
    space = {"b": Parameter(domain=Choice(values=(1,)), when={"a": (5,)})}
    assert spaces.sample(space, rng=random.Random(0), fixed={"a": 4}) == {}
    assert spaces.sample(space, rng=random.Random(0), fixed={"a": 5}) == {"b": 1}
    assert not spaces.contains(space, {"b": 1}, fixed={"a": 4})
    assert not spaces.contains(space, {}, fixed={"a": 5})
    assert not spaces.contains(space, {"b": 1, "stranger": 2}, fixed={"a": 5})


def test_a_real_without_steps_has_no_grid_and_is_named() -> None:
    space = {"rate": Parameter(domain=Real(low=0.0, high=1.0))}
    with pytest.raises(ValueError, match="rate"):
        list(spaces.grid(space, fixed={}))


@given(low=unit_floats, factor=st.floats(1.5, 1e4))
def test_the_middle_of_a_log_domain_is_the_geometric_mean(low: float, factor: float) -> None:
    middle = Real(low=low, high=low * factor, log=True).at(0.5)
    assert middle == pytest.approx(low * factor**0.5)


def test_values_of_another_type_are_outside() -> None:
    assert not Choice(values=(1,)).contains(True)
    assert not Choice(values=(1,)).contains(1.0)
    assert not Integer(low=1, high=3).contains(2.0)
    assert not Real(low=0.0, high=3.0).contains(2)
