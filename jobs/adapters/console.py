"""The one place that prints: data to stdout, everything else to stderr.

Commands say what they have to show; the mode decides whether a person, a program or nobody reads
along. Rich is imported on use, so that `cvjobs --help` starts without it.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console as Terminal
    from rich.table import Table

Mode = Literal["human", "json", "quiet"]
Cell = object
Rows = Iterable[Sequence[Cell]]

# Wide enough that a table in a pipe or a file keeps every column whole.
UNBOUNDED_WIDTH = 4096
# What a table that chooses its columns may take where there is no terminal to ask.
READABLE_WIDTH = 120
# Blanks between two columns, and around the first and the last.
COLUMN_GAP = 2


class Console:
    """Print for a person (`human`), for a program (`json`) or only the data asked for (`quiet`)."""

    def __init__(self, mode: Mode = "human") -> None:
        self.mode = mode

    @classmethod
    def choose(cls, *, json: bool, quiet: bool) -> Console:
        """Pick the mode from the two flags every command takes; `--json` wins."""
        if json:
            return cls("json")
        return cls("quiet" if quiet else "human")

    def note(self, text: str) -> None:
        """Tell how things go (stderr; not in quiet mode)."""
        if self.mode != "quiet":
            _print_line(sys.stderr, text)

    def warn(self, text: str) -> None:
        """Tell what deserves attention (stderr, in every mode)."""
        _print_line(sys.stderr, f"warning: {text}")

    def hint(self, command: str) -> None:
        """Name the next command (stderr; human mode only)."""
        if self.mode == "human":
            _print_line(sys.stderr, f"next: {command}")

    def text(self, text: str) -> None:
        """Print data that is text already (stdout; not in JSON mode)."""
        if self.mode != "json":
            _print_line(sys.stdout, text)

    @property
    def width(self) -> int:
        """How many characters a line of stdout should have at most."""
        return _terminal(sys.stdout).width if sys.stdout.isatty() else READABLE_WIDTH

    def table(self, title: str, columns: Sequence[str], rows: Rows) -> None:
        """Print data as a table, numbers to the right (stdout; not in JSON mode)."""
        if self.mode != "json":
            _print_line(sys.stdout, title)
            _terminal(sys.stdout).print(_table("", columns, rows, sys.stdout))

    def records(self, title: str, columns: Sequence[str], rows: Rows) -> None:
        """Print data as a table, or value by value on a terminal too narrow for its columns."""
        listed = [list(row) for row in rows]
        if not sys.stdout.isatty() or table_width(columns, listed) <= self.width:
            self.table(title, columns, listed)
            return
        for number, row in enumerate(listed, start=1):
            values = list(zip(columns, row, strict=True))
            self.table(f"{title}: row {number}", ["column", "value"], values)

    def result(self, document: Mapping[str, Any], show: Callable[[], None]) -> None:
        """End a command: print its one JSON document, or call `show` to print it for a person."""
        if self.mode == "json":
            print(json_text(document), flush=True)
        else:
            show()

    @contextmanager
    def live_table(
        self, *, at_least: int = 1
    ) -> Iterator[Callable[[str, Sequence[str], Rows], None]]:
        """Keep one table up to date on stderr; yields `update(title, columns, rows)`.

        On a narrow terminal columns after the first `at_least` are left out, from the last one.
        Where stderr is no terminal, or the mode is not human, the updates are dropped.
        """
        if self.mode != "human" or not sys.stderr.isatty():
            yield lambda title, columns, rows: None
            return
        from rich.live import Live

        with Live(console=_terminal(sys.stderr), refresh_per_second=4, transient=True) as live:
            width = live.console.width

            def update(title: str, columns: Sequence[str], rows: Rows) -> None:
                listed = [list(row) for row in rows]
                fitting = num_columns(columns, listed, at_least=at_least, width=width)
                shown = [row[:fitting] for row in listed]
                live.update(_table(title, columns[:fitting], shown, sys.stderr))

            yield update


def table_width(columns: Sequence[str], rows: Rows) -> int:
    """Count the characters across that a table needs to be printed without a fold."""
    cells = [[_cell(value) for value in row] for row in (columns, *rows)]
    widths = [
        max(len(line) for cell in column for line in cell.split("\n"))
        for column in zip(*cells, strict=True)
    ]
    return sum(width + COLUMN_GAP for width in widths)


def num_columns(columns: Sequence[str], rows: Rows, *, at_least: int, width: int) -> int:
    """Count the first columns that fit into `width` characters together."""
    listed = [list(row) for row in rows]
    fitting = len(columns)
    while fitting > at_least:
        if table_width(columns[:fitting], [row[:fitting] for row in listed]) <= width:
            break
        fitting -= 1
    return fitting


def broken_heading(name: str) -> str:
    """Break a name at its last underscore, so that its column is hardly wider than its values."""
    start, underscore, end = name.rpartition("_")
    return f"{start}{underscore}\n{end}" if underscore else name


def json_text(document: Mapping[str, Any]) -> str:
    """Write strict JSON: no NaN, dates in ISO 8601, ASCII only."""
    return json.dumps(_plain(document), allow_nan=False, indent=2)


def _plain(value: Any) -> Any:
    """Reduce a value to what JSON has; numbers that are none become null."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a NumPy or Arrow scalar
        return _plain(value.item())
    return float(value)


def _terminal(stream: TextIO) -> Terminal:
    from rich.console import Console as Terminal

    if stream.isatty():
        return Terminal(file=stream, highlight=False)
    return Terminal(file=stream, highlight=False, color_system=None, width=UNBOUNDED_WIDTH)


def _table(title: str, columns: Sequence[str], rows: Rows, stream: TextIO) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    table = Table(
        title=Text(_printable(title, stream)) if title else None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, COLUMN_GAP - 1, 0, 0),
    )
    for index, column in enumerate(columns):
        known = [row[index] for row in listed if row[index] is not None]
        numeric = bool(known) and all(_is_number(value) for value in known)
        table.add_column(
            Text(_printable(column, stream)),
            justify="right" if numeric else "left",
            overflow="fold",
        )
    for row in listed:
        table.add_row(*(Text(_printable(_cell(value), stream)) for value in row))
    return table


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _is_number(value: Cell) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _print_line(stream: TextIO, text: str) -> None:
    print(_printable(text, stream), file=stream, flush=True)


def _printable(text: str, stream: TextIO) -> str:
    """Escape what would steer a terminal or has no place in its encoding.

    File names and error messages come from outside.
    """
    safe = "".join(one if one.isprintable() or one in "\n\t" else repr(one)[1:-1] for one in text)
    encoding = stream.encoding or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)
