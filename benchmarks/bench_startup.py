"""What a command costs before it does anything, and what a sweep holds while it runs.

Whole processes in turn: help and a leaderboard against an interpreter and an empty program, and
sweeps until their first training step, with nothing cached. Then one sweep of many trials in one
slot, whose worker and driver are weighed from outside. `--full` takes six minutes on two cores. One
JSON document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.command_line import parser_of, write_results
from benchmarks.machine import describe
from benchmarks.memory_of_a_sweep import at, watch
from benchmarks.processes import ROOT, scratch, sweep_with_cvjobs
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.rounds import turned

EMPTY = "empty Typer app of 8 commands, --help"
EMPTY_APP = """
import typer
app = typer.Typer(add_completion=False, rich_markup_mode=None)
for name in "abcdefgh":
    app.command(name)(lambda: None)
app()
"""
# Linux counts what a process was before it became the command: that must be small.
LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=silent)
_, status, usage = os.wait4(process, 0)
seconds = time.perf_counter() - started
row = {"seconds": seconds, "peak_bytes": usage.ru_maxrss * 1024}
print(json.dumps({**row, "status": os.waitstatus_to_exitcode(status)}))
"""
SPEC = """\
name = "bench-startup"

[data]
uri = "builtin:castings?images=840&size=96"
image_size = 96

[training]
epochs = 1

[search]
scheduler = "none"
trials = 2
"""
# An epoch is recorded when it has ended and was validated.
FIRST_STEP = "SELECT min(epoch(recorded_at) - seconds) AS at FROM epochs"
SHORT_TRIALS, FULL_TRIALS = (10, 40), (20, 200)
Row = dict[str, Any]


def commands(store: str) -> dict[str, list[str]]:
    """Map what is measured to the process that does it."""
    cvjobs = [sys.executable, "-m", "jobs.cli"]
    return {
        "interpreter": [sys.executable, "-c", "pass"],
        EMPTY: [sys.executable, "-c", EMPTY_APP, "--help"],
        "cvjobs --help": [*cvjobs, "--help"],
        "cvjobs results leaderboard": [*cvjobs, "results", "leaderboard", "--store", store],
    }


def measure_commands(rounds: int) -> dict[str, list[Row]]:
    """Return seconds and largest memory of every run; a first round fills the page cache."""
    found: dict[str, list[Row]] = {}
    with scratch() as folder:
        for number in range(rounds + 1):
            for name, command in turned(list(commands(str(folder)).items()), number):
                row = measure_command(command)
                if number:
                    found.setdefault(name, []).append(row)
    return found


def measure_command(command: Sequence[str]) -> Row:
    """Run a command to its end; raise `RuntimeError` if it fails."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    row: Row = json.loads(done.stdout)
    if (status := row.pop("status")) != 0:
        raise RuntimeError(f"{command} ended with {status}")
    return row


def measure_first_steps(rounds: int) -> list[float]:
    """Return the seconds from a typed `cvjobs sweep` to its first training step."""
    found = []
    with scratch() as folder:
        spec = Path(folder, "spec.toml")
        spec.write_text(SPEC)
        for _ in range(rounds):
            sweep = sweep_with_cvjobs(spec, queries={"first": FIRST_STEP})
            found.append(sweep.tables["first"][0]["at"] - sweep.process.started_at)
    return found


def measure_memory(sizes: Sequence[int]) -> Row:
    """Run a sweep of somewhat more trials than the last of `sizes`; weigh it at each of them."""
    seen = watch(num_trials=sizes[-1] + 5)
    weighed = {size: at(seen, size) for size in sizes}
    return {
        "trials": list(sizes),
        "num_workers": len({row["worker"] for row in seen}),
        **{
            f"{who}_bytes": [row[f"{who}_bytes"] for row in weighed.values()]
            for who in ("worker", "driver")
        },
        "largest_worker_bytes": max(row["worker_bytes"] for row in seen),
    }


def command_table(found: Mapping[str, Sequence[Row]]) -> str:
    """Write a line a command."""
    empty = statistics.median(row["seconds"] for row in found[EMPTY])
    rows = [
        [
            f"`{name}`" if name.startswith("cvjobs") else name,
            median_and_range([row["seconds"] for row in runs], digits=3),
            f"{statistics.median(row['seconds'] for row in runs) / empty:.2f}",
            f"{max(row['peak_bytes'] for row in runs) / 1e6:.0f}",
        ]
        for name, runs in found.items()
    ]
    return table(["process", "seconds", "× the empty app", "memory at most, MB"], rows)


def memory_table(found: Mapping[str, Any]) -> str:
    """Write what worker and driver held after so many trials."""
    first, last = found["trials"]
    columns = ["process", f"after {first} trials, MB", f"after {last}, MB", "ratio"]
    rows = []
    for who in ("worker", "driver"):
        early, late = found[f"{who}_bytes"]
        rows.append([who, f"{early / 1e6:.0f}", f"{late / 1e6:.0f}", f"{late / early:.2f}"])
    largest = found["largest_worker_bytes"] / found["worker_bytes"][0]
    note = (
        f"{found['num_workers']} processes were the worker, one after the other; the largest held "
        f"{largest:.2f} times what one did after {first} trials."
    )
    return f"{table(columns, rows)}\n\n{note}"


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    steps = median_and_range(document["first_step_seconds"], digits=1)
    return page(
        "Start-up and memory",
        question="What does a command cost before it does anything, and does a sweep's memory "
        "grow with its trials?",
        document=document,
        sections={
            "Commands": command_table(document["commands"]),
            "From the command to the first training step": f"{steps} s: 840 images that nobody has "
            "decoded, Ray and TensorFlow not started.",
            "A sweep of many trials in one slot": memory_table(document["memory"]),
        },
        limits="A leaderboard of an empty store on a local disk; a page cache that is warm. Nearly "
        "all trials of the long sweep are new structures, which is what costs memory.",
    )


def main() -> None:
    parser = parser_of(__doc__, short="3 rounds, 40 trials", full="15 rounds, 200 trials")
    options = parser.parse_args()
    machine = describe("typer", "tensorflow-cpu", "ray")
    document = {
        "machine": machine,
        "typed": sys.argv[1:],
        "commands": measure_commands(15 if options.full else 3),
        "first_step_seconds": measure_first_steps(5 if options.full else 1),
        "memory": measure_memory(FULL_TRIALS if options.full else SHORT_TRIALS),
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
