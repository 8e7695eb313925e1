"""Zoho as the settings say: its client, its credentials, and `mailcfg connect`."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.adapters.cliq.accounts import AccountsServer, Credentials
from bot.adapters.cliq.client import USUAL, CliqClient, Tries, new_http_client
from bot.adapters.cliq.connect import Connected, connect_anew, connect_as_set
from bot.adapters.cliq.data_centers import Endpoints, endpoints
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import Budget, MemoryBudget
from bot.adapters.store.shared import shared_budget, shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.adapters.store.version import check_is_current
from bot.check import ask_alone
from bot.domain.mail_config import MailConfig
from bot.domain.timing import CALL_TIMEOUT
from bot.domain.token import TokenState
from bot.errors import AuthError
from bot.ports import Clock, Purpose, Shared
from bot.settings import Settings, ZohoSettings, load_storage, load_zoho
from bot.storage import open_store, own_clock


async def connect(
    settings: ZohoSettings, code: SecretStr | None, call_timeout: timedelta = CALL_TIMEOUT
) -> Connected:
    """Store what a grant code is exchanged for; without one, confirm the credentials as they are set.

    A SQLite database is held meanwhile, so the bot must not run on it. Raises MailcfgError.
    """
    at = endpoints_of(settings)
    credentials = credentials_of(settings, at)
    async with AsyncExitStack() as opening:
        http = await opening.enter_async_context(new_http_client(at.api_url))
        store = await open_store(settings.database_url, opening)
        clock = await own_clock(store)
        accounts = AccountsServer(
            at.accounts_url,
            credentials,
            http,
            clock,
            total_seconds=call_timeout.total_seconds(),
        )
        shared = shared_token_of(settings, store)
        only_look = settings.policy.watch_only
        if code is None:
            return await connect_as_set(credentials, accounts, shared, clock, only_look=only_look)
        return await connect_anew(code, credentials, accounts, shared, only_look=only_look)


async def read_sender(env_file: Path) -> MailConfig | None:
    """The live configuration for `mailcfg check`: one GET, and a token request if one is due.

    Where there is a database both are counted in it, with the bot's, also beside a running one; it
    must be of this version. Each is made twice only where the stored token turns out to be dead.
    Raises CliqError, OAuthError, SettingsError or DatabaseError.
    """
    storage = load_storage(env_file)
    if not _is_there(storage.database_url) or not storage.secret_key:
        return await ask_alone(env_file)
    settings = load_zoho(env_file)
    await asyncio.to_thread(check_is_current, settings.database_url)
    async with AsyncExitStack() as opening:
        http = await opening.enter_async_context(new_http_client(endpoints_of(settings).api_url))
        store = SqlStore(open_engine(settings.database_url))
        opening.push_async_callback(store.close)
        clock = await own_clock(store)
        shared = shared_budget(store, settings.org)
        client = cliq_client(
            settings,
            clock,
            http,
            budget=Budget(clock, shared),
            tokens=shared_token_of(settings, store),
            tries=Tries(repeats=False),
        )
        try:
            return await client.read(Purpose.LOOK)
        except AuthError:  # the stored token has died, which authorising anew would not mend
            return await client.read(Purpose.LOOK)


def _is_there(url: str) -> bool:
    """Whether there is a database to share; a SQLite file is made by the bot alone."""
    return not url.startswith("sqlite") or Path(url.partition(":///")[2]).is_file()


def cliq_client(
    settings: Settings | ZohoSettings,
    clock: Clock,
    http: httpx.AsyncClient,
    *,
    budget: Budget | None = None,
    tokens: Shared[TokenState] | None = None,
    tries: Tries = USUAL,
) -> CliqClient:
    """The API's client for these settings. Raises SettingsError for an address that is none.

    Without `budget` and `tokens` it keeps both to itself, and so needs no database.
    """
    return CliqClient(
        endpoints_of(settings).api_url,
        zoho_auth(settings, clock, http, tokens=tokens, total_seconds=tries.total_seconds),
        http=http,
        clock=clock,
        budget=budget or MemoryBudget(clock),
        organisation=settings.org,
        tries=tries,
    )


def zoho_auth(
    settings: Settings | ZohoSettings,
    clock: Clock,
    http: httpx.AsyncClient,
    *,
    tokens: Shared[TokenState] | None,
    total_seconds: float,
) -> ZohoAuth:
    """Access tokens, kept in `tokens`. Raises SettingsError for an address that is none."""
    at = endpoints_of(settings)
    return ZohoAuth(
        at.accounts_url,
        credentials_of(settings, at),
        http,
        clock,
        shared=tokens,
        total_seconds=total_seconds,
    )


def endpoints_of(settings: Settings | ZohoSettings) -> Endpoints:
    return endpoints(
        settings.zoho_data_center,
        accounts_url=settings.zoho_accounts_url,
        api_url=settings.cliq_api_url,
    )


def credentials_of(settings: Settings | ZohoSettings, at: Endpoints) -> Credentials:
    """At home in the data centre and, where there is one, the external network."""
    return Credentials(
        settings.zoho_client_id,
        settings.zoho_client_secret,
        settings.zoho_refresh_token,
        home=f"{settings.zoho_data_center}{httpx.URL(at.api_url).path.rstrip('/')}",
    )


def shared_token_of(settings: Settings | ZohoSettings, store: SqlStore) -> Shared[TokenState]:
    vault = Vault([key.get_secret_value().encode() for key in settings.secret_key])
    return shared_token(store, settings.org, vault)
