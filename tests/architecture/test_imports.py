"""Imports go one way, and what is slow to import is imported late.

What the program itself loads when it starts is tested in tests/jobs/test_cli.py.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"tensorflow", "keras", "ray", "boto3", "botocore", "numpy", "pyarrow", "duckdb", "optuna"}
# What a file directly in cvcore may import at module level beside the standard library.
EXTRA_IMPORTS = {
    f"{name}.py": {"pyarrow"} for name in ("tables", "scans", "trial_rows", "results", "lake")
} | {"predictions.py": {"numpy", "pyarrow"}}


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter holds after `statement`."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


@pytest.mark.timeout(60)
def test_the_import_contracts_hold() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(30)
def test_every_file_of_cvcore_starts_without_anything_heavy() -> None:
    light = [path.stem for path in (ROOT / "cvcore").glob("*.py") if path.name not in EXTRA_IMPORTS]

    loaded = loaded_by("import " + ", ".join(f"cvcore.{name}" for name in sorted(light)))

    assert not loaded & HEAVY


def test_files_of_cvcore_import_only_the_standard_library_at_module_level() -> None:
    for path in (ROOT / "cvcore").glob("*.py"):
        foreign = module_level_imports(path) - sys.stdlib_module_names - {"cvcore"}
        assert foreign <= EXTRA_IMPORTS.get(path.name, set()), path.name


def module_level_imports(path: Path) -> set[str]:
    """Return the top-level packages imported outside functions and `if TYPE_CHECKING`."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return found
