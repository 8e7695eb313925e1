"""Zoho's accounts server: a refresh token for a grant code, an access token for a refresh token.

One request at each call, never repeated. Its errors usually come with status 200; they are judged by
`error`, never by `error_description`, which is localised. Secrets travel in the body, so that no log
of addresses gets them. Source: https://zoho.com/accounts/protocol/oauth.html.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx
import structlog
from pydantic import SecretStr

from bot.domain.timing import CALL_TIMEOUT
from bot.domain.token import PAUSE, AccessToken
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
TOTAL_SECONDS = CALL_TIMEOUT.total_seconds()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves to Zoho who mailcfg is.

    Without `refresh_token` the stored one is used. `home` says where the client is at home: the data
    centre, and the external network if there is one.
    """

    client_id: str
    client_secret: SecretStr
    refresh_token: SecretStr | None = None
    home: str = ""

    @property
    def client(self) -> str:
        """A fingerprint that stays the same when secrets are replaced."""
        return _fingerprint(self.home, self.client_id)

    def grant(self, refresh_token: SecretStr) -> str:
        """A fingerprint of everything that a token request carries."""
        secrets = (self.client_secret, refresh_token)
        return _fingerprint(self.client, *(secret.get_secret_value() for secret in secrets))


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Granted:
    """What a grant code is exchanged for."""

    refresh_token: SecretStr
    token: AccessToken


class AccountsServer:
    """The token endpoint of one data centre; `total_seconds` bounds each request as a whole."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._url = f"{url}/oauth/v2/token"
        self._credentials = credentials
        self._http = http
        self._clock = clock
        self.total_seconds = total_seconds

    async def refresh(self, refresh_token: SecretStr) -> AccessToken:
        """Raises OAuthError."""
        secret = refresh_token.get_secret_value()
        answer = await self._ask(grant_type="refresh_token", refresh_token=secret)
        return read_token(*answer, now=self._clock.now())

    async def exchange(self, code: SecretStr) -> Granted:
        """A self client's code, which is good once and for minutes. Raises OAuthError."""
        answer = await self._ask(grant_type="authorization_code", code=code.get_secret_value())
        return read_grant(*answer, now=self._clock.now())

    async def _ask(self, **form: str) -> tuple[int, bytes]:
        secret = self._credentials.client_secret.get_secret_value()
        form |= {"client_id": self._credentials.client_id, "client_secret": secret}
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.total_seconds):
                response = await self._http.request(
                    "POST",
                    self._url,
                    data=form,
                    auth=None,
                    follow_redirects=False,
                    timeout=self.total_seconds,
                )
        except (httpx.HTTPError, TimeoutError) as error:
            log.info("token request", error=type(error).__name__, ms=_ms_since(started))
            raise OAuthUnavailable from error
        log.info("token request", status=response.status_code, ms=_ms_since(started))
        return response.status_code, response.content


def _ms_since(started: float) -> int:
    return round(1000 * (time.monotonic() - started))


def read_token(status: int, body: bytes, *, now: datetime) -> AccessToken:
    """The access token in an answer. Raises OAuthError."""
    if status == 429:  # whatever else it says, if anything
        raise OAuthThrottled(retry_at=now + PAUSE)
    fields = _fields(body)
    secret = fields.get("access_token")
    if 200 <= status < 300 and _is_token(secret):
        life = _life(fields.get("expires_in"))
        refresh_at = now + max(life - REFRESH_EARLY, life / 2)
        return AccessToken(SecretStr(str(secret)), refresh_at, _scopes(fields.get("scope")))
    raise _refusal(str(fields.get("error", "")), now)


def read_grant(status: int, body: bytes, *, now: datetime) -> Granted:
    """The tokens in the answer to an exchange. Raises OAuthError, also without a refresh token."""
    token = read_token(status, body, now=now)
    refresh_token = _fields(body).get("refresh_token")
    if not _is_token(refresh_token):
        raise OAuthUnavailable(sentence=GRANTED_FOR_ONCE)
    return Granted(SecretStr(str(refresh_token)), token)


GRANTED_FOR_ONCE = (
    "Zoho gave no refresh token for this code, so nothing was stored: make the code with the self "
    "client of Zoho's API console, which asks for offline access by itself."
)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OAuthUnavailable from error
    if not isinstance(fields, dict):
        raise OAuthUnavailable
    return fields


def _refusal(error: str, now: datetime) -> OAuthError:
    word = error.strip().lower()
    if word == "access denied":
        return OAuthThrottled(retry_at=now + PAUSE)
    if word == "invalid_code":
        return ReauthRequired(error=error)
    if word in {"invalid_client", "invalid_client_secret", "invalid_redirect_uri"}:
        return OAuthConfigError(error=error)
    return OAuthUnavailable(error=error or None)


def _is_token(text: object) -> bool:
    """Fit for a header: visible ASCII characters only."""
    return isinstance(text, str) and bool(text) and all("!" <= each <= "~" for each in text)


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
