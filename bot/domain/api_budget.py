"""Counting the calls to the Cliq API, so that Zoho's lock never starts, and obeying it once it has.

Zoho serves 20 calls a minute per user and then locks for ten minutes. Calls are counted, not dripped
from a refilled bucket, which would let nearly twice its rate through in one minute. Every try counts,
whatever its method and its outcome. Where the count is kept is the store's business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bot.errors import BudgetSpent, RateLimited

VENDOR_WINDOW = timedelta(seconds=60)


def window_for(call_timeout: timedelta) -> timedelta:
    """How long a call counts: Zoho's minute and the longest call.

    A call reaches Zoho up to `call_timeout` after it was counted; without that time a slow one would
    slip into a later minute of theirs.
    """
    return VENDOR_WINDOW + call_timeout


@dataclass(frozen=True, slots=True)
class CallCount:
    """The calls of one organisation in the last window, oldest first, and the lock upon it."""

    calls: tuple[datetime, ...] = ()
    locked_until: datetime | None = None
    lock_reason: str = ""

    def is_locked(self, now: datetime) -> bool:
        return self.locked_until is not None and now < self.locked_until

    def recent(self, now: datetime, window: timedelta) -> tuple[datetime, ...]:
        return tuple(at for at in self.calls if now - at < window)

    def check(self, method: str, now: datetime, *, below: int, window: timedelta) -> None:
        """Raises RateLimited while locked, BudgetSpent unless fewer than `below` calls count."""
        if self.locked_until is not None and now < self.locked_until:
            raise RateLimited(method, retry_at=self.locked_until, source="lock")
        recent = self.recent(now, window)
        too_many = len(recent) - below
        if too_many >= 0:
            raise BudgetSpent(method, retry_at=recent[too_many] + window)

    def take(self, method: str, now: datetime, *, below: int, window: timedelta) -> CallCount:
        """With one call more. Raises what `check` raises."""
        self.check(method, now, below=below, window=window)
        return replace(self, calls=(*self.recent(now, window), now))

    def lock(self, until: datetime, reason: str) -> CallCount:
        """Locked until then; a lock never gets shorter."""
        if self.locked_until is not None and self.locked_until >= until:
            return self
        return replace(self, locked_until=until, lock_reason=reason)
