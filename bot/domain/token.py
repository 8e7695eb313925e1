"""The access token that everybody shares, and when another may be asked for.

Zoho gives ten tokens per ten minutes and refresh token, and keeps about ten alive: so one is kept,
one process at a time renews it, and a limit of our own stays below theirs. Source:
https://zoho.com/accounts/protocol/oauth/token-limits.html.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import SecretStr

from bot.errors import OAuthConfigError, OAuthError, OAuthThrottled, ReauthRequired

LIMIT = 8
"""Token requests per WINDOW; Zoho blocks after ten."""
WINDOW = timedelta(minutes=10)
PAUSE = timedelta(minutes=10)
"""How long nothing is asked after a refusal that asking again would not change."""

_PAUSES: dict[str, type[OAuthError]] = {"reauth": ReauthRequired, "config": OAuthConfigError}


@dataclass(frozen=True, slots=True)
class AccessToken:
    """`scopes` is None where Zoho did not say which were granted."""

    secret: SecretStr
    refresh_at: datetime
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class TokenState:
    """Everything that is shared by those who work for one organisation.

    `refresh_token` is the stored one; `is_sealed` says that there is one which no listed key opens. `grant`
    stands for the client and the refresh token that `token` and the pause belong to, `pinned` for the
    client that this organisation was used with first. While `owner` holds the lease, others wait.
    """

    token: AccessToken | None = None
    refresh_token: SecretStr | None = None
    is_sealed: bool = False
    grant: str = ""
    pinned: str = ""
    requests: tuple[datetime, ...] = ()
    paused_until: datetime | None = None
    paused_for: str = ""
    owner: str = ""
    until: datetime | None = None

    def fresh(self, grant: str, now: datetime) -> AccessToken | None:
        """The token, if it belongs to this grant and is not about to end."""
        if self.token is None or self.grant != grant or now >= self.token.refresh_at:
            return None
        return self.token

    def is_held_by_another(self, owner: str, now: datetime) -> bool:
        held = self.until is not None and now < self.until
        return held and self.owner != owner

    def claim(self, owner: str, grant: str, now: datetime, until: datetime) -> TokenState:
        """With one token request more, which is `owner`'s until then.

        Raises OAuthThrottled at our limit, and during a pause what it was made for. Another grant
        ends the pause, but the requests count all the same.
        """
        mine = self._under(grant)
        _check_pause(mine, now)
        recent = tuple(at for at in mine.requests if now - at < WINDOW)
        if len(recent) >= LIMIT:
            raise OAuthThrottled(retry_at=recent[-LIMIT] + WINDOW, is_our_limit=True)
        return replace(mine, requests=(*recent, now), owner=owner, until=until)

    def got(self, token: AccessToken, grant: str, client: str, owner: str) -> TokenState:
        """`owner`'s request was answered with a token; the first one pins the client."""
        free = self.released(owner)
        if self.grant != grant:  # somebody has connected anew meanwhile
            return free
        return replace(free, token=token, pinned=self.pinned or client)

    def refused(self, error: OAuthError, grant: str, now: datetime, owner: str) -> TokenState:
        """`owner`'s request was answered with an error; some are not asked for again for a while."""
        free = self.released(owner)
        if self.grant != grant:
            return free
        if isinstance(error, OAuthThrottled):
            return replace(free, paused_until=error.retry_at, paused_for="throttled")
        for word, kind in _PAUSES.items():
            if isinstance(error, kind):
                return replace(free, paused_until=now + PAUSE, paused_for=word)
        return free

    def released(self, owner: str) -> TokenState:
        """Held by `owner` no longer; the lease of whoever took over from it stays."""
        return replace(self, owner="", until=None) if self.owner == owner else self

    def without(self, refused: AccessToken) -> TokenState:
        """Forget a token that the API refused, unless another has taken its place.

        Told apart by the secret: the store keeps times in whole milliseconds.
        """
        if self.token is None or self.token.secret != refused.secret:
            return self
        return replace(self, token=None)

    def connected(
        self, refresh_token: SecretStr, token: AccessToken | None, grant: str, client: str
    ) -> TokenState:
        """Somebody authorised mailcfg anew: from now on with this client and refresh token."""
        anew = replace(self._under(grant), refresh_token=refresh_token, is_sealed=False)
        return replace(anew, owner="", until=None, token=token, pinned=client)

    def confirmed(self, token: AccessToken, grant: str, client: str, owner: str) -> TokenState:
        """Somebody says that this client is meant, and Zoho has given it a token."""
        return replace(self._under(grant).released(owner), token=token, pinned=client)

    def _under(self, grant: str) -> TokenState:
        if self.grant == grant:
            return self
        return replace(self, grant=grant, token=None, paused_until=None, paused_for="")


def _check_pause(state: TokenState, now: datetime) -> None:
    if state.paused_until is None or now >= state.paused_until:
        return
    if state.paused_for in _PAUSES:
        raise _PAUSES[state.paused_for]()
    raise OAuthThrottled(retry_at=state.paused_until)
