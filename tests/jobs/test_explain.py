"""`cvjobs explain`: each command writes a picture with content, and says what it shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvcore import layout
from jobs.cli import main
from tests import sweeps
from tests.figures import num_drawn, words
from tests.pictures import picture

pytestmark = pytest.mark.timeout(30)

ROOT = Path(__file__).parents[2]
BEST = layout.trial_id(sweeps.SWEEP_ID, 0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["explain", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def shown(output: str) -> str:
    return "\n".join(words(Path(output).read_bytes()))


def test_all_kernels_are_drawn_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "kernels")

    assert found["output"] == "kernels.png"
    assert [one["name"] for one in found["kernels"]] == [
        "edge", "blur", "bottom-sobel", "emboss", "sharpen",
    ]  # fmt: skip
    assert [one["sum"] for one in found["kernels"]] == [0, 1, 0, 1, 1]
    # Five heat maps on two rows of three: the last corner stays empty.
    assert num_drawn(Path("kernels.png").read_bytes(), rows=4, columns=3) == 11


def test_a_kernel_may_begin_with_a_minus(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "kernels", "-1 -2/3 4", "--output", "k.svg")

    [kernel] = found["kernels"]
    assert kernel == {
        "name": "custom", "rows": [[-1, -2], [3, 4]], "sum": 4,
        "meaning": "sum 4: flat areas come out 4 times as bright",
    }  # fmt: skip
    assert {"-1", "-2", "3", "4", "custom, 2 × 2"} <= set(shown("k.svg").splitlines())


def test_a_kernel_is_tried_on_an_image(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(1).resize((300, 100)).save(here / "wide.png")
    found = document(capsys, "kernels", "edge", "--image", "wide.png", "--output", "k.svg")

    assert found["image"] == "wide.png"
    for text in ("wide.png", "Input, 100 × 300", "Filtered, 98 × 298", "ReLU, 98 × 298"):
        assert text in shown("k.svg")


def test_a_window_condenses_the_circle(capsys: pytest.CaptureFixture[str]) -> None:
    found = document(capsys, "window")

    assert found["kernel"]["name"] == "bottom-sobel"
    assert found["window"]["condensation"] == 2
    assert found["shapes"] == {
        "image": [64, 64], "filtered": [62, 62], "detected": [62, 62], "condensed": [31, 31],
    }  # fmt: skip
    splits = {(one["conv_stride"], one["pool_stride"]) for one in found["ways"]}
    assert splits == {(1, 8), (2, 4), (4, 2), (8, 1)}
    assert num_drawn(Path("window.png").read_bytes(), rows=4, columns=4) == 16


def test_every_move_of_a_window_can_be_set(capsys: pytest.CaptureFixture[str]) -> None:
    moves = ["--stride", "2", "--padding", "same", "--pool", "3", "--pool-stride", "2"]
    found = document(
        capsys, "window", *moves, "--pool-padding", "same", "--condensation", "4", "--kernel",
        "-1 1", "--output", "w.svg",
    )  # fmt: skip

    assert found["shapes"]["filtered"] == [32, 32]
    assert found["shapes"]["condensed"] == [16, 16]
    assert {one["conv_stride"] * one["pool_stride"] for one in found["ways"]} == {4}
    assert "Filter 1 × 2, stride 2, same" in shown("w.svg")
    assert "Condense: max 3 × 3, stride 2, same" in shown("w.svg")


def test_the_ways_are_a_table_for_a_person(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "window", "--condensation", "2"]) == 0
    printed = capsys.readouterr().out

    assert "ways to condense by 2" in printed
    assert "places_fraction" in printed
    assert "32 x 32" in printed
    assert printed.endswith("window.png\n")


def test_a_field_grows_layer_by_layer(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--set", "model.num_blocks=2", "--set", "model.kernel_size=3"]
    found = document(capsys, "field", "quickstart", *arguments, "--output", "field.svg")

    assert [(one["kind"], one["field"]) for one in found["layers"]] == [
        ("convolution", 3), ("pooling", 4), ("convolution", 8), ("pooling", 10),
    ]  # fmt: skip
    assert found["receptive_field"] == 10
    assert {"receptive field", "10 × 10", "convolution"} <= set(shown("field.svg").splitlines())


def test_a_field_is_drawn_on_the_image_that_was_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (50, 20), 200).save(here / "flat.png")
    document(capsys, "field", "--output", "casting.png")
    document(capsys, "field", "--output", "flat.png.png", "--image", "flat.png")

    casting, flat = (np.asarray(Image.open(one)) for one in ("casting.png", "flat.png.png"))
    assert casting.shape == flat.shape
    assert (casting != flat).any()


def test_what_a_space_varies_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "spec.toml").write_text("[space]\nkernel_size = {choice = [3, 5]}\n")
    assert main(["explain", "field", "spec.toml"]) == 0

    printed = capsys.readouterr()
    assert "the space varies kernel_size" in printed.err
    assert document(capsys, "field", "spec.toml")["not_fixed"] == ["kernel_size"]


def test_curves_come_from_the_epochs_of_a_trial(
    store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "curves", BEST, "--store", store, "--output", "c.svg")

    assert found["trial_id"] == BEST
    assert found["fine_tune_from"] is None
    assert [row["epoch"] for row in found["epochs"]] == [1, 2, 3]
    assert found["epochs"][1]["loss"] == 0.5
    assert {f"Trial {BEST}", "Loss", "Accuracy", "training"} <= set(shown("c.svg").splitlines())


def test_a_picture_does_without_tensorflow(here: Path) -> None:
    code = (
        "import sys; from jobs.cli import main\n"
        "code = main(['explain', 'field', '--quiet'])\n"
        "sys.exit(code or 'tensorflow' in sys.modules or 'matplotlib.pyplot' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0
    assert (here / "field.png").stat().st_size > 10_000


def test_quiet_prints_no_notes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "spec.toml").write_text("[space]\nkernel_size = {choice = [3, 5]}\n")
    typed = ["explain", "field", "spec.toml"]
    assert main(typed) == 0
    assert capsys.readouterr().err != ""
    assert main([*typed, "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[-1] == "field.png"
    assert printed.err == ""


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        (["kernels", "sharpn"], 2, "did you mean 'sharpen'?"),
        (["kernels", "1 2/3"], 2, "rows of 2, 1 numbers"),
        (["kernels", "1 x"], 2, "received 'x'"),
        (["kernels", "--output", "k.jpg"], 2, "--output names a .png or .svg file"),
        (["kernels", "--output", "no/k.png"], 2, "cannot be written to 'no/k.png'"),
        (["kernels", "--image", "missing.png"], 3, "'missing.png' cannot be used: no such file"),
        (["kernels", "--image", "notes.txt"], 3, "it is none of PNG"),
        (["field", "--image", "notes.txt"], 3, "it is none of PNG"),
        (["kernels", "edge", "--image", "tiny.png"], 2, "window of 3 x 3 does not fit"),
        (["window", "--kernel", "edg"], 2, "did you mean 'edge'?"),
        (["window", "--stride", "0"], 2, "expected 1 to 64, received 0"),
        (["window", "--pool", "many"], 2, "'many'"),
        (["window", "--padding", "full"], 2, "'full'"),
        (["window", "--stride", "32", "--pool", "9"], 2, "the image shrinks to nothing"),
        (["window", "--image", "tiny.png"], 2, "window of 3 x 3 does not fit into the 2 x 5"),
        (["field", "quickstrat"], 2, "did you mean 'quickstart'?"),
        (["field", "transfer.toml"], 2, "'sweep' has the family 'transfer'"),
        (["field", "--set", "model.conv_stride=8"], 2, "shrinks to nothing"),
        (["curves"], 2, "TRIAL_ID"),
        (["curves", BEST.replace("abc", "abd")], 2, f"did you mean {BEST}?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_sentence_and_leaves_no_file(
    typed: list[str],
    code: int,
    sentence: str,
    here: Path,
    store: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (here / "notes.txt").write_text("no picture")
    (here / "transfer.toml").write_text('[model]\nfamily = "transfer"\n')
    Image.new("L", (5, 2)).save(here / "tiny.png")
    before = sorted(here.iterdir())

    assert main(["explain", *typed, "--store", store]) == code
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert "\nnext: " in printed.err
    assert "Traceback" not in printed.err
    assert printed.out == ""
    assert sorted(here.iterdir()) == before
