"""`mailcfg run` that dies when told to: `python -m tests.soak.crash_bot [n]`, in a folder of its own.

A crash point is just before and just after each commit that writes, and each call to the outside.
The process kills itself (SIGKILL) at the n-th point; it says each point on standard output, and a
line `at n` on standard input starts the count anew (0: live on). The product has no part in this:
SQLAlchemy, httpx and aiohttp are listened to from outside.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import aiohttp
import httpx
from sqlalchemy import Engine, Pool, event

from bot.domain.timing import Timing
from tests.timed_bot import run

TIMING = Timing(
    call_timeout=timedelta(seconds=1),
    quiet=timedelta(seconds=1.5),
    margin=timedelta(seconds=0.5),
    lease=timedelta(seconds=4),
    retry=timedelta(seconds=0.5),
)
"""Under which a lease and a quiet time pass in seconds."""


class Death:
    """Counts the points that are passed, and dies at the chosen one."""

    def __init__(self, at: int) -> None:
        self.at = at
        self.passed = 0

    def point(self, label: str) -> None:
        self.passed += 1
        os.write(1, f"point {self.passed} {label}\n".encode())
        if self.passed == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def obey(self) -> None:
        """Take orders from standard input, and end with whoever gave them."""
        while order := os.read(0, 64).decode():
            self.passed, self.at = 0, int(order.split()[-1])
            os.write(1, b"armed\n")
        os.kill(os.getpid(), signal.SIGKILL)


def watch_commits(death: Death) -> None:
    """Only of transactions that write something: a read that is cut off leaves no trace."""

    @event.listens_for(Engine, "before_cursor_execute")
    def _executed(connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        verb = statement.split(maxsplit=1)[0]
        if verb in {"INSERT", "UPDATE", "DELETE"}:
            connection.info.setdefault("written", []).append(
                statement.split()[1 + (verb != "UPDATE")]
            )

    @event.listens_for(Engine, "commit")
    def _commits(connection: Any) -> None:
        if "written" in connection.info:
            connection.info["committed"] = "+".join(connection.info.pop("written"))
            death.point(f"before commit {connection.info['committed']}")

    @event.listens_for(Engine, "rollback")
    def _rolls_back(connection: Any) -> None:
        connection.info.pop("written", None)

    @event.listens_for(Pool, "checkin")
    def _given_back(_: Any, record: Any) -> None:
        written = record.info.pop("committed", None)
        if written:
            death.point(f"after commit {written}")


def watch_httpx(death: Death) -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watched(self: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        death.point(f"before {what}")
        response = await send(self, request)
        death.point(f"after {what}")
        return response

    httpx.AsyncHTTPTransport.handle_async_request = watched  # type: ignore[method-assign]


def watch_aiohttp(death: Death) -> None:
    trace = aiohttp.TraceConfig()

    async def starts(
        _: Any, context: SimpleNamespace, call: aiohttp.TraceRequestStartParams
    ) -> None:
        context.what = "response_url" if "/response/" in call.url.path else call.url.path
        death.point(f"before {context.what}")

    async def ended(_: Any, context: SimpleNamespace, call: aiohttp.TraceRequestEndParams) -> None:
        death.point(f"after {context.what}")

    trace.on_request_start.append(starts)
    trace.on_request_end.append(ended)
    make = aiohttp.ClientSession.__init__

    def make_watched(self: aiohttp.ClientSession, *given: Any, **named: Any) -> None:
        make(self, *given, **named, trace_configs=[trace])

    aiohttp.ClientSession.__init__ = make_watched  # type: ignore[method-assign]


if __name__ == "__main__":
    death = Death(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    for watch in (watch_commits, watch_httpx, watch_aiohttp):
        watch(death)
    threading.Thread(target=death.obey, daemon=True).start()
    run(TIMING)
