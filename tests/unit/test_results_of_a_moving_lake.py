"""Questions to a lake that changes, is damaged, or is larger than the question."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cvcore import layout
from cvcore.errors import StoreError, UsageError
from cvcore.lake import SweepLog, compact_sweeps
from cvcore.results import Results
from cvcore.store import LocalStore, StoredObject
from tests import sweeps
from tests.lakes import parts, publish_scores

OTHER_ID = "20250103-000000-fedcba"


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
    publish_scores(store, [0.5, 0.9])
    compacting = Compacting(store)

    assert Results(compacting).query("SELECT count(*) AS n FROM trials").to_pylist() == [{"n": 2}]
    assert not compacting.pending


def test_open_results_follow_the_lake(store: LocalStore) -> None:
    count = "SELECT count(*) AS n, sum(val_f1_weighted) AS s FROM trials"
    with Results(store) as results:
        assert results.query(count).to_pylist() == [{"n": 0, "s": None}]
        for sweep_id in (sweeps.SWEEP_ID, OTHER_ID):  # one more, then its parts become one
            publish_scores(store, [0.5, 0.75], sweep_id=sweep_id)
            assert results.query(count).equals(Results(store).query(count))
            assert len(results.leaderboard()) == 2
            with SweepLog.open(store, sweep_id) as log:
                log.compact()
            assert results.query(count).equals(Results(store).query(count))
            assert [row["sweep_id"] for row in results.leaderboard()] == [sweep_id] * 2
        assert results.query(count).to_pylist() == [{"n": 4, "s": 2.5}]


def test_results_stay_open_after_a_question_that_was_refused(store: LocalStore) -> None:
    publish_scores(store, [0.5])
    with Results(store) as results:
        for sql in ("SELEC 1", "SELECT * FROM trails"):
            with pytest.raises(UsageError):
                results.query(sql)
            assert results.query("SELECT trial_id FROM trials").num_rows == 1


def test_a_file_that_is_no_parquet_is_named(store: LocalStore) -> None:
    publish_scores(store, [0.5])
    part, *_ = parts(store, "trials")
    (store.root / part.key).write_bytes(b"not parquet")

    with pytest.raises((StoreError, UsageError), match=Path(part.key).name):
        Results(store).query("SELECT * FROM trials")
    with pytest.raises(StoreError, match=Path(part.key).name):
        Results(store).leaderboard()
    assert compact_sweeps(store)["running"] == [sweeps.SWEEP_ID]


def test_a_sweep_is_looked_at_without_the_parts_of_others(store: LocalStore) -> None:
    publish_scores(store, [0.5], sweep_id=OTHER_ID)
    publish_scores(store, [0.9])
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
