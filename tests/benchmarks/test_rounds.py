"""Everybody who is compared is measured alike: each begins in turn, and warms up once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rounds import time_answers, turned


@given(ways=st.lists(st.integers(), min_size=1, max_size=6, unique=True), start=st.integers(0, 50))
def test_in_as_many_rounds_as_there_are_ways_each_stands_everywhere_once(
    ways: list[int], start: int
) -> None:
    orders = [turned(ways, start + number) for number in range(len(ways))]
    for place in zip(*orders, strict=True):
        assert sorted(place) == sorted(ways)
    for order in orders:
        assert sorted(order) == sorted(ways)


def test_the_first_round_is_in_the_order_given() -> None:
    assert turned(("ours", "theirs"), 0) == ["ours", "theirs"]
    assert turned(("ours", "theirs"), 1) == ["theirs", "ours"]


def test_a_question_is_asked_once_more_than_it_counts() -> None:
    asked: list[str] = []

    def ask(name: str) -> int:
        asked.append(name)
        return len(asked)

    found = time_answers({"first": lambda: ask("first"), "second": lambda: ask("second")}, rounds=3)
    assert asked == ["first"] * 4 + ["second"] * 4
    assert {name: one["answer"] for name, one in found.items()} == {"first": 4, "second": 8}
    assert [len(one["seconds"]) for one in found.values()] == [3, 3]
