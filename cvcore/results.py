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
from cvcore.scans import connect, list_parts
from cvcore.settings import OBJECTIVES
from cvcore.store import Store
from cvcore.tables import KEYS

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


def list_sweeps(store: Store) -> list[Row]:
    """Return the rows of the sweeps table, newest first, with counts also while they run."""
    return _ask(store, SWEEPS_QUERY, tables=("sweeps", "trials"))


def leaderboard(store: Store, sweep_id: str | None = None) -> list[Row]:
    """Return the finished trials of a sweep (None: the newest), best first, failed ones last.

    Raises `UsageError` for an unknown sweep.
    """
    chosen = sweep_id or next(iter(known_sweeps(store)), None)
    if chosen is None:
        return []
    sweep = _ask(store, "SELECT * FROM sweeps WHERE sweep_id = ?", chosen, tables=("sweeps",))
    if not sweep:
        raise unknown_sweep(store, chosen)
    objective, mode = sweep[0]["objective"], sweep[0]["mode"]
    if objective not in OBJECTIVES:
        raise UsageError(
            f"the sweep {chosen} ranks by {objective!r}, this version knows {', '.join(OBJECTIVES)}"
        )
    ranks = f"CASE WHEN status = 'failed' OR isnan({objective}) THEN NULL ELSE {{}} END"
    order = "DESC" if mode == "max" else "ASC"
    question = (
        f"SELECT * FROM trials WHERE sweep_id = ? ORDER BY {ranks.format(objective)} {order} "
        # A tie goes to the lower loss, as in `SweepState.best`.
        f"NULLS LAST, {ranks.format('val_loss')}, trial_id"
    )
    return _ask(store, question, chosen, tables=("trials",))


def show(store: Store, trial_id: str) -> dict[str, Any]:
    """Return all that is known of a finished trial: its row, and its rows in the other tables.

    Raises `UsageError` for an unknown trial.
    """
    # The sweep is named as well, because by it the parts of all others are left alone.
    where = "WHERE sweep_id = ? AND trial_id = ?"
    names = (layout.trial_sweep(trial_id), trial_id)
    found = _ask(store, f"SELECT * FROM trials {where}", *names, tables=("trials",))
    if not found:
        raise _unknown_trial(store, trial_id)
    parts = {
        table: _ask(
            store,
            f"SELECT * EXCLUDE (sweep_id, trial_id, dt) FROM {table} {where} "
            f"ORDER BY {', '.join(KEYS[table])}",
            *names,
            tables=(table,),
        )
        for table in ("epochs", "class_metrics", "confusion")
    }
    return {"trial": found[0], **parts}


def query(store: Store, sql: str) -> pa.Table:
    """Answer one SELECT over the tables; raises `UsageError` with DuckDB's message."""
    import duckdb

    try:
        kinds = [one.type for one in duckdb.extract_statements(sql)]
        if kinds != [duckdb.StatementType.SELECT]:
            described = ", ".join(kind.name for kind in kinds) or "nothing"
            raise UsageError(
                f"expected one SELECT statement, received {described}",
                hint=f'cvjobs results query "SELECT * FROM trials LIMIT 5" --store {store.uri}',
            )
        # A table that is not named is not listed either, which in S3 takes a round trip.
        named = [table for table in KEYS if table in sql.lower()]
        return _answer(store, sql, tables=named or KEYS)
    except duckdb.Error as error:
        raise UsageError(
            f"DuckDB refused the query: {error}",
            hint=f'cvjobs results query "SHOW TABLES" --store {store.uri}',
        ) from error


def _ask(store: Store, sql: str, *values: str, tables: Iterable[str]) -> list[Row]:
    """Answer a question of our own: if DuckDB refuses it, a file is not what it should be."""
    import duckdb

    try:
        found: list[Row] = _answer(store, sql, *values, tables=tables).to_pylist()
    except duckdb.Error as error:
        raise _unreadable(store, error) from error
    return found


def _answer(store: Store, sql: str, *values: str, tables: Iterable[str]) -> pa.Table:
    """Run a query; again where the parts it was reading were replaced by their compaction."""
    import duckdb

    parts: dict[str, list[str]] = {}
    while True:
        known, parts = parts, {table: list_parts(store, table) for table in tables}
        try:
            with connect(store, parts) as connection:
                return connection.sql(sql, params=list(values)).to_arrow_table()
        except (duckdb.Error, OSError) as error:
            if known != parts:  # the first failure, or another compaction since the last one
                continue
            if isinstance(error, OSError | duckdb.IOException):
                raise _unreadable(store, error) from error
            raise


def _unreadable(store: Store, error: Exception) -> StoreError:
    reason, _, _ = str(error).partition("\n")  # DuckDB goes on with the query
    return StoreError(
        f"cannot read the tables in {store.uri}: {reason}",
        hint=f"cvjobs doctor --store {store.uri}",
    )


def _unknown_trial(store: Store, trial_id: str) -> UsageError:
    known = [row["trial_id"] for row in leaderboard(store)]
    near = difflib.get_close_matches(trial_id, known, n=1)
    advice = f"; did you mean {near[0]}?" if near else ""
    return UsageError(
        f"{store.uri} holds no finished trial {trial_id!r}{advice}",
        hint=f"cvjobs results leaderboard --store {store.uri}",
    )
