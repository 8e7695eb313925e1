"""A database looked at without changing it, of either kind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from bot.adapters.store.inspection import DatabaseFacts, Engine, inspect
from bot.adapters.store.migrate import migrate
from bot.adapters.store.version import Tables, tables_at
from bot.errors import DatabaseError
from tests.postgres import Postgres


async def look(url: str) -> DatabaseFacts:
    return await inspect(url, within_seconds=5)


def content(file: Path) -> bytes:
    return file.read_bytes()


async def test_a_current_database_can_be_written(url: str):
    facts = await look(url)

    assert facts.tables is Tables.CURRENT
    assert facts.refusal == ""


async def test_a_sqlite_file_is_left_as_it_is(database: Path):
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    before = content(database)
    facts = await look(f"sqlite+aiosqlite:///{database}")

    assert facts.durability == {"journal_mode": "delete"}
    assert content(database) == before
    assert [file.name for file in database.parent.glob("mailcfg.db*")] == ["mailcfg.db"]


async def test_an_empty_file_has_no_tables_yet_and_stays_empty(tmp_path: Path):
    file = tmp_path / "mailcfg.db"
    file.touch()
    facts = await look(f"sqlite+aiosqlite:///{file}")

    assert facts.tables is Tables.MISSING
    assert file.stat().st_size == 0


async def test_an_older_database_is_told_apart_from_one_of_a_newer_version(tmp_path: Path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'mailcfg.db'}"
    migrate(url, "0001")

    assert (await look(url)).tables is Tables.OLDER
    assert tables_at("9999") is Tables.UNKNOWN
    assert tables_at(None) is Tables.MISSING


async def test_postgresql_says_whether_a_commit_survives_a_crash(postgres: Postgres):
    facts = await look(postgres.emptied())

    assert facts.kind is Engine.POSTGRESQL
    assert facts.durability == {
        "fsync": "off",  # this server is for tests
        "full_page_writes": "on",
        "synchronous_commit": "on",
    }


async def test_a_postgresql_database_that_may_only_be_read_is_told(postgres: Postgres):
    url = postgres.fresh()
    migrate(url)
    name = url.rpartition("/")[2]
    with psycopg.connect(postgres.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")

    assert "read-only transaction" in (await look(url)).refusal


async def test_a_new_postgresql_database_has_no_tables_yet(postgres: Postgres):
    facts = await look(postgres.fresh())

    assert facts.tables is Tables.MISSING
    assert facts.refusal == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://mailcfg:canary@127.0.0.1:1/mailcfg",
        "sqlite+aiosqlite:////proc/self/mem",
        "nonsense",
    ],
)
async def test_a_database_that_cannot_be_opened_is_one_sentence_without_its_password(url: str):
    with pytest.raises(DatabaseError) as refused:
        await look(url)

    assert "canary" not in str(refused.value)
