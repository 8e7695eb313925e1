"""The values that every process of an organisation shares: its API budget and its Zoho token.

Each is one row, changed under its lock: SELECT … FOR UPDATE on PostgreSQL; on SQLite every
transaction takes the right to write from the start. So a change is exact however many ask at once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from pydantic import SecretStr
from sqlalchemy import RowMapping, Table, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.adapters.store import schema
from bot.adapters.store.sql import SqlStore
from bot.adapters.store.vault import Vault
from bot.domain.api_budget import CallCount
from bot.domain.stored import canonical, from_milliseconds, from_stamp, milliseconds, stamp
from bot.domain.token import AccessToken, TokenState
from bot.ports import Shared

T = TypeVar("T")


class Spelling(Protocol[T]):
    """How a value is written in its table; `read` of None is the value before there is a row."""

    table: Table

    def read(self, row: RowMapping | None) -> T: ...

    def row(self, value: T) -> dict[str, Any]: ...


class SharedRow(Generic[T]):
    """`ports.Shared` as one row."""

    def __init__(self, store: SqlStore, org: str, spelling: Spelling[T]) -> None:
        self._store = store
        self._org = org
        self._spelling = spelling
        self._table = spelling.table
        self._mine = select(self._table).where(self._table.c.org == org)

    async def read(self) -> T:
        async with self._store.statement() as connection:
            row = (await connection.execute(self._mine)).mappings().first()
        return self._spelling.read(row)

    async def change(self, step: Callable[[T], T]) -> T:
        async with self._store.transaction() as connection:
            row = await self._locked(connection)
            old = self._spelling.read(row)
            new = step(old)
            if new != old:
                values = self._spelling.row(new) | {"rev": row["rev"] + 1}
                where = self._table.c.org == self._org
                await connection.execute(update(self._table).where(where).values(values))
            return new

    async def _locked(self, connection: AsyncConnection) -> RowMapping:
        query = self._mine.with_for_update()
        row = (await connection.execute(query)).mappings().first()
        if row is None:
            await connection.execute(self._first_row(connection))
            row = (await connection.execute(query)).mappings().one()
        return row

    def _first_row(self, connection: AsyncConnection) -> Any:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        empty = self._spelling.row(self._spelling.read(None)) | {"org": self._org, "rev": 0}
        return dialect.insert(self._table).values(empty).on_conflict_do_nothing()


class CallCountSpelling:
    table = schema.budget

    def read(self, row: RowMapping | None) -> CallCount:
        if row is None:
            return CallCount()
        calls = tuple(map(from_milliseconds, json.loads(row["calls_json"])))
        return CallCount(calls, from_stamp(row["locked_until"]), row["lock_reason"])

    def row(self, value: CallCount) -> dict[str, Any]:
        return {
            "calls_json": canonical([milliseconds(at) for at in value.calls]),
            "locked_until": stamp(value.locked_until),
            "lock_reason": value.lock_reason,
        }


class TokenSpelling:
    """The tokens are locked away; a refresh token that cannot be opened is left as it is."""

    table = schema.oauth_token

    def __init__(self, org: str, vault: Vault) -> None:
        self._org = org
        self._vault = vault

    def read(self, row: RowMapping | None) -> TokenState:
        if row is None:
            return TokenState()
        refresh_token = self._opened(row, "refresh_token_enc")
        return TokenState(
            token=self._token(row),
            refresh_token=refresh_token,
            is_sealed=bool(row["refresh_token_enc"]) and refresh_token is None,
            grant=row["grant_print"],
            pinned=row["fingerprint"],
            requests=tuple(map(from_milliseconds, json.loads(row["refreshes_json"]))),
            paused_until=from_stamp(row["paused_until"]),
            paused_for=row["paused_for"],
            owner=row["owner"],
            until=from_stamp(row["until"]),
        )

    def row(self, value: TokenState) -> dict[str, Any]:
        token = value.token
        values = {
            "access_token_enc": token and self._locked(token.secret, "access_token_enc"),
            "refresh_at": token and stamp(token.refresh_at),
            "scopes_json": canonical(sorted(token.scopes) if token and token.scopes else None),
            "grant_print": value.grant,
            "fingerprint": value.pinned,
            "refreshes_json": canonical([milliseconds(at) for at in value.requests]),
            "paused_until": stamp(value.paused_until),
            "paused_for": value.paused_for,
            "owner": value.owner,
            "until": stamp(value.until),
        }
        if value.refresh_token is not None:
            kept = self._locked(value.refresh_token, "refresh_token_enc")
            values["refresh_token_enc"] = kept
        return values

    def _token(self, row: RowMapping) -> AccessToken | None:
        secret, refresh_at = self._opened(row, "access_token_enc"), from_stamp(row["refresh_at"])
        if secret is None or refresh_at is None:
            return None
        scopes = json.loads(row["scopes_json"])
        return AccessToken(secret, refresh_at, None if scopes is None else frozenset(scopes))

    def _locked(self, secret: SecretStr, column: str) -> str:
        return self._vault.lock(secret.get_secret_value(), f"{self._org}/{column}")

    def _opened(self, row: RowMapping, column: str) -> SecretStr | None:
        text = row[column]
        opened = self._vault.open(text, f"{self._org}/{column}") if text else None
        return None if opened is None else SecretStr(opened)


def shared_budget(store: SqlStore, org: str) -> Shared[CallCount]:
    return SharedRow(store, org, CallCountSpelling())


def shared_token(store: SqlStore, org: str, vault: Vault) -> Shared[TokenState]:
    return SharedRow(store, org, TokenSpelling(org, vault))
