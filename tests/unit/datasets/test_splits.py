"""The laws of the split."""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from cvcore.datasets.splits import SPLITS, Candidate, assign

contents = st.integers(0, 30).map(lambda number: hashlib.sha256(bytes([number])).hexdigest())
candidates = st.lists(
    st.tuples(st.sampled_from(["crack", "ok", "scratch"]), contents), min_size=1, max_size=60
).map(
    lambda drawn: [
        Candidate(path=f"{label}/part{index % 7}_{index:03d}.png", label=label, sha256=content)
        for index, (label, content) in enumerate(drawn)
    ]
)
placed = candidates.flatmap(
    lambda made: st.lists(st.sampled_from(SPLITS), min_size=len(made), max_size=len(made)).map(
        lambda places: [replace(c, split=p) for c, p in zip(made, places, strict=True)]
    )
)
fractions = st.tuples(st.floats(0.05, 0.45), st.floats(0.05, 0.45))


def split_of(made: list[Candidate], *, seed: int = 0, group_by: str = "none") -> dict[str, str]:
    assignments = assign(
        made, validation_fraction=0.2, test_fraction=0.2, seed=seed, group_by=group_by
    )
    return {c.path: a.split for c, a in zip(made, assignments, strict=True)}


def distinct(num_images: int, label: str, *, start: int = 0) -> list[Candidate]:
    return [
        Candidate(
            path=f"{label}/{index:05d}.png",
            label=label,
            sha256=hashlib.sha256(f"{label}{index}".encode()).hexdigest(),
        )
        for index in range(start, start + num_images)
    ]


@settings(deadline=None)
@given(made=candidates, seed=st.integers(0, 5), order=st.randoms())
def test_neither_order_nor_names_matter(
    made: list[Candidate], seed: int, order: random.Random
) -> None:
    by_content = {c.sha256: split_of(made, seed=seed)[c.path] for c in made}
    renamed = [replace(c, path=f"{c.label}/{i}-renamed.jpg") for i, c in enumerate(made)]
    order.shuffle(renamed)
    again = split_of(renamed, seed=seed)

    assert {c.sha256: again[c.path] for c in renamed} == by_content


@settings(deadline=None)
@given(made=candidates)
def test_identical_images_stand_in_one_split(made: list[Candidate]) -> None:
    splits = split_of(made)
    places = defaultdict(set)
    for candidate in made:
        places[candidate.sha256].add(splits[candidate.path])

    assert set(splits.values()) <= set(SPLITS)
    assert all(len(found) == 1 for found in places.values())


@settings(deadline=None)
@given(made=candidates)
def test_images_with_one_key_stand_in_one_split_merged_with_identical_ones(
    made: list[Candidate],
) -> None:
    splits = split_of(made, group_by=r"(part\d)_")
    places = defaultdict(set)
    for candidate in made:
        places[candidate.path.split("/")[1][:5]].add(splits[candidate.path])
        places[candidate.sha256].add(splits[candidate.path])

    assert all(len(found) == 1 for found in places.values())


@settings(deadline=None)
@given(made=candidates, parts=fractions)
def test_a_class_of_three_images_is_in_every_split(
    made: list[Candidate], parts: tuple[float, float]
) -> None:
    assignments = assign(made, validation_fraction=parts[0], test_fraction=parts[1], seed=0)
    groups = defaultdict(set)
    for candidate, given_split in zip(made, assignments, strict=True):
        labels = {c.label for c in made if c.sha256 == candidate.sha256}
        if labels == {candidate.label}:
            groups[candidate.label].add((given_split.group_id, given_split.split))
    for label, found in groups.items():
        pure = all(c.label == label for c in made if c.sha256 in {g for g, _ in found})
        mixed = any(
            len({c.label for c in made if c.sha256 == sha}) > 1
            for sha in {c.sha256 for c in made if c.label == label}
        )
        if pure and not mixed and len(found) >= 3:
            assert {split for _, split in found} == set(SPLITS)


@settings(deadline=None)
@given(num_images=st.integers(10, 300), parts=fractions, seed=st.integers(0, 9))
def test_single_images_are_split_exactly_in_proportion(
    num_images: int, parts: tuple[float, float], seed: int
) -> None:
    made = distinct(num_images, "crack") + distinct(2 * num_images, "ok")
    assignments = assign(made, validation_fraction=parts[0], test_fraction=parts[1], seed=seed)
    counts = Counter((c.label, a.split) for c, a in zip(made, assignments, strict=True))
    for label, total in (("crack", num_images), ("ok", 2 * num_images)):
        assert counts[label, "validation"] == max(1, round(parts[0] * total))
        assert counts[label, "test"] == max(1, round(parts[1] * total))


def test_another_seed_gives_another_split() -> None:
    made = distinct(50, "ok")

    assert split_of(made, seed=0) != split_of(made, seed=1)
    assert split_of(made, seed=0) == split_of(made, seed=0)


def test_more_images_move_few_of_those_there() -> None:
    before = split_of(distinct(200, "ok"))
    after = split_of(distinct(210, "ok"))
    moved = sum(before[path] != after[path] for path in before)

    assert moved <= 10


@settings(deadline=None)
@given(made=placed)
def test_splits_that_came_are_kept_and_twins_left_out_of_the_lesser_one(
    made: list[Candidate],
) -> None:
    assignments = assign(made, validation_fraction=0.2, test_fraction=0.2, seed=0)
    used = defaultdict(set)
    brought = {candidate.split for candidate in made}
    for candidate, given_split in zip(made, assignments, strict=True):
        if given_split.reason is None:
            used[candidate.sha256].add(given_split.split)
        if candidate.split == "test":
            assert given_split.split == "test"
            assert given_split.reason is None
        if brought == set(SPLITS):
            assert given_split.split == candidate.split

    assert set(used) == {candidate.sha256 for candidate in made}
    assert all(len(found) == 1 for found in used.values())


def test_a_twin_in_the_test_folder_is_named() -> None:
    made = [replace(c, split="train") for c in distinct(10, "ok")]
    made.append(replace(made[3], path="test/ok/x.png", split="test"))
    assignments = assign(made, validation_fraction=0.2, test_fraction=0.2, seed=0)

    assert assignments[3].reason == "identical: stands in the test split as test/ok/x.png"
    assert [a.reason for a in assignments].count(None) == 10
    assert Counter(a.split for a in assignments)["validation"] == 2
