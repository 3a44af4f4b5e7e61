"""What tests look at in a figure: its words, whether they overlap, whether anything is drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from io import BytesIO
from itertools import combinations

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray
from PIL import Image

from cvcore.pictures import save

SVG_TEXT = "{http://www.w3.org/2000/svg}text"


def words(svg: bytes) -> list[str]:
    """Return the texts of an SVG file, line by line."""
    found = ElementTree.fromstring(svg).iter(SVG_TEXT)
    return ["".join(one.itertext()).strip() for one in found]


def all_words(figure: Figure) -> str:
    return "\n".join(words(save(figure, kind="svg")))


def pixels(png: bytes) -> NDArray[np.uint8]:
    image = Image.open(BytesIO(png))
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def num_drawn(png: bytes, *, rows: int, columns: int) -> int:
    """Count the parts of a picture, cut into rows and columns, that hold more than one colour."""
    parts = [
        part
        for strip in np.array_split(pixels(png), rows)
        for part in np.array_split(strip, columns, axis=1)
    ]
    return sum(bool((part != part[0, 0]).any()) for part in parts)


def drawn_texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Draw a figure and return every text on it with its place, in pixels."""
    found: dict[int, tuple[str, Bbox]] = {}  # the last place counts: a layout draws twice
    draw = Text.draw

    def note(text: Text, renderer: RendererBase) -> None:
        draw(text, renderer)
        if text.get_visible() and text.get_text().strip():
            found[id(text)] = (text.get_text(), text.get_window_extent(renderer))

    Text.draw = note  # type: ignore[method-assign]
    try:
        save(figure, kind="png")
    finally:
        Text.draw = draw  # type: ignore[method-assign]
    return list(found.values())


def misplaced_texts(figure: Figure) -> list[str]:
    """Name the texts that overlap each other or leave the figure."""
    texts = drawn_texts(figure)
    width, height = figure.bbox.size
    outside = [
        f"{text!r} over the edge"
        for text, box in texts
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or box.y1 > height
    ]
    crossing = [
        f"{one!r} over {other!r}"
        for (one, first), (other, second) in combinations(texts, 2)
        if first.shrunk(0.9, 0.9).overlaps(second.shrunk(0.9, 0.9))
    ]
    return outside + crossing
