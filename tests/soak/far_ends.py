"""Every far end of the bot in one process: `python -m tests.soak.far_ends` prints dotenv lines.

They end with whoever started them, when standard input is closed.
Zoho has a clock of its own, so that its limits can pass while the bot and its people go by real time.
"""

from __future__ import annotations

import asyncio
import secrets
import sys

from bot.sandbox.cliq import serving as cliq
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.dns import serving as dns_emulator
from bot.sandbox.slack import serving as slack


async def serve() -> None:
    dns = await dns_emulator.start()
    emulator = CliqEmulator(lookup_txt=dns.emulator.txt)
    zoho = await cliq.start(emulator, control_token=secrets.token_urlsafe(24))
    workspace = await slack.start()
    for line in (*dns.dotenv(), *zoho.dotenv(), *workspace.dotenv(), ""):
        print(line, flush=True)
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve())
