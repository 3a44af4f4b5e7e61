"""From the bytes of a file to pixels, or to the reason why there are none.

Everything here treats bytes as hostile: the header is judged before a pixel is decoded, and nothing
that is missing is made up.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import PIL
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageOps

from cvcore.datasets.problems import Unusable

# Raise the first part when any pixel changes.
DECODER_VERSION = f"1-pillow-{PIL.__version__}-simplejpeg-{simplejpeg.__version__}"
MAX_PIXELS = 64 * 2**20  # 8192 x 8192: some 200 MB as RGB
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000")
_BEGINNINGS = {
    b"\x89PNG": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"RIFF": "a WebP",
}
_CUT_SHORT = ("truncated", "unexpected end", "not enough", "cannot read")

# Pillow loads its readers on demand, and an unloaded one named in `formats` is a KeyError.
Image.init()
# Without a handler of its own, Python prints a library's log records to the terminal.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixels:
    """A decoded image and what its file said of itself.

    `array` is uint8 (image_size, image_size, 1 or 3); `width` and `height` are in pixels of the
    upright original, `channels` its number of bands.
    """

    array: NDArray[np.uint8]
    width: int
    height: int
    channels: int


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings off the terminal; enter it around a thread pool, not inside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def decode(data: bytes, *, image_size: int, channels: str, alpha: str) -> Pixels:
    """Decode, turn upright, flatten and resize one image; raise `Unusable`.

    The whole image is stretched to a square of `image_size` pixels a side.
    """
    mode = "RGB" if channels == "rgb" else "L"
    with _judging(data):
        if ready := _decode_plain_jpeg(data, image_size=image_size, mode=mode):
            return ready
        image, num_bands = _load(data)
        width, height = image.size
        flat = _flatten(image, mode=mode, alpha=alpha)
        if flat.size != (image_size, image_size):  # else Pillow would copy it
            flat = flat.resize((image_size, image_size), Image.Resampling.BILINEAR)
    array = np.asarray(flat).reshape(image_size, image_size, -1)
    return Pixels(array=array, width=width, height=height, channels=num_bands)


def decode_whole(data: bytes, *, largest_side: int) -> NDArray[np.uint8]:
    """Decode one image in its own proportions, as grey values (height, width); raise `Unusable`.

    It is shrunk where a side is longer than `largest_side` pixels; transparency is laid on white.
    """
    with _judging(data):
        image, _ = _load(data)
        flat = _flatten(image, mode="L", alpha="white")
        flat.thumbnail((largest_side, largest_side), Image.Resampling.BILINEAR)
    return np.asarray(flat)


@contextmanager
def _judging(data: bytes) -> Iterator[None]:
    """Turn whatever goes wrong in decoding `data` into `Unusable`."""
    if not data:
        raise Unusable("empty", "the file has no bytes")
    try:
        yield
    except Unusable:
        raise
    except Image.DecompressionBombError:
        raise Unusable("too_many_pixels", _pixel_limit("far too many")) from None
    except Exception as error:  # noqa: BLE001  Pillow's readers raise whatever their parsing trips over
        raise _damage(data, error) from None


def _load(data: bytes) -> tuple[Image.Image, int]:
    """Return the image, upright, and the number of bands in its file."""
    image = Image.open(BytesIO(data), formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise Unusable("too_many_pixels", _pixel_limit(f"{image.width} x {image.height}"))
    num_bands = len(image.getbands())
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image, num_bands


def _decode_plain_jpeg(data: bytes, *, image_size: int, mode: str) -> Pixels | None:
    """Decode a JPEG that has the size already; None where Pillow is to judge.

    The pixels are those of Pillow, which takes 95 us for 96x96 of them and 312 us for 300x300; this
    takes 48 and 210 us, and no other thread waits for it.
    """
    # What may rotate an image is an APP1 segment, and no such marker occurs among its pixels.
    if not data.startswith(b"\xff\xd8\xff") or b"\xff\xe1" in data:
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        num_bands = {("Gray", "L"): 1, ("Gray", "RGB"): 1, ("YCbCr", "RGB"): 3}.get((colours, mode))
        if width != image_size or height != image_size or num_bands is None:
            return None
        array = simplejpeg.decode_jpeg(data, "RGB" if mode == "RGB" else "GRAY")
    except ValueError:  # raised for whatever the library would warn of, too
        return None
    return Pixels(array=array, width=width, height=height, channels=num_bands)


def _flatten(image: Image.Image, *, mode: str, alpha: str) -> Image.Image:
    """Return the image in `mode` ("RGB" or "L"), without transparency."""
    if image.mode.startswith(("I", "F")):
        return _to_8_bit(image).convert(mode)
    if not image.has_transparency_data:
        return image if image.mode == mode else image.convert(mode)
    layers = image.convert("RGBA")
    if alpha == "drop":
        return layers.convert("RGB").convert(mode)
    ground = Image.new("RGBA", layers.size, alpha)
    return Image.alpha_composite(ground, layers).convert("RGB").convert(mode)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Scale grey values; Pillow's own conversion would clip everything above 255 to white."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        top = 1.0 if values.max() <= 1.0 else 255.0
    else:
        top = 65_535.0 if values.max() <= 65_535 else 2.0**31 - 1
    scaled = np.clip(np.nan_to_num(values) / top, 0.0, 1.0) * 255.0
    return Image.fromarray(np.rint(scaled).astype(np.uint8))


def _damage(data: bytes, error: Exception) -> Unusable:
    kind = next((name for start, name in _BEGINNINGS.items() if data.startswith(start)), None)
    if isinstance(error, PIL.UnidentifiedImageError):
        if kind is None:
            known = ", ".join(FORMATS)
            return Unusable("not_an_image", f"it is none of {known}")
        return Unusable("damaged", f"it begins like {kind}, but the header is cut off or broken")
    message = str(error) or type(error).__name__
    if isinstance(error, EOFError) or any(sign in message.lower() for sign in _CUT_SHORT):
        return Unusable("truncated", f"the file ends before the image does ({message})")
    return Unusable("damaged", f"{kind or 'the image'} cannot be decoded ({message})")


def _pixel_limit(found: str) -> str:
    return f"{found} pixels; at most {MAX_PIXELS:,} are decoded"
