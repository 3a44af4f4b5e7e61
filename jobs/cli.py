"""The `cvjobs` program: its commands, and the one boundary where errors become exit codes.

Command files import nothing heavy at module level, so that help starts at once.
"""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from functools import cache
from typing import Annotated

import typer

from cvcore import __version__
from cvcore.errors import CvjobsError
from jobs.adapters.console import Console
from jobs.wiring import resolve

# What the program can do: where it is, and what help says of it. Only what is typed is imported:
# with all of it, help takes twice the time of an empty program.
COMMANDS = {
    "sweep": (
        "jobs.sweep:sweep",
        "Search for the best classifier; no SPEC: on generated castings.",
    ),
    "train": ("jobs.train:train", "Train one configuration: the fixed settings of SPEC."),
    "evaluate": (
        "jobs.evaluate:evaluate",
        "Measure a model on labelled images, class by class.",
    ),
    "predict": ("jobs.predict:predict", "Predict images, in class folders or not."),
    "recipes": ("jobs.recipes:recipes", "List the built-in specs, or print one."),
    "doctor": ("jobs.doctor:doctor", "Check versions, devices, the store and a Ray cluster."),
}
GROUPS = {
    "data": ("jobs.data:app", "Look at images before training on them."),
    "results": ("jobs.results:app", "Ask what was tried and how it went."),
    "explain": ("jobs.explain:app", "Draw what a model or a setting does."),
}
# Commands of a group that are large enough for a file of their own.
MEMBERS = {
    "explain": {
        "features": "jobs.explain_features:features",
        "augment": "jobs.explain_augment:augment",
    },
}
INTERRUPTED = 130


def app_for(typed: Sequence[str]) -> typer.Typer:
    """Build the program for one command line; what that does not name is there for help only."""
    app = typer.Typer(
        name="cvjobs",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(cvjobs)
    for name, (path, summary) in COMMANDS.items():
        opened = resolve(path) if name in typed else lambda: None
        app.command(name, help=None if name in typed else summary)(opened)
    for name, (_, summary) in GROUPS.items():
        app.add_typer(group(name) if name in typed else typer.Typer(help=summary), name=name)
    return app


@cache
def group(name: str) -> typer.Typer:
    """Import a group of commands, with those in files of their own."""
    path, _ = GROUPS[name]
    found: typer.Typer = resolve(path)
    for member, member_path in MEMBERS.get(name, {}).items():
        found.command(member)(resolve(member_path))
    return found


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cvjobs {__version__}")
        raise typer.Exit


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
        code = app_for(typed)(args=typed, prog_name="cvjobs", standalone_mode=False)
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
