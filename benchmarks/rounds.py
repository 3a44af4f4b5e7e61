"""How measurements are repeated, the same for everybody who is compared.

The standard library alone: `lake_with_mlflow.py` runs in an interpreter that has nothing else.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def turned(ways: Sequence[T], number: int) -> list[T]:
    """Return the ways in the order of round `number`: every round begins with another one."""
    start = number % len(ways)
    return [*ways[start:], *ways[:start]]


def time_answers(
    questions: Mapping[str, Callable[[], Any]], *, rounds: int
) -> dict[str, dict[str, Any]]:
    """Ask every question `rounds` times, after a first time that warms up and does not count.

    Maps each to its `answer` and its `seconds`, a number a round.
    """
    found = {}
    for name, ask in questions.items():
        seconds = []
        for _ in range(rounds + 1):
            started = time.perf_counter()
            answer = ask()
            seconds.append(time.perf_counter() - started)
        found[name] = {"answer": answer, "seconds": seconds[1:]}
        print(f"{name}: {statistics.median(seconds[1:]):.4f} s", file=sys.stderr, flush=True)
    return found
