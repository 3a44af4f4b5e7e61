"""A trial's rows found by its name are those that SQL finds, in whatever parts they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore import layout
from cvcore.errors import StoreError, UsageError
from cvcore.lake import SweepLog
from cvcore.results import Results
from cvcore.store import LocalStore
from cvcore.tables import KEYS, to_parquet
from cvcore.trial_rows import TrialRows
from tests import sweeps
from tests.lakes import drive, leave_a_whole_sweep, parts

TABLES = ("trials", "epochs", "class_metrics", "confusion", "predictions")


def find(rows: TrialRows, table: str, trial_id: str) -> pa.Table:
    return rows.find(table, trial_id, parts=rows.parts(table, trial_id))


def same(store: LocalStore, rows: TrialRows, trial_id: str) -> None:
    """Compare every table's rows of a trial with what SQL finds."""
    results = Results(store)
    for table in TABLES:
        order = ", ".join(f'"{name}"' for name in KEYS[table])
        sql = f"SELECT * EXCLUDE dt FROM {table} WHERE trial_id = '{trial_id}' ORDER BY {order}"
        assert find(rows, table, trial_id).to_pylist() == results.query(sql).to_pylist(), table


def epoch(trial: str, number: int) -> dict[str, Any]:
    values = {"phase": "train", "loss": number / 8}
    return {"sweep_id": layout.trial_sweep(trial), "trial_id": trial, "epoch": number, **values}


def test_the_rows_of_a_whole_sweep_are_found(store: LocalStore) -> None:
    leave_a_whole_sweep(store)
    rows = TrialRows(store)
    for index in range(4):  # the last one does not exist
        same(store, rows, layout.trial_id(sweeps.SWEEP_ID, index))


def test_a_running_sweep_is_followed_through_its_compaction(store: LocalStore) -> None:
    trials = [sweeps.config(index) for index in range(3)]
    rows = TrialRows(store)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), "flush"])
        for trial in trials:
            drive(log, [sweeps.created(trial), sweeps.epochs(trial, [1, 2]), "flush"])
            same(store, rows, trial.trial_id)
        for trial in reversed(trials):
            drive(log, [sweeps.epochs(trial, [3]), sweeps.finished(trial, 0.5), "flush"])
            same(store, rows, trial.trial_id)
        log.compact()
    for trial in trials:
        same(store, rows, trial.trial_id)
        assert Results(store).curve(trial.trial_id)["epoch"].to_pylist() == [1, 2, 3]


@given(data=st.data())
def test_rows_in_any_order_and_any_row_groups_are_found(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    names = [layout.trial_id(sweeps.SWEEP_ID, index) for index in range(5)]
    keys = [(name, number) for name in names for number in range(1, 4)]
    drawn = data.draw(st.permutations(keys))[: data.draw(st.integers(1, len(keys)))]
    cut = data.draw(st.integers(0, len(drawn)))
    group_rows = data.draw(st.integers(1, 6))
    for batch, piece in enumerate([drawn[:cut], drawn[cut:]], start=1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cvcore.tables.ROW_GROUP_ROWS", group_rows)
            content = to_parquet("epochs", [epoch(*key) for key in piece])
        store.write(layout.sweep_part("epochs", sweeps.SWEEP_ID, batch), content)
    rows = TrialRows(store)
    for name in names:
        found = find(rows, "epochs", name)
        assert found["epoch"].to_pylist() == sorted(n for one, n in drawn if one == name)
        assert set(found["trial_id"].to_pylist()) <= {name}


def test_a_column_that_older_files_lack_is_null(store: LocalStore) -> None:
    leave_a_whole_sweep(store)
    [part] = parts(store, "trials")
    path = store.root / part.key
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["strategy"]), path)
    same(store, TrialRows(store), layout.trial_id(sweeps.SWEEP_ID, 0))


def test_a_file_without_statistics_is_searched(store: LocalStore) -> None:
    leave_a_whole_sweep(store)
    [part] = parts(store, "epochs")
    path = store.root / part.key
    pq.write_table(pq.ParquetFile(path).read(), path, write_statistics=False)
    same(store, TrialRows(store), layout.trial_id(sweeps.SWEEP_ID, 0))


@pytest.mark.parametrize("name", ["", "x", "../..", "2025-a-b", f"{sweeps.SWEEP_ID}-../../x", "*"])
def test_what_is_no_name_of_a_trial_is_an_unknown_one(store: LocalStore, name: str) -> None:
    leave_a_whole_sweep(store)
    for ask in (Results(store).curve, Results(store).show):
        with pytest.raises(UsageError, match="no finished trial"):
            ask(name)


def test_a_damaged_part_is_named_and_those_of_others_are_not_read(store: LocalStore) -> None:
    leave_a_whole_sweep(store)
    [part] = parts(store, "epochs")
    path = store.root / part.key
    whole = path.read_bytes()
    other = store.root / layout.sweep_part("epochs", "20250103-000000-fedcba", 1)
    other.parent.mkdir()
    other.write_bytes(b"not parquet")
    assert Results(store).curve(layout.trial_id(sweeps.SWEEP_ID, 0)).num_rows == 3
    for damaged in (b"", whole[:-9], whole[:200] + bytes(200) + whole[400:]):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match="cannot read the tables") as raised:
            Results(store).curve(layout.trial_id(sweeps.SWEEP_ID, 0))
        assert raised.value.hint == f"cvjobs doctor --store {store.uri}"


class Replacing(LocalStore):
    """A store whose parts are replaced just after they were listed, once."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.pending = False

    def list(self, prefix: str) -> Any:
        found = list(super().list(prefix))
        if self.pending:
            self.pending = False
            with SweepLog.open(LocalStore(self.root), sweeps.SWEEP_ID) as log:
                log.compact()
        return iter(found)


def test_a_compaction_in_the_middle_of_a_question_is_survived(tmp_path: Path) -> None:
    store = Replacing(tmp_path)
    trial = sweeps.config(0)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), "flush", sweeps.created(trial)])
        for number in (1, 2):
            drive(log, [sweeps.epochs(trial, [number]), "flush"])
    store.pending = True

    assert Results(store).curve(trial.trial_id)["epoch"].to_pylist() == [1, 2]
    assert not store.pending


def test_no_more_is_kept_than_allowed(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [layout.trial_id(f"2025010{day}-000000-abcdef", 0) for day in range(1, 9)]
    for name in names:
        key = layout.sweep_part("epochs", layout.trial_sweep(name), 1)
        store.write(key, to_parquet("epochs", [epoch(name, 1), epoch(name, 2)]))
    rows = TrialRows(store)
    one = find(rows, "epochs", names[0]).nbytes
    monkeypatch.setattr("cvcore.trial_rows.MAX_KEPT_BYTES", 3 * one)
    for name in names:
        assert find(rows, "epochs", name)["epoch"].to_pylist() == [1, 2]
        assert rows.num_kept_bytes <= 3 * one
    monkeypatch.setattr("cvcore.trial_rows.MAX_KEPT_BYTES", 0)  # the one that is looked at stays
    assert find(rows, "epochs", names[0])["epoch"].to_pylist() == [1, 2]
