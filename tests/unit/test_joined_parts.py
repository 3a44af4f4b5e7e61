"""Rows travel through parts to one part that joins them: the same rows, each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cvcore import layout
from cvcore.events import read_state
from cvcore.lake import SweepLog
from cvcore.parts import TABLES, Known, all_rows
from cvcore.rows import sweep_row
from cvcore.store import LocalStore
from cvcore.tables import KEYS, SCHEMAS, from_rows, join_parquet, read_parquet
from tests import sweeps
from tests.lakes import drive, parts, rows

NUM_TRIALS = 6


class Noting(LocalStore):
    """A store that notes what was read."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read_keys: list[str] = []

    def read(self, key: str) -> bytes:
        self.read_keys.append(key)
        return super().read(key)


@pytest.fixture
def noting(tmp_path: Path) -> Noting:
    return Noting(tmp_path)


def run_trials(store: LocalStore) -> set[str]:
    """Leave a sweep that runs, a part for every two of its trials; return the workers' files."""
    left = []
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), "flush"])
        for index in range(NUM_TRIALS):
            trial = sweeps.config(index)
            left.append(sweeps.leave_predictions(store, trial, "validation"))
            steps = [sweeps.created(trial), sweeps.epochs(trial, [1, 2])]
            drive(log, [*steps, sweeps.finished(trial, 0.5, predictions=left[-1:])])
            if index % 2:
                log.flush()
    return set(left)


def end(store: LocalStore) -> None:
    with SweepLog.open(store, sweeps.SWEEP_ID) as log:
        log.compact()


def told(store: LocalStore) -> list[tuple[object, ...]]:
    return sorted(
        (one["trial_id"], one["path"], one["label"]) for one in rows(store, "predictions")
    )


def test_a_compaction_reads_the_parts_and_no_file_again(noting: Noting) -> None:
    files = run_trials(noting)
    joined = [part.key for part in parts(noting, "predictions")]
    before = told(noting)
    assert len(before) == 4 * NUM_TRIALS
    assert sorted(key for key in noting.read_keys if key in files) == sorted(files)
    noting.read_keys.clear()

    end(noting)

    read = [key for key in noting.read_keys if "predictions" in key]
    assert read == joined
    assert told(noting) == before
    assert len(parts(noting, "predictions")) == 1


@pytest.mark.parametrize("lost", [[0], [1], [0, 2], [0, 1, 2]], ids=str)
def test_of_parts_that_a_crash_took_the_files_are_read(noting: Noting, lost: list[int]) -> None:
    run_trials(noting)
    before = told(noting)
    joined = [part.key for part in parts(noting, "predictions")]
    with SweepLog.open(noting, sweeps.SWEEP_ID) as log:
        log.append({"type": "compacted"})
        log.save()  # and then it dies, while it deletes what it would have replaced
    noting.delete([joined[number] for number in lost])

    end(noting)

    assert told(noting) == before


def derived(store: LocalStore, table: str) -> list[dict[str, Any]]:
    """Say what the rows of a table are that the log alone gives."""
    state = read_state(store, sweeps.SWEEP_ID)
    known = Known(sweep=sweep_row(state), trials=state.trials)
    found = from_rows(table, all_rows(table, known))
    return found.sort_by([(name, "ascending") for name in KEYS[table]]).to_pylist()


def published(store: LocalStore, table: str) -> list[dict[str, Any]]:
    [part] = parts(store, table)
    return read_parquet(store.read(part.key)).to_pylist()


DERIVED = sorted(set(TABLES) - {"predictions"})


def test_what_was_joined_is_what_the_log_gives_in_the_order_of_the_key(noting: Noting) -> None:
    run_trials(noting)
    end(noting)
    for table in DERIVED:
        assert published(noting, table) == derived(noting, table), table
    assert len(published(noting, "epochs")) == 2 * NUM_TRIALS


@pytest.mark.parametrize("harm", ["gone", "empty", "cut off", "another's"])
def test_where_a_part_cannot_be_joined_the_rows_are_derived_anew(noting: Noting, harm: str) -> None:
    run_trials(noting)
    for table in DERIVED:
        for part in parts(noting, table)[1:2]:
            path = noting.root / part.key
            content = path.read_bytes()
            path.write_bytes({"empty": b"", "cut off": content[:-9]}.get(harm, b"not parquet"))
            if harm == "gone":
                path.unlink()
    with SweepLog.open(noting, sweeps.SWEEP_ID) as log:
        log.compact()
    for table in DERIVED:
        assert published(noting, table) == derived(noting, table), table


def test_rows_of_an_older_version_are_derived_anew(noting: Noting) -> None:
    run_trials(noting)
    for table in set(DERIVED) - {"sweeps"}:  # which has one part, and needs no joining
        oldest, *_ = parts(noting, table)
        path = noting.root / oldest.key
        rest = pq.ParquetFile(path).read().slice(1)
        pq.write_table(rest.replace_schema_metadata({"schema_version": "0"}), path)
    end(noting)
    for table in DERIVED:
        assert published(noting, table) == derived(noting, table), table


def test_what_stands_is_not_derived_anew(noting: Noting, monkeypatch: pytest.MonkeyPatch) -> None:
    run_trials(noting)
    asked: list[str] = []

    def noted(table: str, known: Known) -> list[Any]:
        asked.append(table)
        return all_rows(table, known)

    monkeypatch.setattr("cvcore.parts.all_rows", noted)
    end(noting)
    # The sweep's own row changed, and there is one.
    assert set(asked) <= {"sweeps"}
    assert [len(parts(noting, table)) for table in TABLES] == [1] * len(TABLES)


def test_a_trial_that_is_scored_later_adds_its_file(noting: Noting) -> None:
    run_trials(noting)
    before = told(noting)
    trial = sweeps.config(0)
    with SweepLog.open(noting, sweeps.SWEEP_ID) as log:
        left = sweeps.leave_predictions(noting, trial, "test")
        drive(log, [sweeps.scored(trial, (left,)), "flush"])
        log.compact()

    assert len(told(noting)) == len(before) + 4
    name = layout.trial_id(sweeps.SWEEP_ID, 0)
    splits = {row["split"] for row in rows(noting, "predictions") if row["trial_id"] == name}
    assert splits == {"validation", "test"}


def test_rows_keep_their_order_in_row_groups_that_are_cut_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cvcore.tables.ROW_GROUP_ROWS", 4)
    names = [f"{number}" for number in range(11)]
    whole = SCHEMAS["class_metrics"].empty_table()
    columns = {"sweep_id": "s", "trial_id": "t", "split": "v"}
    pieces = [
        whole.from_pylist([{**columns, "class": name} for name in names[a:b]], whole.schema)
        for a, b in [(0, 3), (3, 3), (3, 10), (10, 11)]
    ]

    assert read_parquet(join_parquet("class_metrics", pieces))["class"].to_pylist() == names
