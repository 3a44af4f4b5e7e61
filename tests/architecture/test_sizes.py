"""Files and functions that fit into a head, and names that say something."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("cvcore", "jobs")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}

# path or path:function -> (lines allowed, why splitting it would make it worse)
LARGER: dict[str, tuple[int, str]] = {}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and the number of lines of every function in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def limit(key: str, default: int) -> int:
    return LARGER.get(key, (default, ""))[0]


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_and_its_functions_stay_small(path: Path) -> None:
    num_lines = len(path.read_text().splitlines())
    assert num_lines <= limit(name_of(path), MAX_FILE_LINES)
    for name, length in functions(path):
        assert length <= limit(f"{name_of(path)}:{name}", MAX_FUNCTION_LINES), name


def test_every_exception_from_the_sizes_is_needed() -> None:
    found = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    for path in SOURCES:
        found |= {f"{name_of(path)}:{name}": length for name, length in functions(path)}
    for key in LARGER:
        smallest = MAX_FUNCTION_LINES if ":" in key else MAX_FILE_LINES
        assert found[key] > smallest, f"{key} fits by now: take it off the list"


def test_a_folder_holds_more_than_one_module() -> None:
    for folder in {path.parent for path in SOURCES}:
        assert len(list(folder.glob("*.py"))) > 1, f"{name_of(folder)} should be a file"


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_has_a_name_that_says_something(path: Path) -> None:
    assert not VAGUE_NAMES & set(path.stem.split("_"))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_says_why_it_exists(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text()))
