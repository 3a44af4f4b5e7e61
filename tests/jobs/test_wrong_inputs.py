"""Wrong inputs as people make them, through the real program: all answered, none leaves a trace.

`test_wrong_specs.py` has those that the spec reader refuses before anything is looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs import elsewhere
from tests.wrong import INLINE, SWEEP_ID, answered

pytestmark = pytest.mark.usefixtures("untouched")

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


@pytest.mark.slow
@pytest.mark.services
@pytest.mark.timeout(60)
def test_more_gpus_than_the_cluster_has_is_a_usage_error(place: Path) -> None:
    """Ray has to start to know; it starts before the sweep has left anything in the store."""
    typed = "sweep --data good --store store --set resources.gpus_per_trial=64 --json"
    done = elsewhere(*typed.split(), folder=place)
    assert done.code == 2, done.stderr
    error = done.document["error"]
    assert error["message"].startswith("a trial asks for 64 GPU, the cluster has ")
    assert "resources.gpus_per_trial" in error["hint"]
    assert "Traceback" not in done.stderr
