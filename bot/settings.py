"""Every knob: its environment variable, default and meaning. Read once, by whoever builds the app.

Values come from the environment, then `.env`, then a directory of secret files (one file a
variable). What an organisation is made of is filled as the domain has it, and its defaults are the
domain's own. Faults are collected, one line each: which variable, what is wrong, how to mend it.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import MISSING, dataclass, fields
from datetime import time, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    SecretStr,
    ValidationError,
    create_model,
    model_validator,
)
from pydantic_core import CoreSchema
from pydantic_core import core_schema as schemas
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.domain.alert import Parameters
from bot.domain.organisation import Channels, Organisation
from bot.domain.policy import Policy
from bot.domain.reminders import QuietHours, Reminders
from bot.errors import SettingsError

DATABASE = "sqlite+aiosqlite:///mailcfg.db"
SECRETS_DIR = Path("/run/secrets")

_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}


def read_span(value: Any) -> Any:
    """`500ms`, `90s`, `15m`, `24h` or `2d` as a timedelta; raises ValueError."""
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"(\d+)\s*(ms|[smhd])", str(value).strip().lower())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"`{value}` is no duration; write it like 500ms, 90s, 15m or 24h")
    return int(match[1]) * _UNITS[match[2]]


def read_seconds(value: Any) -> Any:
    """The same in whole seconds, as rules are stored and sealed; raises ValueError."""
    span = read_span(value)
    if span % _UNITS["s"]:
        raise ValueError(f"`{value}` has a part of a second; write it like 90s, 15m or 24h")
    return span


NEVER = "never"


def read_moment(value: Any) -> Any:
    """A duration, or `never`, which is None; raises ValueError."""
    return None if value == NEVER else read_span(value)


def read_moments(value: Any) -> Any:
    """Comma-separated durations, or `never`, which is none of them; raises ValueError."""
    if not isinstance(value, str):
        return value
    return () if value == NEVER else tuple(read_span(word) for word in read_list(value))


def read_quiet_hours(value: Any) -> Any:
    """`22:00-07:00 Europe/Berlin` as QuietHours; raises ValueError."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,2}):(\d\d)\s*-\s*(\d{1,2}):(\d\d)\s+(\S+)", value.strip())
    wrong = f"`{value}` is no part of a day; write it like 22:00-07:00 Europe/Berlin"
    if match is None:
        raise ValueError(wrong)
    *clock, zone = match.groups()
    try:
        start, end = time(int(clock[0]), int(clock[1])), time(int(clock[2]), int(clock[3]))
    except ValueError as error:
        raise ValueError(wrong) from error
    if start == end:
        raise ValueError(f"`{value}` begins when it ends; write it like 22:00-07:00 Europe/Berlin")
    return QuietHours(start, end, read_zone(zone))


def read_zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"`{name}` is no time zone; write it like Europe/Berlin or UTC") from error


def read_list(value: Any) -> Any:
    """Comma-separated words."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def read_servers(value: Any) -> Any:
    """Comma-separated `ip` or `ip:port` (`[ipv6]:port`), as (ip, port) pairs; raises ValueError."""
    if not isinstance(value, str):
        return value
    return tuple(read_server(word) for word in read_list(value))


def read_server(word: str) -> tuple[str, int]:
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([0-9.]+))(?::(\d{1,5}))?", word)
    if match is None:
        raise ValueError(f"`{word}` is no server; write it like 192.0.2.53 or 192.0.2.53:5353")
    return match[1] or match[2], int(match[3] or 53)


def read_listen(value: Any) -> Any:
    """`host:port` as a pair; raises ValueError."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"`{value}` is no host:port; write it like 127.0.0.1:3000")
    return host.strip("[]"), int(port)


Span = Annotated[timedelta, BeforeValidator(read_span)]
Seconds = Annotated[timedelta, BeforeValidator(read_seconds)]
Words = Annotated[tuple[str, ...], BeforeValidator(read_list)]
Moment = Annotated[timedelta | None, BeforeValidator(read_moment)]
Moments = Annotated[tuple[timedelta, ...], BeforeValidator(read_moments)]
Quiet = Annotated[QuietHours | None, BeforeValidator(read_quiet_hours)]
Servers = Annotated[tuple[tuple[str, int], ...], BeforeValidator(read_servers)]
Address = Annotated[tuple[str, int], BeforeValidator(read_listen)]
DataCenter = Literal["us", "eu", "in", "au", "jp", "cn", "ca", "sa", "uk"]
Keys = Annotated[tuple[SecretStr, ...], BeforeValidator(read_list)]


