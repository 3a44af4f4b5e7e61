"""The gallery shows every mistake it is given, with its image, and is not blank."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cvcore.pictures import draw_gallery, save


def mistakes(count: int) -> list[dict[str, object]]:
    return [
        {
            "path": f"test/crack/a_rather_long_name_of_an_image_{i:02}.png",
            "label": "crack",
            "predicted": "ok",
            "confidence": 1 - i / 100,
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("channels", [1, 3])
def test_every_mistake_stands_below_its_image(channels: int) -> None:
    shades = [10 * i for i in range(8)]
    images = [np.full((6, 6, channels), shade, dtype=np.uint8) for shade in shades]
    figure = draw_gallery(mistakes(8), images, title="8 wrong")
    assert figure.get_suptitle() == "8 wrong"
    filled = [axes for axes in figure.axes if axes.images]
    assert [int(axes.images[0].get_array().max()) for axes in filled] == shades
    for number, axes in enumerate(filled):
        said = [text.get_text() for text in axes.texts]
        assert said[:2] == ["label crack", f"predicted ok {1 - number / 100:.3f}"]
        folder, name = said[2].split("\n")
        assert folder == "test/crack/"
        assert name.startswith("a_rather_lo")
        assert name.endswith(f"_{number:02}.png")


def test_the_file_is_a_picture_that_grows_by_rows() -> None:
    heights = []
    for count in (6, 7):
        images = [np.full((6, 6, 3), 128, dtype=np.uint8)] * count
        png = save(draw_gallery(mistakes(count), images, title="wrong"), kind="png")
        picture = Image.open(io.BytesIO(png)).convert("L")
        assert 0.2 < (np.asarray(picture) == 128).mean() < 0.9
        heights.append(picture.height)
    assert heights[1] > 1.5 * heights[0]


def test_no_mistakes_are_said_not_left_blank() -> None:
    figure = draw_gallery([], [], title="0 wrong")
    assert [text.get_text() for text in figure.texts] == ["0 wrong", "no wrong predictions"]
    assert save(figure, kind="png").startswith(b"\x89PNG")
