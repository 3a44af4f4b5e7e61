"""What is in a data set, as one JSON-ready document: the answer of `cvjobs data check`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from cvcore.datasets.dataset import Dataset
from cvcore.datasets.manifest import EXCLUDED, QUARANTINED, USED, ImageRecord
from cvcore.datasets.splits import SPLITS

_MAX_LISTED = 100


def summarise(dataset: Dataset) -> dict[str, Any]:
    """Count images by class, split and fate.

    `images` counts the readable ones, `used` those of them that stand in a split. Lists of files
    end after 100; their counts do not.
    """
    used = [record for record in dataset.records if record.status == USED]
    excluded = [record for record in dataset.records if record.status == EXCLUDED]
    readable = used + excluded
    document: dict[str, Any] = {
        "uri": dataset.uri,
        "fingerprint": dataset.fingerprint,
        "images": len(readable),
        "used": len(used),
        "classes": _count_labels(used, dataset.class_names),
        "splits": {split: len(dataset.indices[split]) for split in SPLITS},
        "classes_by_split": {
            split: _count_labels([r for r in used if r.split == split], dataset.class_names)
            for split in SPLITS
        },
        "from_split_folders": dataset.from_split_folders,
        "quarantined": _summarise_quarantine(dataset.records),
        "excluded": _list_files(excluded),
        "duplicates": _count_duplicates(readable),
        "conflicting_labels": _find_conflicts(readable),
        "image_sizes": _summarise_sizes(readable),
        "num_decoded": dataset.num_decoded,
    }
    document["warnings"] = _warn(document)
    return document


def _count_labels(records: Sequence[ImageRecord], names: Sequence[str]) -> dict[str, int]:
    counts = Counter(record.label for record in records)
    return {name: counts[name] for name in names}


def _summarise_quarantine(records: Sequence[ImageRecord]) -> dict[str, Any]:
    bad = [record for record in records if record.status == QUARANTINED]
    reasons = Counter(record.reason_code for record in bad)
    return {**_list_files(bad), "reasons": dict(sorted(reasons.items()))}


def _list_files(records: Sequence[ImageRecord]) -> dict[str, Any]:
    listed = [{"path": r.path, "reason": r.reason} for r in records[:_MAX_LISTED]]
    return {"count": len(records), "files": listed}


def _count_duplicates(readable: Sequence[ImageRecord]) -> dict[str, int]:
    """Count byte-identical images: surplus copies in one split, contents that came in several."""
    splits_of: dict[str | None, Counter[str | None]] = defaultdict(Counter)
    for record in readable:
        splits_of[record.sha256][record.split] += 1
    left_out = [r for r in readable if r.status == EXCLUDED and r.split == "train"]
    return {
        "within_split": sum(n - 1 for counts in splits_of.values() for n in counts.values()),
        "across_splits": sum(len(counts) > 1 for counts in splits_of.values()),
        "excluded_from_training": len(left_out),
    }


def _find_conflicts(readable: Sequence[ImageRecord]) -> list[dict[str, Any]]:
    """List contents that carry more than one label, each with its files."""
    twins: dict[str | None, list[ImageRecord]] = defaultdict(list)
    for record in readable:
        twins[record.sha256].append(record)
    return [
        {
            "sha256": sha256,
            "files": [{"path": r.path, "label": r.label, "status": r.status} for r in records],
        }
        for sha256, records in twins.items()
        if len({record.label for record in records}) > 1
    ][:_MAX_LISTED]


def _summarise_sizes(readable: Sequence[ImageRecord]) -> list[dict[str, int]]:
    """List the commonest sizes of the originals, at most ten."""
    sizes = Counter((r.width or 0, r.height or 0) for r in readable)
    return [{"width": w, "height": h, "images": n} for (w, h), n in sizes.most_common(10)]


def _warn(document: dict[str, Any]) -> list[str]:
    warnings = [
        f"the class {label!r} has no image in the {split} split"
        for split, counts in document["classes_by_split"].items()
        for label, count in counts.items()
        if count == 0
    ]
    if conflicts := len(document["conflicting_labels"]):
        warnings.append(f"{conflicts:,} images carry more than one label")
    return warnings
