"""The limit on calls: 20 a minute for each user, method and path, then locked for ten minutes.

Source: "Threshold limit: 20 requests per min per user. Lock period: 10 minutes" on the vendor's
page, read as a sliding minute; the switches give the other readings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.sandbox.cliq.profile import Switches

THRESHOLD = 20
WINDOW = timedelta(seconds=60)
LOCK = timedelta(seconds=600)


@dataclass
class Bucket:
    """What one user did with one method on one path."""

    calls: list[datetime] = field(default_factory=list)
    locked_until: datetime | None = None


@dataclass
class Throttle:
    """All buckets by "user method path", and the locks put on users by hand."""

    buckets: dict[str, Bucket] = field(default_factory=dict)
    user_locks: dict[str, datetime] = field(default_factory=dict)

    def admit(
        self, user: str, method: str, path: str, now: datetime, switches: Switches
    ) -> timedelta | None:
        """Count a call. None if it is served, else how long the lock still lasts."""
        if not switches.throttle:
            return None
        bucket = self.buckets.setdefault(f"{user} {method} {path}", Bucket())
        until = self._locked_until(user, bucket, now)
        if until is None:
            return _count(bucket, now, switches)
        if switches.extend_lock:
            until = bucket.locked_until = now + LOCK
        return until - now

    def lock(self, user: str, now: datetime) -> None:
        """Lock all buckets of a user, those not yet used included."""
        self.lift(user)
        self.user_locks[user] = now + LOCK

    def lift(self, user: str) -> None:
        """Take away a user's locks and counts."""
        self.user_locks.pop(user, None)
        kept = {k: v for k, v in self.buckets.items() if k.partition(" ")[0] != user}
        self.buckets = kept

    def _locked_until(self, user: str, bucket: Bucket, now: datetime) -> datetime | None:
        locks = [until for until in (bucket.locked_until, self.user_locks.get(user)) if until]
        return max((until for until in locks if until > now), default=None)


def _count(bucket: Bucket, now: datetime, switches: Switches) -> timedelta | None:
    if bucket.locked_until is not None:
        bucket.locked_until = None
        bucket.calls.clear()
    bucket.calls = [call for call in bucket.calls if _counts(call, now, switches)]
    if len(bucket.calls) < THRESHOLD:
        bucket.calls.append(now)
        return None
    bucket.locked_until = now + LOCK
    return LOCK


def _counts(call: datetime, now: datetime, switches: Switches) -> bool:
    if switches.fixed_window:
        return call.replace(second=0, microsecond=0) == now.replace(second=0, microsecond=0)
    return now - call < WINDOW
