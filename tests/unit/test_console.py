"""The one place that prints: what goes to which stream in which mode, and nothing dangerous."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import pty
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.adapters.console import Console, Mode, broken_heading, json_text, num_columns, table_width


def say_everything(console: Console) -> None:
    console.note("a note")
    console.warn("a warning")
    console.result({"answer": 42}, lambda: console.table("Title", ["name", "value"], [("x", 42)]))
    console.text("some text")
    console.hint("a command")


@pytest.mark.parametrize(
    ("mode", "on_stderr"),
    [
        ("human", ["a note", "warning: a warning", "next: a command"]),
        ("json", ["a note", "warning: a warning"]),
        ("quiet", ["warning: a warning"]),
    ],
)
def test_data_goes_to_stdout_and_everything_else_to_stderr(
    mode: Mode, on_stderr: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    say_everything(Console(mode))
    printed = capsys.readouterr()
    assert printed.err.splitlines() == on_stderr
    if mode == "json":
        assert json.loads(printed.out) == {"answer": 42}
    else:
        words = printed.out.split()
        assert words[0] == "Title"
        assert words[-2:] == ["some", "text"]
        assert {"name", "value", "x", "42"} <= set(words)


@pytest.mark.parametrize(
    ("json_flag", "quiet", "mode"),
    [(False, False, "human"), (False, True, "quiet"), (True, False, "json"), (True, True, "json")],
)
def test_json_wins_over_quiet(json_flag: bool, quiet: bool, mode: Mode) -> None:
    assert Console.choose(json=json_flag, quiet=quiet).mode == mode


@dataclass
class Thing:
    path: Path
    values: tuple[float, ...]


def test_json_is_strict_and_knows_what_results_are_made_of() -> None:
    document = {
        "not a number": math.nan,
        "infinite": [math.inf, -math.inf],
        "time": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "day": date(2026, 1, 2),
        "thing": Thing(path=Path("a/b"), values=(0.5,)),
        "scalar": np.float32(0.5),
        "missing": np.float64("nan"),
        "count": np.int64(3),
        "array": np.zeros((1, 2)),
        "keys": {1: True},
        "none": None,
    }
    assert json.loads(json_text(document), parse_constant=pytest.fail) == {
        "not a number": None,
        "infinite": [None, None],
        "time": "2026-01-02T03:04:05+00:00",
        "day": "2026-01-02",
        "thing": {"path": "a/b", "values": [0.5]},
        "scalar": 0.5,
        "missing": None,
        "count": 3,
        "array": [[0.0, 0.0]],
        "keys": {"1": True},
        "none": None,
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


@given(st.dictionaries(st.text(), json_values))
def test_what_json_can_say_comes_back_equal(document: dict[str, Any]) -> None:
    written = json_text(document)
    assert json.loads(written) == document
    assert written.isascii()


def test_a_file_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    evil = "a\x1b[31m\x07.jpg\r"
    console.note(evil)
    console.text(evil)
    console.table("t", ["path"], [(evil,)])
    printed = capsys.readouterr()
    assert not set("\x1b\x07\r") & set(printed.out + printed.err)
    assert printed.out.count("\\x1b[31m\\x07.jpg\\r") == 2


def test_markup_in_data_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table("[bold]t[/bold]", ["[red]path"], [("[link]x[/link]",)])
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("[bold]t[/bold]", "[red]path", "[link]x[/link]"))


def test_an_encoding_too_small_for_a_name_loses_no_output(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    Console().text("café \udcff")
    Console().table("", ["café"], [("naïve \udcff",)])
    stream.flush()
    written = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert b"caf\\xe9 \\udcff" in written
    assert b"na" in written


def test_a_table_in_a_pipe_keeps_every_column_whole(capsys: pytest.CaptureFixture[str]) -> None:
    row = ["x" * 40 for _ in range(10)]
    Console().table("wide", [f"column_{index}" for index in range(10)], [row])
    assert "  ".join(row) in capsys.readouterr().out


def test_missing_values_and_numbers_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    Console().table("t", ["none", "number"], [(None, 0.123456789)])
    assert capsys.readouterr().out.split()[-2:] == ["-", "0.1235"]


def test_columns_that_do_not_fit_are_counted_out_from_the_last() -> None:
    columns, rows = ["rank", broken_heading("learning_rate"), "head"], [[1, 0.001, "flatten"]]
    assert columns[1] == "learning_\nrate"
    width = table_width(columns, rows)
    assert width == sum(map(len, ("rank", "learning_", "flatten"))) + 3 * 2
    assert num_columns(columns, rows, at_least=1, width=width) == 3
    assert num_columns(columns, rows, at_least=1, width=width - 1) == 2
    assert num_columns(columns, rows, at_least=2, width=1) == 2


def test_a_column_of_numbers_and_words_stands_to_the_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Console().table("t", ["value"], [(1,), ("a long word",)])
    assert "\n 1 " in capsys.readouterr().out


def everything_written_to(leader: int) -> str:
    """Read a pseudo-terminal to its end: one read may return the first of several writes only."""
    chunks = []
    with contextlib.suppress(OSError):  # EIO, once the other end is closed and all is read
        while chunk := os.read(leader, 100_000):
            chunks.append(chunk)
    os.close(leader)
    return b"".join(chunks).decode()


def test_rows_too_wide_for_a_terminal_are_shown_value_by_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
        patch.setenv("COLUMNS", "60")
        patch.setattr(sys, "stdout", terminal)
        Console().records("1 rows", ["a", "b"], [("x" * 40, "y" * 40)])
        Console().records("narrow", ["c", "d"], [("p", "q")])
    printed = everything_written_to(leader)
    assert "1 rows: row 1" in printed
    assert "x" * 40 in printed
    assert "y" * 40 in printed
    assert "narrow\r\n" in printed


def printed_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> str:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as terminal, monkeypatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        patch.setattr(sys, "stderr", terminal)
        with Console().live_table() as update:
            update("Progress", ["trial"], [("first",)])
    printed = everything_written_to(leader)
    return printed


def test_a_live_table_moves_only_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = printed_on_a_terminal(monkeypatch)
    assert "Progress" in printed
    assert "first" in printed
    with Console().live_table() as update:
        update("Progress", ["trial"], [("first",)])
    assert capsys.readouterr() == ("", "")
