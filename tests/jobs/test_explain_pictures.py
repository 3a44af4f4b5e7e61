"""`cvjobs explain features` and `augment`: real layers on real files, drawn and told as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cvcore.card import write_card
from cvcore.datasets.castings import CastingsSource
from cvcore.settings import ModelConfig
from jobs.cli import main
from tests.figures import num_drawn, words
from tests.pictures import make_classes, picture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]

CLASSES = ["def_front", "ok_front"]
LAYERS = ["first", "first_pool", "second", "second_pool"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A CNN as a sweep leaves it: a `.keras` file with a card, for grey 32-pixel castings."""
    import keras

    from cvcore.models import build

    keras.utils.set_random_seed(3)
    config = ModelConfig(num_blocks=2, filters=6, dense_units=4, output="sigmoid")
    built = build(config, image_size=32, channels=1, num_classes=2, precision="float32")
    kept = [layer for layer in built.layers if "conv" in layer.name or "pool" in layer.name]
    for layer, name in zip(kept, LAYERS, strict=True):
        layer.name = name
    path = tmp_path_factory.mktemp("model") / "model.keras"
    built.save(path)
    data = {"image_size": 32, "channels": "grayscale"}
    write_card(path, {"class_names": CLASSES, "data": data, "threads": 1})
    return str(path)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    source = CastingsSource(images=2, size=48)
    Path("casting.png").write_bytes(source.read(next(source.entries()).path))
    Path("notes.txt").write_text("no picture")
    return tmp_path


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["explain", *arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def shown(output: str) -> set[str]:
    return set(words(Path(output).read_bytes()))


def test_features_show_every_layer_and_both_classes(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, "features", model, "--image", "casting.png")

    assert found["output"] == "features.png"
    assert list(found["probabilities"]) == CLASSES
    assert sum(found["probabilities"].values()) == pytest.approx(1)
    assert found["predicted"] == max(CLASSES, key=lambda one: found["probabilities"][one])
    assert [one["class"] for one in found["grad_cam"]] == sorted(
        CLASSES, key=lambda one: -found["probabilities"][one]
    )
    assert {tuple(one["shape"]) for one in found["grad_cam"]} == {(8, 8)}
    assert [one["name"] for one in found["layers"]] == LAYERS
    assert [one["shape"] for one in found["layers"]] == [
        [32, 32, 6], [16, 16, 6], [16, 16, 12], [8, 8, 12],
    ]  # fmt: skip
    assert sorted(found["layers"][0]["channels_drawn"]) == list(range(6))
    assert num_drawn(Path("features.png").read_bytes(), rows=2, columns=4) >= 7


def test_features_are_those_that_predict_gives(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from cvcore.scoring import Predictor

    found = document(capsys, "features", model, "--image", "casting.png")
    image = Image.open("casting.png").resize((32, 32), Image.Resampling.BILINEAR)
    pixels = np.asarray(image.convert("L"))[np.newaxis, ..., np.newaxis]
    expected = Predictor(Path(model)).probabilities(pixels)[0]

    assert list(found["probabilities"].values()) == pytest.approx(expected, abs=1e-6)


def test_one_layer_is_shown_whole(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    typed = ["features", model, "--image", "casting.png", "--layer", "second"]
    found = document(capsys, *typed, "--output", "f.svg")

    assert [one["name"] for one in found["layers"]] == ["second"]
    assert set(LAYERS) <= set(found["layer_names"])
    texts = shown("f.svg")
    assert {"second", "Conv2D, 16 × 16 × 12", "Input, 32 × 32", "Probabilities"} <= texts
    assert any(text.startswith(f"Grad-CAM: {found['predicted']}") for text in texts)


def test_a_person_reads_where_the_decision_lies(
    model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "features", model, "--image", "casting.png"]) == 0
    printed = capsys.readouterr().out

    assert "feature maps of casting.png" in printed
    assert "32 x 32 x 6" in printed
    assert "from the left" in printed
    assert printed.endswith("features.png\n")


def test_augmentation_is_drawn_on_a_casting_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = document(capsys, "augment", "--set", "data.image_size=32")

    assert found["image"] == "a generated casting"
    assert (len(found["layers"]), found["num_draws"]) == (10, 11)
    assert not any(one["is_set"] for one in found["layers"])
    assert found["together"] == {}
    first = Path("augment.png").read_bytes()
    assert num_drawn(first, rows=10, columns=10) == 100
    document(capsys, "augment", "--set", "data.image_size=32", "--output", "again.png")
    assert Path("again.png").read_bytes() == first


def test_what_a_spec_sets_is_drawn_alone_and_together(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "spec.toml").write_text(
        '[model]\naugment_rotation = 0.25\naugment_fill = "wrap"\n'
        "[space]\naugment_zoom = {choice = [0.1, 0.2]}\n"
    )
    typed = ["augment", "--spec", "spec.toml", "--set", "model.augment_contrast=0.4"]
    typed += ["--set", "data.image_size=32", "--image", "casting.png"]
    found = document(capsys, *typed)

    assert found["image"] == "casting.png"
    assert found["together"] == {
        "augment_rotation": 0.25, "augment_contrast": 0.4, "augment_fill": "wrap",
    }  # fmt: skip
    assert found["not_fixed"] == ["augment_zoom"]
    assert {one["name"] for one in found["layers"] if one["is_set"]} == {"rotation", "contrast"}
    # A row more than without a spec.
    assert num_drawn(Path("augment.png").read_bytes(), rows=11, columns=10) == 110


def test_the_first_image_of_the_data_that_can_be_read_is_drawn(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_classes(here / "data", num_images=2)
    (folder / "crack" / "000.png").write_bytes(b"cut")
    typed = ["augment", "--set", "data.image_size=16", "--set", "data.channels=rgb"]
    found = document(capsys, *typed, "--data", str(folder), "--output", "data.png")
    assert found["image"] == "crack/001.png"

    picture(1).save(here / "own.png")  # the pixels of crack/001.png
    document(capsys, *typed, "--image", "own.png", "--data", str(folder), "--output", "own.png.png")
    data, own = (np.asarray(Image.open(one)) for one in ("data.png", "own.png.png"))
    below_title = slice(data.shape[0] // 20, None)
    assert (data[below_title] == own[below_title]).all()


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        (["features", "MODEL"], 2, "--image"),
        (["features", "MODEL", "--image", "missing.png"], 3, "'missing.png' cannot be used"),
        (["features", "MODEL", "--image", "notes.txt"], 3, "it is none of PNG"),
        (["features", "nonsense", "--image", "casting.png"], 2, "received 'nonsense'"),
        (["features", "notes.txt", "--image", "casting.png"], 2, "expected a .keras model file"),
        (["features", "MODEL", "--image", "casting.png", "--layer", "secnd"], 2, "'second'?"),
        (["features", "MODEL", "--image", "casting.png", "--layer", "logits"], 2, "no layer"),
        (["features", "MODEL", "--image", "casting.png", "--output", "f.jpg"], 2, ".png or .svg"),
        (["augment", "--image", "notes.txt"], 3, "it is none of PNG"),
        (["augment", "--data", "nowhere"], 3, "nowhere"),
        (["augment", "--set", "model.augment_zoom=2"], 2, "augment_zoom"),
        (["augment", "--set", "model.augment_fill=mirror"], 2, '"reflect"'),
        (["augment", "--output", "a.gif"], 2, ".png or .svg"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_input_is_one_sentence_and_leaves_no_file(
    typed: list[str],
    code: int,
    sentence: str,
    model: str,
    here: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(here.iterdir())

    assert main(["explain", *(model if one == "MODEL" else one for one in typed)]) == code
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert "\nnext: " in printed.err
    assert printed.out == ""
    assert sorted(here.iterdir()) == before
