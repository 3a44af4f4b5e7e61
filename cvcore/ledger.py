"""Where a trial's time goes: at any moment it is booked to exactly one account.

What is booked therefore adds up to the time that passed, whatever is called in between.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

# The accounts of a trial's slot time, in seconds (`seconds_…` columns of the trials table).
LEDGER = ("import", "data", "trace", "train", "eval", "report", "idle")


class Ledger:
    """The books of one trial, open from its construction on.

    `spent` maps accounts to seconds from before; time that nobody claims is `report`.
    """

    def __init__(self, spent: Mapping[str, float] | None = None) -> None:
        self._seconds = {**dict.fromkeys(LEDGER, 0.0), **(spent or {})}
        self._account = "report"
        self._since = time.perf_counter()

    def switch(self, account: str) -> str:
        """Book what follows to another account; return the one before."""
        now, before = time.perf_counter(), self._account
        self._seconds[before] += now - self._since
        self._account, self._since = account, now
        return before

    @contextmanager
    def booked(self, account: str) -> Iterator[None]:
        """Book what happens inside to an account."""
        before = self.switch(account)
        try:
            yield
        finally:
            self.switch(before)

    def seconds(self) -> dict[str, float]:
        """Return the seconds of every account up to now."""
        self.switch(self._account)
        return dict(self._seconds)

    def carry(self, seconds: Mapping[str, float]) -> None:
        """Add what an earlier process spent on the same trial."""
        for account, spent in seconds.items():
            self._seconds[account] += spent
