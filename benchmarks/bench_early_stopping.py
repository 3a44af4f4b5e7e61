"""How soon a sweep has a model as good as any: ASHA against training every trial to its end.

Both try the same configurations from the same seeds. Measured is the time from the command to the
first epoch that comes within 1 % of the best score of the whole search, besides the time to the
end. By default one seed and few epochs; `--full` is 27 epochs and three seeds: 15 minutes on two
cores. One JSON document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.command_line import parser_of, write_results
from benchmarks.machine import describe
from benchmarks.processes import Sweep, scratch, sweep_with_cvjobs
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.rounds import turned

# Within 1 % of the best score.
NEAR = 0.99
IMAGES, SIZE = 800, 64
SPEC = """\
name = "bench-early-stopping"

[data]
uri = "builtin:castings?images={images}&size={size}&seed=0"
image_size = {size}
channels = "grayscale"
validation_fraction = 0.25

[training]
epochs = {epochs}
early_stopping_patience = 0

[space]
num_blocks = {{choice = [2, 3]}}
filters = {{choice = [4, 8, 16]}}
kernel_size = {{choice = [3, 5]}}
conv_stride = {{choice = [1, 2]}}
head = {{choice = ["flatten", "gap"]}}
dense_units = {{choice = [16, 64]}}
dropout = {{uniform = [0.0, 0.5]}}
learning_rate = {{log = [1e-4, 1e-2]}}

[search]
algorithm = "random"
scheduler = "{scheduler}"
trials = {trials}
seed = {seed}
objective = "val_f1_weighted"
"""
SCHEDULERS = ("none", "asha")
CURVE = (
    "SELECT epoch_us(recorded_at) / 1e6 AS at, val_f1_weighted AS score FROM epochs "
    "ORDER BY recorded_at"
)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A search over generated castings; `engine` None: the default of cvjobs."""

    trials: int
    epochs: int
    images: int
    size: int
    engine: str | None = None


def spec_of(work: Work, *, scheduler: str, seed: int) -> str:
    """Write the spec of one sweep."""
    return SPEC.format(
        images=work.images,
        size=work.size,
        epochs=work.epochs,
        trials=work.trials,
        scheduler=scheduler,
        seed=seed,
    )


def run_sweep(work: Work, *, scheduler: str, seed: int) -> Sweep:
    """Run one sweep of cvjobs; its table `curve` has the epochs of all trials as they came."""
    with scratch() as folder:
        spec = folder / "spec.toml"
        spec.write_text(spec_of(work, scheduler=scheduler, seed=seed))
        return sweep_with_cvjobs(spec, engine=work.engine, queries={"curve": CURVE})


def seconds_to(target: float, curve: Sequence[Row], *, started_at: float) -> float | None:
    """Return the seconds until the first epoch that reaches the target; None if none does."""
    return next((row["at"] - started_at for row in curve if row["score"] >= target), None)


def compare(sweeps: Mapping[str, Sweep]) -> dict[str, Row]:
    """Compare the sweeps of one seed by scheduler; "none" sets the target."""
    target = NEAR * max(row["score"] for row in sweeps["none"].tables["curve"])
    found = {}
    for scheduler, sweep in sweeps.items():
        curve, process = sweep.tables["curve"], sweep.process
        found[scheduler] = {
            "seconds_to_target": seconds_to(target, curve, started_at=process.started_at),
            "seconds": process.seconds,
            "epochs_trained": len(curve),
            "best_score": max(row["score"] for row in curve),
            "test_score": sweep.document["best"]["test_f1_weighted"],
            "target": target,
        }
    return found


def measure(work: Work, *, seeds: int) -> list[dict[str, Row]]:
    """Run both schedulers seed after seed, each of them first in turn."""
    found = []
    for seed in range(seeds):
        order = turned(SCHEDULERS, seed)
        sweeps = {name: run_sweep(work, scheduler=name, seed=seed) for name in order}
        found.append(compare(sweeps))
        print(f"seed {seed}: {found[-1]}", file=sys.stderr, flush=True)
    return found


def summarise(seeds: Sequence[Mapping[str, Row]]) -> Row:
    """Put the seeds side by side, and how many times sooner ASHA was; None where it never was."""
    return {
        "seeds": list(seeds),
        "times_sooner_to_target": [_ratio(one, "seconds_to_target") for one in seeds],
        "times_sooner_to_the_end": [_ratio(one, "seconds") for one in seeds],
        "times_fewer_epochs": [_ratio(one, "epochs_trained") for one in seeds],
    }


def _ratio(one: Mapping[str, Row], name: str) -> float | None:
    full, early = one["none"][name], one["asha"][name]
    return None if early is None else full / early


def result_table(summary: Mapping[str, Any]) -> str:
    """Write a row a scheduler and a line of ratios."""
    rows = []
    for scheduler in SCHEDULERS:
        runs = [one[scheduler] for one in summary["seeds"]]
        reached = [r["seconds_to_target"] for r in runs if r["seconds_to_target"] is not None]
        cells = [median_and_range(reached, digits=1) if reached else None]
        cells += [f"{len(reached)} of {len(runs)}"]
        cells += [median_and_range([run["seconds"] for run in runs], digits=1)]
        cells += [median_and_range([run["epochs_trained"] for run in runs])]
        for score in ("best_score", "test_score"):
            cells += [median_and_range([run[score] for run in runs], digits=3)]
        rows.append([scheduler, *cells])
    columns = ["scheduler", "seconds to within 1 %", "seeds that got there", "seconds to the end"]
    columns += ["epochs trained", "best validation F1", "test F1 of the best"]
    ratios = {
        "to within 1 %": summary["times_sooner_to_target"],
        "to the end": summary["times_sooner_to_the_end"],
        "epochs": summary["times_fewer_epochs"],
    }
    lines = [f"{name}: {_ratios(values)}" for name, values in ratios.items()]
    return f"{table(columns, rows)}\n\nNone over ASHA, seed by seed: {'; '.join(lines)}."


def _ratios(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    missed = f", never in {len(values) - len(known)}" if len(known) < len(values) else ""
    return (median_and_range(known, digits=2) if known else "none") + missed


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    return page(
        "Early stopping",
        question="How soon does a sweep with ASHA reach the best score of the full search within "
        "1 %, against the same search without early stopping?",
        document=document,
        spec=document["spec"],
        sections={"The same configurations and seeds": result_table(document["results"])},
        limits="Generated castings and small CNNs, where good configurations show early. The order "
        "of the configurations is that of the seed: a search whose first trial is good reaches the "
        "target soon with or without ASHA.",
    )


def main() -> None:
    parser = parser_of(
        __doc__, short="12 trials, 9 epochs, a seed", full="24 trials, 27 epochs, three seeds"
    )
    parser.add_argument("--seeds", type=int, help="default: 3 with --full, else 1")
    parser.add_argument("--engine", help="of cvjobs; default: its own default")
    options = parser.parse_args()
    trials, epochs, seeds = (24, 27, 3) if options.full else (12, 9, 1)
    work = Work(trials=trials, epochs=epochs, images=IMAGES, size=SIZE, engine=options.engine)
    machine = describe("tensorflow-cpu", "keras", "ray")
    results = summarise(measure(work, seeds=options.seeds or seeds))
    document = {
        "machine": machine,
        "typed": sys.argv[1:],
        "images": {"generated castings": IMAGES},
        "spec": spec_of(work, scheduler="none or asha", seed=0),
        "results": results,
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
