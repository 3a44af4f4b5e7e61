"""Five image readers and our own, side by side: what array does the same file become, how fast?

All images are drawn on the spot; real castings are added where CVJOBS_SHARED (default ../shared)
has them. Tables go to stderr, one JSON document to stdout, a Markdown report to `--report FILE`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bench_alpha import draw
from benchmarks.machine import describe
from benchmarks.readers import Reader, compare, readers
from benchmarks.report import median_and_range, table
from cvcore.runtime import start_tensorflow

SHARED = Path(os.environ.get("CVJOBS_SHARED", Path(__file__).parents[2] / "shared"))
SIDE = 240  # pixels; all files are square, so that ours need not be stretched
PACKAGES = (
    "matplotlib", "opencv-python-headless", "pillow", "scikit-image", "tensorflow-cpu", "numpy",
)  # fmt: skip
GREY_WEIGHTS = (0.2989, 0.587, 0.114)


def write_samples(folder: Path) -> dict[str, Path]:
    """Write a file of every kind; map its description to its path."""
    scene = draw_scene(0)
    grey = scene.convert("L")
    deep = np.asarray(grey).astype(np.uint16) * 257
    turned = Image.Exif()
    turned[0x0112] = 6  # Orientation: to be turned by 90 degrees
    files: dict[str, tuple[Image.Image, str, dict[str, Any]]] = {
        "RGB JPEG": (scene, "rgb.jpg", {"quality": 90}),
        "RGBA PNG, hidden background": (draw(7, "meadow", size=SIDE), "rgba.png", {}),
        "grayscale PNG": (grey, "grey.png", {}),
        "palette PNG": (scene.quantize(64), "palette.png", {}),
        "16-bit grayscale PNG": (Image.fromarray(deep), "deep.png", {}),
        "CMYK JPEG": (scene.convert("CMYK"), "cmyk.jpg", {"quality": 90}),
        "JPEG turned by EXIF": (scene, "turned.jpg", {"quality": 90, "exif": turned}),
    }
    for image, name, options in files.values():
        image.save(folder / name, **options)
    return {kind: folder / name for kind, (_, name, _) in files.items()}


def draw_scene(seed: int) -> Image.Image:
    """Draw a smooth coloured scene whose corners differ, so that every turn of it shows."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, size=(6, 6, 3), dtype=np.uint8)
    coarse[0, 0] = (255, 0, 0)
    return Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def compare_greys(image: Image.Image) -> dict[str, float]:
    """Return the largest differences, in steps of 0 to 255, to the weighted sum of an RGB image."""
    import tensorflow as tf

    rgb = np.asarray(image)
    summed = rgb @ np.array(GREY_WEIGHTS)
    greys = {
        "tf.image.rgb_to_grayscale, float32": tf.image.rgb_to_grayscale(rgb.astype(np.float32)),
        "tf.image.rgb_to_grayscale, uint8": tf.image.rgb_to_grayscale(rgb),
        "Pillow, mode L": image.convert("L"),
    }
    return {
        name: float(abs(np.asarray(grey, np.float64).reshape(summed.shape) - summed).max())
        for name, grey in greys.items()
    }


def time_reading(
    paths: Sequence[Path], known: Mapping[str, Reader], *, rounds: int
) -> dict[str, list[float]]:
    """Return images per second, round by round; all readers take turns within a round."""
    speeds: dict[str, list[float]] = {name: [] for name in known}
    for number in range(rounds + 1):
        for name, read in known.items():
            started = time.perf_counter()
            for path in paths:
                read(path)
            if number:  # the first round fills the page cache
                speeds[name].append(len(paths) / (time.perf_counter() - started))
    return speeds


def speed_sets(folder: Path, *, num_files: int) -> dict[str, list[Path]]:
    """Write or find the files whose reading is timed; map their description to their paths."""
    jpegs = [folder / f"{index}.jpg" for index in range(num_files)]
    pngs = [folder / f"{index}.png" for index in range(num_files)]
    for index, (jpeg, png) in enumerate(zip(jpegs, pngs, strict=True)):
        draw_scene(index).save(jpeg, quality=90)
        draw(index, "meadow", size=SIDE).save(png)
    kinds = {f"RGB JPEG {SIDE}×{SIDE}": jpegs, f"RGBA PNG {SIDE}×{SIDE}": pngs}
    if castings := find_castings():
        kinds["real casting JPEG 300×300"] = castings[:num_files]
    return kinds


def find_castings() -> list[Path]:
    """List the real casting images of the test split, in order; empty where there are none."""
    return sorted((SHARED / "data" / "casting" / "test").glob("*/*.jpeg"))


def tables(results: dict[str, Any]) -> str:
    """Write all results as Markdown tables."""
    columns = {
        "file": "file", "reader": "reader", "shape": "shape", "dtype": "dtype", "values": "values",
        "order": "order", "alpha": "alpha", "upright": "turned upright",
        "largest": "largest difference", "mean": "mean difference",
        "largest_undone": "largest, order and turn undone", "problem": "refused with",
    }  # fmt: skip
    readings = results["readings"]
    columns = {name: title for name, title in columns.items() if any(r[name] for r in readings)}
    rows = [[reading[name] for name in columns] for reading in readings]
    parts = ["## Arrays", table(list(columns.values()), rows), "## Images per second"]
    speeds = results["images_per_second"]
    names = list(next(iter(speeds.values())))
    rows = [[kind, *(median_and_range(by[name]) for name in names)] for kind, by in speeds.items()]
    parts += [table(["file", *names], rows), "## Grey"]
    greys = [[name, f"{value:.3f}"] for name, value in results["grey"].items()]
    return "\n\n".join([*parts, table(["grey by", "largest difference to the dot product"], greys)])


def measure(*, num_files: int, rounds: int) -> dict[str, Any]:
    """Run all comparisons; the result is ready for JSON."""
    start_tensorflow(threads=1, use_gpus=False)
    known = readers()
    with tempfile.TemporaryDirectory() as folder:
        samples = write_samples(Path(folder))
        if castings := find_castings():
            samples["real casting JPEG"] = castings[0]
        readings = [one for kind, path in samples.items() for one in compare(kind, path, known)]
        speeds = {
            kind: time_reading(paths, known, rounds=rounds)
            for kind, paths in speed_sets(Path(folder), num_files=num_files).items()
        }
    return {
        "readings": [asdict(reading) for reading in readings],
        "images_per_second": speeds,
        "grey": compare_greys(draw_scene(0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100, help="files of each kind that are timed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--report", type=Path, help="write the tables into this file")
    options = parser.parse_args()
    if not find_castings():
        print(f"no casting images below {SHARED}: their rows are left out", file=sys.stderr)
    results = measure(num_files=options.files, rounds=options.rounds)
    written = tables(results)
    print(written, file=sys.stderr)
    if options.report:
        options.report.write_text(f"{written}\n", encoding="utf-8")
    counts = {"files": options.files, "rounds": options.rounds}
    print(json.dumps({"machine": describe(*PACKAGES), **counts, **results}, indent=1))


if __name__ == "__main__":
    main()
