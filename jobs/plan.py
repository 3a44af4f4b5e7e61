"""What a sweep would do, without doing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from cvcore import layout
from cvcore.config import to_toml
from cvcore.search import count_configurations
from cvcore.settings import SweepSpec
from jobs.checks import check_spec
from jobs.launch import Run, open_data

TABLES = ("sweeps", "trials", "epochs", "predictions", "class_metrics", "confusion", "images")


def describe(spec: SweepSpec, run: Run) -> dict[str, Any]:
    """Resolve a spec against its data; starts no engine and writes nothing to the store."""
    from cvcore.datasets import summarise

    check_spec(spec, engine=run.engine)
    dataset = open_data(spec, run.console)
    check_spec(spec, engine=run.engine, num_classes=len(dataset.class_names))
    return {
        "dry_run": True,
        "name": spec.name,
        "spec_toml": to_toml(spec),
        "data": summarise(dataset),
        "num_configurations": count_configurations(spec),
        "trials": spec.search.trials,
        "engine": run.engine,
        "resources": asdict(spec.resources),
        "store": run.store.uri,
        "writes": [
            f"{run.store.uri}/{layout.sweep_folder('<sweep_id>')}",
            *(f"{run.store.uri}/{layout.lake_folder(table)}" for table in TABLES),
            f"{run.store.uri}/{layout.dataset_manifest(dataset.fingerprint)}",
        ],
    }
