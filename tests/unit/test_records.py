"""Records travel as JSON: nothing is left out, and what comes back is what went."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks.simulated_trials import progress_of
from cvcore.records import Evaluation, TrialConfig, TrialOutcome
from tests import sweeps

TRIAL = sweeps.config(3)
PROGRESS = progress_of(TRIAL, worker="node/1")
VALIDATION = PROGRESS.outcome.validation
RECORDS = [
    TRIAL, *PROGRESS.epochs, PROGRESS.outcome, TrialOutcome(status="failed"), VALIDATION,
]  # fmt: skip


@pytest.mark.parametrize("record", RECORDS, ids=lambda one: type(one).__name__)
def test_every_field_is_told(record: Any) -> None:
    assert record.to_dict() == asdict(record)


@pytest.mark.parametrize(
    "record",
    [one for one in RECORDS if isinstance(one, TrialConfig | TrialOutcome | Evaluation)],
    ids=lambda one: type(one).__name__,
)
def test_a_record_comes_back_from_json(record: Any) -> None:
    assert type(record).from_dict(json.loads(json.dumps(record.to_dict()))) == record


def test_what_was_told_is_nobody_elses() -> None:
    told = TRIAL.to_dict()
    for part in ("drawn", "columns", "model", "training"):
        told[part]["new"] = 1
    assert TRIAL.to_dict() == asdict(TRIAL)
