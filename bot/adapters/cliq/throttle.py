"""Our own limit on calls to the Cliq API, kept below Zoho's so that its lock never starts.

Zoho serves 20 calls a minute per user and then locks for ten minutes. Calls are counted, not dripped
from a refilled bucket, which would let nearly twice its rate through in one minute.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from bot.errors import BudgetSpent, RateLimited
from bot.ports import BudgetStanding, Clock, Purpose

WINDOW = timedelta(seconds=70)
"""Zoho's minute and the longest call, so that a slow one cannot slip into a later minute of theirs."""


class Budget(Protocol):
    """The calls of one organisation, or of one Zoho user where several organisations share it."""

    async def check(self, method: str, purpose: Purpose) -> None:
        """Raises RateLimited while the API is locked, BudgetSpent while `purpose` has no call left."""

    async def take(self, method: str, purpose: Purpose) -> None:
        """Count one call, just before it is sent; raises what `check` raises, and then counts nothing."""

    async def lock(self, until: datetime) -> None:
        """Let nothing pass before `until`; a lock never gets shorter."""

    async def standing(self) -> BudgetStanding:
        """What is used up now; for whoever counts, nothing is decided by it."""


class MemoryBudget:
    """`Budget` for one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls: list[datetime] = []
        self._locked_until: datetime | None = None

    async def check(self, method: str, purpose: Purpose) -> None:
        standing = await self.standing()
        if standing.locked_until is not None:
            raise RateLimited(method, retry_at=standing.locked_until, source="lock")
        too_many = standing.used - purpose.value
        if too_many >= 0:
            raise BudgetSpent(method, retry_at=self._calls[too_many] + WINDOW)

    async def take(self, method: str, purpose: Purpose) -> None:
        await self.check(method, purpose)
        self._calls.append(self._clock.now())

    async def lock(self, until: datetime) -> None:
        self._locked_until = max(until, self._locked_until or until)

    async def standing(self) -> BudgetStanding:
        now, until = self._clock.now(), self._locked_until
        self._calls = [at for at in self._calls if now - at < WINDOW]
        return BudgetStanding(len(self._calls), until if until and now < until else None)
