"""Images per second in the first and in later epochs, ours and the ways that are documented.

All read the same JPEG files, in turn, TensorFlow with a thread a core; but the way of our compiled
epochs has a process with one thread, as a slot of a sweep has. The first epoch begins with nothing
but files; ours decodes into a cache folder that is new every round. A ratio is printed only if all
ways saw the same images. One JSON document goes to stdout, `--report` writes a page.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.casting_split import CASTINGS
from benchmarks.command_line import parser_of, write_results
from benchmarks.input_ways import IN_SLOT, OURS, WAYS, Epoch, Folder, Way, open_with_cvjobs
from benchmarks.machine import describe
from benchmarks.processes import scratch
from benchmarks.report import median_and_range, table
from benchmarks.report_page import IN_TURN, page
from benchmarks.rounds import turned
from benchmarks.sweep_images import write_images
from cvcore.runtime import start_tensorflow

PLAIN = "image_dataset_from_directory"
# Decoders and their resizing may differ by so many steps of 0 to 255, averaged over all images.
MAX_DIFFERENCE = 1.0
Row = dict[str, Any]


def measure_way(way: Way, folder: Folder, *, epochs: int) -> Row:
    """Open a folder and run the first epoch, then `epochs` more."""
    started, cpu_started = time.perf_counter(), time.process_time()
    run = way(folder)
    opened = time.perf_counter()
    first = run(0)
    begun, cpu_begun = time.perf_counter(), time.process_time()
    for number in range(1, epochs + 1):
        _same(first, run(number))
    return {
        "num_images": first.num_images,
        "mean": first.mean,
        "startup_seconds": opened - started,
        "first_images_per_second": first.num_images / (begun - started),
        "first_cpu_milliseconds_per_image": (cpu_begun - cpu_started) * 1000 / first.num_images,
        "later_images_per_second": epochs * first.num_images / (time.perf_counter() - begun),
    }


def measure(
    folder: Path,
    images: Path,
    *,
    size: int,
    rounds: int,
    epochs: int,
    slot: Executor | None = None,
) -> list[Row]:
    """Let all ways take turns; the first round fills the page cache and is thrown away.

    `slot` runs the ways of `IN_SLOT`; None: this process does.
    """
    found = []
    for number in range(rounds + 1):
        rows = {}
        for name in turned(list(WAYS), number):
            own = Folder(images=images, cache=folder / "cache", size=size)
            if slot is not None and name in IN_SLOT:
                rows[name] = slot.submit(measure_way, WAYS[name], own, epochs=epochs).result()
            else:
                rows[name] = measure_way(WAYS[name], own, epochs=epochs)
            if name in OURS:
                rows[name]["reopen_seconds"] = _reopen(own)
                shutil.rmtree(own.cache)
            print(f"{name}: {rows[name]}", file=sys.stderr, flush=True)
        found.append({"ways": rows, "load": round(os.getloadavg()[0], 2)})
    return found[1:]


def agree(rows: Mapping[str, Row]) -> bool:
    """Tell whether all ways saw as many images, and the same."""
    means = [row["mean"] for row in rows.values()]
    counts = {row["num_images"] for row in rows.values()}
    return len(counts) == 1 and max(means) - min(means) <= MAX_DIFFERENCE


def summarise(rounds: list[Row]) -> dict[str, Row]:
    """Reduce the rounds to figures a way, and to ratios of medians where all ways agree.

    First epochs are compared with the fastest way that is not ours, later ones with `PLAIN`.
    """
    agreed = all(agree(one["ways"]) for one in rounds)
    found: dict[str, Row] = {}
    for name in WAYS:
        rows = [one["ways"][name] for one in rounds]
        found[name] = {key: [row[key] for row in rows] for key in rows[0]}
    first = {name: statistics.median(found[name]["first_images_per_second"]) for name in WAYS}
    later = {name: statistics.median(found[name]["later_images_per_second"]) for name in WAYS}
    best = max(speed for name, speed in first.items() if name not in OURS)
    for name, row in found.items():
        row["first_ratio"] = first[name] / best if agreed else None
        row["later_ratio"] = later[name] / later[PLAIN] if agreed else None
    return found


def result_table(summary: Mapping[str, Row]) -> str:
    """Write the figures as a table."""
    columns = [
        "way", "opened, s", "first epoch, images/s", "× the best of the others",
        "its CPU, ms/image", "later epochs, images/s", f"× {PLAIN}",
    ]  # fmt: skip
    rows = [
        [
            name,
            median_and_range(row["startup_seconds"], digits=3),
            median_and_range(row["first_images_per_second"]),
            _ratio(row["first_ratio"]),
            median_and_range(row["first_cpu_milliseconds_per_image"], digits=2),
            median_and_range(row["later_images_per_second"]),
            _ratio(row["later_ratio"]),
        ]
        for name, row in summary.items()
    ]
    written = table(columns, rows)
    again = median_and_range(summary[OURS[0]]["reopen_seconds"], digits=3)
    return f"{written}\n\nA second process opens the decoded images in {again} s."


def report(document: Mapping[str, Any]) -> str:
    """Write the page of a run."""
    return page(
        "Input",
        question="How many images a second reach the training step, in the first epoch and later?",
        document=document,
        sections={"Images a second": result_table(document["results"])},
        method=f"{IN_TURN} TensorFlow has a thread a core; the way of our compiled epochs has one "
        "thread, in a process of its own, as every slot of a sweep has.",
        limits="No training step runs beside it, which would take the cores; a page cache that is "
        "warm; data that fits into memory; files that have the size of the batches. The decoding "
        "of cvjobs happens when the folder is opened, and counts as part of its first epoch; it "
        "also hashes and splits the files, and writes the pixels to the disk. `.cache()` repeats "
        "the batches of the first epoch without a copy and never shuffles again.",
    )


def _ratio(found: float | None) -> str:
    return "ways differ: none" if found is None else f"{found:.2f}"


def _same(first: Epoch, other: Epoch) -> None:
    if first.num_images != other.num_images or abs(first.mean - other.mean) > MAX_DIFFERENCE:
        raise RuntimeError(f"two epochs differ: {first} and {other}")


def _reopen(folder: Folder) -> float:
    started = time.perf_counter()
    open_with_cvjobs(folder)
    return time.perf_counter() - started


def _start_slot() -> None:
    start_tensorflow(threads=1, use_gpus=False)


def main() -> None:
    parser = parser_of(__doc__, short="300 images, 1 round", full="933 files, 5 rounds: one minute")
    parser.add_argument("--images", type=int)
    parser.add_argument("--size", type=int, default=96, help="pixels a side, of files and batches")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--epochs", type=int, default=10, help="later epochs")
    options = parser.parse_args()
    machine = describe("tensorflow-cpu", "keras", "scikit-image", "numpy", "pillow", "simplejpeg")
    start_tensorflow(threads=os.cpu_count() or 1, use_gpus=False)
    with scratch() as folder:
        number = options.images or (933 if options.full else 300)
        counts = write_images(folder / "data", num_images=number, size=options.size)
        with ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_start_slot
        ) as slot:
            rounds = measure(
                folder,
                folder / "data" / "train",
                size=options.size,
                rounds=options.rounds or (5 if options.full else 1),
                epochs=options.epochs,
                slot=slot,
            )
    document = {
        "machine": machine,
        "typed": sys.argv[1:],
        "images": {"castings": "real" if CASTINGS.is_dir() else "generated", **counts},
        "load": [one["load"] for one in rounds],
        "results": summarise(rounds),
    }
    write_results(document, page=report, path=options.report)


if __name__ == "__main__":
    main()
