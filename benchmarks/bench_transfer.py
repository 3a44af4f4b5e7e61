"""A sweep of 16 heads on a frozen MobileNetV2 against the same loop in plain Keras.

cvjobs shows every image to the base once; plain Keras shows it to the base again in every epoch of
every head. cvjobs always runs all of it. Plain Keras runs four heads for five epochs, from which
its seconds are extrapolated and called so; `--full` runs all of it, 40 minutes a round on two
cores. Fewer `--images` favour plain Keras, because the start of cvjobs stays what it is. One JSON
document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.agreement import chance_of, compare
from benchmarks.casting_split import CASTINGS, class_counts, lay_out
from benchmarks.casting_systems import BASE_SIZE, WEIGHTS
from benchmarks.command_line import parser_of, write_results
from benchmarks.machine import describe
from benchmarks.processes import run, scratch, sweep_with_cvjobs
from benchmarks.report import median_and_range, table
from benchmarks.report_page import page
from benchmarks.rounds import turned
from benchmarks.transfer_work import BATCH_SIZE, Work, grid, spec_of

NUM_IMAGES, EPOCHS = 933, 30  # nine in ten of the images are for training
SHORT_HEADS, SHORT_EPOCHS = 4, 5
# Test scores of two systems may differ by this: 14 of 715 images.
TEST_TOLERANCE = 0.02
QUERIES = {
    "epochs": "SELECT trial_id, val_accuracy FROM epochs ORDER BY trial_id, epoch",
    "features": "SELECT sum(num_features_computed)::BIGINT AS computed FROM trials",
}
Row = dict[str, Any]


def our_row(work: Work) -> Row:
    """Run the whole sweep with cvjobs; `val_accuracy` is a list of epochs a head."""
    with scratch() as folder:
        path = folder / "spec.toml"
        path.write_text(spec_of(work))
        sweep = sweep_with_cvjobs(path, engine=work.engine, queries=QUERIES)
    curves: dict[str, list[float]] = {}
    for row in sweep.tables["epochs"]:
        curves.setdefault(row["trial_id"], []).append(row["val_accuracy"])
    return {
        "seconds": sweep.process.seconds,
        "val_accuracy": list(curves.values()),
        "test_accuracy": sweep.document["best"]["test_accuracy"],
        "features_computed": sweep.tables["features"][0]["computed"],
    }


def plain_row(work: Work) -> Row:
    """Run the loop in plain Keras; `sweep_seconds` is what all heads and epochs cost."""
    plan = {
        "data": str(work.data),
        "size": work.size,
        "batch_size": BATCH_SIZE,
        "weights": str(work.weights) if work.weights else None,
        "epochs": work.epochs,
        "heads": grid(work)[: work.heads],
    }
    with scratch() as folder:
        typed, output = folder / "plan.json", folder / "output.json"
        typed.write_text(json.dumps(plan))
        done = run(["benchmarks.transfer_in_keras", str(typed), str(output)], environment={})
        found = json.loads(output.read_text())
    epochs = [one["epoch_seconds"] for one in found["heads"]]
    return {
        "seconds": done.seconds,
        "sweep_seconds": done.seconds if work.whole else extrapolate(done.seconds, epochs, work),
        "extrapolated": not work.whole,
        "val_accuracy": [one["val_accuracy"] for one in found["heads"]],
        "test_accuracy": found["test_accuracy"],
    }


def extrapolate(seconds: float, epoch_seconds: Sequence[Sequence[float]], work: Work) -> float:
    """Extend a run over some heads and epochs to all of them.

    The first epoch of a head carries its tracing, that of the first head the decoding too; later
    ones cost their median. What is left is paid once: imports, the base, the test score.
    """
    once = seconds - sum(map(sum, epoch_seconds))
    first = [epochs[0] for epochs in epoch_seconds]
    later = statistics.median(one for epochs in epoch_seconds for one in epochs[1:])
    num_heads = len(grid(work))
    other_heads = statistics.median(first[1:] or first) * (num_heads - 1)
    return once + first[0] + other_heads + later * num_heads * (work.sweep_epochs - 1)


def summarise(rounds: Sequence[tuple[Row, Row]], work: Work, *, chance: float) -> Row:
    """Compare rounds of (ours, plain Keras); no ratio where scores differ by more than noise.

    Compared are the epochs that both trained, and the test scores where both trained all. `chance`
    is the validation accuracy of the largest class.
    """
    ours = [one for one, _ in rounds]
    plain = [one for _, one in rounds]
    curves = [[mean_curve(row, work) for row in side] for side in (ours, plain)]
    means = [[statistics.mean(s) for s in zip(*c, strict=True)] for c in curves]
    agreement = compare(*means, chance=chance)
    tests = [statistics.median(row["test_accuracy"] for row in side) for side in (ours, plain)]
    agrees = agreement.verdict == "agree" and (
        not work.whole or abs(tests[0] - tests[1]) <= TEST_TOLERANCE
    )
    seconds = [row["seconds"] for row in ours]
    sweep_seconds = [row["sweep_seconds"] for row in plain]
    ratio = statistics.median(sweep_seconds) / statistics.median(seconds)
    return {
        "cvjobs_seconds": seconds,
        "plain_seconds": [row["seconds"] for row in plain],
        "plain_sweep_seconds": sweep_seconds,
        "plain_is_extrapolated": not work.whole,
        "plain_measured": {"heads": work.heads, "epochs": work.epochs},
        "val_accuracy_difference": agreement.difference,
        "val_accuracy_allowed": agreement.allowed,
        "verdict": agreement.verdict,
        "cvjobs_test_accuracy": [row["test_accuracy"] for row in ours],
        "plain_test_accuracy": [row["test_accuracy"] for row in plain],
        "features_computed": ours[0]["features_computed"],
        "ratio": ratio if agrees else None,
    }


def mean_curve(row: Row, work: Work) -> list[float]:
    """Return the mean accuracy of each head that both trained, over the epochs that both did."""
    shared = row["val_accuracy"][: work.heads]
    return [statistics.mean(curve[: work.epochs]) for curve in shared]


def result_table(summary: Mapping[str, Any]) -> str:
    """Write the comparison as a table."""
    measured = summary["plain_measured"]
    extrapolated = summary["plain_is_extrapolated"]
    scope = f"{measured['heads']} heads × {measured['epochs']} epochs"
    name = f"plain Keras, extrapolated from {scope}" if extrapolated else "plain Keras"
    scores = "–" if extrapolated else median_and_range(summary["plain_test_accuracy"], digits=4)
    ratio = summary["ratio"]
    rows = [
        [
            "cvjobs",
            median_and_range(summary["cvjobs_seconds"], digits=1),
            "1",
            median_and_range(summary["cvjobs_test_accuracy"], digits=4),
        ],
        [
            name,
            median_and_range(summary["plain_sweep_seconds"], digits=1),
            "none: scores not shown equal" if ratio is None else f"{ratio:.1f}",
            scores,
        ],
    ]
    note = (
        f"Validation accuracy of the {scope} that both trained, head by head: difference "
        f"{summary['val_accuracy_difference']:+.4f}, seeds explain "
        f"{summary['val_accuracy_allowed']:.4f}: {summary['verdict']}."
    )
    return f"{table(['way', 'seconds', '× cvjobs', 'test accuracy'], rows)}\n\n{note}"


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    return page(
        "Heads on a frozen base",
        question="How long does a sweep of 16 heads over 30 epochs on a frozen MobileNetV2 take, "
        "against a loop over the same heads in plain Keras?",
        document=document,
        spec=document["spec"],
        sections={"16 heads × 30 epochs": result_table(document["results"])},
        limits="A user who stores the outputs of the base by hand is as fast as cvjobs. With "
        "augmentation cvjobs shows the base several views of every image. The grid tries all heads "
        "for all epochs: nothing is stopped early on either side.",
    )


def main() -> None:
    parser = parser_of(
        __doc__, short="plain Keras in part", full="plain Keras with all heads and epochs"
    )
    parser.add_argument("--heads", type=int, default=SHORT_HEADS, help="of plain Keras")
    parser.add_argument("--epochs", type=int, default=SHORT_EPOCHS, help="of plain Keras")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--images", type=int, default=NUM_IMAGES, help="to train and validate on")
    parser.add_argument("--engine", help="of cvjobs; default: its own default")
    options = parser.parse_args()
    if not (CASTINGS.is_dir() and WEIGHTS.is_file()):
        print(json.dumps({"skipped": f"no casting images in {CASTINGS}, or no {WEIGHTS}"}))
        return
    heads, epochs = (16, EPOCHS) if options.full else (options.heads, options.epochs)
    with scratch() as folder:
        images = lay_out(folder / "data", num_images=options.images)
        work = Work(
            data=folder / "data",
            size=BASE_SIZE,
            weights=WEIGHTS,
            sweep_epochs=EPOCHS,
            heads=heads,
            epochs=epochs,
            engine=options.engine,
        )
        chance = chance_of(class_counts(folder / "data" / "validation"))
        machine = describe("tensorflow-cpu", "keras", "ray")
        rounds = []
        for number in range(options.rounds):
            found = {way: way(work) for way in turned([our_row, plain_row], number)}
            rounds.append((found[our_row], found[plain_row]))
            spent = {way.__name__: round(row["seconds"], 1) for way, row in found.items()}
            print(f"round {number + 1}: {spent}", file=sys.stderr, flush=True)
    document = {
        "machine": machine,
        "typed": sys.argv[1:],
        "images": images,
        "spec": spec_of(replace(work, data=Path("castings"), weights=Path(WEIGHTS.name))),
        "results": summarise(rounds, work, chance=chance),
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
