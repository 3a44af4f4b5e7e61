"""A spec as it was written: nested values, where each was said, and what is wrong with them.

Problems are collected, not raised, so that one reading reports all of them.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from cvcore.catalog import DEFAULT_RECIPE, recipe_names, recipe_path
from cvcore.errors import ConfigError, UsageError
from cvcore.settings import SECTIONS, names_of
from cvcore.toml import KeyPath, key_lines, literal, parse_value, split_key

EXAMPLE = f"cvjobs recipes {DEFAULT_RECIPE}   (a complete example)"
DOMAIN_KINDS = ("choice", "integer", "uniform", "log")
_NUMBERS = re.compile(r"[0-9]{1,6}(,[0-9]{1,6})*")
_TYPE_NAMES = {int: "a whole number", float: "a number", str: "UTF-8 text", bool: "true or false"}


@dataclass(slots=True, kw_only=True)
class Draft:
    """Values by section and key, the place of each, and the problems found so far."""

    source: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def place(self, path: KeyPath) -> str:
        """Name where a key was said, or the nearest thing around it that has a place."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.source

    def problem(self, path: KeyPath, text: str) -> None:
        """Note what is wrong with the value at `path`."""
        place = self.place(path)
        dotted = ".".join(path)
        says_it_all = place.startswith("--") and place.endswith(dotted)
        self.problems.append(f"{place}: {text}" if says_it_all else f"{place}: {dotted}: {text}")

    def put(self, path: KeyPath, value: Any, *, place: str) -> None:
        """Set one value from outside the file; it wins over what the file says."""
        table = self.values
        for part in path[:-1]:
            inner = table.get(part)
            table[part] = dict(inner) if isinstance(inner, Mapping) else {}
            table = table[part]
        table[path[-1]] = value
        self.places = {known: at for known, at in self.places.items() if not _within(known, path)}
        self.places[path] = place
        for length in range(1, len(path)):
            if length > 1 or path[:1] not in self.places:  # a section keeps its line
                self.places[path[:length]] = place

    def drop(self, path: KeyPath) -> None:
        """Forget one value, if it was said at all."""
        table: Any = self.values
        for part in path[:-1]:
            table = table.get(part)
            if not isinstance(table, dict):
                return
        table.pop(path[-1], None)

    def raise_problems(self) -> None:
        """Raise `ConfigError` with every problem, if there is any."""
        if self.problems:
            raise ConfigError(self.problems, source=self.source, hint=EXAMPLE)


def read_draft(source: str | Path | None) -> tuple[Draft, str | None]:
    """Read a TOML file or a recipe (None: the default one); returns it and the recipe's name."""
    name = DEFAULT_RECIPE if source is None else str(source)
    recipe = recipe_path(name)
    path = recipe or Path(name)
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise ConfigError([f"expected UTF-8 text: {error}"], source=name, hint=EXAMPLE) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"not valid TOML: {error}"], source=name, hint=EXAMPLE) from None
    except OSError as error:
        raise _unreadable(name, error) from None
    places = {key: f"line {number}" for key, number in key_lines(text).items()}
    draft = Draft(source=name, values=values, places=places)
    _spread_fine_tune(draft)
    return draft, name if recipe else None


def _spread_fine_tune(draft: Draft) -> None:
    """Read `training.fine_tune = {at = ...}` as `training.fine_tune_at = ...`."""
    training = draft.values.get("training")
    table = training.get("fine_tune") if isinstance(training, Mapping) else None
    if not isinstance(table, Mapping):
        return
    prefix, declared = "fine_tune_", names_of(SECTIONS["training"])
    known = [name.removeprefix(prefix) for name in declared if name.startswith(prefix)]
    for key, value in table.items():
        path = ("training", "fine_tune", key)
        if key in known:
            draft.put(("training", f"{prefix}{key}"), value, place=draft.place(path))
        else:
            text = f"unknown key; expected {', '.join(known)}{did_you_mean(key, known)}"
            draft.problem(path, text)
    draft.drop(("training", "fine_tune"))


def _unreadable(name: str, error: OSError) -> UsageError:
    nearby = [str(path) for path in Path().glob("*.toml")]
    suggestion = did_you_mean(name, [*recipe_names(), *nearby])
    return UsageError(
        f"no spec {name!r}: expected a TOML file or a recipe "
        f"({', '.join(recipe_names())}); {error.strerror or error}{suggestion}",
        hint="cvjobs recipes",
    )


