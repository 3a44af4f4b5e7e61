"""The casting document's closing table again, without its two defects, on the real castings.

The document scored on training batches (hence its 1.00) and took its validation images from a data
set that is shuffled anew every epoch. Here the split is fixed first, and every score is of the
untouched test folder. By default a short run that only shows that everything works; `--full` is the
document's size. One JSON document goes to stdout, a table to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.casting_split import CASTINGS, CLASSES, lay_out
from benchmarks.casting_systems import (
    BASE_SIZE,
    WEIGHTS,
    Loaded,
    Plan,
    augmented_cnn,
    cnn,
    load_with_keras,
    load_with_scikit_image,
    load_with_tensorflow,
    mobilenet,
)
from benchmarks.machine import describe
from benchmarks.report import median_and_range, table
from cvcore.catalog import recipe_names
from cvcore.evaluation import evaluate
from cvcore.runtime import start_tensorflow

if TYPE_CHECKING:
    import keras

ROOT = Path(__file__).parents[1]
PATIENCE = 5
CNN_RATE, TRANSFER_RATE = 1e-3, 1e-4
# The document's weighted F1 and its minutes on a Colab GPU. Its 1.00 is of training batches.
DOCUMENTED = {
    "scikit-image, CNN": ("1.00", "0:47"),
    "Keras loader, CNN": ("0.92", "1:00"),
    "TensorFlow loader, CNN": ("0.79", "0:39"),
    "TensorFlow loader, CNN + augmentation": ("0.95", "2:04"),
    "TensorFlow loader, MobileNetV2": ("0.94", "3:41"),
}
Row = dict[str, Any]


def train(
    load: Callable[[], Loaded], build: Callable[[], keras.Model], *, rate: float, epochs: int
) -> tuple[keras.Model, Loaded, Row]:
    """Load, train with early stopping on the validation loss, score on the test split."""
    import keras

    started = time.perf_counter()
    loaded = load()
    load_seconds = time.perf_counter() - started
    model = build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    patient = keras.callbacks.EarlyStopping(
        monitor="val_loss", patience=PATIENCE, restore_best_weights=True
    )
    history = model.fit(
        **loaded.train,
        validation_data=loaded.validation,
        epochs=epochs,
        callbacks=[patient],
        verbose=0,
    )
    seconds = time.perf_counter() - started
    row = {
        "test_f1_weighted": f1_weighted(model, loaded.test, loaded.test_labels),
        "seconds": seconds,
        "load_seconds": load_seconds,
        "epochs": len(history.epoch),
        "seconds_per_epoch": (seconds - load_seconds) / len(history.epoch),
    }
    return model, loaded, row


def f1_weighted(model: keras.Model, images: Any, labels: np.ndarray) -> float:
    """Score a model on images in the order of their labels."""
    logits = model.predict(images, verbose=0)
    return evaluate(logits, labels, class_names=CLASSES, split="test").f1_weighted


def scikit_image_row(plan: Plan) -> Row:
    """Train on one array; also repeat the document's mistake, under its name."""
    model, loaded, row = train(
        lambda: load_with_scikit_image(plan),
        lambda: cnn(plan.size),
        rate=CNN_RATE,
        epochs=plan.epochs,
    )
    wrong = f1_weighted(model, loaded.train["x"], loaded.train["y"])
    return {**row, "f1_weighted_on_training_images": wrong}


def keras_row(plan: Plan) -> Row:
    """Train on the generator's batches, read and rescaled anew every epoch."""
    load, build = lambda: load_with_keras(plan), lambda: cnn(plan.size)
    return train(load, build, rate=CNN_RATE, epochs=plan.epochs)[2]


def tensorflow_row(plan: Plan) -> Row:
    """Train on the batches of `image_dataset_from_directory`, read anew every epoch."""
    load, build = lambda: load_with_tensorflow(plan), lambda: cnn(plan.size)
    return train(load, build, rate=CNN_RATE, epochs=plan.epochs)[2]


def augmented_row(plan: Plan) -> Row:
    """Train the CNN with augmentation in front."""
    load, build = lambda: load_with_tensorflow(plan), lambda: augmented_cnn(plan.size)
    return train(load, build, rate=CNN_RATE, epochs=plan.epochs)[2]


def mobilenet_row(plan: Plan) -> Row:
    """Train a head on the frozen base, which sees every image again every epoch."""
    load, build = lambda: load_with_tensorflow(plan, size=BASE_SIZE), mobilenet
    return train(load, build, rate=TRANSFER_RATE, epochs=plan.transfer_epochs)[2]


