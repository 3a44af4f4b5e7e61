"""What an S3 store says when S3 refuses: one sentence with the URI, the cause and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from pyarrow.fs import FileSelector

from cvcore.errors import StoreError, UsageError
from cvcore.store import Store
from jobs.adapters.s3_store import S3Store
from tests.services import BUCKET, S3Server, free_ports

pytestmark = [pytest.mark.services, pytest.mark.timeout(60)]

OPERATIONS: dict[str, Callable[[Store, Path], object]] = {
    "read": lambda store, folder: store.read("key"),
    "version": lambda store, folder: store.version("key"),
    "write": lambda store, folder: store.write("key", b"1"),
    "create": lambda store, folder: store.write("key", b"1", if_absent=True),
    "replace": lambda store, folder: store.write("key", b"1", if_version='"1"'),
    "upload": lambda store, folder: store.upload("key", Path(__file__)),
    "download": lambda store, folder: store.download("key", folder / "file"),
    "list": lambda store, folder: list(store.list("")),
    "delete": lambda store, folder: store.delete(["key"]),
}


def refusal(store: Store, operation: str, folder: Path) -> StoreError:
    with pytest.raises(StoreError) as raised:
        OPERATIONS[operation](store, folder)
    assert type(raised.value) is StoreError
    assert store.uri in raised.value.message
    assert raised.value.hint == f"cvjobs doctor --store {store.uri}"
    return raised.value


# SeaweedFS answers a replacement there like one that lost; it takes a version, and so a bucket.
@pytest.mark.parametrize("operation", [one for one in OPERATIONS if one != "replace"])
def test_a_bucket_that_is_not_there_is_named(
    s3_environment: S3Server, tmp_path: Path, operation: str
) -> None:
    error = refusal(S3Store("s3://nowhere/store"), operation, tmp_path)

    assert f"the bucket 'nowhere' does not exist at {s3_environment.endpoint}" in error.message


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("variable", "cause"),
    [
        ("AWS_ACCESS_KEY_ID", "the access key is not known at http://"),
        ("AWS_SECRET_ACCESS_KEY", "the secret key does not fit the access key"),
    ],
)
def test_wrong_credentials_are_told_apart(
    s3_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    variable: str,
    cause: str,
) -> None:
    monkeypatch.setenv(variable, "wrong")

    assert cause in refusal(S3Store(s3_uri), operation, tmp_path).message


@pytest.mark.parametrize("operation", ["write", "create", "upload", "delete"])
def test_a_reader_may_not_write(
    s3_uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_server: S3Server,
    operation: str,
) -> None:
    writer = S3Store(s3_uri)
    writer.write("key", b"1")
    for name, value in s3_server.environment("analyst").items():
        monkeypatch.setenv(name, value)
    reader = S3Store(s3_uri)

    assert "may not do that" in refusal(reader, operation, tmp_path).message
    assert reader.read("key") == writer.read("key") == b"1"
    assert [one.key for one in reader.list("")] == ["key"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_endpoint_that_does_not_answer_is_named(
    s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    endpoint = f"http://127.0.0.1:{free_ports(1)['master']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)

    assert endpoint in refusal(S3Store(s3_uri), operation, tmp_path).message


def test_missing_credentials_are_named(
    s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    assert "credentials" in refusal(S3Store(s3_uri), "list", tmp_path).message.lower()
    with pytest.raises(StoreError, match="no credentials"):
        S3Store(s3_uri).arrow_filesystem()


def test_an_endpoint_that_is_no_url_is_named(
    s3_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "not a url")

    assert "not a url" in refusal(S3Store(s3_uri), "list", tmp_path).message


@pytest.mark.parametrize("uri", ["s3://", "s3:///prefix", "gs://bucket", "bucket/prefix"])
def test_a_uri_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match="s3://bucket/prefix"):
        S3Store(uri)


def test_a_store_may_be_a_whole_bucket(s3_environment: S3Server) -> None:
    store = S3Store(f"s3://{BUCKET}/")
    store.write("whole-bucket/key", b"1")

    assert store.uri == f"s3://{BUCKET}"
    assert [one.key for one in store.list("whole-bucket/")] == ["whole-bucket/key"]


def test_the_placeholder_of_a_folder_is_no_object(s3_uri: str) -> None:
    store = S3Store(s3_uri)
    prefix = s3_uri.removeprefix(f"s3://{BUCKET}/")
    boto3.session.Session().client("s3").put_object(Bucket=BUCKET, Key=f"{prefix}/photos/")

    assert list(store.list("")) == []


def test_arrow_lists_the_store_as_an_analyst(
    s3_uri: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    S3Store(s3_uri).write("lake/key", b"1")
    for name, value in s3_server.environment("analyst").items():
        monkeypatch.setenv(name, value)

    filesystem, root = S3Store(s3_uri).arrow_filesystem()

    found = filesystem.get_file_info(FileSelector(f"{root}/lake"))
    assert [one.base_name for one in found] == ["key"]
