"""What every recipe scores on the casting images: the document's own size, several seeds.

The castings are the only images of the five documents that are at hand, so the recipes for cars,
pets and camels are measured on castings too, and say so. Recipes whose base has no pretrained
weights here are left out. Each seed is one run of `cvjobs sweep` on the recipe's first
configuration. By default a single epoch, to see that everything works; `--full` trains as the
recipe says and stores the figures beside the recipes. One JSON document goes to stdout.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.casting_split import CASTINGS, lay_out
from benchmarks.casting_systems import BASE_SIZE, WEIGHTS
from benchmarks.machine import describe
from cvcore.catalog import DEFAULT_RECIPE, RECIPES_FOLDER, recipe_figures, recipe_names
from cvcore.config import load_spec

ROOT = Path(__file__).parents[1]
NUM_IMAGES = 840
BASE = "mobilenet_v2"


def measurable() -> list[str]:
    """List the recipes without a pretrained base, and those with the one that is at hand."""
    specs = {name: load_spec(name).model for name in recipe_names() if name != DEFAULT_RECIPE}
    at_hand = [name for name, one in specs.items() if one.family == "cnn" or one.base == BASE]
    return at_hand if WEIGHTS.is_file() else [n for n in at_hand if specs[n].family == "cnn"]


def run(recipe: str, data: Path, *, seed: int, epochs: int | None = None) -> dict[str, Any]:
    """Train a recipe's first configuration and return what its sweep says of the best trial."""
    changes = [f"search.seed={seed}"]
    if load_spec(recipe).model.family == "transfer":
        changes += [f"model.weights={WEIGHTS}", f"data.image_size={BASE_SIZE}"]
    with tempfile.TemporaryDirectory() as scratch:
        typed = ["sweep", recipe, "--data", str(data), "--store", scratch, "--trials", "1"]
        typed += ["--engine", "inline", "--json"]
        typed += ["--epochs", str(epochs)] if epochs else []
        typed += [word for change in changes for word in ("--set", change)]
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *typed],
            cwd=ROOT,
            env=dict(os.environ),
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    best: dict[str, Any] = json.loads(done.stdout)["best"]
    print(f"{recipe}, seed {seed}: {best['test_f1_weighted']:.4f}", file=sys.stderr, flush=True)
    return best


def summarised(values: list[float]) -> dict[str, Any]:
    """Describe the scores of one recipe in the form of `recipe_figures`."""
    return {
        "metric": "test_f1_weighted",
        "low": round(min(values), 4),
        "median": round(statistics.median(values), 4),
        "high": round(max(values), 4),
        "num_seeds": len(values),
        "data": f"{NUM_IMAGES} castings for training and validation, 715 for testing",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="*", help="these only; default: all that can be measured")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--full", action="store_true", help="train to the end, store the figures")
    options = parser.parse_args()
    if not CASTINGS.is_dir():
        sys.exit(f"the casting images are not at {CASTINGS}; set CVJOBS_SHARED")
    chosen = options.recipes or measurable()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
        data = Path(folder, "castings")
        lay_out(data, num_images=NUM_IMAGES)
        jobs = {
            (name, seed): threads.submit(
                run, name, data, seed=seed, epochs=None if options.full else 1
            )
            for name in chosen
            for seed in range(options.seeds)
        }
        scores = {
            name: [jobs[name, seed].result()["test_f1_weighted"] for seed in range(options.seeds)]
            for name in chosen
        }
    measured = {name: summarised(values) for name, values in scores.items()}
    if options.full:
        figures = recipe_figures()
        for name, found in measured.items():
            figures[name]["measured"] = found
        path = RECIPES_FOLDER / "figures.json"
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(
        json.dumps({"machine": describe("tensorflow-cpu", "keras"), "measured": measured}, indent=1)
    )


if __name__ == "__main__":
    main()
