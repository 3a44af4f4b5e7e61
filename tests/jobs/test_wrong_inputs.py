"""Wrong inputs as people make them, through the real program: all answered, none leaves a trace.

`test_wrong_specs.py` has those that the spec reader refuses before anything is looked at.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cvcore.settings import DataConfig
from jobs.cli import main
from jobs.wiring import open_store
from tests.pictures import make_classes
from tests.services import S3Server, free_ports

ROOT = Path(__file__).parents[2]
SWEEP_ID = "20250102-030405-abcdef"
INLINE = "--engine inline --store store"
TRANSFER = f"train train.toml --data good {INLINE} --set model.family=transfer"
FOLDERS = "expected one folder per class"

# what is typed after `cvjobs`, the promised exit code, what the answer must contain
WRONG: list[tuple[str, int, list[str]]] = [
    # what was typed
    ("sweeep", 2, ["'sweeep'", "'sweep'", "next: cvjobs --help"]),
    ("sweep --trails 3", 2, ["--trails", "--trials", "next: cvjobs sweep --help"]),
    ("sweep --trials 0", 2, ["--trials", "from 1 to 1000000", "received 0"]),
    ("sweep --trials 1.5", 2, ["a whole number", "'1.5'"]),
    ("sweep --set training.epochs", 2, ["expected key=value", "--set training.epochs"]),
    ("sweep --set model.base=mobilnet_v2", 2, ["did you mean 'mobilenet_v2'", "resnet50"]),
    ("sweep --set model.num_bloks=2", 2, ["model.num_bloks", "did you mean 'num_blocks'"]),
    ("sweep --set model.conv_stride=-2", 2, ["from 1 to 8", "received -2"]),
    ("sweep --set search.algorithm=grid", 2, ["space.dropout", "steps = 5"]),
    (
        "train train.toml --set data.image_size=8 --set model.num_blocks=4 --set model.pool_size=3",
        2,
        ["8x8 image shrinks to nothing", "floor((2 - 3) / 3) + 1 = 0", "fewer blocks"],
    ),
    # the spec
    ("sweep missing.toml", 2, ["'missing.toml'", "quickstart", "next: cvjobs recipes"]),
    ("sweep good", 2, ["'good'", "Is a directory", "next: cvjobs recipes"]),
    ("sweep notes.txt", 2, ["notes.txt", "not valid TOML", "next: cvjobs recipes quickstart"]),
    ("sweep bytes.toml", 2, ["bytes.toml", "expected UTF-8 text", "next: cvjobs recipes"]),
    (f"sweep {INLINE} --set search.scheduler=hyperband", 2, ["'hyperband'", "--engine ray"]),
    ("sweep --set search.scheduler=pbt", 2, ["pbt", "learning_rate", "filters"]),
    (f"sweep {INLINE} --data three --set model.output=sigmoid", 2, ["has 3", 'use "softmax"']),
    (f"{TRANSFER} --set model.weights=no.h5", 2, ['"imagenet"', "no file", "no.h5"]),
    (f"{TRANSFER} --set data.image_size=16", 2, ["mobilenet_v2", "at least 32", "received 16"]),
    (f"{TRANSFER} --set data.channels=grayscale", 2, ['needs "rgb"', '"grayscale"']),
    # the data
    (f"sweep {INLINE} --data nowhere", 3, ["'nowhere'", FOLDERS, "next: cvjobs sweep"]),
    (f"sweep {INLINE} --data ''", 2, ["a directory, an archive, s3://", "received ''"]),
    (f"sweep {INLINE} --data empty", 3, ["empty holds no images", FOLDERS]),
    (f"sweep {INLINE} --data one", 3, ["only the class 'ok'", "8 files", FOLDERS]),
    (f"sweep {INLINE} --data unusable", 3, ["'crack' has no usable image", "not_an_image"]),
    (f"sweep {INLINE} --data split", 3, ["crack, dent, ok", "'dent' has no usable image"]),
    (f"sweep {INLINE} --data notes.txt", 3, ["'notes.txt'", ".tar.gz", ".zip"]),
    (f"sweep {INLINE} --data fake.zip", 3, ["fake.zip", "not a zip file", "unzip -t"]),
    (f"sweep {INLINE} --data fake.tar.gz", 3, ["fake.tar.gz", "cannot be read", "tar -tf"]),
    (f"sweep {INLINE} --data ftp://host/x", 2, ["'ftp://host/x'", "builtin:castings"]),
    ("data check one", 3, ["only the class 'ok'", "next: cvjobs data check"]),
    ("data preview good --output sheet.jpg", 2, [".png", "'sheet.jpg'"]),
    ("data preview good --output /dev/null/sheet.png", 2, ["/dev/null/sheet.png", "next:"]),
    # the store
    ("sweep --data good --engine inline --store notes.txt", 5, ["notes.txt", "is a directory"]),
    ("sweep --data good --engine inline --store /dev/null/x", 5, ["/dev/null/x", "doctor"]),
    ("sweep --data good --engine inline --store /proc/x", 5, ["/proc/x", "doctor"]),
    ("sweep --data good --engine inline --store ''", 2, ["s3://bucket/prefix", "received ''"]),
    ("results sweeps --store notes.txt", 5, ["notes.txt", "is a directory", "doctor"]),
    ("results compact --store notes.txt", 5, ["notes.txt", "is a directory", "doctor"]),
    # what a store does not hold
    (f"sweep --resume {SWEEP_ID} --store store", 2, [SWEEP_ID, "cvjobs results sweeps"]),
    ("sweep --resume ../../etc --store store", 2, ["'../../etc'", "cvjobs results sweeps"]),
    (f"sweep --resume {SWEEP_ID} --data good --dry-run", 2, ["--data, --dry-run", "--trials"]),
    (f"results leaderboard {SWEEP_ID} --store store", 2, [SWEEP_ID, "cvjobs results sweeps"]),
    (f"results show {SWEEP_ID}-00000 --store store", 2, [f"{SWEEP_ID}-00000", "leaderboard"]),
    ("results query 'SELEC 1' --store store", 2, ["SELEC", "SHOW TABLES"]),
    ("results query 'SELECT nothing FROM trials' --store store", 2, ['"nothing"', "SHOW TABLES"]),
    ("results query 'DELETE FROM trials' --store store", 2, ["one SELECT", "received DELETE"]),
    ("results query 'SELECT 1; SELECT 2' --store store", 2, ["one SELECT", "SELECT, SELECT"]),
    ("""results query "COPY (SELECT 1) TO 'x.csv'" --store store""", 2, ["received COPY"]),
    (
        """results query "SELECT * FROM 'notes.txt'" --store store""",
        2,
        ["notes.txt", "does not exist"],
    ),
    # models
    ("evaluate notes.txt --data good", 2, ["notes.txt", "a .keras model file", "leaderboard"]),
    ("evaluate other.zip --data good", 2, ["other.zip", "not saved by cvjobs", "leaderboard"]),
    ("evaluate nowhere --data good --store store", 2, ["'nowhere'", ".keras file", "trial"]),
    ("evaluate .. --data good --store store", 2, ["'..'", ".keras file", "trial"]),
    ("evaluate s3://bucket --data good", 2, ["'s3://bucket'", ".keras file", "trial"]),
    ("evaluate model.keras --data three", 3, ["crack, ok", "a, b, c", "cvjobs data check"]),
    ("evaluate model.keras --data good --split tset", 2, ["train, validation, test", "'tset'"]),
    ("predict model.keras --data good --output x.csv", 2, [".parquet", "'x.csv'", "x.parquet"]),
    ("predict model.keras --data nowhere --output x.parquet", 3, ["'nowhere'", FOLDERS]),
    # the engine
    ("sweep --data good --store store --address 127.0.0.1:9", 2, ["'127.0.0.1:9'", "refused"]),
    ("sweep --data good --store store --address nonsense", 2, ['"auto"', "'nonsense'"]),
    ("sweep --data good --store store --address ray://a:1", 2, ["host:port", "'ray://a:1'"]),
    (f"sweep --data good {INLINE} --address a:1", 2, ["'a:1'", "--engine ray"]),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good data, bad data and files that are not what they seem."""
    place = tmp_path_factory.mktemp("place")
    make_classes(place / "good")
    make_classes(place / "three", classes=("a", "b", "c"))
    make_classes(place / "one", classes=("ok",))
    make_classes(place / "unusable", classes=("ok",))
    (place / "unusable" / "crack").mkdir()
    (place / "unusable" / "crack" / "a.png").write_text("no image")
    make_classes(place / "split" / "train")
    make_classes(place / "split" / "test", classes=("ok", "dent"), start=100)
    (place / "empty").mkdir()
    for name in ("notes.txt", "fake.zip", "fake.tar.gz"):
        (place / name).write_text("only text\n")
    (place / "bytes.toml").write_bytes(b"\xff\xfe")
    (place / "train.toml").write_text("[training]\nepochs = 1\n")
    card = {
        "class_names": ["crack", "ok"],
        "data": {"uri": str(place / "good"), "image_size": 16},
        "dataset_fingerprint": "",
        "threads": 1,
    }
    DataConfig(**card["data"])
    for name, member in (("other.zip", "x.json"), ("model.keras", "cvjobs.json")):
        with zipfile.ZipFile(place / name, "w") as archive:
            archive.writestr(member, json.dumps(card))
    return place


