"""Access tokens from Zoho's accounts server, and putting them on requests.

One token is shared by all calls and renewed by one of them at a time, because Zoho gives ten per ten
minutes and keeps about ten alive. Sources: https://zoho.com/accounts/protocol/oauth.html and its
page on token limits.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

import httpx
import structlog
from pydantic import SecretStr

from bot.adapters.cliq.answers import Answer, is_scope_problem
from bot.errors import (
    OAuthConfigError,
    OAuthError,
    OAuthThrottled,
    OAuthUnavailable,
    ReauthRequired,
)
from bot.ports import Clock

log = structlog.get_logger("bot.adapters.cliq")

REFRESH_EARLY = timedelta(minutes=5)
USUAL_LIFE = timedelta(hours=1)
DAY_SECONDS = 86400
LIMIT = 8
"""Token requests per WINDOW; Zoho blocks after ten."""
WINDOW = timedelta(minutes=10)
PAUSE = timedelta(minutes=10)
TOTAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves to Zoho who mailcfg is."""

    client_id: str
    client_secret: SecretStr
    refresh_token: SecretStr


@dataclass(frozen=True, slots=True)
class AccessToken:
    """`scopes` is None where Zoho did not say which were granted."""

    secret: SecretStr
    refresh_at: datetime
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TokenState:
    """Everything that must be shared by those who use one refresh token."""

    token: AccessToken | None = None
    requests: tuple[datetime, ...] = ()
    paused_until: datetime | None = None


class TokenStore(Protocol):
    """Where the token state is kept."""

    async def load(self) -> TokenState: ...

    async def save(self, state: TokenState) -> None: ...


class MemoryTokenStore:
    """`TokenStore` for one process."""

    def __init__(self) -> None:
        self._state = TokenState()

    async def load(self) -> TokenState:
        return self._state

    async def save(self, state: TokenState) -> None:
        self._state = state


class ZohoAuth(httpx.Auth):
    """Puts a valid access token on each request, and drops one that the API refuses.

    It never repeats a request: whoever sent it decides that, since every repetition counts against
    the API's limit. After a 401 the next request carries a new token. Zoho's scheme is `Bearer`;
    `Zoho-oauthtoken` is its older name.
    """

    requires_response_body = True

    def __init__(
        self,
        accounts_url: str,
        credentials: Credentials,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        store: TokenStore | None = None,
        scheme: str = "Bearer",
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._url = f"{accounts_url}/oauth/v2/token"
        self._credentials = credentials
        self._http = http
        self._clock = clock
        self._store = store or MemoryTokenStore()
        self._scheme = scheme
        self._total_seconds = total_seconds
        self._refreshing = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self.token()
        request.headers["Authorization"] = f"{self._scheme} {token.secret.get_secret_value()}"
        response = yield request
        if response.status_code == 401:
            body = await response.aread()
            answer = Answer(request.method, response.status_code, response.headers, body)
            if not is_scope_problem(answer):
                await self._drop(token)

    async def token(self) -> AccessToken:
        """The shared token, renewed when it is about to end. Raises OAuthError."""
        state = await self._store.load()
        if state.token is not None and self._clock.now() < state.token.refresh_at:
            return state.token
        async with self._refreshing:
            state = await self._store.load()
            if state.token is not None and self._clock.now() < state.token.refresh_at:
                return state.token
            return await self._refresh(state)

    async def _drop(self, refused: AccessToken) -> None:
        """Forget the token that failed, unless another call has put a new one in its place."""
        state = await self._store.load()
        if state.token == refused:
            await self._store.save(replace(state, token=None))

    async def _refresh(self, state: TokenState) -> AccessToken:
        state = self._admit(state)
        await self._store.save(state)
        try:
            token = read_token(*await self._ask(), now=self._clock.now())
        except OAuthThrottled as error:
            await self._store.save(replace(state, paused_until=error.retry_at))
            raise
        await self._store.save(replace(state, token=token))
        return token

    def _admit(self, state: TokenState) -> TokenState:
        """The state with one more request in it. Raises OAuthThrottled."""
        now = self._clock.now()
        if state.paused_until is not None and now < state.paused_until:
            raise OAuthThrottled(retry_at=state.paused_until)
        recent = tuple(at for at in state.requests if now - at < WINDOW)
        if len(recent) >= LIMIT:
            raise OAuthThrottled(retry_at=recent[-LIMIT] + WINDOW)
        return replace(state, requests=(*recent, now))

    async def _ask(self) -> tuple[int, bytes]:
        form = {
            "grant_type": "refresh_token",
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret.get_secret_value(),
            "refresh_token": self._credentials.refresh_token.get_secret_value(),
        }
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._total_seconds):
                response = await self._http.request(
                    "POST",
                    self._url,
                    data=form,
                    auth=None,
                    follow_redirects=False,
                    timeout=self._total_seconds,
                )
        except (httpx.HTTPError, TimeoutError) as error:
            log.info("token request", error=type(error).__name__, ms=_ms_since(started))
            raise OAuthUnavailable from error
        log.info("token request", status=response.status_code, ms=_ms_since(started))
        return response.status_code, response.content


def _ms_since(started: float) -> int:
    return round(1000 * (time.monotonic() - started))


def read_token(status: int, body: bytes, *, now: datetime) -> AccessToken:
    """The token in an answer of the accounts server; its errors come with status 200, too.

    Raises OAuthError: judged by `error`, never by `error_description`, which is localised.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OAuthUnavailable from error
    if not isinstance(fields, dict):
        raise OAuthUnavailable
    secret = fields.get("access_token")
    if 200 <= status < 300 and isinstance(secret, str) and _is_token(secret):
        life = _life(fields.get("expires_in"))
        refresh_at = now + max(life - REFRESH_EARLY, life / 2)
        return AccessToken(SecretStr(secret), refresh_at, _scopes(fields.get("scope")))
    raise _refusal(status, str(fields.get("error", "")), now)


def _refusal(status: int, error: str, now: datetime) -> OAuthError:
    word = error.strip().lower()
    if status == 429 or word == "access denied":
        return OAuthThrottled(retry_at=now + PAUSE)
    if word == "invalid_code":
        return ReauthRequired(error=error)
    if word in {"invalid_client", "invalid_client_secret", "invalid_redirect_uri"}:
        return OAuthConfigError(error=error)
    return OAuthUnavailable(error=error or None)


def _is_token(text: str) -> bool:
    """Fit for a header: visible ASCII characters only."""
    return bool(text) and all("!" <= character <= "~" for character in text)


def _life(expires_in: Any) -> timedelta:
    """Seconds; more than a day of them are milliseconds, as very old answers had it."""
    try:
        seconds = float(expires_in)
        seconds = seconds / 1000 if seconds > DAY_SECONDS else seconds
        return timedelta(seconds=min(max(seconds, 0), DAY_SECONDS))
    except (TypeError, ValueError, OverflowError):
        return USUAL_LIFE


def _scopes(scope: Any) -> frozenset[str] | None:
    if not isinstance(scope, str) or not scope.strip():
        return None
    return frozenset(scope.replace(",", " ").split())
