"""A whole sweep against Ray Tune, Ray Tune with reused actors and KerasTuner, on equal work.

Everybody trains the same configurations for the same epochs on the same JPEG files, in programs
that are timed from start to end: cold, and on a Ray cluster that runs already. Before, and untimed,
everybody trains a few of them long enough for their scores to be compared. One way is nobody's: the
steps alone, as the floor under all (`sweep_bare.py`). By default one round of
8 trials, cold; `--full` is 8 and 32 trials, three rounds, cold and on a cluster: an hour on two
cores. One JSON document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from benchmarks.agreement import Agreement, chance_of, compare
from benchmarks.casting_split import CASTINGS, class_counts
from benchmarks.command_line import parser_of, write_results
from benchmarks.machine import describe
from benchmarks.processes import ONE_THREAD, run, running_ray, scratch, sweep_with_cvjobs
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.rounds import turned
from benchmarks.sweep_images import write_images
from benchmarks.sweep_work import Work, num_structures, plan_work

NUM_IMAGES, SIZE, EPOCHS = 933, 96, 3  # 840 of the images are for training
# After 3 epochs scores say little (benchmarks/agreement.py).
CHECK_TRIALS, CHECK_EPOCHS = 8, 12
OURS, FLOOR = "cvjobs", "the same steps in bare processes"
FINAL_ACCURACY = "SELECT val_accuracy FROM epochs WHERE epoch = {epochs} ORDER BY trial_id"
TRAINING = "SELECT sum(seconds_train) AS seconds FROM trials"
Row = dict[str, Any]


def our_row(work: Work, address: str | None) -> Row:
    """Sweep with cvjobs, on a cluster if there is an address."""
    queries = {"final": FINAL_ACCURACY.format(epochs=work.epochs), "training": TRAINING}
    sweep = sweep_with_cvjobs(work.spec, engine=work.engine, address=address, queries=queries)
    return {
        "seconds": sweep.process.seconds,
        "val_accuracy": [one["val_accuracy"] for one in sweep.tables["final"]],
        "training_step_seconds": sweep.tables["training"][0]["seconds"],
        "efficiency": sweep.document["efficiency"],
    }


def rival_row(program: str, work: Work, address: str | None, *flags: str) -> Row:
    """Sweep with one of the programs beside this file."""
    with scratch() as folder:
        output = folder / "final.json"
        typed = [
            f"benchmarks.{program}",
            str(work.plan),
            str(output),
            "--storage",
            f"{folder}/kept",
        ]
        typed += [*flags, *(["--address", address] if address else [])]
        one_thread = ONE_THREAD if program == "sweep_with_ray_tune" else {}
        done = run(typed, environment={"RAY_TMPDIR": str(folder), **one_thread})
        return {"seconds": done.seconds, "val_accuracy": json.loads(output.read_text())}


def ray_tune_row(work: Work, address: str | None) -> Row:
    """Give every trial a fresh actor, as Ray Tune does unless it is told otherwise."""
    return rival_row("sweep_with_ray_tune", work, address)


def reusing_ray_tune_row(work: Work, address: str | None) -> Row:
    """Keep the actors from trial to trial."""
    return rival_row("sweep_with_ray_tune", work, address, "--reuse-actors")


def keras_tuner_row(work: Work, address: str | None) -> Row:
    """Run all trials in one process, which knows no clusters."""
    return rival_row("sweep_with_keras_tuner", work, None)


def bare_row(work: Work, address: str | None) -> Row:
    """Take the same steps in a bare process a core: nobody's way to sweep, but the floor."""
    with scratch() as folder:
        output = folder / "final.json"
        typed = ["benchmarks.sweep_bare", str(work.spec), str(output)]
        # A process of several threads cannot be copied.
        environment = {"OPENBLAS_NUM_THREADS": "1"}
        done = run([*typed, "--storage", str(folder)], environment=environment)
        return {"seconds": done.seconds, "val_accuracy": json.loads(output.read_text())}


