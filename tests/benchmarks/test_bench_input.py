"""All ways of reading see the same images, every epoch once, or no ratio is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import bench_input, input_ways
from benchmarks.sweep_images import write_images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.timeout(60),
    pytest.mark.usefixtures("tensorflow"),
]
NUM_IMAGES, SIZE = 40, 64


@pytest.fixture(scope="module")
def rounds(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("input")
    write_images(folder / "data", num_images=NUM_IMAGES, size=SIZE, castings=folder / "none")
    images = folder / "data" / "train"
    return bench_input.measure(folder, images, size=SIZE, rounds=1, epochs=2)


def test_every_way_sees_every_image_once(rounds: list[dict[str, object]]) -> None:
    ways = rounds[0]["ways"]
    assert list(ways) and set(ways) == set(input_ways.WAYS)
    assert {row["num_images"] for row in ways.values()} == {36}  # a tenth is for validation
    assert bench_input.agree(ways)


def test_a_way_that_reads_something_else_gets_no_ratio(rounds: list[dict[str, object]]) -> None:
    ways = rounds[0]["ways"]
    summary = bench_input.summarise(rounds)
    assert summary[bench_input.PLAIN]["later_ratio"] == 1.0
    others = set(input_ways.WAYS) - set(input_ways.OURS)
    assert max(summary[name]["first_ratio"] for name in others) == 1.0
    assert "ways differ" not in bench_input.result_table(summary)
    for change in ({"num_images": 35}, {"mean": 300.0}):
        odd = {**ways, "ImageDataGenerator": {**ways["ImageDataGenerator"], **change}}
        assert not bench_input.agree(odd)
        written = bench_input.result_table(bench_input.summarise([{"ways": odd}]))
        assert "ways differ: none" in written


def test_our_ways_decode_once_and_find_it_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_images(data, num_images=NUM_IMAGES, size=SIZE, castings=tmp_path / "none")
    folder = input_ways.Folder(images=data / "train", cache=tmp_path / "cache", size=SIZE)
    assert input_ways.open_with_cvjobs(folder).num_decoded == 36
    assert input_ways.open_with_cvjobs(folder).num_decoded == 0
