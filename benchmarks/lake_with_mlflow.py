"""Write trials to MLflow's SQLite store and ask the three questions.

For an interpreter of its own, that has nothing cvjobs needs:

    python -m venv mlflow-venv && mlflow-venv/bin/pip install mlflow

Fewest calls that its documentation knows: one batch a run. Prints one JSON document.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from benchmarks.rounds import time_answers


def write(client: MlflowClient, trials: list[dict[str, Any]], *, num_epochs: int) -> list[str]:
    """Log every trial as a run; return the ids."""
    experiment = client.create_experiment("sweep")
    ids = []
    for trial in trials:
        run = client.create_run(experiment)
        params = [Param(name, str(trial[name])) for name in ("learning_rate", "optimizer")]
        now = int(time.time() * 1000)
        curves = [
            Metric(name, trial["value"] * epoch / num_epochs, now, epoch)
            for name in ("val_accuracy", "val_loss", "loss", "accuracy")
            for epoch in range(1, num_epochs + 1)
        ]
        final = Metric("value", trial["value"], now, 0)
        client.log_batch(run.info.run_id, metrics=[*curves, final], params=params)
        client.set_terminated(run.info.run_id)
        ids.append(run.info.run_id)
    return ids


def top_ten() -> list[float]:
    runs = mlflow.search_runs(
        experiment_names=["sweep"], order_by=["metrics.value DESC"], max_results=10
    )
    return [float(value) for value in runs["metrics.value"]]


def curve(run_id: str) -> list[float]:
    return [one.value for one in MlflowClient().get_metric_history(run_id, "val_accuracy")]


def means() -> dict[str, float]:
    runs = mlflow.search_runs(experiment_names=["sweep"], max_results=50_000)
    return dict(runs.groupby("params.optimizer")["metrics.value"].mean())


def main() -> None:
    source, folder, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    document = json.loads(source.read_text())
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    client = MlflowClient()
    client.search_experiments()  # makes the tables, which is not part of writing
    started = time.perf_counter()
    ids = write(client, document["trials"], num_epochs=document["num_epochs"])
    found: dict[str, Any] = {
        "write_seconds": time.perf_counter() - started,
        "version": mlflow.__version__,
        "bytes": sum(path.stat().st_size for path in folder.glob("mlflow.db*")),
    }
    walk = cycle(ids[len(ids) // 2 :])
    questions = {"top_ten": top_ten, "curve": lambda: curve(next(walk)), "means": means}
    print(json.dumps({**found, **time_answers(questions, rounds=rounds)}))


if __name__ == "__main__":
    main()
