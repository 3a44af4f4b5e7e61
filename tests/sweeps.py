"""Small, wholly determined records for the tests of the tables, the lake and the results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cvcore import layout
from cvcore.hyperparameters import resolve
from cvcore.ledger import LEDGER
from cvcore.records import (
    ClassMetrics,
    EpochMetrics,
    Evaluation,
    TrialConfig,
    TrialOutcome,
)
from cvcore.settings import SweepSpec
from cvcore.store import Store
from cvcore.tables import to_parquet

SWEEP_ID = "20250102-030405-abcdef"
STARTED_AT = 1735787045.25
FINGERPRINT = "0123456789abcdef"
LABELS = ("crack", "ok")


def started(**changes: Any) -> dict[str, Any]:
    """A `sweep_started` event."""
    event = {
        "type": "sweep_started",
        "name": "castings",
        "recipe": "quickstart",
        "objective": "val_f1_weighted",
        "mode": "max",
        "algorithm": "random",
        "scheduler": "none",
        "started_at": STARTED_AT,
        "dataset_fingerprint": FINGERPRINT,
        "data_uri": "builtin:castings",
        "spec_toml": 'name = "castings"\n',
        "versions": {"keras": "3.15.0"},
        "code_version": "0.1.0",
    }
    return {**event, **changes}


def config(index: int, *, attempt: int = 1, sweep_id: str = SWEEP_ID) -> TrialConfig:
    model, training, columns = resolve(SweepSpec(), {})
    return TrialConfig(
        sweep_id=sweep_id,
        trial_id=layout.trial_id(sweep_id, index),
        index=index,
        attempt=attempt,
        seed=index + 7,
        objective="val_f1_weighted",
        mode="max",
        drawn={},
        columns=columns,
        model=model,
        training=training,
    )


def created(trial: TrialConfig) -> dict[str, Any]:
    return {"type": "trial_created", "config": trial.to_dict(), "attempt": trial.attempt}


def epochs(trial: TrialConfig, numbers: Iterable[int]) -> dict[str, Any]:
    metrics = [
        EpochMetrics(
            epoch=number,
            loss=1.0 / number,
            accuracy=0.5,
            val_loss=1.1 / number,
            val_accuracy=0.5,
            val_f1_weighted=0.1 * trial.attempt,
            learning_rate=1e-3,
            seconds=0.25,
            recorded_at=STARTED_AT + number,
        )
        for number in numbers
    ]
    return {
        "type": "epochs",
        "trial_id": trial.trial_id,
        "attempt": trial.attempt,
        "epochs": [one.to_dict() for one in metrics],
    }


def evaluation(split: str, f1_weighted: float) -> Evaluation:
    """Four images of two classes; one cell of the confusion matrix is empty."""
    return Evaluation(
        split=split,
        loss=1 - f1_weighted,
        accuracy=0.75,
        f1_weighted=f1_weighted,
        f1_macro=f1_weighted,
        classes=tuple(
            ClassMetrics(label=label, precision=0.5, recall=0.5, f1=0.5, support=2)
            for label in LABELS
        ),
        confusion=((2, 0), (1, 1)),
    )


def outcome(f1_weighted: float | None, *, status: str = "completed") -> TrialOutcome:
    failed = status == "failed"
    return TrialOutcome(
        status=status,
        epochs_run=3,
        best_epoch=None if failed else 2,
        validation=None if f1_weighted is None else evaluation("validation", f1_weighted),
        num_params=1234,
        num_trainable_params=1200,
        images_per_second=99.5,
        seconds=dict.fromkeys(LEDGER, 0.5),
        program_reused=True,
        worker="node/1",
        device="cpu",
        strategy="none",
        error_type="ValueError" if failed else None,
        error_message="it broke" if failed else None,
        started_at=STARTED_AT + 1,
        finished_at=STARTED_AT + 9,
    )


def finished(
    trial: TrialConfig,
    f1_weighted: float | None = 0.5,
    *,
    status: str = "completed",
    predictions: tuple[str, ...] = (),
) -> dict[str, Any]:
    return {
        "type": "trial_finished",
        "trial_id": trial.trial_id,
        "attempt": trial.attempt,
        "outcome": outcome(f1_weighted, status=status).to_dict(),
        "model_uri": None,
        "predictions": list(predictions),
    }


def leave_predictions(store: Store, trial: TrialConfig, split: str) -> str:
    """Leave a prediction file as a worker does; return its key."""
    key = layout.predictions(trial.sweep_id, trial.trial_id, split, trial.attempt)
    rows = [
        {
            "sweep_id": trial.sweep_id,
            "trial_id": trial.trial_id,
            "split": split,
            "path": f"{label}/{number}.jpg",
            "label": label,
            "predicted": "ok",
            "correct": label == "ok",
            "probabilities": [0.25, 0.75],
        }
        for label in LABELS
        for number in range(2)
    ]
    store.write(key, to_parquet("predictions", rows))
    return key


def scored(trial: TrialConfig, predictions: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "test_scored",
        "trial_id": trial.trial_id,
        "evaluation": evaluation("test", 0.875).to_dict(),
        "model_uri": "s3://bucket/model.keras",
        "predictions": list(predictions),
    }


def ended(kind: str = "sweep_finished") -> dict[str, Any]:
    return {
        "type": kind,
        "finished_at": STARTED_AT + 60,
        "wall_seconds": 60.0,
        "worker_seconds": 90.0,
        "efficiency": 0.75,
    }


def images(paths: Iterable[str]) -> list[dict[str, Any]]:
    return [
        {
            "dataset_fingerprint": FINGERPRINT,
            "path": path,
            "label": "ok",
            "split": "train",
            "group_id": "g",
            "sha256": "00",
            "width": 96,
            "height": 96,
            "channels": 3,
            "bytes": 1000,
            "status": "used",
            "reason": None,
        }
        for path in paths
    ]
