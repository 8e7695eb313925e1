"""Authorising mailcfg at Zoho: from a self client's grant code to a stored refresh token.

Nothing is stored that would not work: the scopes that were granted are looked at first. A refresh
token in the settings comes before the stored one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from pydantic import SecretStr

from bot.adapters.cliq.accounts import AccountsServer, Credentials
from bot.adapters.cliq.answers import ALL_SCOPES, SCOPES
from bot.adapters.cliq.oauth import SEALED, SLACK_SECONDS
from bot.domain.token import AccessToken, TokenState
from bot.errors import CodeRefused, NotConnected, OAuthThrottled, ReauthRequired, ScopesMissing
from bot.ports import Clock, Shared


@dataclass(frozen=True, slots=True)
class Connected:
    """What was done: `is_stored` a new refresh token, which `is_overruled` by one in the settings."""

    scopes: frozenset[str] | None
    is_stored: bool
    is_overruled: bool

    def report(self, org: str) -> Iterator[str]:
        """What was done and what to do next, a sentence or two a line."""
        if self.is_stored:
            yield f"Connected. The refresh token is stored for the organisation {org}, encrypted."
        else:
            yield f"Zoho accepts the credentials as they are set; they now count for {org}."
        yield self._granted()
        if self.is_stored and self.is_overruled:
            yield (
                "But ZOHO_REFRESH_TOKEN is set and comes first: take it out of the settings, then "
                "restart `mailcfg run`."
            )
        else:
            yield (
                "Next: ask `mailcfg doctor`, then start `mailcfg run`; one that runs already goes on "
                "by itself."
            )

    def _granted(self) -> str:
        if self.scopes is None:
            return (
                "Zoho did not say which scopes it granted; it should be "
                f"{','.join(SCOPES.values())}."
            )
        return f"Granted: {', '.join(sorted(self.scopes))}."


async def connect_anew(
    code: SecretStr,
    credentials: Credentials,
    accounts: AccountsServer,
    shared: Shared[TokenState],
    *,
    only_look: bool = False,
) -> Connected:
    """Exchange the code and store what comes of it; `only_look` needs the right to read alone.

    Raises CodeRefused, ScopesMissing, OAuthError, DatabaseError.
    """
    try:
        granted = await accounts.exchange(code)
    except ReauthRequired as error:
        raise CodeRefused(error=error.error) from error
    _check_scopes(granted.token, only_look)
    new, is_overruled = granted.refresh_token, credentials.refresh_token is not None
    grant = credentials.grant(credentials.refresh_token or new)
    token = None if is_overruled else granted.token
    await shared.change(lambda state: state.connected(new, token, grant, credentials.client))
    return Connected(granted.token.scopes, is_stored=True, is_overruled=is_overruled)


async def connect_as_set(
    credentials: Credentials,
    accounts: AccountsServer,
    shared: Shared[TokenState],
    clock: Clock,
    *,
    only_look: bool = False,
) -> Connected:
    """Try the refresh token that there is, and have its client count from now on.

    Raises NotConnected, ScopesMissing, OAuthError, DatabaseError.
    """
    stored = await shared.read()
    refresh_token = credentials.refresh_token or stored.refresh_token
    if refresh_token is None:
        raise NotConnected(sentence=SEALED if stored.is_sealed else None)
    owner, grant = secrets.token_hex(8), credentials.grant(refresh_token)
    lease = timedelta(seconds=accounts.total_seconds + SLACK_SECONDS)

    def claim(state: TokenState) -> TokenState:
        now = clock.now()
        return state.claim(owner, grant, now, now + lease)

    await shared.change(claim)
    try:
        token = await accounts.refresh(refresh_token)
        _check_scopes(token, only_look)
    except OAuthThrottled as error:
        now, throttled = clock.now(), error
        await shared.change(lambda state: state.refused(throttled, grant, now, owner))
        raise
    except BaseException:
        await shared.change(lambda state: state.released(owner))
        raise
    client = credentials.client
    await shared.change(lambda state: state.confirmed(token, grant, client, owner))
    is_overruled = credentials.refresh_token is not None
    return Connected(token.scopes, is_stored=False, is_overruled=is_overruled)


def _check_scopes(token: AccessToken, only_look: bool) -> None:
    """Raises ScopesMissing. Where Zoho does not say what it granted, the first call will show."""
    needed = [SCOPES["GET"]] if only_look else list(SCOPES.values())
    granted = token.scopes
    if granted is None or ALL_SCOPES in granted:
        return
    missing = [scope for scope in needed if scope not in granted]
    if missing:
        raise ScopesMissing(missing, needed)
