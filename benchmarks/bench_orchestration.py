"""What a trial costs beside its training, and how that grows with their number.

Four orchestrations run simulated trials (`simulated_trials.py`), each size in a process of its own:
our driver alone, in memory of one process and with trials that take no time; our Ray engine, whose
workers wait; Ray Tune as documented, with its defaults and with `reuse_actors`, on as many logical
slots of the same machine. By default a short run; a round of `--full` takes eight minutes. One JSON
document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.command_line import parser_of, write_results
from benchmarks.machine import describe
from benchmarks.processes import run, scratch
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.waiting import WARM_UP_SECONDS

TITLES = {
    "driver": "cvjobs, driver alone",
    "cvjobs": "cvjobs on Ray",
    "ray-tune": "Ray Tune",
    "ray-tune-reuse": "Ray Tune, reuse_actors",
}
# Ray Tune starts a process a trial by default: a thousand of them would take an hour.
SHORT = {"driver": [250, 500, 1000], "cvjobs": [40], "ray-tune": [8], "ray-tune-reuse": [40]}
FULL = {
    "driver": [64, 500, 2000, 4000],
    "cvjobs": [64, 500, 2000],
    "ray-tune": [64],
    "ray-tune-reuse": [64, 500, 2000],
}
DRIVER_SLOTS = 64  # without processes behind them
Row = dict[str, Any]


def measure(
    sizes: Mapping[str, Sequence[int]], *, slots: int, trial_seconds: float, rounds: int
) -> list[Row]:
    """Run every system at every size, all systems in turn."""
    found = []
    for number in range(rounds):
        for step in range(max(len(one) for one in sizes.values())):
            for system in (name for name, one in sizes.items() if step < len(one)):
                num_trials = sizes[system][step]
                row = measure_one(
                    system, num_trials=num_trials, slots=slots, trial_seconds=trial_seconds
                )
                found.append({**row, "round": number})
                print(json.dumps(row), file=sys.stderr, flush=True)
    return found


def measure_one(system: str, *, num_trials: int, slots: int, trial_seconds: float) -> Row:
    """Run one system once in a process of its own."""
    alone = system == "driver"
    slots = DRIVER_SLOTS if alone else slots
    load = round(os.getloadavg()[0], 2)
    typed = ["--trials", str(num_trials), "--slots", str(slots)]
    typed += ["--trial-seconds", str(trial_seconds)]
    with scratch() as folder:
        environment = {"RAY_TMPDIR": str(folder)}
        done = run(["benchmarks.orchestrate", system, *typed], environment=environment)
    measured = json.loads(done.stdout.splitlines()[-1])
    waiting = 0.0 if alone else num_trials * trial_seconds / slots
    if system in ("cvjobs", "ray-tune-reuse"):
        waiting += WARM_UP_SECONDS
    return {
        "system": system,
        "num_trials": num_trials,
        "slots": slots,
        **measured,
        "overhead_milliseconds": (measured["wall_seconds"] - waiting) * 1000 / num_trials,
        "driver_cpu_milliseconds": measured["driver_cpu_seconds"] * 1000 / num_trials,
        "load_before": load,
    }


def growth_exponent(rows: Sequence[Row], column: str) -> float | None:
    """Fit seconds = c * trials ** exponent; 1 is linear, 2 quadratic; None for a single size."""
    points = [(math.log(row["num_trials"]), math.log(row[column])) for row in rows]
    if len({x for x, _ in points}) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def cost_table(rows: Sequence[Row]) -> str:
    """Write a line a system and size."""
    columns = [
        "system", "trials", "slots", "workers seen", "overhead a trial, ms",
        "driver CPU a trial, ms", "driver memory at the end, MB",
    ]  # fmt: skip
    written = []
    for system, title in TITLES.items():
        for size in sorted({r["num_trials"] for r in rows if r["system"] == system}):
            same = [r for r in rows if (r["system"], r["num_trials"]) == (system, size)]
            memory = [list(row["resident_bytes"].values())[-1] / 1e6 for row in same]
            written.append(
                [
                    title,
                    size,
                    same[0]["slots"],
                    ", ".join(str(row["num_workers"]) for row in same if "num_workers" in row),
                    median_and_range([row["overhead_milliseconds"] for row in same], digits=1),
                    median_and_range([row["driver_cpu_milliseconds"] for row in same], digits=2),
                    median_and_range(memory),
                ]
            )
    return table(columns, written)


def growth_table(rows: Sequence[Row]) -> str:
    """Write how time grows with trials, from the smallest size to the largest."""
    written = []
    for system, title in TITLES.items():
        own = [row for row in rows if row["system"] == system]
        exponents = [growth_exponent(own, name) for name in ("wall_seconds", "driver_cpu_seconds")]
        written.append([title, *(None if one is None else f"{one:.2f}" for one in exponents)])
    return table(["system", "wall clock grows with trials to the power", "driver CPU"], written)


def memory_table(rows: Sequence[Row]) -> str:
    """Write the driver's memory after 20 and 200 trials of the longest search."""
    written = []
    for system, title in TITLES.items():
        own = [row for row in rows if row["system"] == system and "20" in row["resident_bytes"]]
        if own:
            last = max(own, key=lambda row: int(row["num_trials"]))["resident_bytes"]
            base = last["20"]
            cells = [f"{size}: {n / 1e6:.0f} MB (×{n / base:.2f})" for size, n in last.items()]
            written.append([title, ", ".join(cells)])
    return table(["system", "driver memory after so many trials (× that after 20)"], written)


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    rows = document["results"]
    return page(
        "Orchestration",
        question="What does a trial cost beside its training, and how does that grow?",
        document=document,
        sections={
            "A trial": cost_table(rows),
            "Growth": growth_table(rows),
            "Memory": memory_table(rows),
        },
        method=f"Trials are simulated: on Ray they wait {document['trial_seconds']:g} s (a reused "
        f"worker's first one {WARM_UP_SECONDS:g} s more, as if it imported TensorFlow), for our "
        "driver alone they take no time. Overhead is wall clock of the search, less that waiting "
        "divided by the slots; it includes starting the first actors, and with few trials is "
        "mostly that. Ours reports once a trial, as its workers do between rungs, and writes log "
        "and tables; Ray Tune's reports each of three epochs, with its default loggers.",
        limits="Real workers import TensorFlow, which Ray Tune's defaults repeat every trial. "
        "Logical slots share the cores of one machine: starting actors competes with the driver.",
    )


def main() -> None:
    parser = parser_of(
        __doc__, short="at most 1,000 trials", full="at most 4,000 trials, eight minutes a round"
    )
    parser.add_argument("--systems", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--trials", type=int, nargs="+", help="sizes, of every system")
    parser.add_argument("--slots", type=int, default=4, help="logical slots, a process each")
    parser.add_argument("--trial-seconds", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    known = FULL if options.full else SHORT
    sizes = {system: options.trials or known[system] for system in options.systems}
    document = {
        "machine": describe("ray"),
        "typed": sys.argv[1:],
        "trial_seconds": options.trial_seconds,
        "results": measure(
            sizes, slots=options.slots, trial_seconds=options.trial_seconds, rounds=options.rounds
        ),
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
