"""Buckets that are not there, not ours, or do not answer: exit code 5, and nothing is left."""

from __future__ import annotations

import pytest

from jobs.wiring import open_store
from tests.services import S3Server, free_ports
from tests.wrong import INLINE, answered

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.mark.services
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("identity", "uri", "expected"),
    [
        ("cvjobs", "s3://nowhere/store", ["the bucket 'nowhere' does not exist"]),
        ("analyst", "", ["these credentials may not do that"]),
        ("stranger", "", ["access key is not known"]),
        ("forger", "", ["the secret key does not fit"]),
    ],
)
def test_a_bucket_that_cannot_be_written_is_exit_5(
    identity: str,
    uri: str,
    expected: list[str],
    s3_uri: str,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    writer = open_store(s3_uri)
    assert list(writer.list("")) == []  # from here on it has its credentials
    if identity == "analyst":
        for name, value in s3_server.environment(identity).items():
            monkeypatch.setenv(name, value)
    if identity in ("stranger", "forger"):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    if identity == "stranger":
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    uri = uri or s3_uri
    typed = f"sweep --data good --engine inline --store {uri}"
    answered(typed, 5, [*expected, f"next: cvjobs doctor --store {uri}"], capsys)
    assert list(writer.list("")) == []


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "typed",
    [
        "sweep --data good --engine inline --store s3://bucket/x",
        f"sweep --data s3://bucket/x {INLINE}",
        "results sweeps --store s3://bucket/x",
        "evaluate s3://bucket/model.keras --data good",
    ],
)
def test_an_object_store_that_does_not_answer_is_exit_5(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)['master']}"
    for name, value in S3Server(endpoint=endpoint, pid=0).environment().items():
        monkeypatch.setenv(name, value)
    answered(typed, 5, ["s3://bucket", endpoint, "next: cvjobs doctor --store s3://"], capsys)
