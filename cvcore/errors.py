"""What can go wrong, as types: the command line turns each into a sentence and an exit code.

A message says what was expected and what was received; a hint names the next command.
"""

from __future__ import annotations


class CvjobsError(Exception):
    """Report a failure the user can act on.

    `exit_code` is the process exit code promised in the command-line contract.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CvjobsError):
    """Refuse a command that cannot be carried out as it was typed."""

    exit_code = 2


class ConfigError(UsageError):
    """Refuse a spec: `problems` lists every one of them, each with its place."""

    def __init__(
        self, problems: list[str], *, source: str = "spec", hint: str | None = None
    ) -> None:
        self.problems = problems
        count = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
        listing = "\n".join(f"  {problem}" for problem in problems)
        super().__init__(f"{source}: {count}\n{listing}", hint=hint)


class DataError(CvjobsError):
    """No usable data: nothing was trained."""

    exit_code = 3


class NoTrialCompleted(CvjobsError):
    """Every trial of a sweep failed."""

    exit_code = 4


class StoreError(CvjobsError):
    """The store cannot be read or written."""

    exit_code = 5


class KeyNotFound(StoreError):
    """The store holds nothing under this key."""


class PreconditionFailed(StoreError):
    """A conditional write lost: the key exists already, or changed since it was read."""


class LeaseHeld(CvjobsError):
    """Another run works on the same thing."""

    exit_code = 6


class Interrupted(CvjobsError):
    """The user stopped the run; its state is saved."""

    exit_code = 130


class TrialFailed(Exception):
    """One trial cannot go on; the sweep does. Its row keeps `kind` and the message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
