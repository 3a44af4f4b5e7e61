"""The figure of an evaluation: its panels, and what is written and drawn in them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cvcore.evaluation import assess
from cvcore.pictures import draw_evaluation, save


def document(num_classes: int, *, num_images: int = 60) -> dict[str, object]:
    rng = np.random.default_rng(num_classes)
    labels = rng.integers(0, num_classes, num_images)
    logits = rng.normal(size=(num_images, num_classes)) + 2 * np.eye(num_classes)[labels]
    return assess(
        logits,
        labels,
        class_names=[f"class {i}" for i in range(num_classes)],
        split="test",
        paths=[f"{i}.png" for i in range(num_images)],
    ).to_dict()


def test_two_classes_have_confusion_reliability_and_thresholds() -> None:
    shown = document(2)
    figure = draw_evaluation(shown, title="60 images")
    confusion, reliability, thresholds = figure.axes
    assert figure.get_suptitle() == "60 images"
    cells = [text.get_text() for text in confusion.texts]
    assert cells == [
        f"{shown['confusion'][i][j]}\n{shown['confusion_percent'][i][j]:.1f} %"
        for i in range(2)
        for j in range(2)
    ]
    assert [text.get_text() for text in confusion.get_yticklabels()] == ["class 0", "class 1"]
    dots = reliability.collections[-1].get_offsets()
    assert [tuple(dot) for dot in np.asarray(dots)] == [
        (one["confidence"], one["accuracy"]) for one in shown["calibration"]["bins"]
    ]
    lines = {line.get_label(): line for line in thresholds.lines}
    assert {"precision", "recall", "F1", "specificity"} < set(lines)
    recalls = [point["recall"] for point in shown["thresholds"]["curve"]]
    np.testing.assert_array_equal(lines["recall"].get_ydata(), [*recalls, 0])
    assert np.isnan(lines["precision"].get_ydata()[-1])  # nothing is predicted above 1
    assert thresholds.get_title().startswith("class 1 predicted above")


@pytest.mark.parametrize("num_classes", [3, 40])
def test_more_classes_have_no_threshold_and_no_numbers_that_none_could_read(
    num_classes: int,
) -> None:
    figure = draw_evaluation(document(num_classes), title="many")
    confusion, _ = figure.axes
    assert len(confusion.texts) == (9 if num_classes == 3 else 0)
    assert confusion.images[0].get_array().shape == (num_classes, num_classes)


def test_the_file_is_a_picture_with_the_colours_of_its_panels() -> None:
    png = save(draw_evaluation(document(2), title="60 images"), kind="png")
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    for colour in ("#0072B2", "#D55E00", "#009E73", "#E69F00"):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == wanted).all(axis=1).sum() > 100, colour
    assert b"60 images" in save(draw_evaluation(document(2), title="60 images"), kind="svg")
