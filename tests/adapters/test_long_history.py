"""Nothing that the bot does all day reads its whole history."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from benchmarks.history import History
from bot.adapters.store.sql import SqlStore
from tests.fakes import FakeClock
from tests.office import ALICE, RENAME, Office

LENGTH = 2_000
WHOLE_TABLE = re.compile(r"SCAN (?!\w+ USING (COVERING )?INDEX (card_due|outbox_waiting)$)")
"""Those two indexes hold only what is due."""


async def test_no_look_of_the_bot_reads_the_whole_history(
    sqlite_store: SqlStore, database: Path, clock: FakeClock
):
    """Not even after an ANALYZE, which tells SQLite that nearly all rows are alike."""
    office = Office(sqlite_store, clock=clock)
    await History(office, database, LENGTH).grow()
    await office.tamper(text("ANALYZE sqlite_schema"))  # has what ANALYZE found read by us, too
    asked: list[tuple[str, Any]] = []

    @event.listens_for(sqlite_store._engine.sync_engine, "before_cursor_execute")
    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    await office.changes.propose(ALICE, RENAME)
    await office.changes.expire()
    await office.changes.remind()
    await office.applier.settle()
    await office.look.pending(ALICE)
    await office.watch.tick()
    await sqlite_store.due_cards(office.org, clock.now())
    await sqlite_store.due_messages(office.org, clock.now())

    plans = {sql: await plan(sqlite_store, sql, values) for sql, values in tuple(asked)}
    assert len(plans) > 10
    assert [sql for sql, steps in plans.items() if any(map(WHOLE_TABLE.match, steps))] == []


async def plan(store: SqlStore, statement: str, values: Any) -> list[str]:
    """How SQLite goes about a statement, step by step."""
    if not statement.startswith(("SELECT", "UPDATE", "INSERT")):
        return []
    async with store._engine.connect() as connection:
        found = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        return [row.detail for row in found]
