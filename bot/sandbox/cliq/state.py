"""What the emulated Zoho remembers: organisations, people, clients, tokens, keys and its DNS zone.

Values are frozen; `State` holds them by id, is plain JSON when dumped, and starts as `seed` says.
How calls are checked and what they do is the other files' business.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bot.sandbox.cliq.profile import Switches
from bot.sandbox.cliq.throttle import Throttle

TOKEN_LIFE = timedelta(seconds=3600)
CODE_LIFE = timedelta(minutes=2)
LIVE_TOKENS = 10
"""Access tokens of one refresh token that live at a time; one more, and the oldest dies."""
SCOPES = tuple(f"ZohoCliq.Organisation.{right}" for right in ("READ", "UPDATE", "DELETE"))
ALL_SCOPE = "ZohoCliq.Organisation.ALL"
ORGANISATION = "acme"
ADMIN = "admin"


class Role(StrEnum):
    MEMBER = "member"
    CLIQ_ADMIN = "cliq_admin"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A custom sender. Kept as text, so that a forced `dkim_value` need not be a real key."""

    email_id: str
    name: str
    cname_status: str
    dkim_status: str
    dkim_host: str
    dkim_value: str

    @property
    def domain(self) -> str:
        return domain_of(self.email_id)


def domain_of(email_id: str) -> str:
    """The domain of an address, as DNS compares it: lower case, international labels encoded."""
    domain = email_id.rpartition("@")[2].lower()
    try:
        return domain.encode("idna").decode()
    except UnicodeError:
        return domain


def dns_name(name: str) -> str:
    """A name as the zone keeps it: lower case, no final dot."""
    return name.lower().removesuffix(".")


@dataclass(frozen=True, slots=True)
class Organisation:
    id: str
    configuration: Configuration | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A Zoho user. `organisation` None is somebody who belongs to none."""

    id: str
    organisation: str | None
    role: Role
    active: bool = True


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    secret: str


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """`window_start` and `requests` count token requests: ten in the ten minutes from the first."""

    token: str
    client: str
    user: str
    scopes: tuple[str, ...]
    window_start: datetime | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """`refresh_token` None is one given out by hand, which no refresh pushes out."""

    token: str
    user: str
    scopes: tuple[str, ...]
    expires_at: datetime
    refresh_token: str | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """A grant code, good once and for two minutes; `redirect_uri` None is a self client's."""

    code: str
    client: str
    user: str
    scopes: tuple[str, ...]
    expires_at: datetime
    redirect_uri: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client of the emulator is given: all of one full Admin."""

    client_id: str
    client_secret: str
    refresh_token: str
    access_token: str

    @classmethod
    def fresh(cls) -> Credentials:
        return cls(
            client_id=f"1000.{secrets.token_hex(15).upper()}",
            client_secret=secrets.token_hex(21),
            refresh_token=new_token(),
            access_token=new_token(),
        )


def new_token() -> str:
    """A token in Zoho's shape."""
    return f"1000.{secrets.token_hex(16)}.{secrets.token_hex(16)}"


@dataclass
class State:
    """Everything that outlives a call. `zone` maps a lower-case name to its TXT values."""

    credentials: Credentials
    profile: str = "documented"
    switches: Switches = field(default_factory=Switches)
    organisations: dict[str, Organisation] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """Private keys as PEM by `dkim_host`, those no longer in use included."""
    zone: dict[str, list[str]] = field(default_factory=dict)
    throttle: Throttle = field(default_factory=Throttle)

    def dump(self) -> dict[str, Any]:
        dumped: dict[str, Any] = TypeAdapter(State).dump_python(self, mode="json")
        return dumped

    @classmethod
    def loaded(cls, dumped: dict[str, Any]) -> State:
        """The inverse of `dump`. Raises ValueError if this is no dump."""
        try:
            return TypeAdapter(State).validate_python(dumped)
        except ValidationError as error:
            raise ValueError(f"this is no state of the emulated Cliq: {error}") from error

    def become(self, other: State) -> None:
        """Take over everything of `other`, so that whoever holds this state goes on with it."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    def live_token(self, token: str, now: datetime) -> AccessToken | None:
        found = self.access_tokens.get(token)
        return found if found is not None and found.expires_at > now else None

    def issue_access_token(
        self,
        user: str,
        scopes: Sequence[str],
        now: datetime,
        refresh_token: str | None = None,
    ) -> AccessToken:
        """A new access token; where one refresh token has too many, its oldest dies."""
        token = AccessToken(new_token(), user, tuple(scopes), now + TOKEN_LIFE, refresh_token)
        self.access_tokens = {k: t for k, t in self.access_tokens.items() if t.expires_at > now}
        self.access_tokens[token.token] = token
        if refresh_token is not None:
            siblings = [
                k for k, t in self.access_tokens.items() if t.refresh_token == refresh_token
            ]
            for oldest in siblings[:-LIVE_TOKENS]:
                del self.access_tokens[oldest]
        return token

    def issue_code(
        self, user: str, scopes: Sequence[str], now: datetime, redirect_uri: str | None = None
    ) -> Code:
        client = self.credentials.client_id
        code = Code(new_token(), client, user, tuple(scopes), now + CODE_LIFE, redirect_uri)
        self.codes[code.code] = code
        return code

    def revoke(self, token: str) -> bool:
        """Kill an access token, or a refresh token with its access tokens. False if unknown."""
        if self.access_tokens.pop(token, None) is not None:
            return True
        if self.refresh_tokens.pop(token, None) is None:
            return False
        kept = {k: t for k, t in self.access_tokens.items() if t.refresh_token != token}
        self.access_tokens = kept
        return True

    def configuration(self) -> Configuration | None:
        return self.organisations[ORGANISATION].configuration

    def configure(self, configuration: Configuration | None) -> None:
        before = self.organisations[ORGANISATION]
        self.organisations[ORGANISATION] = replace(before, configuration=configuration)

    def new_dkim_host(self, domain: str, now: datetime) -> str:
        """A host under a selector never used before: the time in milliseconds, or the next free."""
        used = {host.partition(".")[0] for host in self.keys}
        selector = round(now.timestamp() * 1000)
        while str(selector) in used:
            selector += 1
        return f"{selector}._domainkey.{domain}"


def seed(credentials: Credentials, *, profile: str, switches: Switches, now: datetime) -> State:
    """Organisation "acme" with a user of every kind, and a client of one full Admin.

    Its custom sender is not among these: that needs a key.
    """
    state = State(credentials=credentials, profile=profile, switches=switches)
    state.organisations[ORGANISATION] = Organisation(ORGANISATION)
    state.users = {user.id: user for user in SEED_USERS}
    client = Client(credentials.client_id, credentials.client_secret)
    state.clients[client.id] = client
    state.refresh_tokens[credentials.refresh_token] = RefreshToken(
        credentials.refresh_token, credentials.client_id, ADMIN, SCOPES
    )
    state.access_tokens[credentials.access_token] = AccessToken(
        credentials.access_token, ADMIN, SCOPES, now + TOKEN_LIFE
    )
    return state


SEED_USERS = (
    User(ADMIN, ORGANISATION, Role.ADMIN),
    User("cliq_admin", ORGANISATION, Role.CLIQ_ADMIN),
    User("member", ORGANISATION, Role.MEMBER),
    User("inactive", ORGANISATION, Role.ADMIN, active=False),
    User("outsider", None, Role.ADMIN),
)
