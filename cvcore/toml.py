"""TOML as text: the line each key stands on, which the standard parser does not tell, and literals.

Knows nothing about specs.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

KeyPath = tuple[str, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_DOTTED = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]")
_ASSIGNMENT = re.compile(rf"\s*({_DOTTED})\s*=")
_FENCE = re.compile(r"'{3}|\"{3}")


def key_lines(text: str) -> dict[KeyPath, int]:
    """Map every table and key that starts a line to its line number, from 1."""
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    inside_string = False
    for number, line in enumerate(text.splitlines(), start=1):
        if not inside_string:
            if header := _HEADER.match(line):
                table = split_key(header[1])
                found.setdefault(table, number)
            elif assignment := _ASSIGNMENT.match(line):
                found.setdefault(table + split_key(assignment[1]), number)
        if len(_FENCE.findall(line)) % 2:
            inside_string = not inside_string
    return found


def split_key(dotted: str) -> KeyPath:
    """Split `a."b.c"` into its parts."""
    return tuple(part.strip("\"'") for part in re.findall(_PART, dotted))


def parse_value(text: str) -> Any:
    """Read a value as typed after `--set key=`: TOML, and otherwise the text itself."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    value = parsed.get("value")
    plain = set(parsed) == {"value"} and isinstance(value, bool | int | float | str | list | dict)
    return value if plain else text


def literal(value: Any) -> str:
    """Write a value on one line so that reading it back gives it again."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{key} = {literal(item)}" for key, item in value.items())
        return f"{{{pairs}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(literal(item) for item in value)}]"
    return str(value)
