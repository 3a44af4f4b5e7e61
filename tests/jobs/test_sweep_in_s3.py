"""The main job with images, results and model in a bucket; and a bucket that goes away."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cvcore.layout import lake_folder
from cvcore.parts import TABLES
from cvcore.tables import KEYS, SCHEMAS
from jobs.wiring import open_store
from tests.lakes import none_twice
from tests.runs import RATES, child, draw_castings, finished_trials, here, settings, table, tiny
from tests.services import BUCKET, S3Server, free_ports, running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.services,
    pytest.mark.xdist_group("tensorflow"),  # no Ray here: it balances the two workers
    pytest.mark.timeout(240),
    pytest.mark.usefixtures("tensorflow"),
]

# Another program than ours: it has nothing but the address, as an analyst would.
STRANGER = """
import json, sys
import duckdb, pandas, polars, pyarrow as pa, pyarrow.dataset, pyarrow.fs
where, endpoint, tables, keys = json.loads(sys.argv[1])
s3 = pyarrow.fs.S3FileSystem(endpoint_override=endpoint.split("//")[1], scheme="http")
options = {"aws_endpoint_url": endpoint, "aws_allow_http": "true", "aws_region": "us-east-1"}
said = {}
for table in tables:
    path = f"{where}/lake/{table}"
    day = pa.dataset.partitioning(pa.schema([("dt", pa.date32())]), flavor="hive")
    rows = pa.dataset.dataset(path, filesystem=s3, partitioning=day)
    key = ", ".join(f'"{one}"' for one in keys[table])
    frame = pandas.read_parquet(path, filesystem=s3)
    lazy = polars.read_parquet(f"s3://{path}/*/*.parquet", storage_options=options,
                               hive_partitioning=True)
    said[table] = {
        "pyarrow": [rows.count_rows(), sorted(rows.schema.names)],
        "duckdb": [duckdb.sql(f"SELECT count(DISTINCT ({key})) FROM rows").fetchall()[0][0],
                   sorted(duckdb.sql("SELECT * FROM rows LIMIT 0").columns)],
        "pandas": [len(frame.drop_duplicates(keys[table])), sorted(frame.columns)],
        "polars": [len(lazy.unique(keys[table])), sorted(lazy.columns)],
    }
print(json.dumps(said))
"""


@pytest.fixture
def pictures(s3_uri: str, tmp_path: Path) -> str:
    """Castings in the bucket; returns their prefix."""
    uri = f"{s3_uri}/data"
    store = open_store(uri)
    folder = draw_castings(tmp_path / "data", images=60)
    for path in folder.rglob("*.png"):
        store.write(path.relative_to(folder).as_posix(), path.read_bytes())
    return uri


def test_a_whole_sweep_from_bucket_to_bucket_is_read_by_strangers(
    pictures: str,
    s3_uri: str,
    s3_server: S3Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    uri = f"{s3_uri}/results"
    typed = ("sweep", tiny(tmp_path), "--engine", "inline", "--json", *settings(RATES))
    answer = here(capsys, *typed, "--store", uri, "--data", pictures)
    assert answer.code == 0, answer.stderr
    best = answer.document["best"]
    assert best["model_uri"].startswith(f"{uri}/sweeps/")
    store = open_store(uri)
    tables = [*TABLES, "images"]
    assert {name: len(list(store.list(lake_folder(name)))) for name in tables} == dict.fromkeys(
        tables, 1
    )

    said = ask_a_stranger(uri, s3_server, tables)
    for name in tables:
        rows = table(store, name)
        columns = sorted([*SCHEMAS[name].names, "dt"])
        assert rows
        for reader, found in said[name].items():
            assert found == [len(rows), columns], (name, reader)
    assert len(table(store, "images")) == 60
    assert len(table(store, "trials")) == 3

    (row,) = [row for row in table(store, "trials") if row["model_uri"]]
    assert row["model_uri"] == best["model_uri"]
    measured = here(capsys, "evaluate", best["model_uri"], "--data", pictures, "--json").document
    assert measured["split"] == "test"
    for measure in ("loss", "accuracy", "f1_weighted"):
        assert measured[measure] == row[f"test_{measure}"]

    shown = here(capsys, "results", "show", row["trial_id"], "--store", uri, "--json").document
    assert shown["trial"]["val_loss"] == row["val_loss"]
    assert len(shown["epochs"]) == row["epochs_run"]

    again = here(capsys, *typed, "--store", uri, "--data", pictures, "--trials", "1")
    assert "decoded none" in again.stderr


def ask_a_stranger(uri: str, server: S3Server, tables: list[str]) -> Any:
    keys = {name: list(KEYS[name]) for name in tables}
    question = json.dumps([uri.removeprefix("s3://"), server.endpoint, tables, keys])
    done = subprocess.run(
        [sys.executable, "-c", STRANGER, question],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**os.environ, **server.environment("analyst")},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class OwnServer:
    """A SeaweedFS that nobody else uses, to be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._ports = folder, free_ports(4)
        self._running = ExitStack()

    def start(self) -> S3Server:
        return self._running.enter_context(running_server(self._folder, self._ports))

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def own_server(tmp_path: Path, s3_environment: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = tmp_path / "seaweedfs"
    folder.mkdir()
    server = OwnServer(folder)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.start().endpoint)
    yield server
    server.stop()


