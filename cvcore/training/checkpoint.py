"""A trial between two stretches of training, on disk: to pause it, or to copy it to another."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from cvcore.records import EpochMetrics, Evaluation
from cvcore.training.trainer import Best, Trainer


def save(trainer: Trainer, folder: Path) -> None:
    """Write everything that the next epoch depends on; no pickle."""
    arrays = {f"weight_{i}": w for i, w in enumerate(trainer.model.get_weights())}
    for name, variables in _states(trainer).items():
        arrays |= {f"{name}_{i}": v.numpy() for i, v in enumerate(variables)}
    document: dict[str, object] = {
        "epochs": [epoch.to_dict() for epoch in trainer.epochs],
        "seconds": trainer.ledger.seconds(),
    }
    if trainer.best is not None:
        document["best"] = {
            "epoch": trainer.best.epoch,
            "evaluation": trainer.best.evaluation.to_dict(),
        }
        arrays |= {f"best_{i}": w for i, w in enumerate(trainer.best.weights)}
        arrays["logits"] = trainer.best.logits
    np.savez(folder / "arrays.npz", **arrays)
    (folder / "trainer.json").write_text(json.dumps(document))


def load(trainer: Trainer, folder: Path, *, is_own: bool) -> None:
    """Put a saved state into a freshly built trainer of the same architecture.

    The learning rate stays the trainer's own, so that a copied trial may go on with another. Only
    where the state `is_own`, and not another trial's, the seconds it took count on.
    """
    document = json.loads((folder / "trainer.json").read_text())
    rate = float(trainer.optimizer.learning_rate.numpy())
    with np.load(folder / "arrays.npz") as arrays:
        num_weights = len(trainer.model.weights)
        trainer.model.set_weights([arrays[f"weight_{i}"] for i in range(num_weights)])
        if not trainer.optimizer.built:
            trainer.optimizer.build(trainer.model.trainable_variables)
        for name, variables in _states(trainer).items():
            for i, variable in enumerate(variables):
                if f"{name}_{i}" in arrays:
                    variable.assign(arrays[f"{name}_{i}"])
        trainer.optimizer.learning_rate = rate
        if "best" in document:
            trainer.best = Best(
                epoch=document["best"]["epoch"],
                evaluation=Evaluation.from_dict(document["best"]["evaluation"]),
                weights=[arrays[f"best_{i}"] for i in range(num_weights)],
                logits=arrays["logits"],
            )
    if is_own:
        trainer.ledger.carry(document["seconds"])
    trainer.epochs[:] = [EpochMetrics(**epoch) for epoch in document["epochs"]]


def _states(trainer: Trainer) -> dict[str, list]:  # type: ignore[type-arg]
    """Name the variables beside the weights: the optimizer's, and the random layers' seeds."""
    known = {id(weight) for weight in trainer.model.weights}
    seeds = [v for v in trainer.model.variables if id(v) not in known]
    return {"optimizer": list(trainer.optimizer.variables), "seed": seeds}
