"""The lake with a million trials and 30 million epochs, and against MLflow and Optuna.

Two parts. The large lake is laid down through our schemas, compacted, and asked through our own
functions. The equal one is written trial by trial by everybody: by our driver with its log, by
MLflow into SQLite, by Optuna into SQLite; all answer the same three questions, and are compared
only where the answers agree. `--full` takes six minutes and 2 GB below --folder. MLflow lives in an
environment of its own: `--mlflow-python PATH`, see `lake_with_mlflow.py`. One JSON document goes to
stdout, `--report` writes a page.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.command_line import parser_of, write_results
from benchmarks.lake_rows import NUM_EPOCHS, compact, draw_sweeps, publish
from benchmarks.machine import describe
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.rounds import time_answers
from benchmarks.simulated_trials import leave_predictions, progress_of, sweep
from cvcore import layout
from cvcore.results import Results
from cvcore.store import LocalStore, Store

ROOT = Path(__file__).parents[1]
NUM_PARTS = 2  # that a sweep has a table while it runs
TOP_TEN = "SELECT val_f1_weighted AS value FROM trials ORDER BY value DESC LIMIT 10"
WHOLE_TOP_TEN = "SELECT * FROM trials ORDER BY val_f1_weighted DESC LIMIT 10"
MEANS = "SELECT hp_optimizer AS name, avg(val_f1_weighted) AS value FROM trials GROUP BY name"
OURS = "cvjobs"
RIVALS = {"MLflow": "lake_with_mlflow", "Optuna": "lake_with_optuna"}
QUESTIONS = {
    "top_ten": "top ten of all trials",
    "whole_top_ten": "the same, every column",
    "curve": "one trial's curve",
    "next_curve": "that of the next trial in its sweep",
    "means": "mean by hyperparameter",
}
Figures = dict[str, Any]


def fill(store: Store, *, num_trials: int, trials_per_sweep: int) -> Figures:
    """Lay sweeps down part by part and compact each; return what it took."""
    write_seconds = compact_seconds = 0.0
    size_bytes = num_sweeps = 0
    for one in draw_sweeps(num_trials=num_trials, trials_per_sweep=trials_per_sweep):
        started = time.perf_counter()
        publish(store, one, num_parts=NUM_PARTS)
        written = time.perf_counter()
        size_bytes += compact(store, one.sweep_id, num_parts=NUM_PARTS)
        write_seconds += written - started
        compact_seconds += time.perf_counter() - written
        num_sweeps += 1
    return {
        "num_trials": num_trials,
        "num_epochs": num_trials * NUM_EPOCHS,
        "num_sweeps": num_sweeps,
        "write_seconds": write_seconds,
        "compact_seconds": compact_seconds,
        "bytes": size_bytes,
    }


def ask(store: Store, *, rounds: int, trials_per_sweep: int = 1) -> Figures:
    """Put the questions to results that stay open, and to ones opened anew for each.

    The latter is what `cvjobs results query` does. Curves are of another trial every time: of
    another sweep, and then of the next trial.
    """
    with Results(store) as opened:
        trials = opened.query("SELECT trial_id FROM trials ORDER BY trial_id")["trial_id"]
        ids = trials.to_pylist()[len(trials) // 2 :]
        found = time_answers(_questions(lambda: opened, ids, trials_per_sweep), rounds=rounds)
    anew = time_answers(_questions(lambda: Results(store), ids, trials_per_sweep), rounds=rounds)
    return found | {f"{name}_anew": one for name, one in anew.items()}


def _questions(
    results: Callable[[], Results], ids: Sequence[str], trials_per_sweep: int
) -> dict[str, Callable[[], Any]]:
    far, near = cycle(ids[::trials_per_sweep]), cycle(ids)

    def curve(trials: Iterator[str]) -> list[float]:
        values: list[float] = results().curve(next(trials))["val_accuracy"].to_pylist()
        return values

    def means() -> dict[str, float]:
        return {one["name"]: one["value"] for one in results().query(MEANS).to_pylist()}

    return {
        "top_ten": lambda: _values(results(), TOP_TEN),
        "whole_top_ten": lambda: results().query(WHOLE_TOP_TEN).num_rows,
        "curve": lambda: curve(far),
        "next_curve": lambda: curve(near),
        "means": means,
    }


def write_with_driver(store: Store, *, num_trials: int) -> Figures:
    """Write one sweep as its driver does: every event logged, every trial's end on the disk.

    Not counted is what the workers do, who leave their predictions: nobody else has any. They do
    it before, for a driver that waited in between would save more often.
    """
    seconds = -time.perf_counter()
    with sweep(store, num_trials=num_trials, slots=1, num_epochs=NUM_EPOCHS) as driver:
        seconds += time.perf_counter()
        for index in range(num_trials):
            leave_predictions(store, layout.trial_id(driver.state.sweep_id, index))
        seconds -= time.perf_counter()
        while (trial := driver.next_trial()) is not None:
            driver.record(trial, progress_of(trial, worker="node/1"))
            driver.tick()
    seconds += time.perf_counter()
    lake = Path(store.uri, "lake").rglob("*.parquet")
    return {"write_seconds": seconds, "bytes": sum(path.stat().st_size for path in lake)}


def equal(
    folder: Path, *, num_trials: int, rounds: int, mlflow_python: Path | None
) -> dict[str, Figures]:
    """Let everybody write and answer for the same trials."""
    store = LocalStore(folder / "equal")
    found = {OURS: {**write_with_driver(store, num_trials=num_trials), **ask(store, rounds=rounds)}}
    columns = (
        "val_f1_weighted AS value, hp_learning_rate AS learning_rate, hp_optimizer AS optimizer"
    )
    rows = Results(store).query(f"SELECT {columns} FROM trials ORDER BY trial_id").to_pylist()
    source = folder / "trials.json"
    source.write_text(json.dumps({"num_epochs": NUM_EPOCHS, "trials": rows}))
    pythons = {"MLflow": mlflow_python, "Optuna": Path(sys.executable)}
    for name, python in pythons.items():
        if python is None:
            print("MLflow is left out: no --mlflow-python", file=sys.stderr)
            continue
        place = folder / name
        place.mkdir()
        done = subprocess.run(
            [python, "-m", f"benchmarks.{RIVALS[name]}", source, place, str(rounds)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        theirs = json.loads(done.stdout.splitlines()[-1])
        found[name] = {**theirs, "agrees": agrees(theirs, found[OURS])}
    return found


def agrees(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> bool:
    """Tell whether all three answers are the same numbers."""
    for name in ("top_ten", "curve", "means"):
        one, other = theirs[name]["answer"], ours[name]["answer"]
        if isinstance(one, dict):
            if one.keys() != other.keys():
                return False
            one, other = one.values(), [other[key] for key in one]
        if len(one) != len(other):
            return False
        if not all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(one, other, strict=True)):
            return False
    return True


def large_table(large: Figures) -> str:
    rows = [
        [title, *(median_and_range(one["seconds"], digits=3) for one in (large[name], anew))]
        for name, title in QUESTIONS.items()
        for anew in [large[f"{name}_anew"]]
    ]
    sizes = (
        f"{large['num_trials']:,} trials and {large['num_epochs']:,} epochs in "
        f"{large['num_sweeps']:,} sweeps, one part a table and sweep: {large['bytes'] / 1e6:,.0f} "
        f"MB. Written in {large['write_seconds']:.0f} s, compacted in "
        f"{large['compact_seconds']:.0f} s."
    )
    return f"{sizes}\n\n{table(['question', 'seconds, open', 'seconds, opened anew'], rows)}"


def equal_table(found: Mapping[str, Figures], *, num_trials: int) -> str:
    """Write the comparison; a ratio only where the answers agree."""
    names = ["top_ten", "curve", "means"]
    columns = ["store", "write, s", *(f"{QUESTIONS[name]}, ms" for name in names), "MB"]
    rows = []
    ours = found[OURS]
    anew = {**ours, **{name: ours[f"{name}_anew"] for name in names}}
    for store, one in {OURS: ours, f"{OURS}, opened anew": anew, **found}.items():
        cells = [
            f"{one['write_seconds']:,.1f}{_ratio(one, found, 'write_seconds')}",
            *(f"{_median(one, name) * 1000:,.0f}{_ratio(one, found, name)}" for name in names),
            f"{one['bytes'] / 1e6:.1f}",
        ]
        rows.append([store, *cells])
    head = f"{num_trials:,} trials of {NUM_EPOCHS} epochs; in brackets, times cvjobs."
    return f"{head}\n\n{table(columns, rows)}"


def _ratio(one: Figures, found: Mapping[str, Figures], name: str) -> str:
    ours = found[OURS]
    if "agrees" not in one:  # our own
        return ""
    return f" (×{_median(one, name) / _median(ours, name):.1f})" if one["agrees"] else " (differs)"


def _median(one: Figures, name: str) -> float:
    value = one[name]
    return float(statistics.median(value["seconds"]) if isinstance(value, dict) else value)


def _values(results: Results, sql: str) -> list[float]:
    return [one["value"] for one in results.query(sql).to_pylist()]


def report(document: Mapping[str, Any]) -> str:
    sections = {"The large lake": large_table(document["large"])}
    if document["equal"]:
        sections["Equal trials"] = equal_table(
            document["equal"], num_trials=document["equal_trials"]
        )
    return page(
        "The lake",
        question="How long do a million trials take to write and to ask, and how does that "
        "compare with MLflow and Optuna on SQLite?",
        document=document,
        sections=sections,
        method="Seconds are the median of all rounds after a first one that is not counted, the "
        "smallest and the largest in brackets.",
        limits="The large lake is written as tables, without an event log, so that its compaction "
        "is the one here and not that of `cvjobs results compact`; its bytes are the same. Ratios "
        "are to results that stay open between questions, as MLflow's connection does; `opened "
        "anew` is what a command of `cvjobs results` does. Optuna loads its study for every "
        "question. Every curve is of another trial; in the large lake, of another sweep. Only "
        "cvjobs writes predictions, class metrics and a confusion matrix for every trial. A local "
        "disk, not S3.",
    )


def main() -> None:
    parser = parser_of(__doc__, short="20,000 and 50 trials", full="1,000,000 and 2,000 trials")
    parser.add_argument("--trials", type=int, help="of the large lake")
    parser.add_argument("--trials-per-sweep", type=int, default=1000)
    parser.add_argument("--equal-trials", type=int, help="that everybody writes")
    parser.add_argument("--mlflow-python", type=Path, help="an interpreter that has MLflow")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to put the lakes for a while")
    options = parser.parse_args()
    num_trials = options.trials or (1_000_000 if options.full else 20_000)
    equal_trials = options.equal_trials or (2000 if options.full else 50)
    machine = describe("duckdb", "pyarrow", "optuna")
    with TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        store = LocalStore(Path(folder, "large"))
        large = fill(store, num_trials=num_trials, trials_per_sweep=options.trials_per_sweep)
        large |= {"load_before_queries": round(os.getloadavg()[0], 2)}
        large |= ask(store, rounds=options.rounds, trials_per_sweep=options.trials_per_sweep)
        compared = equal(
            Path(folder),
            num_trials=equal_trials,
            rounds=options.rounds,
            mlflow_python=options.mlflow_python,
        )
    document = {
        "machine": machine, "typed": sys.argv[1:], "large": large,
        "equal_trials": equal_trials, "equal": compared,
    }  # fmt: skip
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
