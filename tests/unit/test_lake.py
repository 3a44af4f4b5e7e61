"""The event log of a sweep and the parts that follow from it, with nobody dying."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cvcore import layout
from cvcore.errors import LeaseHeld, StoreError, UsageError
from cvcore.events import read_batches, read_state
from cvcore.lake import SweepLog, compact_sweeps, publish_images
from cvcore.parts import MAX_PARTS, TABLES
from cvcore.store import LocalStore
from tests import sweeps
from tests.lakes import (
    Crash,
    Failing,
    a_whole_sweep,
    drive,
    keys,
    leave_a_whole_sweep,
    parts,
    rows,
)


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a dead process wrote survives it without; only a power cut needs `fsync`."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def test_a_whole_sweep_ends_as_one_part_a_table(store: LocalStore) -> None:
    leave_a_whole_sweep(store)

    first, second, third = (layout.trial_id(sweeps.SWEEP_ID, index) for index in range(3))
    assert [len(parts(store, table)) for table in TABLES] == [1] * len(TABLES)
    assert keys(store, "sweeps") == [(sweeps.SWEEP_ID,)]
    assert keys(store, "trials") == [(first,), (second,), (third,)]
    assert keys(store, "epochs") == [(first, 1), (first, 2), (first, 3), (second, 1), (second, 2)]
    assert {row["attempt"] for row in rows(store, "epochs") if row["trial_id"] == second} == {2}
    splits = Counter((row["trial_id"], row["split"]) for row in rows(store, "predictions"))
    assert splits == {(first, "validation"): 4, (first, "test"): 4, (third, "validation"): 4}
    assert len(keys(store, "class_metrics")) == 6
    assert sum(row["count"] for row in rows(store, "confusion")) == 12
    [sweep] = rows(store, "sweeps")
    assert (sweep["status"], sweep["best_trial_id"], sweep["best_value"]) == (
        "completed",
        first,
        0.9,
    )
    assert (sweep["num_completed"], sweep["num_stopped"], sweep["num_failed"]) == (2, 0, 1)
    [best] = [row for row in rows(store, "trials") if row["trial_id"] == first]
    assert (best["test_f1_weighted"], best["model_uri"]) == (0.875, "s3://bucket/model.keras")
    assert keys(store, "predictions")


def test_rows_appear_with_the_flush_and_never_twice(store: LocalStore) -> None:
    seen: dict[str, set[tuple[Any, ...]]] = {table: set() for table in TABLES}
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        for event in a_whole_sweep(store):
            drive(log, [event])
            for table in TABLES:
                found = set(keys(store, table))
                if table != "epochs":  # a repeated trial takes its epochs back
                    assert seen[table] <= found
                seen[table] = found


def test_a_flush_is_due_every_five_seconds(store: LocalStore) -> None:
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        log.append(sweeps.started())
        log.flush_if_due(100.0)
        assert keys(store, "sweeps")
        log.append(sweeps.created(sweeps.config(0)))
        log.append(sweeps.epochs(sweeps.config(0), [1]))
        log.flush_if_due(104.9)
        assert not keys(store, "epochs")
        log.flush_if_due(105.0)
        assert keys(store, "epochs")


def test_resuming_takes_back_the_epochs_of_unfinished_trials(store: LocalStore) -> None:
    done, running = sweeps.config(0), sweeps.config(1)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), sweeps.created(done), sweeps.created(running)])
        drive(log, [sweeps.epochs(done, [1, 2]), sweeps.epochs(running, [1]), "flush"])
        drive(log, [sweeps.finished(done), sweeps.ended("sweep_interrupted"), "flush"])
    assert [row["status"] for row in rows(store, "sweeps")] == ["interrupted"]
    assert len(keys(store, "epochs")) == 3

    with SweepLog.open(store, sweeps.SWEEP_ID) as log:
        drive(log, [{"type": "sweep_resumed"}, "flush"])
        assert [row["status"] for row in rows(store, "sweeps")] == ["running"]
        assert keys(store, "epochs") == [(done.trial_id, 1), (done.trial_id, 2)]
        again = sweeps.config(1, attempt=2)
        drive(log, [sweeps.created(again), sweeps.epochs(again, [1]), "flush"])
        assert len(keys(store, "epochs")) == 3
        assert log.state.trials[done.trial_id].finished


def test_epochs_of_an_earlier_attempt_come_too_late(store: LocalStore) -> None:
    late, now = sweeps.config(0), sweeps.config(0, attempt=2)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), sweeps.created(late), sweeps.created(now)])
        drive(log, [sweeps.epochs(late, [1]), sweeps.finished(late), "flush"])
        assert keys(store, "epochs") == keys(store, "trials") == []
        drive(log, [sweeps.epochs(now, [1]), sweeps.finished(now), "flush"])
        assert [row["attempt"] for row in rows(store, "trials")] == [2]


def test_a_long_sweep_keeps_few_parts(store: LocalStore) -> None:
    trial = sweeps.config(0)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), sweeps.created(trial)])
        for epoch in range(1, MAX_PARTS + 11):
            drive(log, [sweeps.epochs(trial, [epoch]), "flush"])
            assert len(parts(store, "epochs")) <= MAX_PARTS
    assert len(keys(store, "epochs")) == MAX_PARTS + 10
    with SweepLog.open(store, sweeps.SWEEP_ID):
        assert len(keys(store, "epochs")) == MAX_PARTS + 10


def test_a_second_driver_on_this_machine_is_refused(store: LocalStore) -> None:
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), "flush"])
        with pytest.raises(LeaseHeld, match=sweeps.SWEEP_ID):
            SweepLog.open(store, sweeps.SWEEP_ID)
    SweepLog.open(store, sweeps.SWEEP_ID).close()


def test_a_log_given_up_leaves_no_lock_behind(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locks = tmp_path / "locks"
    locks.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(locks))
    log = SweepLog.create(store, sweeps.SWEEP_ID)
    assert len(list(locks.iterdir())) == 1

    log.close()
    log.close()

    assert not list(locks.iterdir())


def test_of_two_drivers_on_two_machines_the_later_one_goes_on(
    store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SweepLog.create(store, sweeps.SWEEP_ID)
    trial = sweeps.config(0)
    drive(first, [sweeps.started(), sweeps.created(trial), sweeps.epochs(trial, [1]), "flush"])
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # another machine has its own locks
    with SweepLog.open(store, sweeps.SWEEP_ID) as second:
        drive(second, [{"type": "sweep_resumed"}, "flush"])
        first.append(sweeps.epochs(trial, [2]))
        for _ in range(2):
            with pytest.raises(LeaseHeld):
                first.flush()
        assert keys(store, "epochs") == []
        drive(second, [sweeps.created(sweeps.config(0, attempt=2)), "flush"])
    first.close()


def test_a_batch_that_arrived_although_its_write_failed_is_not_a_rival(store: LocalStore) -> None:
    failing = Failing(store, 1, after=True)
    with SweepLog.create(failing, sweeps.SWEEP_ID) as log:
        log.append(sweeps.started())
        with pytest.raises(Crash):
            log.flush()
        log.append(sweeps.created(sweeps.config(0)))
        log.flush()
    assert [len(batch.events) for batch in read_batches(store, sweeps.SWEEP_ID)] == [1, 1]
    assert keys(store, "sweeps")


def test_an_unknown_sweep_is_refused_with_the_nearest_name(store: LocalStore) -> None:
    with pytest.raises(UsageError, match="holds none"):
        SweepLog.open(store, sweeps.SWEEP_ID)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        drive(log, [sweeps.started(), "flush"])

    with pytest.raises(UsageError, match=f"did you mean {sweeps.SWEEP_ID}"):
        SweepLog.open(store, sweeps.SWEEP_ID.replace("abc", "abd"))
    with pytest.raises(UsageError, match=f"the newest are {sweeps.SWEEP_ID}"):
        read_state(store, "nothing-like-it")


def test_an_event_that_is_none_is_refused(store: LocalStore) -> None:
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        with pytest.raises(ValueError, match="sweep_started"):
            log.append({"type": "sweep_begun"})
        with pytest.raises(TypeError):
            log.append(sweeps.started(started_at=object()))
        assert log.events == []


def test_images_are_published_once_whatever_the_number_of_sweeps(store: LocalStore) -> None:
    for sweep_id in (sweeps.SWEEP_ID, "20250103-000000-ffffff"):
        publish_images(
            store,
            sweep_id=sweep_id,
            fingerprint=sweeps.FINGERPRINT,
            rows=sweeps.images(["a.jpg", "b.jpg"]),
        )

    assert [part.key for part in parts(store, "images")] == [
        f"lake/images/dt=2025-01-02/{sweeps.FINGERPRINT}.parquet"
    ]
    assert {row["sweep_id"] for row in rows(store, "images")} == {sweeps.SWEEP_ID}
    assert len(keys(store, "images")) == 2


def test_images_whose_first_publisher_died_are_published_in_its_name(store: LocalStore) -> None:
    arguments = {"fingerprint": sweeps.FINGERPRINT, "rows": sweeps.images(["a.jpg"])}
    with pytest.raises(Crash):
        publish_images(Failing(store, 2), sweep_id=sweeps.SWEEP_ID, **arguments)
    publish_images(store, sweep_id="20250103-000000-ffffff", **arguments)

    assert [row["sweep_id"] for row in rows(store, "images")] == [sweeps.SWEEP_ID]


def test_a_store_that_fails_is_tried_again_at_the_next_flush(store: LocalStore) -> None:
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        store.root.write_bytes(b"")  # a file where the store should be
        log.append(sweeps.started())
        with pytest.raises(StoreError):
            log.flush()
        store.root.unlink()
        log.flush()
    assert keys(store, "sweeps") == [(sweeps.SWEEP_ID,)]


def test_compaction_leaves_running_sweeps_alone_and_mends_the_others(
    store: LocalStore, tmp_path: Path
) -> None:
    running, stopped, broken = (f"2025010{day}-000000-abcdef" for day in (1, 2, 3))
    for sweep_id in (running, stopped, broken):
        with SweepLog.create(store, sweep_id) as log:
            log.append(sweeps.started())
            for index in range(2):
                trial = sweeps.config(index, sweep_id=sweep_id)
                log.append(sweeps.created(trial))
                drive(log, [sweeps.epochs(trial, [1]), sweeps.finished(trial), "flush"])
            if sweep_id != running:
                drive(log, [sweeps.ended("sweep_interrupted"), "flush"])
    store.delete([part.key for part in parts(store, "sweeps") if broken in part.key])

    first = compact_sweeps(store)

    assert first == {"compacted": [broken, stopped], "compact": [], "running": [running]}
    assert compact_sweeps(store) == {
        "compacted": [], "compact": [broken, stopped], "running": [running],
    }  # fmt: skip
    assert len(parts(store, "trials")) == 1 + 1 + 2
    assert len(keys(store, "trials")) == 6
    assert len(keys(store, "sweeps")) == 3


def test_only_the_best_model_outlives_its_sweep(store: LocalStore) -> None:
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        log.append(sweeps.started())
        for index, value in enumerate((0.5, 0.9, 0.7)):
            trial = sweeps.config(index)
            log.append(sweeps.created(trial))
            log.append({**sweeps.finished(trial, value), "model_uri": f"model-{index}"})
        log.flush()
        assert {row["model_uri"] for row in rows(store, "trials")} == {
            "model-0", "model-1", "model-2",
        }  # fmt: skip
        drive(log, [sweeps.ended(), "flush"])
    assert [row["model_uri"] for row in rows(store, "trials")] == [None, "model-1", None]
