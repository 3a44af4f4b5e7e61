"""Records as rows of the tables: which column says what. Plain dictionaries, no Arrow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cvcore.events import COUNTED, SweepState, TrialState
from cvcore.ledger import LEDGER
from cvcore.records import Evaluation, TrialConfig, TrialOutcome

Row = dict[str, Any]

# Columns of the sweeps table that `sweep_started` carries under their own names.
START_COLUMNS = (
    "name", "recipe", "objective", "mode", "algorithm", "scheduler",
    "dataset_fingerprint", "data_uri", "spec_toml", "code_version",
)  # fmt: skip
# Columns that `sweep_finished` and `sweep_interrupted` carry under their own names.
FIGURES = ("wall_seconds", "worker_seconds", "efficiency", "gpu_seconds", "cost")


def timestamp(seconds: float | None) -> datetime | None:
    """Turn seconds since 1970 UTC into a time; 0 and None are unknown."""
    return datetime.fromtimestamp(seconds, tz=UTC) if seconds else None


def sweep_row(state: SweepState) -> Row:
    """Describe a sweep; what is known only at its end is null until then.

    `versions` is a JSON object from package to version.
    """
    started, figures = state.started, state.figures
    row = {
        "sweep_id": state.sweep_id,
        "status": state.status,
        "started_at": timestamp(started.get("started_at")),
        "versions": json.dumps(started.get("versions", {}), sort_keys=True),
        **{name: started.get(name) for name in START_COLUMNS},
    }
    if figures:
        best_trial_id, best_value = state.best or (None, None)
        row |= {f"num_{status}": state.counts[status] for status in COUNTED}
        row |= {"best_trial_id": best_trial_id, "best_value": best_value}
        row |= {"finished_at": timestamp(figures.get("finished_at"))}
        row |= {name: figures.get(name) for name in FIGURES}
    return row


def trial_row(
    config: TrialConfig,
    outcome: TrialOutcome,
    *,
    model_uri: str | None = None,
    test: Evaluation | None = None,
) -> Row:
    """Describe a finished trial; every hyperparameter has its column."""
    return {
        "sweep_id": config.sweep_id,
        "trial_id": config.trial_id,
        "trial_index": config.index,
        "seed": config.seed,
        "attempt": config.attempt,
        "status": outcome.status,
        "epochs_run": outcome.epochs_run,
        "best_epoch": outcome.best_epoch,
        "num_params": outcome.num_params,
        "num_trainable_params": outcome.num_trainable_params,
        **_scores("val", outcome.validation),
        **_scores("test", test),
        "images_per_second": outcome.images_per_second,
        **{f"seconds_{bucket}": outcome.seconds.get(bucket) for bucket in LEDGER},
        "gpu_seconds": outcome.gpu_seconds,
        "program_reused": outcome.program_reused,
        "features_reused": outcome.features_reused,
        "worker": outcome.worker,
        "device": outcome.device,
        "strategy": outcome.strategy,
        "num_features_computed": outcome.num_features_computed,
        "feature_views": outcome.feature_views,
        "weights_sha256": outcome.weights_sha256,
        "error_type": outcome.error_type,
        "error_message": outcome.error_message,
        "model_uri": model_uri,
        "started_at": timestamp(outcome.started_at),
        "finished_at": timestamp(outcome.finished_at),
        **{f"hp_{name}": value for name, value in config.columns.items()},
    }


def _scores(prefix: str, evaluation: Evaluation | None) -> Row:
    if evaluation is None:
        return {}
    return {
        f"{prefix}_loss": evaluation.loss,
        f"{prefix}_accuracy": evaluation.accuracy,
        f"{prefix}_f1_weighted": evaluation.f1_weighted,
    }


def epoch_rows(config: TrialConfig, epochs: Mapping[int, Mapping[str, Any]]) -> list[Row]:
    """Describe the epochs of one attempt; `epochs` maps the epoch to its `EpochMetrics`."""
    return [
        {
            "sweep_id": config.sweep_id,
            "trial_id": config.trial_id,
            "attempt": config.attempt,
            **metrics,
            "recorded_at": timestamp(metrics["recorded_at"]),
        }
        for metrics in epochs.values()
    ]


def class_metric_rows(config: TrialConfig, evaluation: Evaluation) -> list[Row]:
    """Describe how each class fared on one split."""
    return [
        {
            **_of(config, evaluation),
            "class": one.label,
            "precision": one.precision,
            "recall": one.recall,
            "f1": one.f1,
            "support": one.support,
        }
        for one in evaluation.classes
    ]


def confusion_rows(config: TrialConfig, evaluation: Evaluation) -> list[Row]:
    """Describe the cells of the confusion matrix that hold any image."""
    labels = [one.label for one in evaluation.classes]
    return [
        {**_of(config, evaluation), "label": label, "predicted": predicted, "count": count}
        for label, counts in zip(labels, evaluation.confusion, strict=True)
        for predicted, count in zip(labels, counts, strict=True)
        if count
    ]


def _of(config: TrialConfig, evaluation: Evaluation) -> Row:
    return {
        "sweep_id": config.sweep_id,
        "trial_id": config.trial_id,
        "split": evaluation.split,
    }


def rows_of(table: str, trial: TrialState) -> list[Row]:
    """List a trial's rows of a table, oldest first.

    The rows of `predictions` stay in the files that workers left: each is `{"file": key}`.
    """
    if table == "epochs":
        return epoch_rows(trial.config, trial.epochs)
    if trial.outcome is None:
        return []
    if table == "trials":
        row = trial_row(trial.config, trial.outcome, model_uri=trial.model_uri, test=trial.test)
        return [row]
    if table == "predictions":
        return [{"file": key} for key in trial.predictions]
    describe = {"class_metrics": class_metric_rows, "confusion": confusion_rows}[table]
    scored = [one for one in (trial.outcome.validation, trial.test) if one is not None]
    return [row for evaluation in scored for row in describe(trial.config, evaluation)]
