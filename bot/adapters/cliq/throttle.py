"""Our own limit on calls to the Cliq API, kept below Zoho's so that its lock never starts.

How calls are counted is `domain/api_budget`'s business; here the count is asked and kept.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.adapters.cliq.memory import InMemory
from bot.domain.api_budget import CallCount, window_for
from bot.domain.timing import CALL_TIMEOUT
from bot.ports import BudgetStanding, Clock, Purpose, Shared


class Budget:
    """The calls of one organisation, or of one Zoho user where several organisations share it.

    `shared` is where the count is kept: in the database one budget serves every process.
    `call_timeout` is how long after its count a call may reach Zoho.
    """

    def __init__(
        self, clock: Clock, shared: Shared[CallCount], *, call_timeout: timedelta = CALL_TIMEOUT
    ) -> None:
        self._clock = clock
        self._shared = shared
        self._window = window_for(call_timeout)

    async def check(self, method: str, purpose: Purpose) -> None:
        """Raises RateLimited while the API is locked, BudgetSpent while `purpose` has no call left."""
        count = await self._shared.read()
        count.check(method, self._clock.now(), below=purpose.value, window=self._window)

    async def take(self, method: str, purpose: Purpose) -> None:
        """Count one call, just before it is sent; raises what `check` raises, and then counts nothing."""

        def one_more(count: CallCount) -> CallCount:
            now = self._clock.now()  # asked here, when nobody else counts
            return count.take(method, now, below=purpose.value, window=self._window)

        await self._shared.change(one_more)

    async def lock(self, until: datetime, reason: str = "") -> None:
        """Let nothing pass before `until`, in no process; a lock never gets shorter."""
        await self._shared.change(lambda count: count.lock(until, reason))

    async def standing(self) -> BudgetStanding:
        """What is used up now; for whoever watches, nothing is decided by it."""
        count, now = await self._shared.read(), self._clock.now()
        locked_until = count.locked_until if count.is_locked(now) else None
        return BudgetStanding(len(count.recent(now, self._window)), locked_until)


class MemoryBudget(Budget):
    """The budget of a process that has no database."""

    def __init__(self, clock: Clock, *, call_timeout: timedelta = CALL_TIMEOUT) -> None:
        super().__init__(clock, InMemory(CallCount()), call_timeout=call_timeout)