WAYS: dict[str, Callable[[Work, str | None], Row]] = {
    OURS: our_row,
    "Ray Tune": ray_tune_row,
    "Ray Tune, reuse_actors": reusing_ray_tune_row,
    "KerasTuner RandomSearch": keras_tuner_row,
    FLOOR: bare_row,
}
ON_CLUSTER = (OURS, "Ray Tune", "Ray Tune, reuse_actors")


def measure_round(work: Work, names: Sequence[str], *, address: str | None) -> dict[str, Row]:
    """Run some of `WAYS` one after the other."""
    found = {}
    for name in names:
        load = round(os.getloadavg()[0], 2)
        found[name] = {**WAYS[name](work, address), "load_before": load}
        seconds = found[name]["seconds"]
        where = "on a cluster" if address else "cold"
        print(
            f"{work.trials} trials, {where}: {name}: {seconds:.1f} s", file=sys.stderr, flush=True
        )
    return found


def measure(
    works: Sequence[Work], *, ways: Sequence[str], rounds: int, cluster: bool
) -> dict[str, list[dict[str, Row]]]:
    """Run all rounds, each beginning with another way; map every comparison to its rounds."""
    found: dict[str, list[dict[str, Row]]] = {}
    joining = [name for name in ways if name in ON_CLUSTER]
    for number in range(rounds):
        for work in works:
            cold = measure_round(work, turned(ways, number), address=None)
            found.setdefault(f"{work.trials} trials, cold", []).append(cold)
            if cluster:
                with running_ray(num_cpus=os.cpu_count() or 1) as address:
                    joined = measure_round(work, turned(joining, number), address=address)
                found.setdefault(f"{work.trials} trials, on a cluster", []).append(joined)
    return found


def check(work: Work, *, ways: Sequence[str], chance: float) -> dict[str, Agreement]:
    """Train everybody on work that is long enough to compare scores; compare them with ours."""
    found = measure_round(work, ways, address=None)
    ours = found[OURS]["val_accuracy"]
    return {
        name: compare(row["val_accuracy"], ours, chance=chance)
        for name, row in found.items()
        if name != OURS
    }


def summarise(
    rounds: Sequence[Mapping[str, Row]], agreements: Mapping[str, Agreement]
) -> dict[str, Row]:
    """Reduce the rounds of one comparison; a ratio to us is given only where scores agree."""
    ours = [one[OURS] for one in rounds]
    our_median = statistics.median(row["seconds"] for row in ours)
    found = {}
    for name in WAYS:
        rows = [one[name] for one in rounds if name in one]
        if not rows:
            continue
        seconds = [row["seconds"] for row in rows]
        agrees = name == OURS or agreements[name].verdict == "agree"
        found[name] = {
            "seconds": seconds,
            "median_seconds": statistics.median(seconds),
            "mean_val_accuracy": statistics.mean(v for row in rows for v in row["val_accuracy"]),
            "ratio_to_cvjobs": statistics.median(seconds) / our_median if agrees else None,
            "load_before": [row["load_before"] for row in rows],
        }
    for name in ("efficiency", "training_step_seconds"):
        found[OURS][name] = statistics.median(row[name] for row in ours)
    return found


def result_table(summary: Mapping[str, Row]) -> str:
    """Write one comparison as a table, and how far everybody is from the training steps alone."""
    ours = summary[OURS]
    steps = ours["training_step_seconds"]
    floor = steps / (os.cpu_count() or 1)
    columns = ["way", "seconds", "× cvjobs", "× the steps alone", "mean final val accuracy"]
    rows = [
        [
            name,
            median_and_range(one["seconds"], digits=1),
            _ratio(one["ratio_to_cvjobs"]),
            f"{one['median_seconds'] / floor:.2f}",
            f"{one['mean_val_accuracy']:.3f}",
        ]
        for name, one in summary.items()
    ]
    note = (
        f"cvjobs: efficiency {ours['efficiency']:.2f}. Its training steps alone took {steps:.1f} "
        f"core-seconds, {floor:.1f} s a slot: nothing that takes the same steps ends earlier."
    )
    if FLOOR in summary:
        note += (
            " The bare processes import TensorFlow once, decode, compile, train and validate by "
            "the same code; they start no Ray and leave nothing behind but the scores."
        )
    return f"{table(columns, rows)}\n\n{note}"


