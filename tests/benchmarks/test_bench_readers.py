"""The comparison of readers judges rightly, and finds what the documents stumbled over."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import bench_readers, readers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]
JPEG, RGBA, GREY = "RGB JPEG", "RGBA PNG, hidden background", "grayscale PNG"
PALETTE, DEEP, CMYK = "palette PNG", "16-bit grayscale PNG", "CMYK JPEG"
TURNED = "JPEG turned by EXIF"
NAMES = ["matplotlib", "OpenCV", "Pillow", "scikit-image", "TensorFlow", "cvjobs"]


@pytest.fixture(scope="module")
def known() -> dict[str, readers.Reader]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that are measured, not ours
        return readers.readers()


@pytest.fixture(scope="module")
def found(
    known: dict[str, readers.Reader], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], readers.Reading]:
    """Every reading by file and reader."""
    samples = bench_readers.write_samples(tmp_path_factory.mktemp("samples"))
    return {
        (kind, one.reader): one
        for kind, path in samples.items()
        for one in readers.compare(kind, path, known)
    }


def test_every_reader_reads_every_file(found: dict[tuple[str, str], readers.Reading]) -> None:
    assert {kind for kind, _ in found} == {JPEG, RGBA, GREY, PALETTE, DEEP, CMYK, TURNED}
    assert sorted({name for _, name in found}) == sorted(NAMES)
    assert [one for one in found.values() if one.problem] == []


def test_only_opencv_gives_blue_first(found: dict[tuple[str, str], readers.Reading]) -> None:
    assert {name for name in NAMES if found[JPEG, name].order == "BGR"} == {"OpenCV"}
    assert (found[JPEG, "OpenCV"].largest or 0) > 100
    assert (found[JPEG, "OpenCV"].largest_undone or 0) <= 3  # what JPEG decoders may differ by


def test_our_pixels_of_an_rgb_jpeg_are_those_of_pillow(
    found: dict[tuple[str, str], readers.Reading],
) -> None:
    assert found[JPEG, "cvjobs"].largest == 0
    assert found[JPEG, "cvjobs"].dtype == "uint8"


def test_alpha_is_kept_dropped_or_laid_on_white(
    found: dict[tuple[str, str], readers.Reading],
) -> None:
    fates = {name: found[RGBA, name].alpha for name in NAMES}
    assert fates.pop("OpenCV") == "dropped"
    assert fates.pop("cvjobs") == "on white"
    assert set(fates.values()) == {"kept"}


def test_types_and_shapes_differ_by_reader(
    found: dict[tuple[str, str], readers.Reading],
) -> None:
    assert found[JPEG, "matplotlib"].dtype == "uint8"
    assert found[GREY, "matplotlib"].dtype == "float32"
    assert found[GREY, "Pillow"].shape == "240×240"
    assert found[GREY, "OpenCV"].shape == "240×240×3"
    assert found[GREY, "TensorFlow"].shape == "240×240×1"
    assert found[DEEP, "scikit-image"].dtype == "uint16"
    assert found[DEEP, "OpenCV"].dtype == "uint8"
    assert found[PALETTE, "Pillow"].order == "palette indices"
    assert found[CMYK, "Pillow"].order == "CMYK"


def test_only_opencv_and_we_turn_an_image_upright(
    found: dict[tuple[str, str], readers.Reading],
) -> None:
    upright = {name for name in NAMES if found[TURNED, name].upright == "yes"}
    assert upright == {"OpenCV", "cvjobs"}


def test_a_reader_that_refuses_is_a_row(tmp_path: Path) -> None:
    path = bench_readers.write_samples(tmp_path)[JPEG]

    def refuse(path: Path) -> np.ndarray:
        raise ValueError("no such\nformat")

    (row,) = readers.compare(JPEG, path, {"strict": refuse})
    assert (row.reader, row.problem, row.shape) == ("strict", "no such format", "")


@given(
    dtype=st.sampled_from([np.uint8, np.uint16, np.float32]),
    channels=st.sampled_from([(), (1,), (3,), (4,)]),
)
def test_every_type_comes_to_one_scale(dtype: type, channels: tuple[int, ...]) -> None:
    top = 1.0 if dtype is np.float32 else np.iinfo(dtype).max
    white = np.full((2, 2, *channels), top, dtype=dtype)
    assert np.array_equal(readers.to_three_channels(white), np.full((2, 2, 3), 255.0))


def test_grey_of_tensorflow_is_the_weighted_sum_cut_off_where_pixels_are_bytes() -> None:
    greys = bench_readers.compare_greys(bench_readers.draw_scene(0))
    assert greys["tf.image.rgb_to_grayscale, float32"] < 0.01
    assert 0.5 < greys["tf.image.rgb_to_grayscale, uint8"] < 1


def test_all_of_it_ends_in_three_tables(tmp_path: Path) -> None:
    results = bench_readers.measure(num_files=1, rounds=1)
    written = bench_readers.tables(results)
    assert written.count("## ") == 3
    assert written.count("| OpenCV |") >= 7
