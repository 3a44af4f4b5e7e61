"""Who is trained on, who chooses, who judges: splits that content alone decides.

Images that must stay together form a group. Groups are ranked by a hash of the seed and their
content, so that neither the order nor the names of the files matter, and adding an image moves few.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")
# Where data came split: an image that stands in several keeps the place that judges most.
_PRECEDENCE = ("test", "validation", "train")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A usable image; `split` is the one whose folder it lies in, if there are such folders."""

    path: str
    label: str
    sha256: str
    split: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Where an image goes; one with a `reason` is left out of its split."""

    group_id: str
    split: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Images that may not be separated; `rank` orders groups, `members` index the candidates."""

    group_id: str
    rank: str
    label: str
    members: tuple[int, ...]


def assign(
    candidates: Sequence[Candidate],
    *,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    group_by: str = "none",
) -> list[Assignment]:
    """Give every candidate its split, in the order of `candidates`.

    Splits that the data brings are kept; validation and test, where missing, are carved out of
    training, each class in proportion. With three groups or more a class is in every split.
    """
    groups = _groups(candidates, group_by=group_by, seed=seed)
    fractions = {"validation": validation_fraction, "test": test_fraction}
    brought = {candidate.split for candidate in candidates}
    wanted = {name: part for name, part in fractions.items() if name not in brought}
    by_label: dict[str, list[_Group]] = {}
    results: dict[int, Assignment] = {}
    for group in groups:
        home = _home(group, candidates)
        results.update(_keep(group, candidates, home=home))
        if home == "train":
            by_label.setdefault(group.label, []).append(group)
    for same_label in by_label.values():
        carved = _carve(same_label, fractions=wanted)
        for group in same_label:
            split = carved.get(group.group_id)
            if split is not None:
                for member in group.members:
                    results[member] = Assignment(group_id=group.group_id, split=split)
    return [results[index] for index in range(len(candidates))]


def _home(group: _Group, candidates: Sequence[Candidate]) -> str:
    """Return the split a group belongs to before anything is carved out."""
    brought = {candidates[member].split for member in group.members}
    return next((name for name in _PRECEDENCE if name in brought), "train")


def _keep(group: _Group, candidates: Sequence[Candidate], *, home: str) -> dict[int, Assignment]:
    """Leave members at home, and leave out those that the data also put elsewhere."""
    results = {}
    at_home = [m for m in group.members if candidates[m].split in (home, None)]
    for member in group.members:
        candidate = candidates[member]
        if candidate.split in (home, None):
            results[member] = Assignment(group_id=group.group_id, split=home)
            continue
        twins = [m for m in at_home if candidates[m].sha256 == candidate.sha256]
        code = "identical" if twins else "same_group"
        twin = min(candidates[m].path for m in twins or at_home)
        results[member] = Assignment(
            group_id=group.group_id,
            split=candidate.split or home,
            reason=f"{code}: stands in the {home} split as {twin}",
        )
    return results


def _carve(groups: Sequence[_Group], *, fractions: Mapping[str, float]) -> dict[str, str]:
    """Choose groups of one class for the splits in `fractions`; return group id -> split."""
    ranked = sorted(groups, key=lambda group: group.rank)
    total = sum(len(group.members) for group in ranked)
    targets = {name: max(1, round(part * total)) for name, part in fractions.items()}
    filled: Counter[str] = Counter()
    chosen: dict[str, str] = {}

    def put(group: _Group, split: str) -> None:
        chosen[group.group_id] = split
        filled[split] += len(group.members)

    # The largest group stays in training and the smallest seed the other splits, so that no split
    # is empty whatever the sizes; with single images this is the order of the ranks.
    by_size = sorted(ranked, key=lambda group: -len(group.members))
    for split, group in zip(targets, reversed(by_size[1:]), strict=False):
        put(group, split)
    for group in ranked:
        if group is by_size[0] or group.group_id in chosen:
            continue
        for split, target in targets.items():
            if filled[split] + len(group.members) / 2 <= target:
                put(group, split)
                break
    return chosen


def _groups(candidates: Sequence[Candidate], *, group_by: str, seed: int) -> list[_Group]:
    """Merge byte-identical images, and those that the expression gives one key."""
    parents = list(range(len(candidates)))

    def find(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    pattern = None if group_by == "none" else re.compile(group_by)
    first: dict[tuple[str, ...], int] = {}
    for index, candidate in enumerate(candidates):
        keys: list[tuple[str, ...]] = [("bytes", candidate.sha256)]
        if pattern is not None and (match := pattern.search(candidate.path)):
            keys.append(("key", *(part or "" for part in match.groups() or (match.group(),))))
        for key in keys:
            parents[find(index)] = find(first.setdefault(key, index))
    members: dict[int, list[int]] = {}
    for index in range(len(candidates)):
        members.setdefault(find(index), []).append(index)
    return [_group(candidates, found, seed=seed) for found in members.values()]


def _group(candidates: Sequence[Candidate], members: list[int], *, seed: int) -> _Group:
    group_id = min(candidates[member].sha256 for member in members)
    labels = Counter(candidates[member].label for member in members)
    return _Group(
        group_id=group_id,
        rank=hashlib.sha256(f"{seed}:{group_id}".encode()).hexdigest(),
        # A group with two labels counts for the commoner one; of equals the first by name.
        label=min(labels, key=lambda label: (-labels[label], label)),
        members=tuple(members),
    )
