"""Questions to the lake: order, reach, refusals, and what they must not load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cvcore import layout
from cvcore.errors import StoreError, UsageError
from cvcore.lake import SweepLog, compact_sweeps
from cvcore.results import Results
from cvcore.store import LocalStore, Store, StoredObject
from cvcore.tables import KEYS, SCHEMAS
from tests import sweeps
from tests.lakes import drive, leave_a_whole_sweep, parts

ROOT = Path(__file__).parents[2]
OTHER_ID = "20250103-000000-fedcba"


def a_sweep(
    store: Store, values: list[float | None], *, sweep_id: str = sweeps.SWEEP_ID, **changes: str
) -> None:
    """Publish a running sweep whose trials scored `values`; None failed."""
    with SweepLog.create(store, sweep_id) as log:
        drive(log, [sweeps.started(**changes), "flush"])
        for index, value in enumerate(values):
            trial = sweeps.config(index, sweep_id=sweep_id)
            status = "failed" if value is None else "completed"
            log.append(sweeps.created(trial))
            log.append(sweeps.finished(trial, value, status=status))
            log.flush()


def order(store: Store, sweep_id: str | None = None) -> list[int]:
    return [row["trial_index"] for row in Results(store).leaderboard(sweep_id)]


def test_an_empty_store_has_no_sweeps_and_no_trials(store: LocalStore) -> None:
    assert Results(store).list_sweeps() == []
    assert Results(store).leaderboard() == []
    assert Results(store).query("SELECT * FROM trials").num_rows == 0


def test_sweeps_are_listed_newest_first_with_counts_while_they_run(store: LocalStore) -> None:
    a_sweep(store, [0.5, None], sweep_id=sweeps.SWEEP_ID)
    a_sweep(store, [], sweep_id=OTHER_ID)

    newest, oldest = Results(store).list_sweeps()

    assert (newest["sweep_id"], newest["num_completed"]) == (OTHER_ID, 0)
    assert (oldest["sweep_id"], oldest["status"]) == (sweeps.SWEEP_ID, "running")
    assert (oldest["num_completed"], oldest["num_stopped"], oldest["num_failed"]) == (1, 0, 1)


def test_the_leaderboard_is_best_first_with_failures_last(store: LocalStore) -> None:
    a_sweep(store, [0.5, None, 0.9, float("nan"), 0.5])

    assert order(store) == [2, 0, 4, 1, 3]


def test_the_leaderboard_minds_the_direction(store: LocalStore) -> None:
    a_sweep(store, [0.5, 0.9, None, 0.1], objective="val_loss", mode="min")

    assert order(store) == [1, 0, 3, 2]  # val_loss is one minus these


def test_the_leaderboard_is_that_of_the_newest_sweep_unless_told(store: LocalStore) -> None:
    a_sweep(store, [0.5, 0.9])
    a_sweep(store, [0.1], sweep_id=OTHER_ID)

    assert order(store) == [0]
    assert order(store, sweeps.SWEEP_ID) == [1, 0]


def test_an_unknown_sweep_is_refused_with_the_nearest_and_the_next_command(
    store: LocalStore,
) -> None:
    a_sweep(store, [0.5])

    with pytest.raises(UsageError, match=f"did you mean {sweeps.SWEEP_ID}") as raised:
        Results(store).leaderboard(sweeps.SWEEP_ID[:-1])
    assert raised.value.hint == f"cvjobs results sweeps --store {store.uri}"


def test_a_trial_is_shown_with_its_epochs_and_classes(store: LocalStore) -> None:
    leave_a_whole_sweep(store)

    shown = Results(store).show(layout.trial_id(sweeps.SWEEP_ID, 0))

    assert shown["trial"]["test_f1_weighted"] == 0.875
    assert [one["epoch"] for one in shown["epochs"]] == [1, 2, 3]
    assert [(one["split"], one["class"]) for one in shown["class_metrics"]] == [
        ("test", "crack"), ("test", "ok"), ("validation", "crack"), ("validation", "ok"),
    ]  # fmt: skip
    assert {one["count"] for one in shown["confusion"]} == {1, 2}


def test_an_unknown_trial_is_refused_with_the_nearest(store: LocalStore) -> None:
    a_sweep(store, [0.5])
    known = layout.trial_id(sweeps.SWEEP_ID, 0)

    with pytest.raises(UsageError, match=f"did you mean {known}") as raised:
        Results(store).show(known[:-1])
    assert raised.value.hint == f"cvjobs results leaderboard --store {store.uri}"


@pytest.mark.parametrize(
    "sql",
    [
        "SHOW TABLES",
        "DESCRIBE trials",
        "SUMMARIZE trials",
        "FROM trials SELECT count(*)",
        "WITH t AS (SELECT * FROM trials) SELECT * FROM t WHERE dt = DATE '2025-01-02'",
    ],
)
def test_a_question_is_answered(store: LocalStore, sql: str) -> None:
    a_sweep(store, [0.5])

    assert Results(store).query(sql).num_rows > 0


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("", "received nothing"),
        ("SELECT 1; SELECT 2", "received SELECT, SELECT"),
        ("SELEC 1", "syntax error"),
        ("SELECT accuracy FROM trials", "val_accuracy"),
        ("SELECT * FROM trails", "trials"),
        ("CREATE TABLE t (a INT)", "received CREATE"),
        ("DROP VIEW trials", "received DROP"),
        ("SET threads = 1", "received SET"),
        ("COPY trials TO 'stolen.csv'", "received COPY"),
        ("ATTACH 'other.db'", "received ATTACH"),
        ("INSTALL httpfs", "expected one SELECT"),
        ("SELECT * FROM read_csv('{file}')", "disabled"),
        ("SELECT * FROM read_text('{file}')", "disabled"),
        ("SELECT * FROM glob('{file}')", "disabled"),
        ("SELECT * FROM '{file}'", "does not exist|disabled"),
        ("SELECT * FROM SCHEMAS", "does not exist"),
    ],
)
def test_whatever_is_not_a_question_to_the_tables_is_refused(
    store: LocalStore, tmp_path: Path, sql: str, complaint: str
) -> None:
    a_sweep(store, [0.5])
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    assert SCHEMAS  # in scope, for a replacement scan to find

    with pytest.raises(UsageError, match=complaint) as raised:
        Results(store).query(sql.format(file=secret))
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("cvjobs results query")


def test_every_table_has_its_columns_and_the_partition_however_empty(store: LocalStore) -> None:
    for table in KEYS:
        answer = Results(store).query(f"SELECT * FROM {table}")
        assert answer.column_names == [*SCHEMAS[table].names, "dt"]


def test_a_column_that_older_files_lack_is_null_there(store: LocalStore) -> None:
    a_sweep(store, [0.5])
    a_sweep(store, [0.9], sweep_id=OTHER_ID)
    oldest, _ = parts(store, "trials")
    path = store.root / oldest.key
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["strategy", "hp_filters"]), path)

    answer = Results(store).query("SELECT hp_filters, strategy FROM trials ORDER BY sweep_id")

    assert answer.to_pylist() == [
        {"hp_filters": None, "strategy": None},
        {"hp_filters": 16, "strategy": "none"},
    ]


def test_a_folder_with_an_equals_sign_above_the_store_is_no_partition(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "dt=1999-01-01" / "run=1")
    a_sweep(store, [0.5])

    [row] = Results(store).query("SELECT dt FROM trials").to_pylist()

    assert str(row["dt"]) == "2025-01-02"


class Compacting:
    """A store whose parts are replaced just after they were listed, once."""

    def __init__(self, store: LocalStore) -> None:
        self.inner = store
        self.uri = store.uri
        self.arrow_filesystem = store.arrow_filesystem
        self.pending = True

    def list(self, prefix: str) -> list[object]:
        found = list(self.inner.list(prefix))
        if self.pending and prefix == layout.lake_folder("trials"):
            self.pending = False
            with SweepLog.open(self.inner, sweeps.SWEEP_ID) as log:
                log.compact()
        return found


def test_a_compaction_in_the_middle_of_a_question_is_survived(store: LocalStore) -> None:
    a_sweep(store, [0.5, 0.9])
    compacting = Compacting(store)

    assert Results(compacting).query("SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 2}]
    assert not compacting.pending


def test_open_results_follow_the_lake(store: LocalStore) -> None:
    count = "SELECT count(*) AS n, sum(val_f1_weighted) AS s FROM trials"
    with Results(store) as results:
        assert results.query(count).to_pylist() == [{"n": 0, "s": None}]
        for sweep_id in (sweeps.SWEEP_ID, OTHER_ID):  # one more, then its parts become one
            a_sweep(store, [0.5, 0.75], sweep_id=sweep_id)
            assert results.query(count).equals(Results(store).query(count))
            assert len(results.leaderboard()) == 2
            with SweepLog.open(store, sweep_id) as log:
                log.compact()
            assert results.query(count).equals(Results(store).query(count))
            assert [row["sweep_id"] for row in results.leaderboard()] == [sweep_id] * 2
        assert results.query(count).to_pylist() == [{"n": 4, "s": 2.5}]


def test_results_stay_open_after_a_question_that_was_refused(store: LocalStore) -> None:
    a_sweep(store, [0.5])
    with Results(store) as results:
        for sql in ("SELEC 1", "SELECT * FROM trails"):
            with pytest.raises(UsageError):
                results.query(sql)
            assert results.query("SELECT trial_id FROM trials").num_rows == 1


def test_a_file_that_is_no_parquet_is_named(store: LocalStore) -> None:
    a_sweep(store, [0.5])
    part, *_ = parts(store, "trials")
    (store.root / part.key).write_bytes(b"not parquet")

    with pytest.raises((StoreError, UsageError), match=Path(part.key).name):
        Results(store).query("SELECT * FROM trials")
    with pytest.raises(StoreError, match=Path(part.key).name):
        Results(store).leaderboard()
    assert compact_sweeps(store)["running"] == [sweeps.SWEEP_ID]


def test_a_sweep_is_looked_at_without_the_parts_of_others(store: LocalStore) -> None:
    a_sweep(store, [0.5], sweep_id=OTHER_ID)
    a_sweep(store, [0.9])
    for table in ("sweeps", "trials"):
        for part in parts(store, table):
            if OTHER_ID in part.key:
                (store.root / part.key).write_bytes(b"not parquet")

    [trial] = Results(store).leaderboard(sweeps.SWEEP_ID)

    assert Results(store).show(trial["trial_id"])["trial"] == trial


class Vanishing(LocalStore):
    """A store that lists a part which is not there."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        key = layout.sweep_part("trials", sweeps.SWEEP_ID, 1)
        yield StoredObject(key=key, size_bytes=1, version="1")


def test_a_part_that_is_not_there_is_a_failure_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"{sweeps.SWEEP_ID}-000001.parquet"):
        Results(Vanishing(tmp_path)).query("SELECT * FROM trials")


class Noting(LocalStore):
    """A store that notes what was listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.listed: set[str] = set()

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.listed.add(prefix)
        return super().list(prefix)


def test_a_table_that_is_not_named_is_not_listed(tmp_path: Path) -> None:
    store = Noting(tmp_path)

    assert Results(store).query("DESCRIBE Trials").num_rows > 0
    assert store.listed == {layout.lake_folder("trials")}


@pytest.mark.timeout(30)
def test_the_leaderboard_loads_neither_tensorflow_nor_ray(store: LocalStore) -> None:
    a_sweep(store, [0.5])
    script = (
        "import sys; from jobs.cli import main; "
        f"code = main(['results', 'leaderboard', '--json', '--store', {store.uri!r}]); "
        "print({'tensorflow', 'keras', 'ray', 'boto3'} & set(sys.modules), "
        "file=sys.stderr); sys.exit(code)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr.strip()) == (0, "set()")
