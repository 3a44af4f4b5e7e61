"""Single trials on a pretrained base for the tests: generated castings, real weights if at hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cvcore import layout
from cvcore.datasets import open_dataset, open_source
from cvcore.hyperparameters import resolve
from cvcore.records import TrialConfig
from cvcore.scoring import Bench
from cvcore.settings import DataConfig, ModelConfig, SweepSpec, TrainingConfig
from cvcore.store import LocalStore
from cvcore.trial import Progress, TrialSession
from cvcore.weights import Weights, locate
from jobs.wiring import download, open_store
from tests import sweeps

SHARED = Path(os.environ.get("CVJOBS_SHARED", Path(__file__).parents[2] / "shared"))
WEIGHTS = SHARED / "models" / "mobilenet_v2_1.0_160_no_top.weights.h5"

# Cached and uncached numbers are the same sums in another order: this is what they may differ by.
CLOSE = {"rtol": 0, "atol": 1e-4}
BASE = ModelConfig(family="transfer", weights="none")
MODEL: dict[str, Any] = {"family": "transfer", "weights": "none", "head": "gap", "dense_units": 0}
TRAINING: dict[str, Any] = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01}


def real_weights() -> str:
    """Name the pretrained MobileNetV2, or skip the test where it is not at hand."""
    if not WEIGHTS.is_file():
        pytest.skip(f"no pretrained weights at {WEIGHTS}: set CVJOBS_SHARED")
    return str(WEIGHTS)


def no_fetch(uri: str, path: Path) -> None:
    pytest.fail(f"{uri} was fetched again")


def found(weights: str, folder: Path, fetch: Any = no_fetch, *, machine: str = "one") -> Weights:
    """Locate the weights of a base on a machine (a cache folder), without the network."""
    return locate(
        replace(BASE, weights=weights),
        image_size=96,
        store=LocalStore(folder / "store"),
        folder=folder / machine,
        fetch=fetch,
    )


def bench_of(folder: Path, *, image_size: int = 32, machine: str = "one") -> Bench:
    """Set up a worker on a machine (a cache folder); all machines of a `folder` share its store."""
    data = DataConfig(uri=f"builtin:castings?images=48&size={image_size}", image_size=image_size)
    source = open_source(data.uri, store_for=open_store)
    return Bench(
        dataset=open_dataset(source, config=data, cache_folder=folder / machine),
        data=data,
        store=LocalStore(folder / "store"),
        worker=f"{machine}:1",
        threads=1,
        cache_folder=folder / machine,
        fetch=download,
    )


def trial_of(
    index: int = 0,
    *,
    model: dict[str, Any] | None = None,
    training: dict[str, Any] | None = None,
    **changes: Any,
) -> TrialConfig:
    """Plan a head of one layer for two epochs on MobileNetV2 with random weights, or otherwise."""
    spec = SweepSpec(
        model=ModelConfig(**{**MODEL, **(model or {})}),
        training=TrainingConfig(**{**TRAINING, **(training or {})}),
    )
    planned, trained, columns = resolve(spec, {})
    config = replace(sweeps.config(index), model=planned, training=trained, columns=columns)
    return replace(config, **changes)


def trained(config: TrialConfig, bench: Bench) -> tuple[TrialSession, list[Progress]]:
    """Train a trial to its end, phase by phase."""
    session = TrialSession(config, bench)
    steps = [session.step()]
    while not steps[-1].done:
        steps.append(session.step())
    assert steps[-1].outcome.status == "completed", steps[-1].outcome.error_message
    return session, steps


def beside(bench: Bench, folder: Path, *, machine: str = "one") -> Bench:
    """Set up another worker that need not build the base again."""
    return replace(bench_of(folder, machine=machine), memo=bench.memo)


def saved_logits(session: TrialSession) -> np.ndarray:
    """Predict the validation split with the model that a trial left in its store."""
    from cvcore.scoring import Predictor

    bench, config = session.bench, session.config
    store = bench.store
    assert isinstance(store, LocalStore)
    path = store.root / layout.model(config.sweep_id, config.trial_id)
    indices = bench.dataset.indices["validation"]
    return Predictor(path).logits(bench.dataset.images, indices)


def curve(session: TrialSession) -> list[tuple[float, ...]]:
    assert session.trainer is not None
    return [(one.loss, one.accuracy, one.val_loss) for one in session.trainer.epochs]
