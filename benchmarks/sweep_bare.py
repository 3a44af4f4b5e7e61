"""The floor under a sweep: the same steps in one bare process a core, and nothing around them.

No Ray, no reports, no log, no tables, no saved model, no test score: what is left is Python,
TensorFlow's import (once, then copied), the decoding, each structure's compilation, the training
and the validation, all by the code of `cvcore`.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
from functools import partial
from pathlib import Path
from typing import Any

from cvcore.config import load_spec
from cvcore.datasets import Dataset, open_dataset, open_source
from cvcore.hyperparameters import resolve
from cvcore.runtime import start_tensorflow
from cvcore.search import RandomSearch
from cvcore.settings import SweepSpec


def train_shared(
    spec: SweepSpec, drawn: list[dict[str, Any]], dataset: Dataset, taken: Any, final: Any
) -> None:
    """Train configuration after configuration that no other process took; note how each ended."""
    from cvcore.training import Programs

    programs = Programs()
    while True:
        with taken.get_lock():
            index = taken.value
            taken.value += 1
        if index >= len(drawn):
            return
        final[index] = train(spec, drawn[index], dataset, programs, seed=index)


def train(
    spec: SweepSpec, drawn: dict[str, Any], dataset: Dataset, programs: Any, *, seed: int
) -> float:
    """Train one configuration to its last epoch; return its validation accuracy there."""
    from cvcore.evaluation import evaluate
    from cvcore.models import join, make
    from cvcore.scoring import is_better
    from cvcore.training import Blueprint, Trainer, choose_strategy
    from cvcore.training.trainer import Arrays

    model, training, _ = resolve(spec, drawn)
    precision, channels = training.precision, dataset.images.shape[-1]
    shape = {"image_size": spec.data.image_size, "channels": channels, "precision": precision}
    validation, names = dataset.indices["validation"], dataset.class_names
    trainer = Trainer(
        Blueprint(
            make=partial(make, model, num_classes=len(names), precision=precision),
            join=partial(join, model, **shape),
            key=model,
        ),
        Arrays(
            images=dataset.images,
            labels=dataset.labels,
            train=dataset.indices["train"][None],
            validation=validation,
        ),
        config=training,
        seed=seed,
        placement=choose_strategy(),
        score=partial(
            evaluate, labels=dataset.labels[validation], class_names=names, split="validation"
        ),
        better=partial(is_better, objective="val_accuracy", mode="max"),
        programs=programs,
    )
    return trainer.advance(until_epoch=training.epochs)[-1].val_accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--storage", type=Path, required=True, help="for the decoded images")
    options = parser.parse_args()
    spec = load_spec(options.spec)
    search = RandomSearch(spec)
    drawn = [dict(search.suggest() or {}) for _ in range(spec.search.trials)]
    dataset = open_dataset(
        open_source(spec.data.uri), config=spec.data, cache_folder=options.storage
    )
    start_tensorflow(threads=1)
    gc.freeze()  # as the processes of cvjobs do: what an import leaves is no garbage
    fork = multiprocessing.get_context("fork")
    taken, final = fork.Value("i", 0), fork.Array("d", len(drawn))
    arguments = (spec, drawn, dataset, taken, final)
    workers = [
        fork.Process(target=train_shared, args=arguments) for _ in range(os.cpu_count() or 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    options.output.write_text(json.dumps(list(final)))


if __name__ == "__main__":
    main()
