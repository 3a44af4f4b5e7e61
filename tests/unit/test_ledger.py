"""What is booked adds up to the time that passed."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.ledger import LEDGER, Ledger

accounts = st.sampled_from(LEDGER)


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


def test_time_is_booked_to_the_account_that_is_open(clock: Clock) -> None:
    ledger = Ledger({"idle": 2.0})
    clock.now += 1
    with ledger.booked("data"):
        clock.now += 3
        with ledger.booked("trace"):
            clock.now += 5
        clock.now += 7
    clock.now += 11
    seconds = ledger.seconds()
    assert seconds == {
        "import": 0, "data": 10, "trace": 5, "train": 0, "eval": 0, "report": 12, "idle": 2,
    }  # fmt: skip


def test_an_error_closes_the_account(clock: Clock) -> None:
    ledger = Ledger()
    with pytest.raises(ValueError, match="bad"), ledger.booked("data"):
        clock.now += 1
        raise ValueError("bad")
    clock.now += 1
    assert (ledger.seconds()["data"], ledger.seconds()["report"]) == (1, 1)


def test_what_an_earlier_process_spent_is_added(clock: Clock) -> None:
    ledger = Ledger({"train": 1.0})
    ledger.carry({"train": 2.0, "idle": 3.0})
    assert (ledger.seconds()["train"], ledger.seconds()["idle"]) == (3, 3)


@given(steps=st.lists(st.tuples(accounts, st.booleans(), st.floats(0, 1e3)), max_size=20))
def test_the_accounts_add_up_to_the_time_that_passed(
    steps: list[tuple[str, bool, float]],
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock()
        patch.setattr(time, "perf_counter", clock)
        ledger = Ledger({"import": 4.0})
        for account, nested, seconds in steps:
            if nested:
                with ledger.booked(account):
                    clock.now += seconds
                    ledger.switch("eval")
            else:
                ledger.switch(account)
                clock.now += seconds
        passed = 4.0 + sum(seconds for _, _, seconds in steps)
        assert sum(ledger.seconds().values()) == pytest.approx(passed)
