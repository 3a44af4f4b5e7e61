"""Names in literal tables are invisible to linters: every one of them must resolve."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [path for package in ("cvcore", "jobs") for path in (ROOT / package).rglob("*.py")]
DOTTED = re.compile(r"(?:cvcore|jobs)(?:\.\w+)+(?::\w+)?")


def dotted_paths() -> Iterator[str]:
    """Yield each `module` and `module:attribute` that a literal dictionary has for a value.

    Alone or within a tuple.
    """
    for path in SOURCES:
        tables = [one for one in ast.walk(ast.parse(path.read_text())) if isinstance(one, ast.Dict)]
        values = [value for table in tables for value in table.values]
        for found in values:
            for value in found.elts if isinstance(found, ast.Tuple) else [found]:
                if isinstance(value, ast.Constant) and DOTTED.fullmatch(str(value.value)):
                    yield str(value.value)


PATHS = sorted(set(dotted_paths()))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("path", PATHS)
def test_a_dotted_path_resolves(path: str) -> None:
    module, _, attribute = path.partition(":")
    file = ROOT / module.replace(".", "/")
    assert file.with_suffix(".py").is_file() or (file / "__init__.py").is_file()
    if attribute:
        assert callable(getattr(importlib.import_module(module), attribute))


def test_the_tables_were_found() -> None:
    assert {"cvcore.store:LocalStore", "jobs.sweep:sweep", "cvcore.models.cnn"} <= set(PATHS)
