"""Weights of a base as an object in a bucket, from typed command to table."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from jobs.wiring import open_store
from tests.runs import CASTINGS, here, settings, table
from tests.trials import trial_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.services,
    pytest.mark.xdist_group("tensorflow"),  # no Ray here
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("tensorflow"),
]

SPEC = f"""
name = "from a bucket"
[data]
uri = "{CASTINGS}"
image_size = 32
[model]
family = "transfer"
head = "gap"
dense_units = 0
[training]
epochs = 1
[search]
trials = 2
[space]
learning_rate = {{choice = [0.01, 0.001]}}
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "spec.toml"
    path.write_text(SPEC, encoding="utf-8")
    return str(path)


def test_weights_in_a_bucket_are_fetched_and_named_by_their_hash(
    spec: str, s3_uri: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cvcore.models import frozen_base

    path = tmp_path / "base.weights.h5"
    base = frozen_base(trial_of().model, image_size=32, channels=3, precision="float32")
    base.set_weights([weight + 0.01 for weight in base.get_weights()])
    base.save_weights(path)
    open_store(f"{s3_uri}/weights").upload("base.weights.h5", path)

    weights = f"{s3_uri}/weights/base.weights.h5"
    typed = ("--engine", "inline", "--json", *settings(f"model.weights={weights}"))
    answer = here(capsys, "sweep", spec, "--store", f"{s3_uri}/results", *typed)
    assert answer.code == 0, answer.stderr
    rows = table(f"{s3_uri}/results", "trials")
    assert [row["status"] for row in rows] == ["completed"] * 2
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert {row["weights_sha256"] for row in rows} == {digest}
    assert {row["hp_weights"] for row in rows} == {weights}
    assert [row["num_features_computed"] for row in rows] == [60, 0]
    assert [row["features_reused"] for row in rows] == [False, True]

    # The bank lies in the bucket too: a sweep from elsewhere computes nothing.
    features = {one.key for one in open_store(f"{s3_uri}/results").list("features/")}
    assert len(features) == 2  # its description and one shard


def test_weights_that_are_not_in_the_bucket_fail_with_the_name_of_the_object(
    spec: str, s3_uri: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    weights = f"{s3_uri}/nothing/base.weights.h5"
    typed = ("--engine", "inline", "--json", *settings(f"model.weights={weights}"))
    answer = here(capsys, "sweep", spec, "--store", str(tmp_path / "store"), *typed)
    assert answer.code == 4
    message = answer.document["error"]["message"]
    assert "nothing/base.weights.h5" in message
    assert "Traceback" not in answer.stderr
