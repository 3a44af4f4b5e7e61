"""Many small images on one: the picture behind `cvjobs data preview`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_MARGIN = 12
_GAP = 4
_TITLE_HEIGHT = 26
_PAPER, _INK, _FAINT = "#ffffff", "#1a1a1a", "#6b6b6b"


def contact_sheet(
    rows: Mapping[str, Sequence[NDArray[np.uint8]]],
    *,
    title: str = "",
    columns: int = 10,
    cell_size: int = 96,
) -> bytes:
    """Lay out titled groups of images, uint8 (height, width, 1 or 3) each; return a PNG."""
    heading = _TITLE_HEIGHT if title else 0
    heights = [_group_height(len(images), columns, cell_size) for images in rows.values()]
    width = 2 * _MARGIN + columns * (cell_size + _GAP) - _GAP
    sheet = Image.new("RGB", (width, 2 * _MARGIN + heading + sum(heights)), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN), title, fill=_INK, font=_font(16))
    top = _MARGIN + heading
    for (name, images), height in zip(rows.items(), heights, strict=True):
        pen.text((_MARGIN, top + 4), name, fill=_FAINT, font=_font(14))
        for index, image in enumerate(images):
            row, column = divmod(index, columns)
            place = (
                _MARGIN + column * (cell_size + _GAP),
                top + _TITLE_HEIGHT + row * (cell_size + _GAP),
            )
            sheet.paste(_thumbnail(image, cell_size), place)
        top += height
    out = BytesIO()
    sheet.save(out, format="PNG")
    return out.getvalue()


def _group_height(num_images: int, columns: int, cell_size: int) -> int:
    return _TITLE_HEIGHT + -(-num_images // columns) * (cell_size + _GAP) + _MARGIN


def _thumbnail(image: NDArray[np.uint8], cell_size: int) -> Image.Image:
    flat = image[..., 0] if image.shape[-1] == 1 else image
    return Image.fromarray(flat).convert("RGB").resize((cell_size, cell_size))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