# Long enough for a flush to fail and for a trial to end meanwhile; no assertion hangs on it.
AWAY_SECONDS = 8
# A short trial, and one of some seconds in which the store goes away.
SHORT_AND_LONG = (
    *("training.early_stopping_patience=0", "training.epochs=60"),
    *("space.batch_size={choice = [64, 1]}", "search.algorithm=grid"),
)


def test_a_store_that_is_away_for_a_while_costs_nothing(
    own_server: OwnServer, tmp_path: Path
) -> None:
    store = open_store(f"s3://{BUCKET}/away")
    typed = ("sweep", tiny(tmp_path), "--engine", "inline", "--store", store.uri, "--json")
    with child(tmp_path, *typed, *settings(*SHORT_AND_LONG)) as sweep:
        sweep.until(lambda: bool(finished_trials(store)), "a finished trial")
        own_server.stop()
        time.sleep(AWAY_SECONDS)
        own_server.start()
        answer = sweep.end()
    assert answer.code == 0, answer.stderr
    assert answer.document["trials"] == {"completed": 2, "stopped": 0, "failed": 0}
    none_twice(store)
    epochs = Counter(row["trial_id"] for row in table(store, "epochs"))
    assert epochs == {row["trial_id"]: 60 for row in table(store, "trials")}
    assert [row["status"] for row in table(store, "sweeps")] == ["completed"]


def test_a_store_that_stays_away_ends_the_sweep_with_5(
    own_server: OwnServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cvcore.scoring.PATIENCE_SECONDS", 0.0)
    store = open_store(f"s3://{BUCKET}/gone")

    def pull_the_plug() -> None:
        while not finished_trials(store):
            time.sleep(0.1)
        own_server.stop()

    typed = ("sweep", tiny(tmp_path), "--engine", "inline", "--store", store.uri, "--json")
    with ThreadPoolExecutor(1) as other:
        unplugged = other.submit(pull_the_plug)
        answer = here(capsys, *typed, *settings(*SHORT_AND_LONG))
        unplugged.result()
    assert answer.code == 5, answer.stderr
    error = answer.document["error"]
    assert error["type"] == "StoreError"
    assert store.uri in error["message"]
    assert f"--store {store.uri} --engine inline" in error["hint"]
    assert "Traceback" not in answer.stderr

    own_server.start()
    go_on = shlex.split(error["hint"])
    assert go_on[:3] == ["cvjobs", "sweep", "--resume"]
    again = here(capsys, *go_on[1:], "--json")
    assert again.code == 0, again.stderr
    assert again.document["trials"] == {"completed": 2, "stopped": 0, "failed": 0}
    none_twice(store)
