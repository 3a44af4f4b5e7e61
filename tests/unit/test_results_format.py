"""What docs/results-format.md shows is run, on a lake that a sweep left."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from cvcore.store import LocalStore
from tests.lakes import leave_a_whole_sweep

PAGE = Path(__file__).parents[2] / "docs" / "results-format.md"


def shown(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert found
    return found


@pytest.fixture
def beside_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_a_whole_sweep(LocalStore(tmp_path / "cvstore"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.timeout(30)  # pandas and Polars are imported
@pytest.mark.usefixtures("beside_a_store")
@pytest.mark.parametrize("block", shown("python"))
def test_python_reads_rows(block: str) -> None:
    said: dict[str, object] = {}

    exec(block, said)

    tables = [said[name] for name in ("trials", "epochs", "best", "curve") if name in said]
    assert tables
    assert all(len(table) for table in tables)  # type: ignore[arg-type]


@pytest.mark.usefixtures("beside_a_store")
@pytest.mark.parametrize("block", shown("sql"))
def test_duckdb_reads_rows(block: str) -> None:
    assert len(duckdb.sql(block))
