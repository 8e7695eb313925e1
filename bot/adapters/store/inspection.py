"""What a database is like, found out without changing it, also beside a bot that runs on it.

Whether it can be written is tried in a transaction that is rolled back. A SQLite file is opened as it
is: neither made nor migrated, and its journal mode left alone.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from bot.adapters.store.lock import mounts, network_file_system
from bot.adapters.store.version import Tables, revision_of, tables_at
from bot.errors import DatabaseError

PROBE = "UPDATE slot SET job = job WHERE 1 = 0"
"""Needs the right to write, and writes nothing."""
POSTGRES_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")


class Engine(Enum):
    SQLITE = "SQLite"
    POSTGRESQL = "PostgreSQL"


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """`where` is shown to people and has no password; `refusal` is why it cannot be written, if so.

    `network` is the kind of network file system that a SQLite file is on. `durability` are the
    database's own settings that decide whether a commit survives a power failure.
    """

    kind: Engine
    where: str
    tables: Tables
    refusal: str = ""
    network: str | None = None
    durability: Mapping[str, str] = field(default_factory=dict)


async def inspect(url: str, *, within_seconds: float) -> DatabaseFacts:
    """Raises DatabaseError where there is no answer."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseError("MAILCFG_DATABASE_URL is no database's address.") from error
    where = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "")
        return await asyncio.to_thread(_inspect_sqlite, file, within_seconds)
    try:
        async with asyncio.timeout(within_seconds):
            return await _inspect_postgres(url, where)
    except TimeoutError as error:
        raise DatabaseError(f"The database at {where} does not answer in time.") from error
    except (SQLAlchemyError, OSError, ImportError) as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(f"The database at {where} cannot be reached: {reason}.") from error


def _inspect_sqlite(file: Path, seconds: float) -> DatabaseFacts:
    file = file.absolute()  # a name alone would not tell that this is the wrong folder
    network = network_file_system(file, mounts())
    facts = DatabaseFacts(Engine.SQLITE, str(file), Tables.MISSING, network=network)
    if not file.exists():
        return replace(facts, refusal=_folder_refusal(file.parent))
    address = f"file:{quote(str(file))}?mode=rw"
    try:
        with closing(
            sqlite3.connect(address, uri=True, timeout=seconds, isolation_level=None)
        ) as connection:
            return _read_sqlite(connection, facts)
    except sqlite3.Error as error:
        raise DatabaseError(f"The database {file} cannot be opened: {error}.") from error


def _folder_refusal(folder: Path) -> str:
    if not folder.is_dir():
        return f"there is no folder {folder}"
    return "" if os.access(folder, os.W_OK) else f"the folder {folder} may not be written to"


def _read_sqlite(connection: sqlite3.Connection, facts: DatabaseFacts) -> DatabaseFacts:
    named = "SELECT name FROM sqlite_master WHERE name = 'alembic_version'"
    has_tables = connection.execute(named).fetchone() is not None
    found = connection.execute("SELECT version_num FROM alembic_version") if has_tables else None
    revision = found.fetchone() if found else None
    tables = tables_at(revision[0] if revision else None)
    journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    facts = replace(facts, tables=tables, durability={"journal_mode": str(journal)})
    try:
        connection.execute("BEGIN IMMEDIATE")
        if has_tables:
            connection.execute(PROBE)
        connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        return replace(facts, refusal=str(error))
    return facts


async def _inspect_postgres(url: str, where: str) -> DatabaseFacts:
    engine = create_async_engine(url, connect_args={"connect_timeout": 2})
    try:
        async with engine.connect() as connection:
            facts = await connection.run_sync(_read_postgres, where)
            if facts.tables is Tables.MISSING:
                return facts
            try:
                await connection.execute(text(PROBE))
            except SQLAlchemyError as error:
                return replace(facts, refusal=str(getattr(error, "orig", None) or error))
            finally:
                await connection.rollback()
            return facts
    finally:
        await engine.dispose()


def _read_postgres(connection: Connection, where: str) -> DatabaseFacts:
    revision = revision_of(connection)
    settings = {
        name: str(connection.execute(text(f"SHOW {name}")).scalar_one())
        for name in POSTGRES_SETTINGS
    }
    return DatabaseFacts(Engine.POSTGRESQL, where, tables_at(revision), durability=settings)
