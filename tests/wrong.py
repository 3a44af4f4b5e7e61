"""Wrong inputs for the tests of commands: how they are typed, and what their answer is held to."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from jobs.cli import main

SWEEP_ID = "20250102-030405-abcdef"
INLINE = "--engine inline --store store"


def answered(
    typed: str, code: int, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Check both forms of an answer, for a person and for a program; return the latter."""
    assert main(shlex.split(typed)) == code
    printed = capsys.readouterr()
    for words in expected:
        assert words in printed.err, printed.err
    assert "Traceback" not in printed.err
    assert "\nnext: " in printed.err
    assert printed.out == ""

    assert main([*shlex.split(typed), "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(document) == ["error"]
    assert document["error"]["exit_code"] == code
    assert document["error"]["message"] in printed.err or "sweeps/" in printed.err
    return document
