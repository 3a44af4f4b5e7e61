"""One record for every file that was meant as an image, used or not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any

USED, QUARANTINED, EXCLUDED = "used", "quarantined", "excluded"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRecord:
    """What became of one file.

    `status` is used, quarantined (it cannot be read as an image) or excluded (it can, but stands in
    another split too). `reason` starts with a code and a colon. `width` and `height` are pixels of
    the upright original, `channels` its number of bands.
    """

    path: str
    label: str | None = None
    split: str | None = None
    group_id: str | None = None
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    size_bytes: int = 0
    status: str = USED
    reason: str | None = None

    @property
    def reason_code(self) -> str:
        return (self.reason or "").partition(":")[0]

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _COLUMNS}  # a tenth of what `asdict` costs


_COLUMNS = tuple(field.name for field in fields(ImageRecord))


def to_rows(records: Iterable[ImageRecord], *, fingerprint: str) -> list[dict[str, Any]]:
    """Return the rows of the `images` table, in its order of columns."""
    return [
        {
            "dataset_fingerprint": fingerprint,
            "path": record.path,
            "label": record.label,
            "split": record.split,
            "group_id": record.group_id,
            "sha256": record.sha256,
            "width": record.width,
            "height": record.height,
            "channels": record.channels,
            "bytes": record.size_bytes,
            "status": record.status,
            "reason": record.reason,
        }
        for record in records
    ]
