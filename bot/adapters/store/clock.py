"""The database's time: what replicas agree on, however wrong their own clocks are."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.adapters.store.sql import SqlStore
from bot.ports import Clock


class DatabaseClock:
    """A clock set by the database: `base` plus what it was off by when `synchronise` last ran."""

    def __init__(self, base: Clock, store: SqlStore) -> None:
        self._base = base
        self._store = store
        self._offset = timedelta(0)

    def now(self) -> datetime:
        return self._base.now() + self._offset

    def elapsed(self) -> float:
        return self._base.elapsed()

    async def synchronise(self) -> None:
        """Ask the database what time it is. Raises DatabaseError."""
        before = self._base.now()
        told = await self._store.time()
        between = (self._base.now() - before) / 2
        self._offset = told - (before + between)
