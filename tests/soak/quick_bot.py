"""`mailcfg run` whose time passes faster: `python -m tests.soak.quick_bot SPEED SINCE [PLACE]`.

Since then (Unix time) all time passes so many times faster than real time, so that leases and API
limits are a matter of seconds. With a place the process stops itself there (SIGSTOP), once, when it applies a
change. The product has no part in this: it is built with another clock, and SQLAlchemy and httpx
are listened to from outside.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import Engine, Pool, event

from bot import logs, settings
from bot.app import build

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
        elif statement.startswith("UPDATE request") and "APPLYING" in values.values():
            connection.info["place"] = "claimed"

    @event.listens_for(Pool, "checkin")
    def _given_back(_: Any, record: Any) -> None:
        stop.comes_to(record.info.pop("place", None))


def watch_httpx(stop: Stop) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        response = await send(self, request)
        if request.method == "PUT":
            stop.comes_to("sent")
        return response

    httpx.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign]


async def run(clock: QuickClock, place: str) -> None:
    found = settings.load(None)
    logs.configure(found.log_level, found.log_format, settings.secrets_of(found))
    stop = Stop(place)
    watch_database(stop)
    watch_httpx(stop)
    async with await build(found, clock=clock) as app:
        await app.wait()


if __name__ == "__main__":
    speed, since, *place = sys.argv[1:]
    asyncio.run(run(QuickClock(float(speed), float(since)), " ".join(place)))
