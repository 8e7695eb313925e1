"""The bot in a thread and an event loop of its own, so that it can be killed like a process.

Killing cancels every task of that loop wherever it stands, as a crash would: nothing in hand is
finished, and its sockets close. The emulators in the other thread do not stop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress

JOIN_SECONDS = 5.0

Ready = Future[asyncio.AbstractEventLoop]


class BotThread:
    """`opened` gives a running bot as a context; each start enters a new one."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._opened = opened
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._one_at_a_time = asyncio.Lock()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    async def start(self) -> None:
        """Return once the bot is there; raises what opening it raises. A running one goes on."""
        async with self._one_at_a_time:
            if self.is_running:
                return
            ready: Ready = Future()
            self._thread = threading.Thread(target=self._live, args=(ready,), daemon=True)
            self._thread.start()
            self._loop = await asyncio.wrap_future(ready)

    async def kill(self) -> None:
        """End it at once, and return when it is gone."""
        async with self._one_at_a_time:
            if self._thread is not None and self._loop is not None:
                with suppress(RuntimeError):  # it ended by itself just now
                    self._loop.call_soon_threadsafe(_cancel_everything, self._loop)
                await asyncio.to_thread(self._thread.join, JOIN_SECONDS)
            self._thread = self._loop = None

    def _live(self, ready: Ready) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._stay(ready))

    async def _stay(self, ready: Ready) -> None:
        try:
            async with self._opened():
                ready.set_result(asyncio.get_running_loop())
                await asyncio.Event().wait()
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)


def _cancel_everything(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
