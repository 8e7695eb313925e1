"""When people are reminded of a request that waits, and when they are left alone. Pure.

A request has a few moments at which it may be remembered. What was missed is not made up for: where
several moments have passed, one reminder stands for them all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

MENTION_EVERY = timedelta(minutes=5)
"""How long the approvers are left alone after they were mentioned, whatever is asked for."""


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours on the wall clock of a place in which nobody is reminded; they may span midnight."""

    start: time
    end: time
    zone: ZoneInfo

    def holds(self, at: datetime) -> bool:
        """By what the clock on the wall shows, so that a change to summer time moves nothing."""
        wall = at.astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= wall < self.end
        return wall >= self.start or wall < self.end


@dataclass(frozen=True, slots=True)
class Reminder:
    """One that is due now: `name` tells it from the request's others."""

    name: str
    escalates: bool


@dataclass(frozen=True, slots=True)
class _Moment:
    at: datetime
    name: str
    escalates: bool = False


@dataclass(frozen=True, slots=True)
class Reminders:
    """When to remind: so long `after` it was asked, and so long `before` the deadline, if at all.

    The last of `after` escalates: it also mentions those who see to it that somebody decides.
    """

    after: tuple[timedelta, ...] = (timedelta(hours=1), timedelta(hours=4))
    before: timedelta | None = timedelta(hours=1)
    quiet: QuietHours | None = None

    def due(
        self, asked_at: datetime, deadline: datetime, told: Collection[str], now: datetime
    ) -> Reminder | None:
        """The reminder to give now, if any; `told` are the names of those given already."""
        if now >= deadline or (self.quiet is not None and self.quiet.holds(now)):
            return None
        come = [m for m in self._moments(asked_at, deadline) if m.at <= now]
        if not come or come[-1].name in told:
            return None
        escalates = any(m.escalates for m in come if m.name not in told)
        return Reminder(come[-1].name, escalates)

    def _moments(self, asked_at: datetime, deadline: datetime) -> list[_Moment]:
        """In their order; one that is not between asking and deadline is none."""
        planned = self._planned(asked_at, deadline)
        return sorted((m for m in planned if asked_at < m.at < deadline), key=lambda m: m.at)

    def _planned(self, asked_at: datetime, deadline: datetime) -> Iterator[_Moment]:
        for span in self.after:
            name = f"after {span.total_seconds():g}s"
            yield _Moment(asked_at + span, name, escalates=span == max(self.after))
        if self.before is not None:
            yield _Moment(deadline - self.before, f"before {self.before.total_seconds():g}s")


ALARM_AFTER, ALARM_EVERY = timedelta(minutes=15), timedelta(hours=1)
"""How long an outcome may stay unknown before the alert channel is told; then it is told hourly."""


def alarm(unknown_since: datetime, now: datetime) -> int | None:
    """Which alarm about an unknown outcome is due, counted from 0; None before the first.

    What was missed is not made up for.
    """
    waited = now - unknown_since - ALARM_AFTER
    return None if waited < timedelta(0) else waited // ALARM_EVERY
