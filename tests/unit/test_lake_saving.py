"""How often the end of a trial is written, where trials end faster than the store writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cvcore.events import read_state
from cvcore.lake import SweepLog
from cvcore.store import LocalStore
from tests import sweeps


class Slow(LocalStore):
    """A store whose writes take their time, which is counted and not waited."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(root)
        self.now, self.num_writes = 1000.0, 0
        monkeypatch.setattr("cvcore.lake.time.monotonic", lambda: self.now)

    def write(self, key: str, data: bytes, **conditions: Any) -> None:
        self.now += 0.05
        self.num_writes += 1
        super().write(key, data, **conditions)


def test_ends_that_follow_each_other_fast_are_saved_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Slow(tmp_path, monkeypatch)
    with SweepLog.create(store, sweeps.SWEEP_ID) as log:
        log.append(sweeps.started())
        assert log.save_soon()  # the first one at once
        for index in range(40):
            log.append(sweeps.created(sweeps.config(index)))
            assert not log.save_soon()
            store.now += 0.01
        assert store.num_writes == 1
        assert not log.save_if_due()
        store.now += 0.05
        assert log.save_if_due()  # nine times 0.05 s after the first one
        assert not log.save_if_due()
        assert store.num_writes == 2
        store.now += 60
        assert not log.save_if_due()  # nothing is owed
        log.append(sweeps.created(sweeps.config(40)))
        assert log.save_soon()  # and who comes late does not wait
    assert len(read_state(store, sweeps.SWEEP_ID).trials) == 41
