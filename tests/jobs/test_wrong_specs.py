"""Wrong specs and options, as typed: the promised exit code, one sentence each, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.cli import main

# what is typed after `cvjobs`, and what the answer must contain
WRONG = [
    ("sweep --set data.image_sise=64", ["--set data.image_sise", "did you mean 'image_size'"]),
    ("sweep --set modle.filters=8", ["--set modle.filters", "did you mean 'model'"]),
    ("sweep --set model.base=mobilnet_v2", ["'mobilenet_v2'", '"mobilnet_v2"', "resnet50"]),
    ("sweep --set model.conv_stride=-1", ["from 1 to 8", "received -1"]),
    ("sweep --set model.dropout=1.5", ["from 0.0 to 0.95", "received 1.5"]),
    ("sweep --set data.image_size=large", ["a whole number from 8 to 2048", '"large"']),
    ("sweep --set data.channels=rgba", ['"grayscale"', '"rgba"']),
    ("sweep --set search.algorithm=randm", ["did you mean 'random'"]),
    ("sweep --set search.objective=accuracy", ["val_accuracy", '"accuracy"']),
    ("sweep --set filters=8", ["--set filters", "did you mean model.filters"]),
    ("sweep --set model.filters", ["--set model.filters", "expected key=value"]),
    ("sweep --set space.filters.choice=8", ["--set space.filters.choice", "received 8"]),
    ("sweep --set space.epochs.choice=[1,2]", ["cannot be searched", "training.epochs"]),
    ("sweep --set search.algorithm=grid", ["space.dropout", "steps = 5"]),
    ("sweep --set model.family=transfer", ["space.filters", "only family 'cnn' uses it"]),
    ("sweep --set resources.workers_per_trial=2", ["not in this version", "received 2"]),
    ("sweep --set data.group_by=near-duplicates", ["not in this version"]),
    ("sweep --set model.conv_stride=8 --set model.num_blocks=8", ["shrinks to nothing", "96"]),
    ("sweep --trials 0", ["--trials", "from 1 to 1000000", "received 0"]),
    ("sweep --epochs -1", ["--epochs", "received -1"]),
    ("sweep --max-concurrent 0", ["--max-concurrent", "at least 1", "received 0"]),
    ("sweep quikstart", ["'quikstart'", "did you mean 'quickstart'", "cvjobs recipes"]),
    ("sweep missing.toml", ["'missing.toml'", "No such file", "cvjobs recipes"]),
    ("train missing.toml", ["'missing.toml'", "No such file"]),
    ("train quickstart", ["[space] filters", "cvjobs sweep quickstart"]),
    ("sweep --data s3://me:secret@bucket/x", ["must not carry a password"]),
    ("doctor --store ftp://host/x", ["s3://bucket/prefix", "'ftp://host/x'"]),
    ("doctor --store s3://me:secret@bucket/x", ["must not carry a password"]),
    ("doctor --store ftp://me:secret@host/x", ["ftp://***@host/x"]),
]


@pytest.mark.parametrize(("typed", "expected"), WRONG, ids=[typed for typed, _ in WRONG])
def test_a_wrong_input_is_refused_before_anything_starts(
    typed: str,
    expected: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(typed.split()) == 2
    printed = capsys.readouterr()
    for words in expected:
        assert words in printed.err, printed.err
    assert "Traceback" not in printed.err
    assert "secret" not in printed.err
    assert "\nnext: " in printed.err
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_all_problems_come_in_one_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('[data]\nimage_sise = 5\n[model]\nbase = "vgg61"\n[trainig]\n')
    assert main(["sweep", str(spec), "--epochs", "0", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["type"] == "ConfigError"
    assert error["message"].startswith(f"{spec}: 4 problems")
    for place in ("line 2: data.image_sise", "line 4: model.base", "line 5: trainig", "--epochs"):
        assert place in error["message"]


def test_a_flag_beats_its_environment_variable_which_beats_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Values that are refused tell which of them was looked at."""
    monkeypatch.setenv("CVJOBS_SET", "training.epochs=-1 search.trials=-2")
    assert main(["sweep"]) == 2
    printed = capsys.readouterr().err
    assert "--set training.epochs" in printed
    assert "--set search.trials" in printed

    monkeypatch.setenv("CVJOBS_EPOCHS", "-3")
    assert main(["sweep"]) == 2
    printed = capsys.readouterr().err
    assert "received -3" in printed
    assert "received -2" in printed
    assert "received -1" not in printed

    assert main(["sweep", "--epochs", "-4"]) == 2
    printed = capsys.readouterr().err
    assert "received -4" in printed
    assert "received -3" not in printed
