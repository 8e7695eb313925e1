"""A database opened to be read, beside a bot that may be running on it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.adapters.store.sql import SqlStore, open_engine
from bot.errors import DatabaseError


@asynccontextmanager
async def open_to_read(url: str) -> AsyncIterator[SqlStore]:
    """Raises DatabaseError, also where there is no database to be read."""
    _check_exists(url)
    store = SqlStore(open_engine(url, read_only=True))
    try:
        yield store
    finally:
        await store.close()


def _check_exists(url: str) -> None:
    """SQLite would say "unable to open database file", which does not help anyone."""
    file = url.partition(":///")[2]
    if url.startswith("sqlite") and not Path(file).is_file():
        raise DatabaseError(f"There is no database at {file}. Check MAILCFG_DATABASE_URL.")
    if url.startswith("sqlite") and not os.access(file, os.R_OK):
        raise DatabaseError(
            f"The database {file} may not be read. Run this as the user that mailcfg runs as."
        )