def check_table(checks: Mapping[str, Mapping[str, Any]]) -> str:
    """Write what the untimed check of equal work found."""
    columns = ["way", "accuracy minus ours", "what seeds explain", "above chance", "verdict"]
    rows = [
        [
            name,
            *(f"{one[key]:+.3f}" for key in ("difference", "allowed", "margin")),
            one["verdict"],
        ]
        for name, one in checks.items()
    ]
    return table(columns, rows)


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    heading = f"Equal work? {CHECK_TRIALS} trials, {CHECK_EPOCHS} epochs, untimed"
    sections = {heading: check_table(document["check"])}
    sections |= {name: result_table(one) for name, one in document["results"].items()}
    return page(
        "A whole sweep",
        question="How long does a sweep take, from the command to its end, against Ray Tune and "
        "KerasTuner on the same configurations, images and epochs?",
        document=document,
        spec=document["spec"],
        sections=sections,
        limits="One small CNN on small images: the larger the training step, the smaller every "
        "ratio. Ray Tune and KerasTuner may be made faster by hand, as cvjobs was. cvjobs also "
        "scores its best model on a test split, which the others do not. All seed every trial, but "
        "each draws its own order of images, so scores differ as between seeds.",
    )


def _ratio(ratio: float | None) -> str:
    return "none: scores not shown equal" if ratio is None else f"{ratio:.2f}"


def main() -> None:
    parser = parser_of(
        __doc__, short="8 trials, one round, cold", full="8 and 32 trials, cold and on a cluster"
    )
    parser.add_argument("--trials", type=int, nargs="+", help="numbers of trials")
    parser.add_argument("--rounds", type=int, help="default: 3 with --full, else 1")
    parser.add_argument(
        "--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help=f"with {OURS} among them"
    )
    parser.add_argument("--engine", help="of cvjobs; default: its own default")
    options = parser.parse_args()
    with scratch() as folder:
        images = write_images(folder / "data", num_images=NUM_IMAGES, size=SIZE)
        plan = partial(plan_work, folder, data=folder / "data", size=SIZE, epochs=EPOCHS)
        works = [
            plan(trials=n, engine=options.engine)
            for n in options.trials or ([8, 32] if options.full else [8])
        ]
        machine = describe("tensorflow-cpu", "keras", "ray", "keras-tuner")
        rounds = options.rounds or (3 if options.full else 1)
        long = plan_work(
            folder / "check",
            data=folder / "data",
            trials=CHECK_TRIALS,
            size=SIZE,
            epochs=CHECK_EPOCHS,
            engine=options.engine,
        )
        chance = chance_of(class_counts(folder / "data" / "validation"))
        agreements = check(long, ways=options.ways, chance=chance)
        measured = measure(works, ways=options.ways, rounds=rounds, cluster=options.full)
        spec = works[-1].spec.read_text().replace(str(folder), "...")
    document = {
        "machine": machine,
        "typed": sys.argv[1:],
        "rounds": rounds,
        "images": {"castings": "real" if CASTINGS.is_dir() else "generated", **images},
        "structures": {work.trials: num_structures(work) for work in works},
        "spec": spec,
        "check": {
            name: {**asdict(one), "verdict": one.verdict} for name, one in agreements.items()
        },
        "results": {name: summarise(found, agreements) for name, found in measured.items()},
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
