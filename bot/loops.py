"""A loop of the running bot: it sleeps until it is woken, works, and goes on after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)


class Loop:
    """Does `work` whenever it is woken, and goes on after an error."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._work = work
        self._on_failure = on_failure
        self._woken = asyncio.Event()
        self._stopping = False
        self.is_failing = False
        self._task: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        self._woken.set()

    def wake_after(self, seconds: float) -> None:
        """Wake it then, too; what was said before about when is void."""
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def stop(self, seconds: float) -> None:
        """Let the work in hand end; cut it off after `seconds`."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()

    async def _run(self) -> None:
        said = ""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            structlog.contextvars.clear_contextvars()
            try:
                await self._work()
                self.is_failing, said = False, ""
            except Exception as error:  # the outermost: a loop that ends would be silent for ever
                self.is_failing = True
                if repr(error) != said:  # or one lasting fault would fill the log
                    log.exception("loop failed", loop=self._name)
                said = repr(error)
                self._on_failure(self._name)
