"""Banks of features small enough to look at: what a row holds follows from its number."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from cvcore.features import About, FeatureBank
from cvcore.store import LocalStore

ROWS = 8  # of a shard, in these tests
ABOUT = About(feature_shape=(2, 3), num_base_params=99)
IDENTITY = {"base": "mobilenet_v2", "image_size": 32, "augmentation": None}


def right(rows: Iterable[int]) -> np.ndarray:
    """What a row holds follows from its number alone."""
    numbers = np.fromiter(rows, np.float32)
    return numbers[:, None, None] + np.arange(6, dtype=np.float32).reshape(2, 3) / 8


class Computer:
    """Compute rows and remember which."""

    def __init__(self, *, after: Callable[[range], None] = lambda rows: None) -> None:
        self.ranges: list[range] = []
        self._after = after

    def __call__(self, rows: range) -> np.ndarray:
        self.ranges.append(rows)
        self._after(rows)
        return right(rows)

    @property
    def rows(self) -> list[int]:
        return [row for rows in self.ranges for row in rows]


def bank(folder: Path, *, num_rows: int = 20, machine: str = "one", **changes: Any) -> FeatureBank:
    """Open a bank on a machine (a cache folder) that shares the store of the others."""
    return FeatureBank(
        {**IDENTITY, **changes},
        num_rows=num_rows,
        folder=folder / machine,
        store=LocalStore(folder / "store"),
    )


def shard_files(folder: Path, of: FeatureBank) -> list[Path]:
    return sorted((folder / "store" / "features" / of.key).glob("*.npy"))
