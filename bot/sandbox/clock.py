"""A clock that can be moved, so that three days pass in a click.

The sandbox hands one of these to the bot and to every emulator; an emulator that runs alone has one
of its own, moved by its control endpoint.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class AdjustableClock:
    """Real time plus an offset.

    `now()` is UTC wall time; `elapsed()` is seconds from an arbitrary start, for measuring how long
    something took. Moving the clock moves both. Whoever waits for the time can ask to be told.
    """

    def __init__(self, offset: timedelta = timedelta(0)) -> None:
        self.offset = offset
        self._listeners: list[Callable[[], None]] = []

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def elapsed(self) -> float:
        return time.monotonic() + self.offset.total_seconds()

    def advance(self, by: timedelta) -> None:
        """Move forwards; a negative span is refused, since leases and locks assume time goes on."""
        if by < timedelta(0):
            raise ValueError("the clock only moves forwards")
        self.offset += by
        for listener in tuple(self._listeners):
            listener()

    def set(self, to: datetime) -> None:
        self.advance(to - self.now())

    def on_move(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Tell this listener no more; it must have been given to `on_move`."""
        self._listeners.remove(listener)
