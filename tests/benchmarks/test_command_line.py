"""What is typed for a benchmark, and where its results go."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.command_line import parser_of, write_results

DOCUMENT = {"machine": {"cores": 2}, "results": [1.5]}


def page(document: Mapping[str, Any]) -> str:
    return f"# On {document['machine']['cores']} cores — übrigens\n"


def test_a_run_is_short_unless_it_is_asked_for_in_full() -> None:
    parser = parser_of("What it measures.", short="a minute", full="an hour")
    assert not parser.parse_args([]).full
    assert not parser.parse_args(["--short"]).full
    assert parser.parse_args(["--full"]).full
    with pytest.raises(SystemExit):
        parser.parse_args(["--short", "--full"])


def test_one_document_is_printed_and_the_page_goes_where_it_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "page.md"
    asked = parser_of(None, short="", full="").parse_args(["--report", str(path)])
    write_results(DOCUMENT, page=page, path=asked.report)
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert path.read_text(encoding="utf-8") == page(DOCUMENT)


def test_without_a_report_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_results(
        DOCUMENT, page=page, path=parser_of(None, short="", full="").parse_args([]).report
    )
    assert json.loads(capsys.readouterr().out) == DOCUMENT
    assert list(tmp_path.iterdir()) == []
