"""A store in an S3 bucket: AWS, or any server that honours conditional PUTs.

Credentials, region and endpoint come from the standard AWS environment and configuration files.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cvcore.errors import KeyNotFound, PreconditionFailed, StoreError, UsageError
from cvcore.store import TEMPORARY_PREFIX, StoredObject, check_key

SCHEME = "s3://"
CONNECT_TIMEOUT_SECONDS = 3
READ_TIMEOUT_SECONDS = 30
NUM_ATTEMPTS = 3
DELETE_BATCH = 1000  # the most keys one DeleteObjects request takes

# S3 answers 409 where two conditional writes of one key overlap and asks for another try.
CONFLICT_ATTEMPTS = 10

CAUSES = {
    "NoSuchBucket": "the bucket {bucket!r} does not exist at {endpoint}",
    "InvalidAccessKeyId": "the access key is not known at {endpoint}",
    "SignatureDoesNotMatch": "the secret key does not fit the access key",
    "ExpiredToken": "the session token has expired",
    "InvalidToken": "the session token is not valid",
    "AccessDenied": "these credentials may not do that",
}


class S3Store:
    """Keep objects under `s3://bucket/prefix`, safe for several machines at once."""

    def __init__(self, uri: str) -> None:
        bucket, _, prefix = uri.removeprefix(SCHEME).partition("/")
        if not uri.startswith(SCHEME) or not bucket:
            raise UsageError(f"an S3 store is s3://bucket/prefix, received {uri!r}")
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    @property
    def uri(self) -> str:
        return f"{SCHEME}{self._bucket}/{self._prefix}".rstrip("/")

    def read(self, key: str) -> bytes:
        with self._explained("read", key):
            return bytes(self._get(key)["Body"].read())

    def version(self, key: str) -> str | None:
        # GET, not HEAD: only its error body tells a missing key from a missing bucket.
        with self._explained("read", key):
            try:
                answer = self._get(key)
            except KeyNotFound:
                return None
            answer["Body"].close()
            return str(answer["ETag"])

    def write(
        self, key: str, data: bytes, *, if_absent: bool = False, if_version: str | None = None
    ) -> None:
        check_key(key)
        conditions = {"IfNoneMatch": "*"} if if_absent else {}
        if if_version is not None:
            conditions["IfMatch"] = if_version
        with self._explained("write", key):
            for attempt in range(1, CONFLICT_ATTEMPTS + 1):
                try:
                    self._client.put_object(**self._at(key), Body=data, **conditions)
                    return
                except ClientError as error:
                    status = _status(error)
                    if status == 409 and conditions and attempt < CONFLICT_ATTEMPTS:
                        continue
                    if status in (409, 412) or (if_version is not None and _is_absent(error)):
                        raise self._lost(key, if_absent=if_absent) from None
                    raise

    def upload(self, key: str, path: Path) -> None:
        check_key(key)
        try:
            with self._explained("write", key), path.open("rb") as source:
                self._client.upload_fileobj(source, self._bucket, self._prefix + key)
        except OSError as error:
            raise self._failure("write", key, str(error)) from error

    def download(self, key: str, path: Path) -> None:
        partial = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        if self.version(key) is None:
            raise self._absent(key)
        try:
            with self._explained("read", key):
                self._client.download_file(self._bucket, self._prefix + key, str(partial))
            os.replace(partial, path)
        except OSError as error:
            raise self._failure("read", key, str(error)) from error
        finally:
            partial.unlink(missing_ok=True)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        pages = self._client.get_paginator("list_objects_v2")
        found = []
        with self._explained("list", prefix):
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                found += page.get("Contents", ())
        # SeaweedFS lists `a/b` before `a-b`, AWS after it.
        for one in sorted(found, key=lambda one: one["Key"]):
            key = one["Key"].removeprefix(self._prefix)
            if not key.endswith("/"):  # the placeholder that consoles leave for a folder
                yield StoredObject(key=key, size_bytes=one["Size"], version=one["ETag"])

    def delete(self, keys: Iterable[str]) -> None:
        doomed = list(keys)
        for start in range(0, len(doomed), DELETE_BATCH):
            batch = doomed[start : start + DELETE_BATCH]
            request = {"Objects": [{"Key": self._prefix + key} for key in batch], "Quiet": True}
            with self._explained("delete", batch[0]):
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=request)
            for failure in answer.get("Errors", ()):
                raise self._failure("delete", failure["Key"], self._cause(failure["Code"]))

    def arrow_filesystem(self) -> tuple[Any, str]:
        from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

        credentials = self._session.get_credentials()
        if credentials is None:
            raise self._failure("read", "", "no credentials were found")
        keys = credentials.get_frozen_credentials()
        scheme, _, endpoint = str(self._client.meta.endpoint_url).partition("://")
        filesystem = S3FileSystem(
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            session_token=keys.token,
            region=self._client.meta.region_name,
            scheme=scheme,
            endpoint_override=endpoint,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            request_timeout=READ_TIMEOUT_SECONDS,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=NUM_ATTEMPTS),
        )
        return filesystem, f"{self._bucket}/{self._prefix}".rstrip("/")

    @cached_property
    def _session(self) -> Any:
        return boto3.session.Session()

    @cached_property
    def _client(self) -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"total_max_attempts": NUM_ATTEMPTS, "mode": "standard"},
        )
        region = self._session.region_name or "us-east-1"
        try:
            return self._session.client("s3", config=config, region_name=region)
        except (BotoCoreError, ValueError) as error:
            raise self._failure("open", "", str(error)) from error

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _get(self, key: str) -> Any:
        try:
            return self._client.get_object(**self._at(key))
        except ClientError as error:
            if _is_absent(error):
                raise self._absent(key) from None
            raise

    @contextmanager
    def _explained(self, verb: str, key: str) -> Iterator[None]:
        """Turn what boto3 raises into one sentence."""
        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", _status(error)))
            raise self._failure(verb, key, self._cause(code)) from error
        except BotoCoreError as error:
            reason = " ".join(str(error).split())
            raise self._failure(verb, key, reason) from error

    def _cause(self, code: str) -> str:
        cause = CAUSES.get(code, f"the server answered {code}")
        return cause.format(bucket=self._bucket, endpoint=self._client.meta.endpoint_url)

    def _absent(self, key: str) -> KeyNotFound:
        return KeyNotFound(f"{self.uri} holds no {key!r}")

    def _lost(self, key: str, *, if_absent: bool) -> PreconditionFailed:
        reason = "exists already" if if_absent else "changed since it was read"
        return PreconditionFailed(f"{key!r} in {self.uri} {reason}")

    def _failure(self, verb: str, key: str, cause: str) -> StoreError:
        subject = f"{key!r} in the store" if key else "the store"
        return StoreError(
            f"cannot {verb} {subject} {self.uri}: {cause}",
            hint=f"cvjobs doctor --store {self.uri}",
        )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_absent(error: ClientError) -> bool:
    return str(error.response.get("Error", {}).get("Code")) == "NoSuchKey"
