"""The sweep as the documentation of Ray Tune shows it: a function, a grid, a report every epoch.

Faster than that page in two ways: the driver does not import TensorFlow, and `bench_sweep` gives a
trial of one CPU one thread.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ray
from ray import tune


def train(config: dict[str, Any]) -> None:
    """Train one configuration, reporting after every epoch."""
    import keras
    from ray.tune.integration.keras import TuneReportCheckpointCallback

    from benchmarks.sweep_in_keras import cnn, datasets

    plan, configuration = config["plan"], config["configuration"]
    keras.utils.set_random_seed(configuration["index"])
    training, validation = datasets(
        plan["data"], size=plan["size"], batch_size=plan["batch_size"], seed=configuration["index"]
    )
    model = cnn(configuration, size=plan["size"])
    report = TuneReportCheckpointCallback(
        checkpoint_on=[], metrics={"val_accuracy": "val_accuracy"}
    )
    model.fit(
        training,
        validation_data=validation,
        epochs=plan["epochs"],
        callbacks=[report],
        verbose=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--storage", required=True)
    parser.add_argument("--reuse-actors", action="store_true")
    parser.add_argument("--address", help="a running cluster; default: start Ray here")
    options = parser.parse_args()
    plan = json.loads(options.plan.read_text())
    listed = plan.pop("configurations")
    if options.address:
        ray.init(address=options.address)
    else:
        ray.init(include_dashboard=False, _node_ip_address="127.0.0.1")
    tuner = tune.Tuner(
        train,
        param_space={"plan": plan, "configuration": tune.grid_search(listed)},
        tune_config=tune.TuneConfig(
            metric="val_accuracy", mode="max", reuse_actors=options.reuse_actors
        ),
        run_config=tune.RunConfig(name="sweep", storage_path=options.storage),
    )
    results = tuner.fit()
    final = {
        one.config["configuration"]["index"]: one.metrics["val_accuracy"]
        for one in results
        if one.error is None
    }
    options.output.write_text(json.dumps([final[one["index"]] for one in listed]))


if __name__ == "__main__":
    main()
