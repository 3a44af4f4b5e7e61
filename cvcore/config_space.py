"""The `[space]` section: what may vary, checked against what each setting accepts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import Field
from typing import Any

from cvcore.draft import DOMAIN_KINDS, Draft, did_you_mean, legal
from cvcore.hyperparameters import hyperparameters
from cvcore.settings import ModelConfig, TrainingConfig
from cvcore.spaces import Choice, Domain, Integer, Parameter, Real, Value

_EXTRAS = {"choice": (), "integer": ("step",), "uniform": ("steps",), "log": ("steps",)}
_EXAMPLE = "{choice = [8, 16]}, {integer = [2, 5]}, {uniform = [0.0, 0.5]} or {log = [1e-4, 1e-2]}"


def read_space(draft: Draft) -> dict[str, Parameter]:
    """Read the section in its order; what cannot be read is a problem and left out."""
    section = draft.values.get("space", {})
    if not isinstance(section, Mapping):
        draft.problem(("space",), f"expected a table of parameters, received {section!r}")
        return {}
    space: dict[str, Parameter] = {}
    for name, entry in section.items():
        declaration = hyperparameters().get(name)
        if declaration is None:
            draft.problem(("space", name), _not_searchable(name))
        elif (parameter := _parameter(draft, name, entry, declaration, space)) is not None:
            space[name] = parameter
            _refuse_twice(draft, name)
    return space


def _not_searchable(name: str) -> str:
    if name in TrainingConfig.__dataclass_fields__:
        return f"cannot be searched; set it as training.{name}"
    known = hyperparameters()
    suggestion = did_you_mean(name, known) or f"; expected one of {', '.join(known)}"
    return f"no such hyperparameter{suggestion}"


def _refuse_twice(draft: Draft, name: str) -> None:
    for section in ("model", "training"):
        fixed = draft.values.get(section)
        if isinstance(fixed, Mapping) and name in fixed:
            place = draft.place((section, name))
            draft.problem(
                ("space", name), f"also fixed as {section}.{name} ({place}); keep one of the two"
            )


def _parameter(
    draft: Draft, name: str, entry: Any, declaration: Field[Any], space: Mapping[str, Parameter]
) -> Parameter | None:
    path = ("space", name)
    kinds = [kind for kind in DOMAIN_KINDS if isinstance(entry, Mapping) and kind in entry]
    if len(kinds) != 1:
        draft.problem(path, f"expected one of {_EXAMPLE}, received {entry!r}")
        return None
    allowed = (kinds[0], *_EXTRAS[kinds[0]], "when")
    for key in entry:
        if key not in allowed:
            text = f"unknown key; expected {', '.join(allowed)}{did_you_mean(key, allowed)}"
            draft.problem((*path, key), text)
    try:
        domain = _domain(kinds[0], entry, declaration)
    except ValueError as error:
        draft.problem(path, str(error))
        return None
    return Parameter(domain=domain, when=_conditions(draft, name, entry.get("when", {}), space))


def _domain(kind: str, entry: Mapping[str, Any], declaration: Field[Any]) -> Domain:
    if kind == "choice":
        return _choice(entry[kind], declaration)
    needed = int if kind == "integer" else float
    accepted = declaration.metadata["kind"]
    if accepted is not needed:
        other = {int: "integer or choice", float: "uniform, log or choice"}.get(accepted, "choice")
        raise ValueError(f"{kind} does not fit this setting; use {other}")
    low, high = _bounds(kind, entry[kind], declaration)
    if kind == "integer":
        return Integer(low=low, high=high, step=_positive(entry, "step") or 1)
    if kind == "log" and low <= 0:
        raise ValueError(f"log expects bounds above 0, received {entry[kind]!r}")
    return Real(low=low, high=high, log=kind == "log", steps=_positive(entry, "steps"))


def _choice(values: Any, declaration: Field[Any]) -> Choice:
    if not isinstance(values, list) or not values:
        raise ValueError(f"choice expects a list of values, received {values!r}")
    chosen = tuple(legal(declaration, value) for value in values)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"choice lists a value twice: {values!r}")
    return Choice(values=chosen)


def _bounds(kind: str, values: Any, declaration: Field[Any]) -> tuple[Any, Any]:
    if not isinstance(values, list) or len(values) != 2:
        raise ValueError(f"{kind} expects [low, high], received {values!r}")
    low, high = (legal(declaration, value) for value in values)
    if not low < high:
        raise ValueError(f"{kind} expects low below high, received {values!r}")
    return low, high


def _positive(entry: Mapping[str, Any], key: str) -> int | None:
    value = entry.get(key)
    if value is None:
        return None
    if type(value) is not int or value < 1:
        raise ValueError(f"{key} expects a whole number of at least 1, received {value!r}")
    return value


def _conditions(
    draft: Draft, name: str, when: Any, space: Mapping[str, Parameter]
) -> dict[str, tuple[Value, ...]]:
    path = ("space", name, "when")
    if not isinstance(when, Mapping):
        draft.problem(path, f"expected {{name = value}} or {{name = [values]}}, received {when!r}")
        return {}
    conditions: dict[str, tuple[Value, ...]] = {}
    for other, admitted in when.items():
        try:
            conditions[other] = _admitted(draft, name, other, admitted, space)
        except ValueError as error:
            draft.problem((*path, other), str(error))
    return conditions


def _admitted(
    draft: Draft, name: str, other: str, admitted: Any, space: Mapping[str, Parameter]
) -> tuple[Value, ...]:
    """Check one condition: what it refers to exists and can take these values."""
    declared = {**ModelConfig.__dataclass_fields__, **TrainingConfig.__dataclass_fields__}
    if other == name:
        raise ValueError("a parameter cannot depend on itself")
    if other not in declared:
        raise ValueError(f"no such setting{did_you_mean(other, declared)}")
    if other in draft.values["space"] and other not in space:
        listed = list(draft.values["space"])
        if listed.index(other) > listed.index(name):
            raise ValueError(f"{other} stands later in [space]; move it above {name}")
    given = admitted if isinstance(admitted, list) else [admitted]
    if not given:
        raise ValueError("expected at least one value, received []")
    values = tuple(legal(declared[other], value) for value in given)
    if other in space:
        domain = space[other].domain
        outside = [value for value in values if not domain.contains(value)]
        if outside:
            raise ValueError(f"never takes {outside[0]!r}; its domain is {domain.to_dict()}")
    return values


def names_of_other_families(space: Mapping[str, Parameter], family: str) -> list[str]:
    """List the parameters that no trial of this model family would use."""
    declared = hyperparameters()
    unconditional = itertools.filterfalse(lambda name: "family" in space[name].when, space)
    return [
        name for name in unconditional if declared[name].metadata["family"] not in (None, family)
    ]
