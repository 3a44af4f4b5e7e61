"""What `make check` checks of the sources, also for those who only run the tests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATTERNS = {
    "a path of one machine": re.compile(r"(?<![\w.-])/(work|root|farm|home/\w+|Users/\w+)/"),
    "the host of a package registry": re.compile(
        r"\b(files\.pythonhosted|test\.pypi|pypi|registry\.npmjs|deb\.debian)\.org\b"
    ),
    "a line that installs from elsewhere": re.compile(
        r"^\s*(--(extra-)?index-url|--find-links|-i|-f)\s", re.MULTILINE
    ),
}
TEXT = {".py", ".toml", ".md", ".lock", ".yaml", ".yml", ".sh", ".txt", ".cfg", ".ini", ""}


def tracked_files() -> list[Path]:
    """Return the files of the repository, new ones included, ignored ones not."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listing.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\0") if name]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("arguments", [["format", "--check"], ["check"]], ids=" ".join)
def test_ruff_has_nothing_to_say(arguments: list[str]) -> None:
    ruff = Path(sys.executable).with_name("ruff")
    done = subprocess.run([ruff, *arguments, "."], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_strict_types_hold() -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr


@pytest.mark.timeout(30)
@pytest.mark.parametrize("what", PATTERNS)
def test_no_file_names(what: str) -> None:
    for path in tracked_files():
        if path.suffix in TEXT and path.is_file() and path != Path(__file__):
            found = PATTERNS[what].search(path.read_text(errors="replace"))
            assert not found, f"{path.relative_to(ROOT)} holds {what}: {found and found[0]!r}"
