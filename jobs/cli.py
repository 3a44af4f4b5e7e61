"""The `cvjobs` program: its commands, and the one boundary where errors become exit codes.

Command files import nothing heavy at module level, so that help starts at once.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from cvcore import __version__
from cvcore.errors import CvjobsError
from jobs.adapters.console import Console
from jobs.wiring import resolve

COMMANDS = {
    "sweep": "jobs.sweep:sweep",
    "train": "jobs.train:train",
    "evaluate": "jobs.evaluate:evaluate",
    "predict": "jobs.predict:predict",
    "recipes": "jobs.recipes:recipes",
    "doctor": "jobs.doctor:doctor",
}
GROUPS = {
    "data": "jobs.data:app",
    "results": "jobs.results:app",
    "explain": "jobs.explain:app",
}
# Commands of a group that are large enough for a file of their own.
MEMBERS = {
    "explain": {
        "features": "jobs.explain_features:features",
        "augment": "jobs.explain_augment:augment",
    },
}
INTERRUPTED = 130

app = typer.Typer(
    name="cvjobs",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _path in COMMANDS.items():
    app.command(_name)(resolve(_path))
for _name, _path in GROUPS.items():
    _group = resolve(_path)
    for _member, _member_path in MEMBERS.get(_name, {}).items():
        _group.command(_member)(resolve(_member_path))
    app.add_typer(_group, name=_name)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cvjobs {__version__}")
        raise typer.Exit


@app.callback()
def cvjobs(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """From labelled images to the best classifier, and an open table of all that was tried."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; every error ends here as a sentence."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    if not typed or typed in [[group] for group in GROUPS]:
        typed.append("--help")
    try:
        code = app(args=typed, prog_name="cvjobs", standalone_mode=False)
        if code == INTERRUPTED:  # what Typer makes of a KeyboardInterrupt
            raise KeyboardInterrupt
    except CvjobsError as error:
        return _report(error, error.message, hint=error.hint, code=error.exit_code, typed=typed)
    except typer.TyperException as error:
        message, hint = error.format_message(), f"{_command(typed)} --help"
        return _report(error, message, hint=hint, code=error.exit_code, typed=typed)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _report(error, "interrupted", hint=None, code=INTERRUPTED, typed=typed)
    except Exception as error:
        message = f"unexpected {type(error).__name__}: {error}"
        hint = f"CVJOBS_DEBUG=1 {shlex.join(['cvjobs', *typed])}   (shows where it happened)"
        return _report(error, message, hint=hint, code=1, typed=typed)
    return code if isinstance(code, int) else 0


def _command(typed: Sequence[str]) -> str:
    """Name the command that was typed, as far as there is one."""
    words = ["cvjobs", *(word for word in typed[:1] if word in {**COMMANDS, **GROUPS})]
    return " ".join(words)


def _report(
    error: BaseException, message: str, *, hint: str | None, code: int, typed: Sequence[str]
) -> int:
    """Print an error as `cvjobs: sentence` and `next: command`; in JSON mode a document too."""
    console = Console("json" if _wants_json(typed) else "human")
    if os.environ.get("CVJOBS_DEBUG"):
        console.note("".join(traceback.format_exception(error)))
    console.note(f"cvjobs: {message}")
    if hint:
        console.note(f"next: {hint}")
    described = {
        "type": type(error).__name__, "message": message, "hint": hint, "exit_code": code,
    }  # fmt: skip
    console.result({"error": described}, lambda: None)
    return code


def _wants_json(typed: Sequence[str]) -> bool:
    """Tell whether JSON was asked for, even where the command line itself is what is wrong."""
    asked = os.environ.get("CVJOBS_JSON", "").lower() not in ("", "0", "false", "no", "off")
    return asked or "--json" in typed


if __name__ == "__main__":
    sys.exit(main())
