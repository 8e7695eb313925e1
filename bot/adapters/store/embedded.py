"""The one connection to a SQLite file, with as few waits for its thread as can be.

aiosqlite runs each call of the driver in a thread, and SQLAlchemy makes four of them for one
statement: open a cursor, execute, fetch, close. Going to the thread and back costs more than our
statements do, so here a statement is one call, and ending a transaction that was never begun is none.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite

CHUNK = 64
"""aiosqlite's own default for rows read at once, where somebody iterates; we never do."""


async def connect(file: Path) -> aiosqlite.Connection:
    """A connection as SQLAlchemy's `async_creator` gives it. Raises sqlite3.Error."""
    return await Direct(file)


@dataclass(frozen=True, slots=True)
class Done:
    """What a statement left, as the driver's cursor said it."""

    rows: list[Any] = field(default_factory=list)
    description: Any = None
    rowcount: int = -1
    lastrowid: int | None = None


class Direct(aiosqlite.Connection):
    def __init__(self, file: Path) -> None:
        super().__init__(lambda: sqlite3.connect(file, check_same_thread=False), CHUNK)
        self._thread.daemon = True  # as SQLAlchemy does: an engine left open keeps nobody alive

    def cursor(self) -> Any:
        return WholeStatement(self)

    async def whole(self, how: str, statement: str, values: Sequence[Any]) -> Done:
        """One statement from its cursor to its last row, in the thread."""
        done: Done = await self._execute(self._whole, how, statement, values)  # type: ignore[no-untyped-call]
        return done

    def _whole(self, how: str, statement: str, values: Sequence[Any]) -> Done:
        with closing(self._conn.cursor()) as cursor:
            getattr(cursor, how)(statement, values)
            rows = cursor.fetchall()
            return Done(rows, cursor.description, cursor.rowcount, cursor.lastrowid)

    async def commit(self) -> None:
        if self.in_transaction:
            await super().commit()

    async def rollback(self) -> None:
        if self.in_transaction:
            await super().rollback()


class WholeStatement:
    """What SQLAlchemy uses of a cursor; its rows are there as soon as it was executed."""

    arraysize = 1

    def __init__(self, connection: Direct) -> None:
        self._connection = connection
        self._done = Done()

    async def __aenter__(self) -> WholeStatement:
        return self

    async def execute(self, statement: str, values: Sequence[Any] = ()) -> None:
        self._done = await self._connection.whole("execute", statement, values)

    async def executemany(self, statement: str, values: Sequence[Sequence[Any]]) -> None:
        self._done = await self._connection.whole("executemany", statement, values)

    async def fetchall(self) -> list[Any]:
        return self._done.rows

    async def close(self) -> None:
        """Closed already."""

    @property
    def description(self) -> Any:
        return self._done.description

    @property
    def rowcount(self) -> int:
        return self._done.rowcount

    @property
    def lastrowid(self) -> int | None:
        return self._done.lastrowid
