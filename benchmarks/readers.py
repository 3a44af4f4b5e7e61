"""Five image readers and our own with their defaults, and what each makes of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cvcore.datasets.decoding import decode

Reader = Callable[[Path], NDArray[Any]]
# What Pillow hands out for these modes are no colours.
RAW_MODES = {"P": "palette indices", "CMYK": "CMYK"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a reader made of a file; differences are to Pillow's RGB, on a scale of 0 to 255.

    `largest` and `mean` compare the array as it is read, `largest_undone` after a BGR order and a
    turn are undone.
    """

    file: str
    reader: str
    shape: str = ""
    dtype: str = ""
    values: str = ""
    order: str = ""
    alpha: str = ""
    upright: str = ""
    largest: float | None = None
    mean: float | None = None
    largest_undone: float | None = None
    problem: str = ""


def readers() -> dict[str, Reader]:
    """Map the name of each reader to its default way of reading a file."""
    import cv2
    import tensorflow as tf
    from matplotlib import image as matplotlib_image
    from skimage import io as skimage_io

    def opencv(path: Path) -> NDArray[Any]:
        array = cv2.imread(str(path))
        if array is None:  # how OpenCV says that it failed
            raise ValueError("returns None")
        return array

    def tensorflow(path: Path) -> NDArray[Any]:
        found = tf.io.decode_image(tf.io.read_file(str(path)), expand_animations=False)
        return np.asarray(found)

    def ours(path: Path) -> NDArray[Any]:
        data = path.read_bytes()
        side = Image.open(BytesIO(data)).width
        return decode(data, image_size=side, channels="rgb", alpha="white").array

    return {
        "matplotlib": lambda path: np.asarray(matplotlib_image.imread(path)),
        "OpenCV": opencv,
        "Pillow": lambda path: np.asarray(Image.open(path)),
        "scikit-image": lambda path: np.asarray(skimage_io.imread(path)),
        "TensorFlow": tensorflow,
        "cvjobs": ours,
    }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """What Pillow knows of a file: RGB as stored and upright, (side, side, 3), 0 to 255.

    `raw` is the array of its own mode, `alpha` (side, side) uint8 where there is such a channel.
    """

    mode: str
    raw: NDArray[Any]
    stored: NDArray[np.float64]
    upright: NDArray[np.float64]
    alpha: NDArray[np.uint8] | None


def reference(path: Path) -> Reference:
    """Read with Pillow what the readers are compared with."""
    with Image.open(path) as image:
        return Reference(
            mode=image.mode,
            raw=np.asarray(image),
            stored=np.asarray(image.convert("RGB")).astype(np.float64),
            upright=np.asarray(ImageOps.exif_transpose(image).convert("RGB")).astype(np.float64),
            alpha=np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None,
        )


def compare(kind: str, path: Path, known: Mapping[str, Reader]) -> list[Reading]:
    """Read one file with every reader and set the arrays against Pillow's RGB."""
    truth, found = reference(path), []
    for name, read in known.items():
        try:
            array = read(path)
        except Exception as error:  # noqa: BLE001  a reader that refuses is a result
            problem = " ".join(str(error).split())[:80]
            found.append(Reading(file=kind, reader=name, problem=problem))
        else:
            found.append(judge(array, truth, kind=kind, reader=name))
    return found


def judge(array: NDArray[Any], truth: Reference, *, kind: str, reader: str) -> Reading:
    """Describe an array as it was read."""
    pixels = to_three_channels(array)
    is_turned = not np.array_equal(truth.stored, truth.upright)
    is_upright = distance(pixels, truth.upright) < distance(pixels, truth.stored)
    target = truth.upright if is_turned and is_upright else truth.stored
    order = order_of(array, pixels, truth, target=target)
    undone = pixels[..., ::-1] if order == "BGR" else pixels
    return Reading(
        file=kind,
        reader=reader,
        shape="×".join(map(str, array.shape)),
        dtype=str(array.dtype),
        values=f"{array.min():.5g} – {array.max():.5g}",
        order=order,
        alpha="" if truth.alpha is None else alpha_of(array, pixels, truth.alpha),
        upright=("yes" if is_upright else "no") if is_turned else "",
        largest=round(float(abs(pixels - truth.stored).max()), 1),
        mean=round(distance(pixels, truth.stored), 2),
        largest_undone=round(float(abs(undone - target).max()), 1),
    )


def order_of(
    array: NDArray[Any],
    pixels: NDArray[np.float64],
    truth: Reference,
    *,
    target: NDArray[np.float64],
) -> str:
    """Name what the channels are, by which order comes closest to the reference."""
    if truth.mode in RAW_MODES and np.array_equal(array, truth.raw):
        return RAW_MODES[truth.mode]
    if (pixels == pixels[..., :1]).all():
        return "grey"
    return "BGR" if distance(pixels[..., ::-1], target) < distance(pixels, target) else "RGB"


def to_three_channels(array: NDArray[Any]) -> NDArray[np.float64]:
    """Bring an array as read to (height, width, 3) on a scale of 0 to 255; alpha is cut off."""
    top = 1.0 if array.dtype.kind == "f" else float(np.iinfo(array.dtype).max)
    scaled = array.astype(np.float64) * (255.0 / top)
    if scaled.ndim == 2:
        scaled = scaled[..., np.newaxis]
    return np.repeat(scaled, 3, axis=2) if scaled.shape[2] == 1 else scaled[..., :3]


def alpha_of(array: NDArray[Any], pixels: NDArray[np.float64], alpha: NDArray[np.uint8]) -> str:
    """Say what became of the alpha channel of a file."""
    if array.shape[-1] == 4:
        return "kept"
    return "on white" if (pixels[alpha == 0] == 255).all() else "dropped"


def distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return the mean absolute difference of two images."""
    return float(abs(one - other).mean())
