"""The one access token that all calls of an organisation share, and its renewal by one of them.

Whoever finds it about to end takes the lease upon it, within a process and among several; the others
wait and look again. What may be asked for when is `domain/token`'s business, asking is `accounts`'s.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
from pydantic import SecretStr

from bot.adapters.cliq.accounts import TOTAL_SECONDS, AccountsServer, Credentials
from bot.adapters.cliq.memory import InMemory
from bot.domain.token import AccessToken, TokenState
from bot.errors import NotConnected, OAuthError, OAuthUnavailable, OtherCredentials
from bot.ports import Clock, Shared

POLL_SECONDS = 0.25
"""How often whoever waits for another's renewal looks again."""
SLACK_SECONDS = 5.0
"""What storing the answer may take on top of getting it."""

SEALED = (
    "The stored refresh token cannot be decrypted: if MAILCFG_SECRET_KEY was changed, add the old "
    "key at the end of its list; else run `mailcfg connect --code 1000.…` anew."
)


class ZohoAuth:
    """Access tokens for one organisation's calls.

    It never repeats a call: after a 401 the caller reports the token with `drop`, and the next
    `token` is a new one. `shared` is where the token is kept: in the database one token serves every
    process.
    """

    def __init__(
        self,
        accounts_url: str,
        credentials: Credentials,
        http: httpx.AsyncClient,
        clock: Clock,
        *,
        shared: Shared[TokenState] | None = None,
        total_seconds: float = TOTAL_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._credentials = credentials
        self._accounts = AccountsServer(
            accounts_url, credentials, http, clock, total_seconds=total_seconds
        )
        self._clock = clock
        self._shared = shared or InMemory(TokenState())
        self._sleep = sleep
        self._owner = secrets.token_hex(8)
        self._lease = timedelta(seconds=total_seconds + SLACK_SECONDS)
        self._one_at_a_time = asyncio.Lock()
        self._failure: OAuthUnavailable | None = None

    def header(self, token: AccessToken) -> str:
        """The value of the Authorization header."""
        return f"Bearer {token.secret.get_secret_value()}"

    async def check(self) -> None:
        """Whether these credentials are fit to begin with; nothing is asked of Zoho.

        Raises NotConnected, OtherCredentials.
        """
        self._refresh_token(await self._shared.read())

    async def token(self) -> AccessToken:
        """The shared token, renewed when it is about to end. Raises OAuthError."""
        token = self._fresh(await self._shared.read())
        if token is not None:
            return token
        before = self._failure
        async with self._one_at_a_time:
            if self._failure is not None and self._failure is not before:
                raise OAuthUnavailable(error=self._failure.error)  # it was asked for us, too
            try:
                return await self._renewed()
            except OAuthUnavailable as failure:
                self._failure = OAuthUnavailable(error=failure.error)
                raise

    async def drop(self, refused: AccessToken) -> None:
        """Forget the token that failed, unless another call has put a new one in its place."""
        await self._shared.change(lambda state: state.without(refused))

    async def _renewed(self) -> AccessToken:
        """By us, or by the process that holds the lease; if that one dies, by us after all."""
        for _ in range(1 + int(self._lease.total_seconds() / POLL_SECONDS)):
            state = await self._shared.change(self._take_turn)
            token = self._fresh(state)
            if token is not None:
                return token
            if state.owner == self._owner:
                return await self._refresh(state)
            await self._sleep(POLL_SECONDS)
        raise OAuthUnavailable

    def _take_turn(self, state: TokenState) -> TokenState:
        now = self._clock.now()
        if self._fresh(state) is not None or state.is_held_by_another(self._owner, now):
            return state
        return state.claim(self._owner, self._grant(state), now, now + self._lease)

    async def _refresh(self, state: TokenState) -> AccessToken:
        grant, owner = state.grant, self._owner
        try:
            token = await self._accounts.refresh(self._refresh_token(state))
        except OAuthError as error:
            now, refused = self._clock.now(), error
            await self._shared.change(lambda state: state.refused(refused, grant, now, owner))
            raise
        client = self._credentials.client
        await self._shared.change(lambda state: state.got(token, grant, client, owner))
        return token

    def _fresh(self, state: TokenState) -> AccessToken | None:
        return state.fresh(self._grant(state), self._clock.now())

    def _grant(self, state: TokenState) -> str:
        return self._credentials.grant(self._refresh_token(state))

    def _refresh_token(self, state: TokenState) -> SecretStr:
        """The one of the settings, else the stored one. Raises NotConnected, OtherCredentials."""
        if state.pinned and state.pinned != self._credentials.client:
            raise OtherCredentials
        found = self._credentials.refresh_token or state.refresh_token
        if found is None:
            raise NotConnected(sentence=SEALED if state.is_sealed else None)
        return found
