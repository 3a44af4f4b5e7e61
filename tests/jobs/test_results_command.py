"""`cvjobs results`: documents for programs, tables for people, refusals for both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cvcore import layout
from jobs import show
from jobs.adapters.console import READABLE_WIDTH, Console
from jobs.cli import main
from tests import sweeps
from tests.lakes import leave_a_whole_sweep

BEST = layout.trial_id(sweeps.SWEEP_ID, 0)


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["results", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_sweeps_are_one_document(capsys: pytest.CaptureFixture[str], store: str) -> None:
    [sweep] = document(capsys, "sweeps", "--store", store)["sweeps"]

    assert (sweep["sweep_id"], sweep["name"]) == (sweeps.SWEEP_ID, "castings")
    assert (sweep["status"], sweep["best_trial_id"]) == ("completed", BEST)
    assert sweep["started_at"] == "2025-01-02T03:04:05.250000+00:00"


def test_the_leaderboard_is_one_document(capsys: pytest.CaptureFixture[str], store: str) -> None:
    trials = document(capsys, "leaderboard", "--store", store)["trials"]

    assert [one["val_f1_weighted"] for one in trials] == [0.9, 0.8, None]
    assert document(capsys, "leaderboard", sweeps.SWEEP_ID, "--store", store)["trials"] == trials


def test_a_trial_is_one_document(capsys: pytest.CaptureFixture[str], store: str) -> None:
    shown = document(capsys, "show", BEST, "--store", store)

    assert shown["trial"]["trial_id"] == BEST
    assert len(shown["epochs"]) == 3


def test_an_answer_is_one_document(capsys: pytest.CaptureFixture[str], store: str) -> None:
    sql = "SELECT split, count(*) AS n FROM predictions GROUP BY split ORDER BY split"

    answer = document(capsys, "query", sql, "--store", store)

    assert answer == {"columns": ["split", "n"], "rows": [["test", 4], ["validation", 8]]}


def test_a_compact_store_is_left_alone(capsys: pytest.CaptureFixture[str], store: str) -> None:
    found = document(capsys, "compact", "--store", store)

    assert found == {"compacted": [], "compact": [sweeps.SWEEP_ID], "running": []}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["sweeps"], [sweeps.SWEEP_ID, "completed"]),
        (["leaderboard"], [f"{sweeps.SWEEP_ID}-<trial>", " 00000 ", "0.9"]),
        (["show", BEST], ["hp_learning_rate", "confusion", "crack"]),
        (["query", "SELECT trial_id FROM trials"], [BEST]),
        (["compact"], [sweeps.SWEEP_ID]),
    ],
)
def test_a_person_sees_tables_on_stdout(
    capsys: pytest.CaptureFixture[str], store: str, arguments: list[str], shown: list[str]
) -> None:
    assert main(["results", *arguments, "--store", store]) == 0

    captured = capsys.readouterr()
    for text in shown:
        assert text in captured.out
    assert "next:" not in captured.out


def test_a_leaderboard_fits_on_a_terminal_and_names_what_does_not(
    capsys: pytest.CaptureFixture[str], store: str
) -> None:
    trials = document(capsys, "leaderboard", "--store", store)["trials"]
    names = [name for name in trials[0] if name.startswith("hp_")]
    varied = [
        {**one, **{name: f"{name}-{number}" for name in names}} for number, one in enumerate(trials)
    ]

    show.leaderboard_table(Console(), sweeps.SWEEP_ID, varied)
    printed = capsys.readouterr().out

    assert max(map(len, printed.splitlines()[:-1])) <= READABLE_WIDTH
    left_out = printed.partition("also varied: ")[2].strip().split(", ")
    shown = [name for name in names if f"{name}-0" in printed]
    assert [name.removeprefix("hp_") for name in names[len(shown) :]] == left_out
    assert shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["leaderboard", "20250102-030405-abcdee"], f"did you mean {sweeps.SWEEP_ID}?"),
        (["show", BEST.replace("abc", "abd")], f"did you mean {BEST}?"),
        (["query", "SELECT nothing FROM trials"], "DuckDB refused the query"),
        (["query", "DROP VIEW trials"], "expected one SELECT statement, received DROP"),
    ],
)
def test_what_does_not_exist_is_refused_in_a_sentence(
    capsys: pytest.CaptureFixture[str], store: str, arguments: list[str], message: str
) -> None:
    assert main(["results", *arguments, "--store", store]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "next: cvjobs results" in captured.err
    assert "Traceback" not in captured.err


def test_an_empty_store_is_an_empty_list(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    empty = ["--store", str(tmp_path / "nothing")]

    assert document(capsys, "sweeps", *empty) == {"sweeps": []}
    assert document(capsys, "leaderboard", *empty) == {"trials": []}
    assert not (tmp_path / "nothing").exists()


@pytest.mark.services
@pytest.mark.timeout(60)
def test_an_analyst_asks_a_store_in_s3_that_only_the_driver_writes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    s3_uri: str,
    s3_server: Any,
) -> None:
    from jobs.wiring import open_store

    writer = open_store(s3_uri)
    leave_a_whole_sweep(writer)
    for name, value in s3_server.environment("analyst").items():
        monkeypatch.setenv(name, value)

    trials = document(capsys, "leaderboard", "--store", s3_uri)["trials"]

    assert [one["val_f1_weighted"] for one in trials] == [0.9, 0.8, None]


@pytest.mark.services
@pytest.mark.timeout(60)
def test_a_bucket_that_is_not_there_is_exit_5(
    capsys: pytest.CaptureFixture[str], s3_environment: Any
) -> None:
    assert main(["results", "sweeps", "--store", "s3://nowhere/store"]) == 5
    assert "the bucket 'nowhere' does not exist" in capsys.readouterr().err
