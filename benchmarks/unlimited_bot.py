"""`benchmarks.run_bot` with a minute of Zoho's that is over at once: `python -m benchmarks.unlimited_bot`.

Zoho serves twenty calls a minute, so the bot refuses `show` after eight, and rightly has no knob for
that. Here each call is checked, counted and stored as ever, but a call that was counted is forgotten
by the next, so none has to wait. Only a process of the benchmarks may be like that.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from benchmarks import run_bot
from bot.adapters.cliq import throttle


def no_window(_: timedelta) -> timedelta:
    return timedelta(0)


if __name__ == "__main__":
    throttle.window_for = no_window
    asyncio.run(run_bot.serve())
