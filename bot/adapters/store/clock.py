"""The database's time: what replicas agree on, however wrong their own clocks are."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.adapters.store.sql import SqlStore
from bot.ports import Clock


class DatabaseClock:
    """What the database's clock said when `synchronise` last ran, and what has elapsed since.

    The machine's wall time is not in it: where that is set meanwhile, one process would take from
    another what it is writing just then.
    """

    def __init__(self, base: Clock, store: SqlStore) -> None:
        self._base = base
        self._store = store
        self._start = base.now() - timedelta(seconds=base.elapsed())

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._base.elapsed())

    def elapsed(self) -> float:
        return self._base.elapsed()

    async def synchronise(self) -> None:
        """Ask the database what time it is. Raises DatabaseError."""
        before = self._base.elapsed()
        told = await self._store.time()
        self._start = told - timedelta(seconds=(before + self._base.elapsed()) / 2)
