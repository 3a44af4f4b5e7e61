"""Questions to the lake: order, reach, refusals, and what they must not load."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cvcore import layout
from cvcore.errors import UsageError
from cvcore.results import Results
from cvcore.store import LocalStore, Store
from cvcore.tables import KEYS, SCHEMAS
from tests import sweeps
from tests.lakes import leave_a_whole_sweep, parts, publish_scores

ROOT = Path(__file__).parents[2]
OTHER_ID = "20250103-000000-fedcba"


def order(store: Store, sweep_id: str | None = None) -> list[int]:
    return [row["trial_index"] for row in Results(store).leaderboard(sweep_id)]


def test_an_empty_store_has_no_sweeps_and_no_trials(store: LocalStore) -> None:
    assert Results(store).list_sweeps() == []
    assert Results(store).leaderboard() == []
    assert Results(store).query("SELECT * FROM trials").num_rows == 0


def test_sweeps_are_listed_newest_first_with_counts_while_they_run(store: LocalStore) -> None:
    publish_scores(store, [0.5, None], sweep_id=sweeps.SWEEP_ID)
    publish_scores(store, [], sweep_id=OTHER_ID)

    newest, oldest = Results(store).list_sweeps()

    assert (newest["sweep_id"], newest["num_completed"]) == (OTHER_ID, 0)
    assert (oldest["sweep_id"], oldest["status"]) == (sweeps.SWEEP_ID, "running")
    assert (oldest["num_completed"], oldest["num_stopped"], oldest["num_failed"]) == (1, 0, 1)


def test_the_leaderboard_is_best_first_with_failures_last(store: LocalStore) -> None:
    publish_scores(store, [0.5, None, 0.9, float("nan"), 0.5])

    assert order(store) == [2, 0, 4, 1, 3]


def test_the_leaderboard_minds_the_direction(store: LocalStore) -> None:
    publish_scores(store, [0.5, 0.9, None, 0.1], objective="val_loss", mode="min")

    assert order(store) == [1, 0, 3, 2]  # val_loss is one minus these


def test_the_leaderboard_is_that_of_the_newest_sweep_unless_told(store: LocalStore) -> None:
    publish_scores(store, [0.5, 0.9])
    publish_scores(store, [0.1], sweep_id=OTHER_ID)

    assert order(store) == [0]
    assert order(store, sweeps.SWEEP_ID) == [1, 0]


def test_an_unknown_sweep_is_refused_with_the_nearest_and_the_next_command(
    store: LocalStore,
) -> None:
    publish_scores(store, [0.5])

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
    publish_scores(store, [0.5])
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
    publish_scores(store, [0.5])

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
    publish_scores(store, [0.5])
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
    publish_scores(store, [0.5])
    publish_scores(store, [0.9], sweep_id=OTHER_ID)
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
    publish_scores(store, [0.5])

    [row] = Results(store).query("SELECT dt FROM trials").to_pylist()

    assert str(row["dt"]) == "2025-01-02"


@pytest.mark.timeout(30)
def test_the_leaderboard_loads_neither_tensorflow_nor_ray(store: LocalStore) -> None:
    publish_scores(store, [0.5])
    script = (
        "import sys; from jobs.cli import main; "
        f"code = main(['results', 'leaderboard', '--json', '--store', {store.uri!r}]); "
        "print({'tensorflow', 'keras', 'ray', 'boto3'} & set(sys.modules), "
        "file=sys.stderr); sys.exit(code)"
    )

    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stderr.strip()) == (0, "set()")
