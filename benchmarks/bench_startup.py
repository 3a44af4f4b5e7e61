"""How long a command takes before it does anything: help and a leaderboard, against bare programs.

Interleaved runs of whole processes; prints one JSON document with medians, ranges and ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe

ROOT = Path(__file__).parents[1]
EMPTY_APP = """
import typer
app = typer.Typer(add_completion=False, rich_markup_mode=None)
for name in "abcdefgh":
    app.command(name)(lambda: None)
app()
"""


def commands(store: str) -> dict[str, list[str]]:
    """Map what is measured to the process that does it."""
    cvjobs = [sys.executable, "-m", "jobs.cli"]
    return {
        "interpreter": [sys.executable, "-c", "pass"],
        "empty typer app --help": [sys.executable, "-c", EMPTY_APP, "--help"],
        "cvjobs --help": [*cvjobs, "--help"],
        "cvjobs results leaderboard": [*cvjobs, "results", "leaderboard", "--store", store],
    }


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every run, one round of all commands after the other."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds + 1):
            for name, command in commands(folder).items():
                started = time.perf_counter()
                subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
                if number:  # the first round fills the page cache
                    seconds.setdefault(name, []).append(time.perf_counter() - started)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    seconds = measure(rounds)
    baseline = statistics.median(seconds["empty typer app --help"])
    results = {
        name: {
            "median_seconds": round(statistics.median(runs), 3),
            "range_seconds": [round(min(runs), 3), round(max(runs), 3)],
            "ratio_to_empty_app": round(statistics.median(runs) / baseline, 2),
        }
        for name, runs in seconds.items()
    }
    print(
        json.dumps({"machine": describe("typer"), "rounds": rounds, "results": results}, indent=1)
    )


if __name__ == "__main__":
    main()
