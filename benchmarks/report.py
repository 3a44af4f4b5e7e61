"""Tables of a report, as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Write rows as a Markdown table; None is an empty cell, bars in a cell are escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def median_and_range(values: Sequence[float], *, digits: int = 0) -> str:
    """Write the median of repeated measurements, and the smallest and the largest of them."""
    shown = [f"{v:,.{digits}f}" for v in (statistics.median(values), min(values), max(values))]
    return f"{shown[0]} ({shown[1]} – {shown[2]})"


def _cell(value: object) -> str:
    return "" if value is None else str(value).replace("|", r"\|")
