"""Wrong specs and options, as typed: the promised exit code, one sentence each, no traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.cli import main

ROOT = Path(__file__).parents[2]

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
    ("sweep --max-hours -1", ["--max-hours", "at least 0", "'-1'"]),
    ("sweep --max-hours soon", ["--max-hours", "at least 0", "'soon'"]),
    ("sweep --max-cost 5", ["search.max_cost", "resources.price_per_hour"]),
    ("sweep --max-cost inf", ["--max-cost", "'inf'"]),
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


# what a spec says, and what the answer must contain
TRANSFER = '[model]\nfamily = "transfer"\nweights = "none"\n'
WRONG_TRANSFER = [
    (TRANSFER + 'base = "mobilnet_v2"', ["model.base", "did you mean 'mobilenet_v2'?"]),
    (
        TRANSFER + 'base = "xception"\n[data]\nimage_size = 70',
        ["data.image_size: xception needs at least 71, received 70"],
    ),
    (
        TRANSFER + '[data]\nchannels = "grayscale"',
        ['data.channels: a pretrained base needs "rgb", received "grayscale"'],
    ),
    (
        TRANSFER.replace("none", "https://host/w.weights.h5"),
        ["model.weights: expected", "s3://bucket/key", "no file 'https://host/w.weights.h5'"],
    ),
    (TRANSFER.replace('"none"', '"gone.h5"'), ["model.weights: expected", "no file 'gone.h5'"]),
    *(
        (
            TRANSFER + f"[training]\nfine_tune = {{epochs = 2, at = {at}}}",
            ["training.fine_tune_at: expected a name or a whole number of at least 0", received],
        )
        for at, received in [
            ("1.5", "received 1.5"),
            ("true", "received true"),
            ("-1", "received -1"),
            ("[100, 101]", "received [100, 101]"),
        ]
    ),
    (
        TRANSFER + "[training]\nfine_tune = {epochs = 2, at = 154}",
        ["training.fine_tune.at: mobilenet_v2 has the layers 0 to 153, received 154"],
    ),
    (
        TRANSFER + "[training]\nfine_tune = {rate = 3}",
        ["line 5: training.fine_tune.rate: unknown key", "learning_rate_factor"],
    ),
    (
        TRANSFER + "[training.fine_tune]\nlerning_rate_factor = 0.1",
        ["training.fine_tune.lerning_rate_factor: unk", "did you mean 'learning_rate_factor'?"],
    ),
    (TRANSFER + "[training]\nfine_tune = 3", ["training.fine_tune: unknown key"]),
    (
        "[training]\nfine_tune = {epochs = 2}",
        ["training.fine_tune: only a pretrained base has something to unfreeze"],
    ),
    *(
        (
            TRANSFER + "[training]\nfine_tune = {epochs = 2}\n"
            f'[search]\nscheduler = "{scheduler}"\n[space]\nlearning_rate = {{log = [0.1, 1]}}',
            ["search.scheduler: hyperband and pbt copy trials", f'received "{scheduler}"', "asha"],
        )
        for scheduler in ("hyperband", "pbt")
    ),
    (
        "[model]\nnum_blocks = 2\nfilters_per_block = [8, 16, 32]",
        ["model.filters_per_block has 3 numbers for 2 blocks", "set model.num_blocks = 3"],
    ),
    *(
        (
            f"[model]\nfilters_per_block = {given}",
            ["from 1 to 1024, one a block, such as [8, 16, 16]", f"received {received}"],
        )
        for given, received in [
            ('[8, "many"]', '[8, "many"]'),
            ("[8, 16.0]", "[8, 16.0]"),
            ("[]", "[]"),
            ("[8, 0]", '"8,0"'),
            ("[8, -1]", '"8,-1"'),
            ('"8,"', '"8,"'),
            ("8.0", "8.0"),
            ("2000", '"2000"'),
        ]
    ),
]


def wrong_specs(folder: Path) -> list[str]:
    paths = [folder / f"{number}.toml" for number in range(len(WRONG_TRANSFER))]
    for path, (text, _) in zip(paths, WRONG_TRANSFER, strict=True):
        path.write_text(text, encoding="utf-8")
    return [str(path) for path in paths]


@pytest.mark.parametrize("number", range(len(WRONG_TRANSFER)))
def test_a_wrong_base_or_list_is_refused_in_one_sentence(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = wrong_specs(tmp_path)[number]
    assert main(["sweep", spec]) == 2
    printed = capsys.readouterr()
    _, expected = WRONG_TRANSFER[number]
    for words in expected:
        assert words in printed.err, printed.err
    assert "1 problem\n" in printed.err
    assert "\nnext: " in printed.err
    assert printed.out == ""
    assert not [path for path in tmp_path.iterdir() if path.suffix != ".toml"]


def test_no_wrong_spec_waits_for_tensorflow_or_ray(tmp_path: Path) -> None:
    script = (
        "import sys\nfrom jobs.cli import main\n"
        "print([main(['sweep', spec, '--quiet']) for spec in sys.argv[1:]])\n"
        "print([name for name in ('tensorflow', 'keras', 'ray', 'matplotlib', 'PIL')"
        " if name in sys.modules])"
    )
    specs = wrong_specs(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", script, *specs],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines() == [str([2] * len(specs)), "[]"]


@pytest.mark.parametrize("change", ["model.filters_per_block=[8,x]", "training.fine_tune={rate=3}"])
def test_a_list_or_table_typed_after_set_is_checked_as_in_a_file(
    change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "--set", change]) == 2
    assert f"--set {change.partition('=')[0]}: " in capsys.readouterr().err


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
