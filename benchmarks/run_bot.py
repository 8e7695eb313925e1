"""`mailcfg run`, but it prints its address once Slack is connected, so that a run can begin."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bot import logs, settings
from bot.app import build


async def serve() -> None:
    found = settings.load(Path("no such file"))
    logs.configure(found.log_level, found.log_format)
    async with await build(found) as app:
        await app.connected()
        sys.stdout.write(f"http://127.0.0.1:{app.port}/slack/events\n")
        sys.stdout.flush()
        await app.wait()


if __name__ == "__main__":
    asyncio.run(serve())
