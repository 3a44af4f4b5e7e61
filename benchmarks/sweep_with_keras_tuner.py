"""The sweep as the documentation of KerasTuner shows it: a hypermodel and `search`.

Its random search draws with its own generator and gives up on a small space before all of it is
tried, so the oracle is told which configurations to propose; everything else is KerasTuner's own.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from benchmarks.sweep_in_keras import cnn, datasets


class ListedSearch(keras_tuner.oracles.RandomSearchOracle):  # type: ignore[misc]
    """Propose 0, 1, 2 and so on."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Give the next trial the first number that no trial has."""
        return {"status": "RUNNING", "values": {"configuration": len(self.trials)}}


class Tuner(keras_tuner.Tuner):  # type: ignore[misc]
    """Do without TensorBoard.

    KerasTuner 1.4.8 imports it before every trial, whether or not it is used, and TensorFlow 2.21
    no longer brings it.
    """

    def _configure_tensorboard_dir(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: there is no such callback."""


class Hypermodel(keras_tuner.HyperModel):  # type: ignore[misc]
    """Build the CNN of a configuration, and keep the last accuracy of each."""

    def __init__(self, configurations: list[dict[str, Any]], *, size: int) -> None:
        super().__init__()
        self.final: dict[int, float] = {}
        self._configurations, self._size = configurations, size

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """Build from a fixed seed."""
        number = hp.Int("configuration", 0, len(self._configurations) - 1)
        keras.utils.set_random_seed(number)
        return cnn(self._configurations[number], size=self._size)

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train, and note how it ended: KerasTuner itself keeps the best epoch."""
        history = model.fit(*args, **kwargs)
        self.final[hp.get("configuration")] = history.history["val_accuracy"][-1]
        return history


def search(plan: Mapping[str, Any], *, storage: str) -> list[float]:
    """Return the final validation accuracy of every configuration of the plan."""
    listed = plan["configurations"]
    training, validation = datasets(
        plan["data"], size=plan["size"], batch_size=plan["batch_size"], seed=0
    )
    hypermodel = Hypermodel(listed, size=plan["size"])
    tuner = Tuner(
        ListedSearch(objective="val_accuracy", max_trials=len(listed), seed=0),
        hypermodel=hypermodel,
        directory=storage,
        project_name="sweep",
    )
    tuner.search(training, validation_data=validation, epochs=plan["epochs"], verbose=0)
    return [hypermodel.final[number] for number in range(len(listed))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--storage", required=True)
    options = parser.parse_args()
    plan = json.loads(options.plan.read_text())
    options.output.write_text(json.dumps(search(plan, storage=options.storage)))


if __name__ == "__main__":
    main()
