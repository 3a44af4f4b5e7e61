"""Bytes to pixels: every colour mode comes out right, and what is missing is never made up."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cvcore.datasets.decoding import decode, decode_whole
from cvcore.datasets.problems import Unusable
from tests.pictures import encoded, picture

SIZE = 16
WHOLE = {
    "PNG": encoded(picture(1, size=48), "PNG"),
    "JPEG": encoded(picture(1, size=48), "JPEG"),
    "progressive JPEG": encoded(picture(1, size=48), "JPEG", progressive=True),
    "GIF": encoded(picture(1, size=48), "GIF"),
    "BMP": encoded(picture(1, size=48), "BMP"),
    "TIFF": encoded(picture(1, size=48), "TIFF"),
    "packed TIFF": encoded(picture(1, size=48), "TIFF", compression="tiff_lzw"),
    "WEBP": encoded(picture(1, size=48), "WEBP", lossless=True),
    "PPM": encoded(picture(1, size=48), "PPM"),
    "JPEG2000": encoded(picture(1, size=48), "JPEG2000"),
}


def pixels(
    data: bytes, *, size: int = SIZE, channels: str = "rgb", alpha: str = "white"
) -> NDArray[np.uint8]:
    return decode(data, image_size=size, channels=channels, alpha=alpha).array


def flat(mode: str, colour: object, kind: str = "PNG", **options: object) -> bytes:
    return encoded(Image.new(mode, (20, 20), colour), kind, **options)  # type: ignore[arg-type]


def grey_16_bit(values: NDArray[np.uint16]) -> bytes:
    return encoded(Image.fromarray(values), "PNG")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (flat("RGB", (10, 20, 30)), (10, 20, 30)),
        (flat("L", 77), (77, 77, 77)),
        (flat("1", 1), (255, 255, 255)),
        (flat("P", 0), (0, 0, 0)),
        (flat("CMYK", (0, 255, 255, 0), "TIFF"), (255, 0, 0)),
        (flat("YCbCr", (128, 128, 128), "TIFF"), (128, 128, 128)),
        (grey_16_bit(np.full((20, 20), 0x8080, np.uint16)), (128, 128, 128)),
        (grey_16_bit(np.full((20, 20), 0xFFFF, np.uint16)), (255, 255, 255)),
        (flat("F", 0.5, "TIFF"), (128, 128, 128)),
        (flat("I", 65_535, "TIFF"), (255, 255, 255)),
        (flat("LA", (0, 0)), (255, 255, 255)),
        (flat("RGBA", (200, 0, 0, 255)), (200, 0, 0)),
    ],
    ids=["rgb", "l", "1", "p", "cmyk", "ycbcr", "16", "16-max", "float", "int", "la", "rgba"],
)
def test_every_colour_mode_comes_out_right(data: bytes, expected: tuple[int, ...]) -> None:
    array = pixels(data)

    assert array.shape == (SIZE, SIZE, 3)
    assert array.dtype == np.uint8
    assert np.abs(array.astype(int) - expected).max() <= 1


def test_a_16_bit_gradient_keeps_its_shades() -> None:
    ramp = np.tile(np.linspace(0, 65_535, 64).astype(np.uint16), (64, 1))
    array = pixels(grey_16_bit(ramp), channels="grayscale")

    assert array.shape == (SIZE, SIZE, 1)
    assert np.all(np.diff(array[0, :, 0].astype(int)) > 0)


def test_a_printer_s_jpeg_is_not_inverted() -> None:
    data = encoded(Image.new("CMYK", (20, 20), (0, 0, 0, 0)), "JPEG")

    assert pixels(data).min() > 250


@pytest.mark.parametrize(("alpha", "expected"), [("white", 255), ("black", 0), ("drop", 90)])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_laid_on_a_ground_or_shown(
    mode: str, alpha: str, expected: int
) -> None:
    colour = (90, 90, 90, 0) if mode == "RGBA" else (90, 0)

    assert np.all(pixels(flat(mode, colour), alpha=alpha) == expected)


def test_half_transparent_pixels_are_mixed() -> None:
    assert abs(int(pixels(flat("RGBA", (0, 0, 0, 128)))[0, 0, 0]) - 127) <= 1


def test_a_transparent_palette_colour_is_laid_on_white() -> None:
    image = Image.new("P", (20, 20), 3)
    image.putpalette([0] * 768)

    assert np.all(pixels(encoded(image, "PNG", transparency=3)) == 255)
    assert np.all(pixels(encoded(image, "GIF", transparency=3)) == 255)


def test_a_camera_s_rotation_is_undone() -> None:
    image = Image.new("RGB", (40, 20), (0, 0, 0))
    image.paste((255, 255, 255), (0, 0, 20, 20))
    exif = image.getexif()
    exif[0x0112] = 6  # the top of the scene is on the right
    out = io.BytesIO()
    image.save(out, "PNG", exif=exif)
    found = decode(out.getvalue(), image_size=SIZE, channels="grayscale", alpha="white")

    assert (found.width, found.height) == (20, 40)
    assert np.all(found.array[:6] == 255)
    assert np.all(found.array[10:] == 0)


@pytest.mark.parametrize("said_in", ["exif", "xmp"])
def test_a_rotated_jpeg_that_has_the_size_already_is_turned_too(said_in: str) -> None:
    image = Image.new("L", (SIZE, SIZE), 0)
    image.paste(255, (0, 0, 8, SIZE))
    exif = image.getexif()
    exif[0x0112] = 6
    said = {"exif": exif, "xmp": b'<rdf:Description tiff:Orientation="6"/>'}[said_in]
    array = pixels(encoded(image, "JPEG", **{said_in: said}), channels="grayscale")

    assert np.all(array[:8] == 255)
    assert np.all(array[8:] == 0)


@settings(deadline=None)
@given(
    seed=st.integers(0, 100),
    mode=st.sampled_from(["RGB", "L"]),
    wanted=st.sampled_from(["RGB", "L"]),
    quality=st.integers(1, 100),
    subsampling=st.integers(0, 2),
    progressive=st.booleans(),
)
def test_a_jpeg_that_has_the_size_already_gets_the_pixels_of_pillow(
    seed: int, mode: str, wanted: str, quality: int, subsampling: int, progressive: bool
) -> None:
    data = encoded(
        picture(seed, size=48).convert(mode),
        "JPEG",
        quality=quality,
        subsampling=subsampling,
        progressive=progressive,
    )
    channels = "rgb" if wanted == "RGB" else "grayscale"
    found = decode(data, image_size=48, channels=channels, alpha="white")
    expected = Image.open(io.BytesIO(data)).convert(wanted)

    assert np.array_equal(found.array, np.asarray(expected).reshape(48, 48, len(wanted)))
    assert (found.width, found.height, found.channels) == (48, 48, len(mode))


def test_the_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("white", "black")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert np.all(pixels(data) == 255)


def test_shrinking_averages_instead_of_picking() -> None:
    board = np.indices((160, 160)).sum(axis=0) % 2 * 255

    array = pixels(encoded(Image.fromarray(board.astype(np.uint8))), channels="grayscale")

    assert np.all(np.abs(array.astype(int) - 127) <= 20)


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    fraction=st.floats(0.0, 1.0, exclude_max=True),
    size=st.sampled_from([SIZE, 48]),
)
def test_a_file_cut_anywhere_is_refused_or_complete(kind: str, fraction: float, size: int) -> None:
    data = WHOLE[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            array = pixels(data[: int(len(data) * fraction)], size=size)
        except Unusable as error:
            assert error.problem.code in ("empty", "truncated", "damaged", "not_an_image")
        else:
            assert np.array_equal(array, pixels(data, size=size))


@settings(deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    position=st.integers(0, 400),
    value=st.integers(0, 255),
    size=st.sampled_from([SIZE, 48]),
)
def test_a_changed_byte_gives_an_image_or_a_reason(
    kind: str, position: int, value: int, size: int
) -> None:
    data = bytearray(WHOLE[kind])
    data[position % len(data)] = value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert pixels(bytes(data), size=size).shape == (size, size, 3)
        except Unusable as error:
            assert error.problem.sentence


@pytest.mark.parametrize(("side", "shape"), [(100, (20, 40)), (40, (20, 40)), (10, (5, 10))])
def test_a_whole_image_keeps_its_proportions_and_is_only_ever_shrunk(
    side: int, shape: tuple[int, int]
) -> None:
    wide = encoded(picture(3).resize((40, 20)))
    assert decode_whole(wide, largest_side=side).shape == shape


def test_a_whole_image_is_grey_on_white_or_refused_like_any_other() -> None:
    assert (decode_whole(flat("RGBA", (0, 0, 0, 0)), largest_side=50) == 255).all()
    with pytest.raises(Unusable, match="no bytes"):
        decode_whole(b"", largest_side=50)
