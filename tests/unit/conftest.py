"""What the unit tests of several files are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cvcore.config import load_spec
from cvcore.settings import SweepSpec
from cvcore.store import LocalStore


@pytest.fixture
def written(tmp_path: Path) -> Any:
    """Give a function that loads a spec from its text."""

    def load(text: str, **flags: Any) -> SweepSpec:
        path = tmp_path / "spec.toml"
        path.write_text(text, encoding="utf-8")
        return load_spec(path, **flags)

    return load


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")
