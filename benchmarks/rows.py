"""Reads the bot's database beside the bot: what is stored, for whoever was told that it is."""

from __future__ import annotations

import sqlite3
from typing import Any, Protocol


class Database(Protocol):
    """One connection that only reads; every query names its columns."""

    def rows(self, query: str) -> list[tuple[Any, ...]]: ...

    def close(self) -> None: ...


class SqliteFile:
    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        self._connection.close()


class PostgresServer:
    def __init__(self, dsn: str) -> None:
        import psycopg

        self._connection = psycopg.connect(dsn, autocommit=True)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return list(self._connection.execute(query.encode()).fetchall())

    def close(self) -> None:
        self._connection.close()


def open_request(database: Database) -> tuple[str, int] | None:
    """Id and number of the request that waits for votes."""
    found = database.rows("SELECT id, no FROM request WHERE state = 'PENDING'")
    return (str(found[0][0]), int(found[0][1])) if found else None
