"""What was tried and how it went: questions to the lake, answered by DuckDB.

Reads only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from cvcore import layout
from cvcore.errors import StoreError, UsageError
from cvcore.events import known_sweeps, unknown_sweep
from cvcore.scans import Tables, list_parts
from cvcore.settings import OBJECTIVES
from cvcore.store import Store
from cvcore.tables import KEYS
from cvcore.trial_rows import TrialRows

Row = dict[str, Any]

# A running sweep's own row has no figures yet.
SWEEPS_QUERY = """
    SELECT s.* REPLACE (
        coalesce(s.num_completed, n.completed, 0) AS num_completed,
        coalesce(s.num_stopped, n.stopped, 0) AS num_stopped,
        coalesce(s.num_failed, n.failed, 0) AS num_failed)
    FROM sweeps s LEFT JOIN (
        SELECT sweep_id,
            count(*) FILTER (status = 'completed') AS completed,
            count(*) FILTER (status = 'stopped') AS stopped,
            count(*) FILTER (status = 'failed') AS failed
        FROM trials GROUP BY sweep_id) n ON n.sweep_id = s.sweep_id
    ORDER BY s.sweep_id DESC
"""


class Results:
    """The questions to the tables of one store; what it has opened serves the next one as well."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._tables = Tables(store)
        self._trial_rows = TrialRows(store)

    def list_sweeps(self) -> list[Row]:
        """Return the rows of the sweeps table, newest first, with counts also while they run."""
        return self._ask(SWEEPS_QUERY, tables=("sweeps", "trials"))

    def leaderboard(self, sweep_id: str | None = None) -> list[Row]:
        """Return the finished trials of a sweep (None: the newest), best first, failed ones last.

        Raises `UsageError` for an unknown sweep.
        """
        chosen = sweep_id or next(iter(known_sweeps(self._store)), None)
        if chosen is None:
            return []
        sweep = self._ask("SELECT * FROM sweeps WHERE sweep_id = ?", chosen, tables=("sweeps",))
        if not sweep:
            raise unknown_sweep(self._store, chosen)
        objective, mode = sweep[0]["objective"], sweep[0]["mode"]
        if objective not in OBJECTIVES:
            raise UsageError(
                f"the sweep {chosen} ranks by {objective!r}, "
                f"this version knows {', '.join(OBJECTIVES)}"
            )
        return self._ask(_ranking(objective, mode), chosen, tables=("trials",))

    def show(self, trial_id: str) -> dict[str, Any]:
        """Return all that is known of a finished trial: its row, and its rows in other tables.

        Raises `UsageError` for an unknown trial.
        """
        found = self._rows("trials", trial_id).to_pylist()
        if not found:
            raise self._unknown_trial(trial_id)
        parts = {
            table: self._rows(table, trial_id).drop_columns(["sweep_id", "trial_id"]).to_pylist()
            for table in ("epochs", "class_metrics", "confusion")
        }
        day = layout.sweep_date(found[0]["sweep_id"])
        return {"trial": {**found[0], "dt": day}, **parts}

    def curve(self, trial_id: str) -> pa.Table:
        """Return a trial's rows of the epochs table, in order; a running one's as far as it is.

        Raises `UsageError` for an unknown trial.
        """
        found = self._rows("epochs", trial_id)
        if not found.num_rows and not self._rows("trials", trial_id).num_rows:
            raise self._unknown_trial(trial_id)
        return found

    def query(self, sql: str) -> pa.Table:
        """Answer one SELECT over the tables; raises `UsageError` with DuckDB's message."""
        import duckdb

        uri = self._store.uri
        try:
            kinds = [one.type for one in duckdb.extract_statements(sql)]
            if kinds != [duckdb.StatementType.SELECT]:
                described = ", ".join(kind.name for kind in kinds) or "nothing"
                raise UsageError(
                    f"expected one SELECT statement, received {described}",
                    hint=f'cvjobs results query "SELECT * FROM trials LIMIT 5" --store {uri}',
                )
            # A table that is not named is not listed either, which in S3 takes a round trip.
            named = [table for table in KEYS if table in sql.lower()]
            return self._answer(sql, tables=named or KEYS)
        except duckdb.Error as error:
            raise UsageError(
                f"DuckDB refused the query: {error}",
                hint=f'cvjobs results query "SHOW TABLES" --store {uri}',
            ) from error

    def close(self) -> None:
        """Let go of DuckDB."""
        self._tables.close()

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, sql: str, *values: str, tables: Iterable[str]) -> list[Row]:
        """Answer a question of our own: if DuckDB refuses it, a file is not what it should be."""
        import duckdb

        try:
            found: list[Row] = self._answer(sql, *values, tables=tables).to_pylist()
        except duckdb.Error as error:
            raise self._unreadable(error) from error
        return found

    def _answer(self, sql: str, *values: str, tables: Iterable[str]) -> pa.Table:
        """Run a query; again where the parts it was reading were replaced by their compaction."""
        import duckdb

        parts: dict[str, list[str]] = {}
        while True:
            known, parts = parts, {table: list_parts(self._store, table) for table in tables}
            try:
                return self._tables.answer(sql, *values, parts=parts)
            except (duckdb.Error, OSError) as error:
                self._tables.close()
                if known != parts:  # the first failure, or another compaction since the last one
                    continue
                if isinstance(error, OSError | duckdb.IOException):
                    raise self._unreadable(error) from error
                raise

    def _rows(self, table: str, trial_id: str) -> pa.Table:
        """Find the rows of a trial; again where its parts were replaced meanwhile."""
        parts: list[str] | None = None
        while True:
            known, parts = parts, self._trial_rows.parts(table, trial_id)
            try:
                return self._trial_rows.find(table, trial_id, parts=parts)
            except (OSError, pa.ArrowException) as error:
                if known == parts:
                    raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> StoreError:
        uri = self._store.uri
        reason, _, _ = str(error).partition("\n")  # DuckDB goes on with the query
        return StoreError(
            f"cannot read the tables in {uri}: {reason}", hint=f"cvjobs doctor --store {uri}"
        )

    def _unknown_trial(self, trial_id: str) -> UsageError:
        uri = self._store.uri
        known = [row["trial_id"] for row in self.leaderboard()]
        near = difflib.get_close_matches(trial_id, known, n=1)
        advice = f"; did you mean {near[0]}?" if near else ""
        return UsageError(
            f"{uri} holds no finished trial {trial_id!r}{advice}",
            hint=f"cvjobs results leaderboard --store {uri}",
        )


def _ranking(objective: str, mode: str) -> str:
    ranks = f"CASE WHEN status = 'failed' OR isnan({objective}) THEN NULL ELSE {{}} END"
    order = "DESC" if mode == "max" else "ASC"
    return (
        f"SELECT * FROM trials WHERE sweep_id = ? ORDER BY {ranks.format(objective)} {order} "
        # A tie goes to the lower loss, as in `SweepState.best`.
        f"NULLS LAST, {ranks.format('val_loss')}, trial_id"
    )