ROWS: dict[str, Callable[[Plan], Row]] = {
    "scikit-image, CNN": scikit_image_row,
    "Keras loader, CNN": keras_row,
    "TensorFlow loader, CNN": tensorflow_row,
    "TensorFlow loader, CNN + augmentation": augmented_row,
    "TensorFlow loader, MobileNetV2": mobilenet_row,
}
# The recipe that stands for the same system, and what it needs to be told.
OURS = {
    "casting-cnn": "CNN",
    "casting-cnn-augmented": "CNN + augmentation",
    "casting-mobilenetv2": "MobileNetV2",
}


def our_row(recipe: str, plan: Plan) -> Row:
    """Run a recipe's first trial with `cvjobs` on the same split, in a process of its own."""
    transfer = recipe == "casting-mobilenetv2"
    size = BASE_SIZE if transfer else plan.size
    changes = [f"data.image_size={size}", f"search.seed={plan.seed}"]
    changes += [f"model.weights={WEIGHTS}"] if transfer else []
    epochs = plan.transfer_epochs if transfer else plan.epochs
    with tempfile.TemporaryDirectory() as scratch:
        typed = ["sweep", recipe, "--data", str(plan.folder), "--store", f"{scratch}/store"]
        typed += ["--trials", "1", "--epochs", str(epochs), "--engine", "inline", "--json"]
        typed += [word for change in changes for word in ("--set", change)]
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", *typed],
            cwd=ROOT,
            env={**os.environ, "CVJOBS_CACHE": f"{scratch}/cache"},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        seconds = time.perf_counter() - started  # of the whole process, its start included
    best = json.loads(done.stdout)["best"]
    return {"test_f1_weighted": best["test_f1_weighted"], "seconds": seconds}


def measure(plans: list[Plan]) -> dict[str, list[Row]]:
    """Run every row once a plan; rows whose weights or recipe are missing are left out."""
    import keras

    runs = dict(ROWS)
    if not WEIGHTS.is_file():
        runs.pop("TensorFlow loader, MobileNetV2")
    for recipe in [name for name in OURS if name in recipe_names()]:
        if recipe != "casting-mobilenetv2" or WEIGHTS.is_file():
            runs[f"cvjobs, {OURS[recipe]}"] = partial(our_row, recipe)
    found: dict[str, list[Row]] = {name: [] for name in runs}
    for plan in plans:
        for name, run in runs.items():
            keras.utils.clear_session()
            keras.utils.set_random_seed(plan.seed)
            found[name].append(run(plan))
            print(f"seed {plan.seed}: {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def closing_table(results: dict[str, list[Row]]) -> str:
    """Write the table, the document's figures beside ours, with the range over the seeds."""
    rows = []
    for name, runs in results.items():
        scores = [run["test_f1_weighted"] for run in runs]
        documented = DOCUMENTED.get(name, ("", ""))
        seconds = [run["seconds"] for run in runs]
        epochs = ", ".join(str(run.get("epochs", "")) for run in runs)
        cells = [median_and_range(scores, digits=3), median_and_range(seconds), epochs]
        rows.append([name, *cells, *documented])
    columns = ["loader, model", "test F1, weighted", "seconds", "epochs"]
    written = table([*columns, "the document's F1", "its time (GPU)"], rows)
    wrong = [run["f1_weighted_on_training_images"] for run in results["scikit-image, CNN"]]
    mistake = "The document's mistake, F1 on the images trained on (scikit-image, CNN)"
    return f"{written}\n\n{mistake}: {median_and_range(wrong, digits=3)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="840 images, 300 pixels, 30 epochs")
    parser.add_argument("--images", type=int, help="training and validation images")
    parser.add_argument("--size", type=int, help="pixels a side of the CNN's input")
    parser.add_argument("--epochs", type=int, help="at most, for the CNN")
    parser.add_argument("--transfer-epochs", type=int, help="at most, for MobileNetV2")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if not CASTINGS.is_dir():
        print(json.dumps({"skipped": f"no casting images in {CASTINGS}"}))
        return
    images, size, epochs, transfer = (840, 300, 30, 50) if options.full else (200, 96, 2, 1)
    start_tensorflow(threads=os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        counts = lay_out(Path(folder), num_images=options.images or images)
        plans = [
            Plan(
                folder=Path(folder),
                size=options.size or size,
                epochs=options.epochs or epochs,
                transfer_epochs=options.transfer_epochs or transfer,
                seed=seed,
            )
            for seed in range(options.seeds)
        ]
        with redirect_stdout(sys.stderr):  # Keras prints what its loaders find
            results = measure(plans)
    print(closing_table(results), file=sys.stderr)
    settings = {name: value for name, value in vars(options).items() if value is not None}
    machine = describe("tensorflow-cpu", "keras", "scikit-image")
    document = {"machine": machine, "typed": settings, "images": counts, "results": results}
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