@dataclass(frozen=True, slots=True)
class Knob:
    """The variable that says a field of a value of the domain: how it is read, and what it means."""

    variable: str
    kind: Any
    description: str


class Filled:
    """A value of the domain, some of whose fields have variables; the others stay at their defaults."""

    def __init__(self, **knobs: Knob) -> None:
        self.knobs = knobs

    def __get_pydantic_core_schema__(self, value: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        said = {
            name: schemas.typed_dict_field(
                handler.generate_schema(knob.kind),
                required=_default(value, name) is MISSING,
                validation_alias=knob.variable,
            )
            for name, knob in self.knobs.items()
        }
        return schemas.no_info_after_validator_function(
            lambda given: value(**given), schemas.typed_dict_schema(said)
        )


def _default(value: Any, name: str) -> Any:
    """What a field of a value of the domain is where nothing is said; MISSING if it must be said."""
    return next(field.default for field in fields(value) if field.name == name)


def knob(variable: str, description: str, default: Any = ..., *, in_repr: bool = True) -> Any:
    return Field(default, validation_alias=variable, description=description, repr=in_repr)


class Given(BaseModel):
    """Settings made from variables and what they say, by itself a function of these alone."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _hand_down(cls, said: Any) -> Any:
        """What has no variable of its own is filled from all of them."""
        filled = [name for name, field in cls.model_fields.items() if not field.validation_alias]
        return {**said, **dict.fromkeys(filled, said)}


WATCH_ONLY = Knob("MAILCFG_WATCH_ONLY", bool, "true: nobody can ask, mailcfg only watches.")
GONE = tuple(
    f"MAILCFG_{name}"
    for name in [
        "ALERT_CONFIRM_BAD",
        "ALERT_CONFIRM_WINDOW",
        "ALERT_RESOLVE_AFTER",
        "ALERT_UNKNOWN_AFTER",
        "ALERT_PENDING_GRACE",
        "ALERT_PROPAGATION_GRACE",
        "ALERT_FLAP_OPENS",
        "ALERT_FLAP_WINDOW",
        "ALERT_FLAP_QUIET",
        "PUBLISH_GRACE",
        "CALL_TIMEOUT",
        "QUIET",
        "MARGIN",
        "LEASE",
        "RETRY",
        "UNCERTAIN_FOR",
        "UNCERTAIN_ALERT",
        "SENDS",
        "MEMBERSHIP_CACHE",
        "SHUTDOWN_GRACE",
        "SLACK_PACE",
        "COMMIT_BUDGET",
    ]
)
"""Variables of earlier versions that mean nothing any more."""


def _gone_among(said: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(variable for variable in GONE if variable in said)


class Settings(Given):
    """All settings of `mailcfg run`."""

    slack_bot_token: SecretStr = knob(
        "SLACK_BOT_TOKEN", "The Bot User OAuth Token of your Slack app; it starts with xoxb-."
    )
    slack_app_token: SecretStr | None = knob(
        "SLACK_APP_TOKEN",
        "An app-level token with connections:write (xapp-…). Set: Socket Mode; unset: signed HTTP.",
        None,
    )
    slack_signing_secret: SecretStr | None = knob(
        "SLACK_SIGNING_SECRET",
        "The Signing Secret of your Slack app; needed for signed HTTP.",
        None,
    )
    slack_api_url: str = knob(
        "SLACK_API_URL", "Base address of Slack's Web API.", "https://slack.com/api/"
    )
    zoho_data_center: DataCenter = knob(
        "ZOHO_DATA_CENTER",
        "Where your Zoho account lives: us, eu, in, au, jp, cn, ca, sa or uk.",
        _default(Organisation, "data_center"),
    )
    zoho_client_id: str = knob("ZOHO_CLIENT_ID", "Client ID of the Zoho self client.")
    zoho_client_secret: SecretStr = knob(
        "ZOHO_CLIENT_SECRET", "Client Secret of the Zoho self client."
    )
    zoho_refresh_token: SecretStr | None = knob(
        "ZOHO_REFRESH_TOKEN",
        "Refresh token of a full Admin of the organisation (1000.…). Unset: the one that "
        "`mailcfg connect` has stored.",
        None,
    )
    zoho_accounts_url: str | None = knob(
        "ZOHO_ACCOUNTS_URL", "Overrides the accounts address of the data centre.", None
    )
    cliq_api_url: str | None = knob(
        "CLIQ_API_URL", "Overrides the Cliq address of the data centre.", None
    )
    listen: Address = knob(
        "MAILCFG_LISTEN",
        "host:port for health checks and for Slack over HTTP.",
        ("127.0.0.1", 3000),
    )
    database_url: str = knob(
        "MAILCFG_DATABASE_URL", "Where requests are kept.", DATABASE, in_repr=False
    )
    secret_key: Keys = knob(
        "MAILCFG_SECRET_KEY",
        "Seals approvals and encrypts stored tokens; 32 characters or more. A comma-separated list "
        "rotates: the first signs and encrypts, all verify and decrypt.",
    )
    policy: Annotated[
        Policy,
        Filled(
            approvers=Knob(
                "MAILCFG_APPROVERS",
                Words,
                "Slack user ids (U…) and usergroup ids (S…) that may approve and reject, comma-separated.",
            ),
            requesters=Knob(
                "MAILCFG_REQUESTERS",
                Words,
                "Slack user ids that may ask, comma-separated. Empty: approvers only; *: every full member.",
            ),
            watch_only=WATCH_ONLY,
            approvals=Knob("MAILCFG_APPROVALS", int, "Approvals that an ordinary change needs."),
            approvals_sensitive=Knob(
                "MAILCFG_APPROVALS_SENSITIVE",
                int,
                "Approvals that a new address, a reset or accepting a changed address needs.",
            ),
            approval_deadline=Knob(
                "MAILCFG_APPROVAL_DEADLINE", Seconds, "How long a request waits for approvals."
            ),
            apply_within=Knob(
                "MAILCFG_APPLY_WITHIN", Seconds, "How long after approval it may still be applied."
            ),
        ),
    ]
    channels: Annotated[
        Channels,
        Filled(
            approval=Knob("MAILCFG_APPROVAL_CHANNEL", str, "Channel id for request cards (C…)."),
            alert=Knob("MAILCFG_ALERT_CHANNEL", str, "Channel id for alerts (C…)."),
            fallback=Knob(
                "MAILCFG_FALLBACK_CHANNEL",
                str,
                "Channel id for what belongs in a channel that is gone. Unset: the other of the two.",
            ),
            notify=Knob(
                "MAILCFG_NOTIFY",
                Words,
                "Slack user and user group ids that each request card also mentions; it grants nothing.",
            ),
            escalate_to=Knob(
                "MAILCFG_ESCALATE_TO",
                Words,
                "Slack user and user group ids that the last reminder of MAILCFG_REMIND_AFTER mentions; it grants nothing.",
            ),
        ),
    ]
    reminders: Annotated[
        Reminders,
        Filled(
            after=Knob(
                "MAILCFG_REMIND_AFTER",
                Moments,
                "How long after it was asked a waiting request is remembered in its thread, comma-separated; or never.",
            ),
            before=Knob(
                "MAILCFG_REMIND_BEFORE",
                Moment,
                "How long before its deadline it is remembered once more; or never.",
            ),
            quiet=Knob(
                "MAILCFG_QUIET_HOURS",
                Quiet,
                "When nobody is reminded, such as 22:00-07:00 Europe/Berlin; deadlines stay as they are.",
            ),
        ),
    ]
    alerts: Annotated[
        Parameters,
        Filled(
            remind_every=Knob(
                "MAILCFG_ALERT_REMIND_EVERY",
                Span,
                "How long after its last message an alert that lasts is brought to mind.",
            ),
        ),
    ]
    check_every: Span = knob(
        "MAILCFG_CHECK_EVERY", "Time between two checks.", _default(Organisation, "check_every")
    )
    dns_servers: Servers = knob(
        "MAILCFG_DNS_SERVERS", "Resolvers, ip:port, comma-separated. Empty: the system's.", ()
    )
    dns_authoritative: Servers = knob(
        "MAILCFG_DNS_AUTHORITATIVE",
        "The zone's own servers, ip:port, comma-separated. Empty: they are found out.",
        (),
    )
    org: str = knob(
        "MAILCFG_ORG",
        "Name of the organisation in the database, which serves one alone.",
        "default",
    )
    label: str = knob(
        "MAILCFG_LABEL",
        "Name of this deployment, shown at the foot of cards.",
        _default(Organisation, "label"),
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = knob(
        "MAILCFG_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO"
    )
    log_format: Literal["console", "json"] = knob(
        "MAILCFG_LOG_FORMAT", "console for people, json for machines.", "console"
    )
    gone: Annotated[tuple[str, ...], BeforeValidator(_gone_among)]
    """What is still said though it means nothing any more."""

    def warnings(self) -> list[str]:
        """What an operator should know though nothing is wrong; one line each."""
        return [f"{variable} is no longer used: take it out." for variable in self.gone]

    def faults(self) -> list[str]:
        """What is impossible though each value is well formed; one line each."""
        return [
            *self._slack_faults(),
            *self._address_faults(),
            *self._people_faults(),
            *self._storage_faults(),
        ]

    def _slack_faults(self) -> Iterator[str]:
        if not self.slack_bot_token.get_secret_value().startswith("xoxb-"):
            yield "SLACK_BOT_TOKEN is no bot token: it must start with xoxb-."
        app_token = self.slack_app_token
        if app_token and not app_token.get_secret_value().startswith("xapp-"):
            yield (
                "SLACK_APP_TOKEN is no app-level token: it must start with xapp-. Leave it out for "
                "signed HTTP."
            )
        if app_token is None and self.slack_signing_secret is None:
            yield (
                "SLACK_APP_TOKEN or SLACK_SIGNING_SECRET is missing: set the first for Socket Mode, "
                "the second for signed HTTP."
            )
        channels = {"APPROVAL": self.channels.approval, "ALERT": self.channels.alert}
        if self.channels.fallback is not None:
            channels["FALLBACK"] = self.channels.fallback
        for name, channel in channels.items():
            if not re.fullmatch(r"[CG][A-Z0-9]{2,}", channel):
                yield (
                    f"MAILCFG_{name}_CHANNEL is `{channel}`: give the channel's id (C…), not its "
                    "name. Slack shows it at the foot of the channel's details."
                )

    def _address_faults(self) -> Iterator[str]:
        return _address_faults(
            SLACK_API_URL=self.slack_api_url,
            ZOHO_ACCOUNTS_URL=self.zoho_accounts_url,
            CLIQ_API_URL=self.cliq_api_url,
        )

    def _people_faults(self) -> Iterator[str]:
        for entry in self.policy.approvers:
            if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", entry):
                yield _no_id("MAILCFG_APPROVERS", entry, "user id (U…) or usergroup id (S…)")
        for user in self.policy.requesters:
            if user != "*" and not re.fullmatch(r"[UW][A-Z0-9]{2,}", user):
                yield _no_id("MAILCFG_REQUESTERS", user, "user id (U…)")
        yield from self._mention_faults()
        if not self.policy.watch_only:
            yield from self._quorum_faults()

    def _mention_faults(self) -> Iterator[str]:
        channels = self.channels
        mentioned = {
            "MAILCFG_NOTIFY": channels.notify,
            "MAILCFG_ESCALATE_TO": channels.escalate_to,
        }
        for name, ids in mentioned.items():
            for each in ids:
                if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", each):
                    yield f"{name} has `{each}`, which is no id of a Slack user (U…) or group (S…)."

    def _quorum_faults(self) -> Iterator[str]:
        policy = self.policy
        quorums = {
            "APPROVALS": policy.approvals,
            "APPROVALS_SENSITIVE": policy.approvals_sensitive,
        }
        for name, quorum in quorums.items():
            if quorum < 1:
                yield (
                    f"MAILCFG_{name} must be 1 or more: nothing is changed without a second person."
                )
        known, highest = len(set(policy.approvers)), policy.quorum(is_sensitive=True)
        if known == 0:
            yield (
                "MAILCFG_APPROVERS is missing: list the Slack user ids of those who may approve, "
                "or set MAILCFG_WATCH_ONLY=true."
            )
        elif known < highest and not policy.groups:
            yield (
                f"MAILCFG_APPROVERS has {known}, but a change can need {highest} "
                "approvals: add approvers, or lower MAILCFG_APPROVALS_SENSITIVE."
            )

    def _storage_faults(self) -> Iterator[str]:
        yield from _key_faults(self.secret_key)
        yield from _database_faults(self.database_url)


def _no_id(variable: str, entry: str, what: str) -> str:
    return (
        f"{variable} has `{entry}`, which is no Slack {what}. Everybody sees their own id in "
        "`/mailcfg help`."
    )


def _key_faults(keys: tuple[SecretStr, ...]) -> Iterator[str]:
    if not keys or any(len(key.get_secret_value()) < 32 for key in keys):
        yield (
            "MAILCFG_SECRET_KEY is too short: it needs 32 characters or more. `mailcfg init` "
            "makes one."
        )


def _database_faults(url: str) -> Iterator[str]:
    in_a_file = re.match(r"sqlite\+aiosqlite:///(?!:memory:)[^?]", url)
    if not in_a_file and not url.startswith("postgresql+psycopg://"):
        yield (
            "MAILCFG_DATABASE_URL must start with sqlite+aiosqlite:///, followed by a file "
            "name, or with postgresql+psycopg://."
        )


def _address_faults(**addresses: str | None) -> Iterator[str]:
    for name, address in addresses.items():
        if not address:
            continue
        if not _is_address(address):
            yield (
                f"{name} is `{address}`, which is no address: write it as https://host or "
                "https://host:443."
            )
        elif not _is_safe(address):
            yield (
                f"{name} is `{address}`: it must start with https:// (http:// is for this "
                "machine only), or tokens would travel in the open."
            )


def _is_address(text: str) -> bool:
    try:
        port = urlsplit(text).port
    except ValueError:
        return False
    return port != 0


def _is_safe(address: str) -> bool:
    url = urlsplit(address)
    return url.scheme == "https" or (url.scheme == "http" and _is_here(url.hostname or ""))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _as_above(field: str) -> Any:
    """The same variable with the same default and meaning as in `Settings`."""
    return copy(Settings.model_fields[field])


class StorageSettings(Given):
    """What a command needs that only looks into the database; the same variables, fewer of them."""

    database_url: str = _as_above("database_url")
    org: str = _as_above("org")
    secret_key: Keys = knob("MAILCFG_SECRET_KEY", "Seals approvals.", ())

    def faults(self) -> list[str]:
        """What is impossible though each value is well formed; one line each."""
        return [*_database_faults(self.database_url)]


class ZohoSettings(Given):
    """What is needed to reach Zoho and to store a token; Slack need not be set up yet."""

    zoho_data_center: DataCenter = _as_above("zoho_data_center")
    zoho_client_id: str = _as_above("zoho_client_id")
    zoho_client_secret: SecretStr = _as_above("zoho_client_secret")
    zoho_refresh_token: SecretStr | None = _as_above("zoho_refresh_token")
    zoho_accounts_url: str | None = _as_above("zoho_accounts_url")
    cliq_api_url: str | None = _as_above("cliq_api_url")
    database_url: str = _as_above("database_url")
    secret_key: Keys = _as_above("secret_key")
    policy: Annotated[Policy, Filled(watch_only=WATCH_ONLY)]
    org: str = _as_above("org")

    def faults(self) -> list[str]:
        """What is impossible though each value is well formed; one line each."""
        addresses = _address_faults(
            ZOHO_ACCOUNTS_URL=self.zoho_accounts_url, CLIQ_API_URL=self.cliq_api_url
        )
        return [
            *addresses,
            *_key_faults(self.secret_key),
            *_database_faults(self.database_url),
        ]


class CheckSettings(Given):
    """What `mailcfg check` needs when the sender is given to it: nothing, but servers may be named."""

    dns_servers: Servers = _as_above("dns_servers")
    dns_authoritative: Servers = _as_above("dns_authoritative")


class ApiSettings(Given):
    """What it needs to ask the API by itself, without a database."""

    zoho_data_center: DataCenter = _as_above("zoho_data_center")
    zoho_client_id: str = _as_above("zoho_client_id")
    zoho_client_secret: SecretStr = _as_above("zoho_client_secret")
    zoho_refresh_token: SecretStr = knob(
        "ZOHO_REFRESH_TOKEN", "Refresh token of a full Admin of the organisation (1000.…)."
    )
    zoho_accounts_url: str | None = _as_above("zoho_accounts_url")
    cliq_api_url: str | None = _as_above("cliq_api_url")


Checkable = TypeVar("Checkable", Settings, StorageSettings, ZohoSettings)
Outside = TypeVar("Outside", bound=Given)


def load(env_file: Path | None = Path(".env"), secrets_dir: Path = SECRETS_DIR) -> Settings:
    """The settings of this process. Raises SettingsError with every fault at once."""
    return _checked(_from_outside(Settings, env_file, secrets_dir))


@dataclass(frozen=True, slots=True)
class Partial:
    """Settings as far as they are right.

    `faults` is every fault, one line each. The variables in `wrong` hold no usable value: what
    depends on one of them must not be trusted.
    """

    settings: Settings
    faults: tuple[str, ...]
    wrong: frozenset[str]


def load_partly(env_file: Path | None = Path(".env"), secrets_dir: Path = SECRETS_DIR) -> Partial:
    """The settings of this process, with defaults or nothing at all for what is missing or wrong.

    Raises SettingsError only for a file that is no text.
    """
    return partly_from_values(_said(env_file, secrets_dir))


def partly_from_values(said: Mapping[str, str]) -> Partial:
    """The same from these variables and nothing else."""
    faults: dict[str, str] = {}
    try:
        settings = Settings.model_validate(said)
    except ValidationError as error:
        faults = {_variable(fault): _sentence(fault) for fault in error.errors()}
        right = {name: value for name, value in said.items() if name not in faults}
        nothing = {name: "" for name, (default, _) in _knobs().items() if default is MISSING}
        settings = Settings.model_validate(nothing | right)
    more = [fault for fault in settings.faults() if _named_in(fault) not in faults]
    wrong = frozenset(faults) | {_named_in(fault) for fault in more}
    return Partial(settings, (*faults.values(), *more), wrong)


def _named_in(fault: str) -> str:
    """Every fault begins with the variable that it is about."""
    return fault.partition(" ")[0]


def load_storage(env_file: Path | None = Path(".env")) -> StorageSettings:
    """The same for a command that needs the database only. Raises SettingsError."""
    return _checked(_from_outside(StorageSettings, env_file))


def load_check(env_file: Path | None = Path(".env")) -> CheckSettings:
    """The same for `mailcfg check`. Raises SettingsError."""
    return _from_outside(CheckSettings, env_file)


def load_api(env_file: Path | None = Path(".env")) -> ApiSettings:
    """The same where it asks the API by itself. Raises SettingsError."""
    return _from_outside(ApiSettings, env_file)


def load_zoho(env_file: Path | None = Path(".env")) -> ZohoSettings:
    """The same for a command that reaches Zoho only. Raises SettingsError."""
    return _checked(_from_outside(ZohoSettings, env_file))


def from_values(said: Mapping[str, str]) -> Settings:
    """The settings that these variables give, and nothing else. Raises SettingsError."""
    return _checked(_understood(Settings, said))


def _from_outside(
    kind: type[Outside], env_file: Path | None, secrets_dir: Path = SECRETS_DIR
) -> Outside:
    """From the environment, the file and the directory of secrets. Raises SettingsError."""
    said = _said(env_file, secrets_dir)
    try:
        return _understood(kind, said)
    except SettingsError as error:
        if env_file is None or env_file.exists():
            raise
        raise SettingsError([*error.faults, there_is_no(env_file)]) from error


def _said(env_file: Path | None, secrets_dir: Path) -> dict[str, str]:
    """What the variables say outside, as text. Raises SettingsError for a file that is no text."""
    folder = secrets_dir if secrets_dir.is_dir() else None
    try:
        outside = _outside()(_env_file=env_file, _secrets_dir=folder)
    except UnicodeDecodeError as error:
        raise SettingsError([f"{env_file} is not written in UTF-8: save it as that."]) from error
    return {name: text for name, text in outside if text}


@cache
def _outside() -> type[BaseSettings]:
    """Every variable there is or was, to be read as text."""
    config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)
    base = type("Outside", (BaseSettings,), {"model_config": config})
    names: dict[str, Any] = dict.fromkeys((*_knobs(), *GONE), (str, ""))
    return create_model("Said", __base__=base, **names)


def there_is_no(env_file: Path) -> str:
    return f"There is no {env_file} here; `mailcfg init` writes one."


def _understood(kind: type[Outside], said: Mapping[str, str]) -> Outside:
    try:
        return kind.model_validate(said)
    except ValidationError as error:
        raise SettingsError([_sentence(fault) for fault in error.errors()]) from error


def _checked(settings: Checkable) -> Checkable:
    faults = settings.faults()
    if faults:
        raise SettingsError(faults)
    return settings


def variables() -> dict[str, tuple[str, str]]:
    """Every variable with its default as people write it, and its sentence."""
    return {name: (_written(default), told) for name, (default, told) in _knobs().items()}


@cache
def _knobs() -> dict[str, tuple[Any, str]]:
    """Every variable with its default, MISSING where it must be said, and its sentence."""
    found: dict[str, tuple[Any, str]] = {}
    for field in Settings.model_fields.values():
        if field.validation_alias:
            default = MISSING if field.is_required() else field.get_default()
            found[str(field.validation_alias)] = (default, field.description or "")
        for filled in (each for each in field.metadata if isinstance(each, Filled)):
            for name, knob in filled.knobs.items():
                found[knob.variable] = (_default(field.annotation, name), knob.description)
    return found


def _variable(fault: Any) -> str:
    return str(next(part for part in fault["loc"] if part in _knobs()))


def _sentence(fault: Any) -> str:
    variable = _variable(fault)
    meaning = _knobs()[variable][1]
    if fault["type"] == "missing":
        return f"{variable} is missing. {meaning}"
    problem = str(fault["msg"]).removeprefix("Value error, ")
    return f"{variable} is wrong: {problem[0].lower()}{problem[1:]}. {meaning}"


def _written(default: Any) -> str:
    if isinstance(default, tuple) and default and isinstance(default[0], timedelta):
        return ",".join(map(_written, default))
    if isinstance(default, timedelta):
        exact = (u for u, size in reversed(_UNITS.items()) if not default % size and u != "d")
        unit = next(exact)
        return f"{default // _UNITS[unit]}{unit}"
    if isinstance(default, bool):
        return str(default).lower()
    if default == ("127.0.0.1", 3000):
        return "127.0.0.1:3000"
    return "" if default in ((), None, MISSING) else str(default)


def secrets_of(settings: Settings | ZohoSettings) -> list[str]:
    """Every secret value, the database's password too, so that the log can blot them out."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    listed = (value if isinstance(value, tuple) else (value,) for value in values)
    secret = [s.get_secret_value() for group in listed for s in group if isinstance(s, SecretStr)]
    return [*secret, *_password_in(settings.database_url)]


def _password_in(url: str) -> set[str]:
    """As it is written in the address, and as it is; nothing where there is none."""
    found = re.search(r"://[^:/@]*:([^@]+)@", url)
    return {found[1], unquote(found[1])} if found else set()


def template() -> str:
    """A commented `.env` with every variable and a fresh secret key."""
    lines = ["# Settings of mailcfg. Lines that start with # show defaults.", ""]
    for variable, (default, description) in variables().items():
        lines.append(f"# {description}")
        lines += [_template_line(variable, default), ""]
    return "\n".join(lines)


def _template_line(variable: str, default: str) -> str:
    if variable == "MAILCFG_SECRET_KEY":
        return f"{variable}={secrets.token_urlsafe(36)}"
    is_needed = variable in REQUIRED
    return f"{variable}={default}" if is_needed else f"# {variable}={default}"


REQUIRED = frozenset(
    {
        "SLACK_BOT_TOKEN",
        "SLACK_APP_TOKEN",
        "ZOHO_DATA_CENTER",
        "ZOHO_CLIENT_ID",
        "ZOHO_CLIENT_SECRET",
        "MAILCFG_SECRET_KEY",
        "MAILCFG_APPROVERS",
        "MAILCFG_APPROVAL_CHANNEL",
        "MAILCFG_ALERT_CHANNEL",
    }
)
"""What `mailcfg init` leaves for the operator to fill in; the others have a default that works."""
