"""The docs are true: links lead somewhere, commands exist, the cheap ones are run."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
from typer.main import get_command

ROOT = Path(__file__).parents[1]
CVJOBS = Path(sys.executable).with_name("cvjobs")
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "infra/**/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = {"", "sh", "bash", "console"}
# Commands that need nothing but themselves and end within seconds.
CHEAP = {("--version",), ("--help",), ("recipes",)}


class Shown(NamedTuple):
    """One `cvjobs ...` command line as a page shows it."""

    page: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: cvjobs {shlex.join(self.arguments)}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def shown_commands() -> Iterator[Shown]:
    for page in PAGES:
        blocks = [text for language, text in FENCE.findall(page.read_text()) if language in SHELLS]
        for block in blocks:
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
                    words = words[1:]
                if words and words[0].removeprefix(".venv/bin/") == "cvjobs":
                    yield Shown(name_of(page), tuple(words[1:]))


COMMANDS = list(dict.fromkeys(shown_commands()))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in LINK.findall(text):
        if not re.match(r"[a-z]+:|#", target):
            path = (page.parent / target.partition("#")[0]).resolve()
            assert path.exists(), f"{name_of(page)} links to {target}"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("shown", COMMANDS, ids=str)
def test_a_shown_command_is_one_that_the_program_takes(shown: Shown) -> None:
    from jobs.cli import app_for

    with suppress(typer.Exit):  # --help and --version end while they are parsed
        parse(get_command(app_for(shown.arguments)), "cvjobs", list(shown.arguments), parent=None)


def parse(command: Any, name: str, arguments: list[str], *, parent: Any) -> None:
    """Parse down to the last subcommand; raise where a command or an option does not exist."""
    context = command.make_context(name, arguments, parent=parent)
    rest = [*context._protected_args, *context.args]
    if hasattr(command, "resolve_command") and rest:
        name, found, rest = command.resolve_command(context, rest)
        parse(found, name, rest, parent=context)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("shown", [one for one in COMMANDS if one.arguments in CHEAP], ids=str)
def test_a_cheap_command_that_is_shown_ends_well(shown: Shown, tmp_path: Path) -> None:
    done = subprocess.run(
        [CVJOBS, *shown.arguments], cwd=tmp_path, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_architecture_page_shows_the_layers_that_are_enforced() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = [
        layer
        for contract in tools["importlinter"]["contracts"]
        if contract.get("containers")
        for layer in contract["layers"]
    ]
    diagram = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]

    for layer in layers:
        row = layer.replace("|", r"\|").replace(" ", " ?")
        assert re.search(rf"^(jobs|cvcore)\.{row}\b", diagram, re.MULTILINE), layer


def test_the_readme_shows_the_two_commands_and_a_sweep() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make sweep" in readme
    assert "make test" in readme
    assert any(shown.arguments[:1] == ("sweep",) for shown in COMMANDS)
