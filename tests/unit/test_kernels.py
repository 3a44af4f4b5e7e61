"""Kernels: the five of the documents, any rectangle typed in, and a sentence for all else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.errors import UsageError
from cvcore.kernels import KERNELS, MAX_NUMBER, MAX_SIDE, named_kernels, parse_kernel

SIDES = st.integers(1, MAX_SIDE)
NUMBERS = st.floats(-MAX_NUMBER, MAX_NUMBER)


@pytest.mark.parametrize(
    ("name", "rows", "total"),
    [
        ("edge", "-1 -1 -1/-1 8 -1/-1 -1 -1", 0),
        ("blur", ".0625 .125 .0625/.125 .25 .125/.0625 .125 .0625", 1),
        ("bottom-sobel", "-1 -2 -1/0 0 0/1 2 1", 0),
        ("emboss", "-2 -1 0/-1 1 1/0 1 2", 1),
        ("sharpen", "0 -1 0/-1 5 -1/0 -1 0", 1),
    ],
)
def test_the_five_named_kernels_have_the_numbers_of_the_documents(
    name: str, rows: str, total: float
) -> None:
    kernel = parse_kernel(name)
    assert (kernel.name, kernel.rows) == (name, parse_kernel(rows).rows)
    assert kernel.total == total


def test_all_kernels_that_have_a_name_are_listed() -> None:
    assert [one.name for one in named_kernels()] == list(KERNELS)


@pytest.mark.parametrize(
    "text", ["bottom sobel", "Bottom-Sobel", "bottom_sobel", " bottom  sobel "]
)
def test_a_name_may_be_written_in_several_ways(text: str) -> None:
    assert parse_kernel(text).name == "bottom-sobel"


@given(height=SIDES, width=SIDES, data=st.data())
def test_every_rectangle_of_numbers_is_read_back(
    height: int, width: int, data: st.DataObject
) -> None:
    row = st.lists(NUMBERS, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=height, max_size=height))
    blank, end = data.draw(st.sampled_from([" ", ",", ", "])), data.draw(st.sampled_from("/;"))
    text = end.join(blank.join(repr(number) for number in row) for row in rows)

    assert parse_kernel(text).rows == tuple(tuple(row) for row in rows)


@given(st.text(max_size=30))
def test_any_text_is_a_kernel_or_one_sentence(text: str) -> None:
    try:
        kernel = parse_kernel(text)
    except UsageError as error:
        assert error.hint
        assert "\n" not in error.message
    else:
        assert len({len(row) for row in kernel.rows}) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sharpn", "did you mean 'sharpen'?"),
        ("laplace", "edge, blur, bottom-sobel, emboss, sharpen"),
        ("", "received ''"),
        ("1 2/3", "received rows of 2, 1 numbers"),
        ("1 2/3 4/", "received rows of 2, 2, 0 numbers"),
        ("/", "received rows of 0, 0 numbers"),
        ("1 2/3 x", "received 'x'"),
        ("nan 1/1 1", "received nan"),
        ("1 2/-inf 4", "received -inf"),
        ("1e9", "between -1,000,000 and 1,000,000, received 1e9"),
        ("/".join(["1"] * 16), "at most 15 x 15 numbers, received 16 x 1"),
        (" ".join(["1"] * 16), "received 1 x 16"),
    ],
)
def test_what_is_no_kernel_is_refused_in_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_kernel(text)
    assert sentence in caught.value.message


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("1 -1", "sum 0: flat areas go black, only changes of brightness remain"),
        (".1 .2 .3 .4", "sum 1: flat areas keep their brightness"),
        ("1 1", "sum 2: flat areas come out 2 times as bright"),
        (".25 .25", "sum 0.5: flat areas come out darker, at 0.5 of their brightness"),
        ("-1 0", "sum -1: flat areas come out negative, which ReLU turns black"),
    ],
)
def test_a_sum_is_explained_by_what_it_does_to_flat_areas(text: str, meaning: str) -> None:
    assert parse_kernel(text).meaning == meaning