def contents(place: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in sorted(place.rglob("*"))}


@pytest.fixture(autouse=True)
def untouched(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in that folder, and leave nothing in it: no store, no output."""
    monkeypatch.chdir(place)
    before = contents(place)
    yield
    assert contents(place) == before


def answered(
    typed: str, code: int, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Check both forms of an answer, for a person and for a program; return the latter."""
    assert main(shlex.split(typed)) == code
    printed = capsys.readouterr()
    for words in expected:
        assert words in printed.err, printed.err
    assert "Traceback" not in printed.err
    assert "\nnext: " in printed.err
    assert printed.out == ""

    assert main([*shlex.split(typed), "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert list(document) == ["error"]
    assert document["error"]["exit_code"] == code
    assert document["error"]["message"] in printed.err or "sweeps/" in printed.err
    return document


@pytest.mark.parametrize(("typed", "code", "expected"), WRONG, ids=[typed for typed, *_ in WRONG])
def test_a_wrong_input_is_answered_in_a_sentence(
    typed: str, code: int, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    answered(typed, code, expected, capsys)


@pytest.mark.slow
@pytest.mark.timeout(40)
@pytest.mark.usefixtures("tensorflow")
def test_a_model_file_that_keras_cannot_load_is_a_usage_error(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answered(
        "predict model.keras --data good --output x.parquet", 2, ["model.keras", "Keras"], capsys
    )


@pytest.mark.slow
@pytest.mark.timeout(40)
@pytest.mark.usefixtures("tensorflow")
def test_more_gpus_than_this_process_sees_is_a_usage_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = f"sweep --data good {INLINE} --set resources.gpus_per_trial=64"
    answered(typed, 2, ["asks for 64 GPU", "gpus_per_trial"], capsys)


def in_a_process_of_its_own(typed: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *shlex.split(typed)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(60)
def test_more_gpus_than_the_cluster_has_is_a_usage_error() -> None:
    """Ray has to start to know; it starts before the sweep has left anything in the store."""
    done = in_a_process_of_its_own(
        "sweep --data good --store store --set resources.gpus_per_trial=64 --json"
    )
    assert done.returncode == 2, done.stderr
    error = json.loads(done.stdout)["error"]
    assert error["message"].startswith("a trial asks for 64 GPU, the cluster has ")
    assert "resources.gpus_per_trial" in error["hint"]
    assert "Traceback" not in done.stderr


# Takes TensorFlow from sight as if it were not installed.
WITHOUT_TENSORFLOW = """
import sys
from importlib.machinery import PathFinder

class Finder:
    find_distributions = PathFinder.find_distributions
    invalidate_caches = PathFinder.invalidate_caches

    @staticmethod
    def find_spec(name, path=None, target=None):
        hidden = name.partition(".")[0] == "tensorflow"
        return None if hidden else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
"""


@pytest.fixture(scope="module")
def without_tensorflow(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("without")
    (folder / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "typed",
    [
        "sweep --data good --store store",
        f"train train.toml --data good {INLINE}",
        f"sweep --resume {SWEEP_ID} --store store",
        "evaluate model.keras --data good",
        "predict model.keras --data good --output x.parquet",
        "data preview good --output /dev/null/x.png --set model.augment_flip=both",
    ],
)
def test_without_tensorflow_one_sentence_says_what_to_install(
    typed: str, without_tensorflow: dict[str, str]
) -> None:
    done = in_a_process_of_its_own(typed, **without_tensorflow)
    assert (done.returncode, done.stdout) == (2, "")
    sentence, following = done.stderr.splitlines()
    assert sentence.startswith("cvjobs: TensorFlow is not installed")
    assert following.startswith("next: pip install 'cvjobs[cpu]'")
    assert "cvjobs[gpu]" in following


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "typed",
    [
        "--help",
        "recipes",
        "data check good",
        "sweep --data good --store store --dry-run",
        "results sweeps --store store",
        "results query 'SELECT * FROM trials' --store store",
    ],
)
def test_what_needs_no_tensorflow_works_without_it(
    typed: str, without_tensorflow: dict[str, str]
) -> None:
    done = in_a_process_of_its_own(typed, **without_tensorflow)
    assert done.returncode == 0, done.stderr


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
