"""What a sweep took: its sums, its largest leak, and when its budget ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cvcore.ledger import LEDGER
from cvcore.settings import ResourcesConfig, SearchConfig
from cvcore.store import LocalStore
from jobs.accounting import OUTSIDE, figures, hours_allowed, largest_leak, seconds_so_far
from tests.drivers import SPEC, driver_of, new_log, proposed, reached


def test_the_figures_add_up_what_trials_spent(store: LocalStore) -> None:
    with new_log(store) as log:
        driver = driver_of(log)
        for _ in range(2):
            driver.record(proposed(driver), reached(9, 0.5, done=True))
        summed = figures(driver.state, wall_seconds=4.0, slots=2, price_per_hour=900.0)
    assert summed["worker_seconds"] == pytest.approx(2 * 7 * 0.5)  # seven accounts of half a second
    assert summed["efficiency"] == pytest.approx(2 * 0.5 / (4.0 * 2))
    assert summed["ledger"] == {**dict.fromkeys(LEDGER, 1.0), OUTSIDE: 1.0}
    assert sum(summed["ledger"].values()) == pytest.approx(4.0 * 2)
    assert summed["cost"] == pytest.approx(4.0 * 2 / 3600 * 900)


def test_without_a_price_there_is_no_cost(store: LocalStore) -> None:
    with new_log(store) as log:
        summed = figures(driver_of(log).state, wall_seconds=4.0, slots=2)
    assert summed["cost"] is None
    assert summed["efficiency"] == 0.0


def test_the_largest_leak_is_never_training() -> None:
    spent = {**dict.fromkeys(LEDGER, 1.0), "train": 91.0, "trace": 3.0, OUTSIDE: 1.0}
    assert largest_leak(spent) == ("building and compiling models", 3.0 / 100)


def test_nothing_spent_is_no_leak() -> None:
    assert largest_leak(dict.fromkeys(LEDGER, 0.0))[1] == 0.0


@pytest.mark.parametrize(
    ("max_hours", "max_cost", "price", "expected"),
    [
        (None, None, None, None),
        (2.0, None, None, 2.0),
        (None, 6.0, 1.5, 2.0),  # two slots cost 3 an hour
        (1.0, 6.0, 1.5, 1.0),
        (3.0, 6.0, 1.5, 2.0),
        (None, 0.0, 1.5, 0.0),
    ],
)
def test_hours_end_by_the_clock_or_by_the_money(
    max_hours: float | None, max_cost: float | None, price: float | None, expected: float | None
) -> None:
    spec = replace(
        SPEC,
        search=SearchConfig(max_hours=max_hours, max_cost=max_cost),
        resources=ResourcesConfig(price_per_hour=price),
    )
    assert hours_allowed(spec, slots=2) == expected


@given(spans=st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)), max_size=5))
def test_time_between_two_drivers_does_not_count(spans: list[tuple[float, float]]) -> None:
    events, now = [], 1.0
    for worked, away in spans:
        events.append({"type": "sweep_resumed", "at": now})
        events.append({"type": "epochs", "at": now + worked})
        now += worked + away
    assert seconds_so_far(events) == pytest.approx(sum(worked for worked, _ in spans))
