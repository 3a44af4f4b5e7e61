"""The small matrices that a filter slides over an image: five by name, any other typed in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from cvcore.draft import did_you_mean
from cvcore.errors import UsageError

MAX_SIDE = 15
MAX_NUMBER = 1e6
EXAMPLE = "cvjobs explain kernels '0 -1 0 / -1 5 -1 / 0 -1 0'   (rows separated by / or ;)"

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """A rectangle of numbers; `name` is "custom" for one that was typed in."""

    name: str
    rows: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """Return height and width."""
        return len(self.rows), len(self.rows[0])

    @property
    def total(self) -> float:
        return math.fsum(number for row in self.rows for number in row)

    @property
    def meaning(self) -> str:
        """Say in words what the sum of the numbers does to the brightness of an image."""
        return f"sum {self.total:.6g}: {_effect(self.total)}"

    def to_dict(self) -> dict[str, Any]:
        """Return what a JSON document says of it."""
        return {"name": self.name, "rows": self.rows, "sum": self.total, "meaning": self.meaning}


KERNELS: dict[str, Rows] = {
    "edge": ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
    "blur": ((0.0625, 0.125, 0.0625), (0.125, 0.25, 0.125), (0.0625, 0.125, 0.0625)),
    "bottom-sobel": ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    "emboss": ((-2, -1, 0), (-1, 1, 1), (0, 1, 2)),
    "sharpen": ((0, -1, 0), (-1, 5, -1), (0, -1, 0)),
}


def named_kernels() -> list[Kernel]:
    """List the five kernels that have a name."""
    return [Kernel(name=name, rows=rows) for name, rows in KERNELS.items()]


def parse_kernel(text: str) -> Kernel:
    """Read a name, or numbers: rows separated by / or ;, numbers by blanks or commas.

    Raises `UsageError` for an unknown name and for what is no rectangle of numbers.
    """
    name = "-".join(text.lower().replace("_", " ").replace("-", " ").split())
    if name in KERNELS:
        return Kernel(name=name, rows=KERNELS[name])
    if not any(one.isdecimal() or one in "/;" for one in text):
        raise UsageError(
            f"expected the name of a kernel ({', '.join(KERNELS)}) or rows of numbers, "
            f"received {text!r}{did_you_mean(name, KERNELS)}",
            hint=EXAMPLE,
        )
    rows = tuple(_numbers(row) for row in text.replace(";", "/").split("/"))
    _check_rectangle(rows)
    return Kernel(name="custom", rows=rows)


def _numbers(row: str) -> tuple[float, ...]:
    return tuple(_number(word) for word in row.replace(",", " ").split())


def _number(word: str) -> float:
    try:
        number = float(word)
    except ValueError:
        raise UsageError(
            f"a kernel is a rectangle of numbers, received {word!r} in it", hint=EXAMPLE
        ) from None
    if not abs(number) <= MAX_NUMBER:  # holds for nan too
        raise UsageError(
            f"the numbers of a kernel lie between -{MAX_NUMBER:,.0f} and {MAX_NUMBER:,.0f}, "
            f"received {word}",
            hint=EXAMPLE,
        )
    return number


def _check_rectangle(rows: Rows) -> None:
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1 or not lengths[0]:
        raise UsageError(
            "a kernel is a rectangle of numbers, received rows of "
            f"{', '.join(str(length) for length in lengths)} numbers",
            hint=EXAMPLE,
        )
    if max(len(rows), lengths[0]) > MAX_SIDE:
        raise UsageError(
            f"a kernel has at most {MAX_SIDE} x {MAX_SIDE} numbers, "
            f"received {len(rows)} x {lengths[0]}",
            hint=EXAMPLE,
        )


def _effect(total: float) -> str:
    if math.isclose(total, 0, abs_tol=1e-9):
        return "flat areas go black, only changes of brightness remain"
    if math.isclose(total, 1, abs_tol=1e-9):
        return "flat areas keep their brightness"
    if total > 1:
        return f"flat areas come out {total:.4g} times as bright"
    if total > 0:
        return f"flat areas come out darker, at {total:.4g} of their brightness"
    return "flat areas come out negative, which ReLU turns black"