def apply_overrides(draft: Draft, overrides: Sequence[str]) -> None:
    """Apply every `key=value`; a setting that was searched becomes fixed, and the reverse."""
    for override in overrides:
        key, separator, text = override.partition("=")
        path = split_key(key)
        place = f"--set {key.strip()}"
        well_formed = separator and path and ".".join(path) == key.strip()
        if path[:2] == ("training", "fine_tune") and len(path) == 3:
            path = ("training", f"fine_tune_{path[2]}")
        if not well_formed:
            draft.problems.append(
                f"--set {override}: expected key=value, such as training.epochs=5"
            )
            continue
        value = text if _is_text_setting(path) else parse_value(text)
        if path[0] in ("model", "training") and len(path) == 2:
            draft.drop(("space", path[1]))
        if path[0] == "space" and len(path) > 1:
            _make_room_in_space(draft, path)
        draft.put(path, value, place=place)
        _spread_fine_tune(draft)


def _make_room_in_space(draft: Draft, path: KeyPath) -> None:
    draft.drop(("model", path[1]))
    draft.drop(("training", path[1]))
    if len(path) == 3 and path[2] in DOMAIN_KINDS:  # the new domain replaces the old one
        for other in (*DOMAIN_KINDS, "step", "steps"):
            draft.drop((*path[:2], other))


def _is_text_setting(path: KeyPath) -> bool:
    """Tell whether a bare word or number after `=` is meant as text."""
    if path in (("name",), ("recipe",)):
        return True
    if len(path) != 2 or path[0] not in SECTIONS:
        return False
    declared = {one.name: one.metadata for one in fields(SECTIONS[path[0]])}
    limits = declared.get(path[1], {"kind": None})
    return limits["kind"] is str and not limits["numbers"]


def legal(declaration: Field[Any], value: Any) -> Any:
    """Return the value as its setting keeps it; raises `ValueError` saying what was expected."""
    limits = declaration.metadata
    if limits["kind"] is float and type(value) is int:
        value = float(value)
    if limits["numbers"]:
        value = _as_text(value, several=limits["maximum"] is not None)
    suggestion = ""
    if type(value) is not limits["kind"]:
        is_legal = False
    elif isinstance(value, str) and limits["choices"]:
        is_legal = value in limits["choices"]
        suggestion = "" if is_legal else did_you_mean(value, limits["choices"])
    elif isinstance(value, str) and limits["numbers"] and limits["maximum"] is not None:
        is_legal = _NUMBERS.fullmatch(value) is not None and all(
            _within_limits(limits, int(number)) for number in value.split(",")
        )
    elif isinstance(value, str):
        is_legal = _encodable(value)
    else:
        is_legal = _within_limits(limits, value)
    if not is_legal:
        raise ValueError(f"expected {_expected(limits)}, received {literal(value)}{suggestion}")
    return value


def _as_text(value: Any, *, several: bool) -> Any:
    """Write a number, or a list of `several`, as the text that stands for it."""
    if type(value) is int and value >= 0:
        return str(value)
    listed = value if several and isinstance(value, list) else []
    if listed and all(type(one) is int for one in listed):
        return ",".join(str(one) for one in listed)
    return value.replace(" ", "") if isinstance(value, str) else value


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the closest known word, as the end of a sentence."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def _within_limits(limits: Mapping[str, Any], value: float) -> bool:
    low, high = limits["minimum"], limits["maximum"]
    if not math.isfinite(value):
        return False
    return (low is None or value >= low) and (high is None or value <= high)


def _expected(limits: Mapping[str, Any]) -> str:
    if limits["choices"]:
        return "one of " + ", ".join(literal(choice) for choice in limits["choices"])
    text = _TYPE_NAMES[limits["kind"]]
    low, high = limits["minimum"], limits["maximum"]
    if limits["numbers"] and high is not None:
        return f"whole numbers from {low} to {high}, one a block, such as [8, 16, 16]"
    if limits["numbers"]:
        return "a name or a whole number of at least 0"
    if low is not None and high is not None:
        return f"{text} from {low} to {high}"
    if low is not None:
        return f"{text} of at least {low}"
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _within(path: KeyPath, outer: KeyPath) -> bool:
    return path[: len(outer)] == outer
