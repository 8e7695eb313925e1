"""How fast Slack may be written to: docs.slack.dev/apis/web-api/rate-limits.

A channel takes about one new message a second, and a method that was answered with `Retry-After` is
left alone until then. Edits are not counted: they have a far higher limit, and one card has few.
"""

from __future__ import annotations

from datetime import timedelta

from bot.ports import Clock

POST = "chat.postMessage"
UPDATE = "chat.update"


class Pacer:
    """What one process has sent, and when it may send more. It decides and never waits."""

    def __init__(self, clock: Clock, pace: timedelta) -> None:
        self._clock = clock
        self._pace_seconds = pace.total_seconds()
        self._posted: dict[str, float] = {}
        self._held: dict[str, float] = {}

    def now(self) -> float:
        """The time that `wait` is asked about, in the clock's elapsed seconds."""
        return self._clock.elapsed()

    def wait(self, method: str, channel: str, at: float) -> float:
        """Seconds from `at` until this may be called; 0 is at once."""
        free = self._held.get(method, at)
        if method == POST and channel in self._posted:
            free = max(free, self._posted[channel] + self._pace_seconds)
        return max(0.0, free - at)

    def sent(self, method: str, channel: str) -> None:
        if method == POST and self._pace_seconds:
            self._posted[channel] = self._clock.elapsed()

    def hold(self, method: str, seconds: float) -> None:
        """Slack said `Retry-After`."""
        self._held[method] = self._clock.elapsed() + seconds
