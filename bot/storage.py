"""The database as the settings name it, opened for the one bot or one of several that work on it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.lock import sole_process
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.version import check_is_current, is_usable
from bot.clock import SystemClock
from bot.ports import Clock


async def open_store(url: str, opening: AsyncExitStack) -> SqlStore:
    if url.startswith("sqlite"):
        opening.enter_context(sole_process(Path(url.partition(":///")[2])))
        await asyncio.to_thread(_bring_up_to_date, url)
    else:
        await asyncio.to_thread(check_is_current, url)
    store = SqlStore(open_engine(url))
    opening.push_async_callback(store.close)
    if url.startswith("sqlite"):
        await store.release()
    return store


def _bring_up_to_date(url: str) -> None:
    if is_usable(url):
        return
    from bot.adapters.store.migrate import migrate  # brings Alembic, which most starts do not need

    migrate(url)


async def own_clock(store: SqlStore, machine: Clock | None = None) -> Clock:
    """The machine's clock, or the database's where several processes must agree on the time."""
    machine = machine or SystemClock()
    if store.is_embedded:
        return machine
    clock = DatabaseClock(machine, store)
    await clock.synchronise()
    return clock
