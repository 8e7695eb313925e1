"""`mailcfg run`, but with a timing that the tests choose, which is given to `build` and nowhere else.

`python -m tests.timed_bot SECONDS` lets a published record be missing for so long before it alerts.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from bot import logs, settings
from bot.__main__ import _run
from bot.app import build
from bot.domain.timing import USUAL, Timing
from bot.ports import Clock
from bot.settings import Settings


async def serve(found: Settings, timing: Timing = USUAL, clock: Clock | None = None) -> None:
    logs.configure(found.log_level, found.log_format, settings.secrets_of(found))
    async with await build(found, clock, timing) as app:
        await app.wait()


def run(timing: Timing) -> None:
    _run(serve(settings.load(None), timing))


if __name__ == "__main__":
    found = settings.load(None)
    alerts = replace(found.alerts, publish_grace=timedelta(seconds=float(sys.argv[1])))
    _run(serve(found.model_copy(update={"alerts": alerts})))
