"""A loop of the running bot: it goes on after an error, and each round starts with a clean slate."""

from __future__ import annotations

import asyncio

import structlog

from bot.logs import about_change
from bot.loops import Loop


async def test_a_loop_goes_on_after_an_error_and_forgets_whose_it_was():
    seen: list[object] = []
    failed: list[str] = []
    rounds = asyncio.Queue[int]()

    async def work() -> None:
        seen.append(structlog.contextvars.get_contextvars().get("change"))
        rounds.put_nowait(len(seen))
        if len(seen) == 1:
            with about_change(42):
                raise RuntimeError("in the middle of a change")

    loop = Loop("settle", work, failed.append)
    loop.start()
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as logged:
        for _ in range(2):
            loop.wake()
            await rounds.get()
        await loop.stop(1)

    assert seen == [None, None]
    assert failed == ["settle"]
    assert [line["change"] for line in logged if line["event"] == "loop failed"] == [42]
    assert loop.is_failing is False
