"""The program as a whole: a light start, and one boundary from errors to exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cvcore import __version__, errors
from jobs import cli
from jobs.cli import COMMANDS, GROUPS, group, main

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("boto3", "duckdb", "keras", "keras_tuner", "numpy", "optuna", "PIL", "pyarrow", "ray"),
    *("matplotlib", "rich", "tensorflow"),
}


def in_a_fresh_interpreter(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        (["--help"], {*HEAVY, "pydantic"}),
        (["--version"], {*HEAVY, "pydantic"}),
        (["sweep", "--help"], HEAVY),  # Typer reads arguments with pydantic
        (["sweep", "missing.toml"], HEAVY),
    ],
    ids=["help", "version", "help of a command", "a refused command"],
)
def test_the_start_loads_nothing_heavy(arguments: list[str], heavy: set[str]) -> None:
    code = (
        f"import sys; from jobs.cli import main; main({arguments!r}); "
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = in_a_fresh_interpreter(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "loaded: []"


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cvjobs {__version__}\n"


def every_command() -> list[list[str]]:
    inner = [
        [name, command.name or command.callback.__name__]
        for name in GROUPS
        for command in group(name).registered_commands
    ]
    return [[], *([name] for name in (*COMMANDS, *GROUPS)), *inner]


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_every_command_explains_itself(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--help"]) == 0
    printed = capsys.readouterr().out
    usage, _, rest = printed.partition("\n\n")
    assert usage.startswith(f"Usage: {' '.join(['cvjobs', *command])}")
    assert rest.strip()


@pytest.mark.parametrize("command", [one for one in every_command() if one], ids=" ".join)
def test_every_command_can_be_read_by_a_program(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    if command[0] in GROUPS and len(command) == 1:
        return
    main([*command, "--help"])
    printed = capsys.readouterr().out
    assert "--json" in printed
    assert "--quiet" in printed


@pytest.mark.parametrize("name", [*COMMANDS, *GROUPS])
def test_help_says_of_a_command_what_it_says_of_itself(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, summary = {**COMMANDS, **GROUPS}[name]
    assert main([name, "--help"]) == 0
    assert f"\n\n  {summary}\n\n" in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert f"  {name:10}{summary}\n" in capsys.readouterr().out


def test_help_opens_no_command() -> None:
    files = sorted(f"jobs.{name}" for name in (*COMMANDS, *GROUPS))
    done = in_a_fresh_interpreter(
        "import sys; from jobs.cli import main; main(['--help']); "
        f"sys.exit(str(set({files}) & set(sys.modules)))"
    )
    assert done.stderr.strip() == "set()"


@pytest.mark.parametrize("typed", [[], ["data"], ["explain"], ["results"]], ids=str)
def test_a_command_that_is_cut_off_shows_what_could_follow(
    typed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 0
    printed = capsys.readouterr()
    assert "Commands:" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("typed", "sentence", "following"),
    [
        (["swep"], "Did you mean 'sweep'?", "next: cvjobs --help"),
        (["sweep", "--trails", "3"], "--trials", "next: cvjobs sweep --help"),
        (["sweep", "--trials", "many"], "'many'", "next: cvjobs sweep --help"),
        (["sweep", "--engine", "spark"], "'spark'", "next: cvjobs sweep --help"),
        (["train"], "Missing argument 'SPEC'", "next: cvjobs train --help"),
        (["recipes", "a", "b"], "(b)", "next: cvjobs recipes --help"),
    ],
)
def test_what_was_typed_wrongly_exits_2_with_a_suggestion(
    typed: list[str], sentence: str, following: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert sentence in printed.err
    assert printed.err.splitlines()[-1] == following


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command line fail as a command would: from inside the running program."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app_for", lambda typed: fail)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError("no", hint="cvjobs x"), 2),
        (errors.ConfigError(["a", "b"], hint="cvjobs x"), 2),
        (errors.DataError("no", hint="cvjobs x"), 3),
        (errors.NoTrialCompleted("no", hint="cvjobs x"), 4),
        (errors.StoreError("no", hint="cvjobs x"), 5),
        (errors.KeyNotFound("no", hint="cvjobs x"), 5),
        (errors.LeaseHeld("no", hint="cvjobs x"), 6),
        (errors.Interrupted("no", hint="cvjobs x"), 130),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_becomes_a_sentence_a_next_step_and_its_exit_code(
    error: errors.CvjobsError,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing_with(error, monkeypatch)
    assert main(["sweep"]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"cvjobs: {error.message}\nnext: cvjobs x\n"

    assert main(["sweep", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {
        "error": {
            "type": type(error).__name__,
            "message": error.message,
            "hint": "cvjobs x",
            "exit_code": code,
        }
    }


def test_an_unexpected_error_hides_its_traceback_and_says_how_to_see_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_with(ZeroDivisionError("by zero"), monkeypatch)
    assert main(["sweep", "--name", "a b"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("cvjobs: unexpected ZeroDivisionError: by zero\n")
    assert "CVJOBS_DEBUG=1 cvjobs sweep --name 'a b'" in printed
    assert "Traceback" not in printed

    monkeypatch.setenv("CVJOBS_DEBUG", "1")
    assert main(["sweep"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_json_is_also_asked_for_by_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CVJOBS_JSON", "1")
    assert main(["recipes", "nonsense"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "UsageError"
    monkeypatch.setenv("CVJOBS_JSON", "0")
    assert main(["recipes", "nonsense"]) == 2
    assert capsys.readouterr().out == ""


def test_a_keyboard_interrupt_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing_with(KeyboardInterrupt(), monkeypatch)
    assert main(["sweep", "--json"]) == 130
    printed = capsys.readouterr()
    assert json.loads(printed.out)["error"]["exit_code"] == 130
    assert printed.err == "cvjobs: interrupted\n"


def test_an_interrupt_inside_a_running_command_exits_130() -> None:
    code = (
        "import sys, jobs.recipes as r\n"
        "def stop(*given): raise KeyboardInterrupt\n"
        "r._describe = stop\n"
        "from jobs.cli import main\n"
        "sys.exit(main(['recipes']))"
    )
    done = in_a_fresh_interpreter(code)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "cvjobs: interrupted\n")
