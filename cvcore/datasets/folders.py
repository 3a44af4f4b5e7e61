"""What the folders above an image say: its class and, where the data came split, its split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cvcore.datasets.sources import Entry
from cvcore.errors import DataError

SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "val": "validation",
    "valid": "validation",
    "test": "test",
    "testing": "test",
}
EXPECTED = "expected one folder per class, or train/ and test/ with one folder per class in each"
HINT = "cvjobs data check <directory>   (once the folders are in order)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an image lies; `label` is None outside of every class folder."""

    label: str | None
    split: str | None


def came_split(entries: Iterable[Entry]) -> bool:
    """Tell whether the folders on top are splits; raise `DataError` where only some are."""
    tops = {top for entry in entries if (top := _top_folder(entry)) is not None}
    named = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    splits = {SPLIT_FOLDERS[top.lower()] for top in named}
    if tops == named:
        return bool(tops)
    if "train" in splits and len(splits) > 1:  # a class may well be called train, not two of them
        others = ", ".join(sorted(tops - named)[:5])
        raise DataError(
            f"split folders ({', '.join(sorted(named))}) and others ({others}) lie side by side: "
            f"{EXPECTED}",
            hint=HINT,
        )
    return False


def locate(entry: Entry, *, split_folders: bool) -> Place:
    """Read class and split off a path; folders below that of the class mean nothing."""
    parts: Sequence[str] = entry.path.split("/")[:-1]
    split = None
    if _leads_outside(entry):
        return Place(label=None, split=None)
    if split_folders and parts:
        split, parts = SPLIT_FOLDERS[parts[0].lower()], parts[1:]
    return Place(label=parts[0] if parts else None, split=split)


def _top_folder(entry: Entry) -> str | None:
    top, slash, _ = entry.path.partition("/")
    return top if slash and not _leads_outside(entry) else None


def _leads_outside(entry: Entry) -> bool:
    return entry.problem is not None and entry.problem.code == "unsafe_path"
