"""From a spec file to frozen objects, with every problem reported at once; and back to TOML.

Who wins, from the strongest: an explicit flag (`--trials`), its environment variable
(`CVJOBS_TRIALS`), `--set search.trials=...`, the file, the default.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cvcore import geometry, spaces
from cvcore.config_space import names_of_other_families, read_space
from cvcore.draft import Draft, apply_overrides, did_you_mean, legal, read_draft
from cvcore.errors import UsageError
from cvcore.hyperparameters import hyperparameters, resolve
from cvcore.settings import SECTIONS, SweepSpec, names_of
from cvcore.toml import KeyPath, literal

MAX_NAME_LENGTH = 100
# Schedulers that only Ray Tune implements.
RAY_SCHEDULERS = ("hyperband", "pbt")
# Draws after which a space is taken to hold no configuration that fits the image.
FEASIBILITY_DRAWS = 200

_FLAGS: dict[str, KeyPath] = {
    "data": ("data", "uri"),
    "name": ("name",),
    "trials": ("search", "trials"),
    "epochs": ("training", "epochs"),
    "max_concurrent": ("resources", "max_concurrent"),
    "max_hours": ("search", "max_hours"),
    "max_cost": ("search", "max_cost"),
}


def load_spec(
    source: str | Path | None,
    *,
    overrides: Sequence[str] = (),
    data: str | None = None,
    name: str | None = None,
    trials: int | None = None,
    epochs: int | None = None,
    max_concurrent: int | None = None,
    max_hours: float | None = None,
    max_cost: float | None = None,
) -> SweepSpec:
    """Read a TOML file or a recipe (None: the default recipe) and what the command line adds.

    `overrides` are `key=value`; the other arguments are explicit flags. Raises `UsageError` if
    there is no such file, `ConfigError` with all problems of the spec.
    """
    draft, recipe = read_draft(source)
    if recipe is not None:
        draft.values.setdefault("recipe", recipe)
    apply_overrides(draft, overrides)
    flags = {
        "data": data, "name": name, "trials": trials, "epochs": epochs,
        "max_concurrent": max_concurrent, "max_hours": max_hours, "max_cost": max_cost,
    }  # fmt: skip
    for flag, value in flags.items():
        if value is not None:
            draft.put(_FLAGS[flag], value, place=f"--{flag.replace('_', '-')}")
    spec = _check(draft)
    draft.raise_problems()
    return spec


def check_engine(spec: SweepSpec, engine: str) -> None:
    """Raise `UsageError` if the spec asks for what only another engine can do."""
    if engine != "ray" and spec.search.scheduler in RAY_SCHEDULERS:
        raise UsageError(
            f"search.scheduler = {spec.search.scheduler!r} needs the ray engine, "
            f"received --engine {engine}; the schedulers of every engine are 'asha' and 'none'",
            hint="add --engine ray, or --set search.scheduler=asha",
        )


def to_toml(spec: SweepSpec) -> str:
    """Write a spec whole, defaults included, so that `load_spec` reads it back equal."""
    lines = [f"name = {literal(spec.name)}"]
    if spec.recipe is not None:
        lines.append(f"recipe = {literal(spec.recipe)}")
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for key in names_of(SECTIONS[section]):
            value = getattr(getattr(spec, section), key)
            if value is not None and key not in spec.space:
                lines.append(f"{key} = {literal(value)}")
    if spec.space:
        lines += ["", "[space]"]
    lines += [f"{key} = {literal(one.to_dict())}" for key, one in spec.space.items()]
    return "\n".join(lines) + "\n"


def _check(draft: Draft) -> SweepSpec:
    known = ("name", "recipe", "space", *SECTIONS)
    for key in draft.values:
        if key not in known:
            draft.problem((key,), f"unknown section or key{_suggest_anywhere(key, known)}")
    parts = {section: _section(draft, section) for section in SECTIONS}
    space = read_space(draft)
    spec = SweepSpec(
        **_labels(draft),
        **{section: SECTIONS[section](**values) for section, values in parts.items()},
        space=space,
    )
    _check_data(draft, spec)
    _check_resources(draft, spec)
    _check_search(draft, spec)
    if not draft.problems:
        _check_geometry(draft, spec)
    return spec


def _labels(draft: Draft) -> dict[str, Any]:
    labels: dict[str, Any] = {}
    for key in ("name", "recipe"):
        value = draft.values.get(key)
        if value is None:
            continue
        if isinstance(value, str) and 0 < len(value) <= MAX_NAME_LENGTH and value.isprintable():
            labels[key] = value
        else:
            text = f"expected 1 to {MAX_NAME_LENGTH} printable characters, received {value!r}"
            draft.problem((key,), text)
    return labels


def _section(draft: Draft, section: str) -> dict[str, Any]:
    """Return the legal values of a section; the others become problems."""
    given = draft.values.get(section, {})
    if not isinstance(given, Mapping):
        draft.problem((section,), f"expected a table, [{section}], received {given!r}")
        return {}
    declared = {one.name: one for one in fields(SECTIONS[section])}
    values = {}
    for key, value in given.items():
        path = (section, key)
        if path == ("resources", "workers_per_trial") and type(value) is int and value > 1:
            draft.problem(
                path, f"several machines per trial: not in this version, received {value}"
            )
        elif key not in declared:
            draft.problem(path, f"unknown key{_suggest_anywhere(key, declared)}")
        else:
            try:
                values[key] = legal(declared[key], value)
            except ValueError as error:
                draft.problem(path, str(error))
    return values


def _suggest_anywhere(key: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """Suggest a key that belongs here, or else the section this key belongs to."""
    elsewhere = {name: part for part, section in SECTIONS.items() for name in names_of(section)}
    if key in elsewhere:
        return f"; did you mean {elsewhere[key]}.{key}?"
    if suggestion := did_you_mean(key, known):
        return suggestion
    if suggestion := did_you_mean(key, elsewhere):
        return suggestion
    return f"; expected one of {', '.join(known)}"


def _check_data(draft: Draft, spec: SweepSpec) -> None:
    data = spec.data
    held_out = data.validation_fraction + data.test_fraction
    if held_out >= 1:
        text = f"validation_fraction + test_fraction must stay below 1, received {held_out:g}"
        draft.problem(("data", "test_fraction"), text)
    if data.group_by == "near-duplicates":
        draft.problem(("data", "group_by"), '"near-duplicates": not in this version; use "none"')
    elif data.group_by != "none":
        try:
            re.compile(data.group_by)
        except re.error as error:
            text = f'expected "none" or a regular expression, received {data.group_by!r}: {error}'
            draft.problem(("data", "group_by"), text)
    for path, uri in ((("data", "uri"), data.uri), (("model", "weights"), spec.model.weights)):
        if _has_password(uri):
            text = "a URI must not carry a password: the spec is stored with its results"
            draft.problem(path, text)


def _has_password(uri: str) -> bool:
    try:
        return urlsplit(uri).password is not None
    except ValueError:  # not a URI at all: a path with brackets, say
        return False


def _check_resources(draft: Draft, spec: SweepSpec) -> None:
    gpus = spec.resources.gpus_per_trial
    if gpus is not None and gpus > 1 and not gpus.is_integer():
        text = f"expected a fraction up to 1 or a whole number above it, received {gpus:g}"
        draft.problem(("resources", "gpus_per_trial"), text)


def _check_search(draft: Draft, spec: SweepSpec) -> None:
    if spec.search.max_cost is not None and not spec.resources.price_per_hour:
        text = "needs a price: set resources.price_per_hour, what one trial's share of a machine"
        draft.problem(("search", "max_cost"), f"{text} costs an hour")
    if spec.search.algorithm == "grid":
        for name, parameter in spec.space.items():
            if parameter.domain.grid() is None:
                text = "a grid search needs a number of values, such as steps = 5"
                draft.problem(("space", name), text)
    if "family" not in spec.space:
        for name in names_of_other_families(spec.space, spec.model.family):
            draft.problem(("space", name), _unused(name, spec.model.family))


def _unused(name: str, family: str) -> str:
    owner = hyperparameters()[name].metadata["family"]
    return (
        f"only family {owner!r} uses it, and model.family is {family!r}; "
        f'remove it, or add when = {{family = "{owner}"}}'
    )


def _check_geometry(draft: Draft, spec: SweepSpec) -> None:
    """Refuse a spec none of whose configurations leaves anything of the image."""
    rng = random.Random(0)
    draws = FEASIBILITY_DRAWS if spec.space else 1
    reason = ""
    for _ in range(draws):
        model = resolve(spec, spaces.sample(spec.space, rng=rng, fixed=spec.fixed))[0]
        try:
            geometry.check(model, image_size=spec.data.image_size)
            return
        except ValueError as error:
            reason = str(error)
    prefix = "no configuration of the space fits the image, for example: " if spec.space else ""
    draft.problem(("model",), prefix + reason)
