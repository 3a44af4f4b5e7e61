"""What a sweep says of itself: in its log and store at the start, to the user at the end."""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from cvcore import __version__, layout
from cvcore.config import to_toml
from cvcore.errors import PreconditionFailed
from cvcore.events import SweepState
from cvcore.lake import SweepLog, publish_images
from cvcore.settings import SweepSpec
from cvcore.store import Store

if TYPE_CHECKING:
    from cvcore.datasets import Dataset

RECORDED_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "ray", "numpy", "pillow", "optuna")


def first_event(spec: SweepSpec, dataset: Dataset) -> dict[str, Any]:
    return {
        "type": "sweep_started",
        "started_at": time.time(),
        "name": spec.name,
        "recipe": spec.recipe,
        "objective": spec.search.objective,
        "mode": spec.search.direction,
        "algorithm": spec.search.algorithm,
        "scheduler": spec.search.scheduler,
        "dataset_fingerprint": dataset.fingerprint,
        "data_uri": spec.data.uri,
        "spec_toml": to_toml(spec),
        "code_version": __version__,
        "versions": _versions(),
    }


def write_plan(spec: SweepSpec, store: Store, *, sweep_id: str, dataset: Dataset) -> None:
    """Leave what a reader of the store needs to understand the sweep without its log."""
    from cvcore.datasets import to_rows
    from cvcore.tables import to_parquet

    rows = to_rows(dataset.records, fingerprint=dataset.fingerprint)
    described = [{**row, "sweep_id": sweep_id} for row in rows]
    key = layout.dataset_manifest(dataset.fingerprint)
    with suppress(PreconditionFailed):  # the same images and settings: the same manifest
        store.write(key, to_parquet("images", described), if_absent=True)
    publish_images(store, sweep_id=sweep_id, fingerprint=dataset.fingerprint, rows=rows)
    store.write(layout.spec(sweep_id), to_toml(spec).encode(), if_absent=True)
    manifest = {
        "sweep_id": sweep_id,
        "name": spec.name,
        "class_names": dataset.class_names,
        "dataset_fingerprint": dataset.fingerprint,
        "data_uri": spec.data.uri,
        "num_images": {name: len(rows) for name, rows in dataset.indices.items()},
        "code_version": __version__,
        "versions": _versions(),
    }
    store.write(layout.manifest(sweep_id), json.dumps(manifest, indent=1).encode(), if_absent=True)


def describe(spec: SweepSpec, store: Store, log: SweepLog) -> dict[str, Any]:
    """Build the document that `sweep --json` promises."""
    state = log.state
    document: dict[str, Any] = {
        "sweep_id": state.sweep_id,
        "name": spec.name,
        "status": state.status,
        "store": store.uri,
        "trials": state.counts,
        "best": None,
        "wall_seconds": state.figures.get("wall_seconds"),
        "efficiency": state.figures.get("efficiency"),
        "ledger": state.figures.get("ledger"),
        "gpu_seconds": state.figures.get("gpu_seconds"),
        "cost": state.figures.get("cost"),
        "features": _features(state),
    }
    if state.best is not None:
        trial_id, value = state.best
        trial = state.trials[trial_id]
        document["best"] = {
            "trial_id": trial_id,
            "objective": spec.search.objective,
            "value": value,
            "hyperparameters": {k: v for k, v in trial.config.columns.items() if v is not None},
            "model_uri": trial.model_uri,
            "test_accuracy": trial.test.accuracy if trial.test else None,
            "test_f1_weighted": trial.test.f1_weighted if trial.test else None,
        }
    return document


def _features(state: SweepState) -> dict[str, int] | None:
    """Sum up the feature cache: images computed, trials that used it, those that computed none."""
    outcomes = [trial.outcome for trial in state.trials.values() if trial.outcome]
    using = [one for one in outcomes if one.num_features_computed is not None]
    if not using:
        return None
    return {
        "computed": sum(one.num_features_computed or 0 for one in using),
        "trials": len(using),
        "trials_reusing": sum(one.features_reused for one in using),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
