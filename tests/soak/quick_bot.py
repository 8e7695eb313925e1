"""`mailcfg run` whose time passes faster: `python -m tests.soak.quick_bot SPEED SINCE [PLACE]`.

Since then (Unix time) all time passes so many times faster than real time, so that leases and API
limits are a matter of seconds; at speed 0 its clock is its own. With a place the process stops itself there (SIGSTOP), once, when it applies a
change. The product has no part in this: it is built with another clock, and SQLAlchemy and httpx
are listened to from outside.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from sqlalchemy import Engine, Pool, event

from bot import settings
from bot.domain.timing import Timing
from tests.timed_bot import serve

TIMING = Timing(
    call_timeout=timedelta(seconds=1),
    margin=timedelta(seconds=25),
    shutdown_grace=timedelta(seconds=30),
    pace=timedelta(milliseconds=10),
    commit_budget=timedelta(seconds=2.5),
)
"""A call may last a real second, which is twenty of theirs: with the margin it ends in the lease."""
PLACES = ("intended", "in the transaction", "claimed", "sent")
"""After the intent was stored, while it is being stored, after the claim, after the write."""


class QuickClock:
    """The same for all processes of this machine that are given the same."""

    def __init__(self, speed: float, since: float) -> None:
        self._speed = speed
        self._since = datetime.fromtimestamp(since, UTC)

    def now(self) -> datetime:
        return self._since + (datetime.now(UTC) - self._since) * self._speed

    def elapsed(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME) * self._speed


class Stop:
    """Stops this process where it was told to, the first time that it comes there."""

    def __init__(self, place: str) -> None:
        self._place = place

    def comes_to(self, place: str | None) -> None:
        if place and place == self._place:
            self._place = ""
            os.kill(os.getpid(), signal.SIGSTOP)


def watch_database(stop: Stop) -> None:
    """A connection is given back to the pool right after its transaction was committed."""

    @event.listens_for(Engine, "before_cursor_execute")
    def _executed(connection: Any, _: Any, statement: str, values: Any, *__: Any) -> None:
        if statement.startswith("INSERT INTO attempt"):
            stop.comes_to("in the transaction")
            connection.info["place"] = "intended"
        elif statement.startswith("UPDATE request") and "APPLYING" in _bound(values):
            connection.info["place"] = "claimed"

    @event.listens_for(Pool, "checkin")
    def _given_back(_: Any, record: Any) -> None:
        stop.comes_to(record.info.pop("place", None))


def _bound(values: Any) -> Any:
    """The values of a statement: migrations give them in another shape."""
    return values.values() if isinstance(values, dict) else values or ()


def watch_httpx(stop: Stop) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await send(self, request)
        if request.method == "PUT":
            stop.comes_to("sent")
        return response

    httpx.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign]


if __name__ == "__main__":
    speed, since, *place = sys.argv[1:]
    stop = Stop(" ".join(place))
    watch_database(stop)
    watch_httpx(stop)
    clock = QuickClock(float(speed), float(since)) if float(speed) else None
    asyncio.run(serve(settings.load(None), TIMING, clock))
