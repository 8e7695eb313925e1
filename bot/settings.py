"""Every knob: its environment variable, default and meaning. Read once, by whoever builds the app.

Values come from the environment, then `.env`, then a directory of secret files (one file a
variable). Faults are collected, one line each: which variable, what is wrong, how to mend it.
"""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from bot.domain.reminders import QuietHours
from bot.errors import SettingsError

DATABASE = "sqlite+aiosqlite:///mailcfg.db"
SECRETS_DIR = Path("/run/secrets")
SLACK_WAITS = timedelta(seconds=3)
"""docs.slack.dev/interactivity/handling-user-interaction: an interaction fails after this."""

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
Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read_list)]
Moment = Annotated[timedelta | None, BeforeValidator(read_moment)]
Moments = Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(read_moments)]
Quiet = Annotated[QuietHours | None, NoDecode, BeforeValidator(read_quiet_hours)]
Servers = Annotated[tuple[tuple[str, int], ...], NoDecode, BeforeValidator(read_servers)]
Address = Annotated[tuple[str, int], NoDecode, BeforeValidator(read_listen)]
DataCenter = Literal["us", "eu", "in", "au", "jp", "cn", "ca", "sa", "uk"]
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(read_list)]


def knob(variable: str, description: str, default: Any = ..., *, in_repr: bool = True) -> Any:
    return Field(default, validation_alias=variable, description=description, repr=in_repr)


SOURCES = SettingsConfigDict(
    extra="ignore", populate_by_name=True, env_ignore_empty=True, hide_input_in_errors=True
)


class Settings(BaseSettings):
    """All settings of `mailcfg run`."""

    model_config = SOURCES

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
        "us",
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
    approvers: Words = knob(
        "MAILCFG_APPROVERS",
        "Slack user ids (U…) and usergroup ids (S…) that may approve and reject, comma-separated.",
        (),
    )
    requesters: Words = knob(
        "MAILCFG_REQUESTERS",
        "Slack user ids that may ask, comma-separated. Empty: approvers only; *: every full member.",
        (),
    )
    watch_only: bool = knob(
        "MAILCFG_WATCH_ONLY", "true: nobody can ask, mailcfg only watches.", False
    )
    approval_channel: str = knob("MAILCFG_APPROVAL_CHANNEL", "Channel id for request cards (C…).")
    alert_channel: str = knob("MAILCFG_ALERT_CHANNEL", "Channel id for alerts (C…).")
    fallback_channel: str | None = knob(
        "MAILCFG_FALLBACK_CHANNEL",
        "Channel id for what belongs in a channel that is gone. Unset: the other of the two.",
        None,
    )
    notify: Words = knob(
        "MAILCFG_NOTIFY",
        "Slack user and user group ids that each request card also mentions; it grants nothing.",
        (),
    )
    remind_after: Moments = knob(
        "MAILCFG_REMIND_AFTER",
        "How long after it was asked a waiting request is remembered in its thread, "
        "comma-separated; or never.",
        (timedelta(hours=1), timedelta(hours=4)),
    )
    remind_before: Moment = knob(
        "MAILCFG_REMIND_BEFORE",
        "How long before its deadline it is remembered once more; or never.",
        timedelta(hours=1),
    )
    escalate_to: Words = knob(
        "MAILCFG_ESCALATE_TO",
        "Slack user and user group ids that the last reminder of MAILCFG_REMIND_AFTER mentions; it "
        "grants nothing.",
        (),
    )
    quiet_hours: Quiet = knob(
        "MAILCFG_QUIET_HOURS",
        "When nobody is reminded, such as 22:00-07:00 Europe/Berlin; deadlines stay as they are.",
        None,
    )
    slack_pace: Span = knob(
        "MAILCFG_SLACK_PACE",
        "Time between two new messages in one channel; Slack allows about one a second.",
        timedelta(seconds=1),
    )
    commit_budget: Span = knob(
        "MAILCFG_COMMIT_BUDGET",
        "How long a click may take to be recorded before the person is told that it takes longer.",
        timedelta(seconds=1),
    )
    approvals: int = knob("MAILCFG_APPROVALS", "Approvals that an ordinary change needs.", 1)
    approvals_sensitive: int = knob(
        "MAILCFG_APPROVALS_SENSITIVE",
        "Approvals that a new address, a reset or accepting a changed address needs.",
        2,
    )
    approval_deadline: Seconds = knob(
        "MAILCFG_APPROVAL_DEADLINE", "How long a request waits for approvals.", timedelta(hours=24)
    )
    apply_within: Seconds = knob(
        "MAILCFG_APPLY_WITHIN",
        "How long after approval it may still be applied.",
        timedelta(hours=1),
    )
    check_every: Span = knob(
        "MAILCFG_CHECK_EVERY", "Time between two checks.", timedelta(minutes=15)
    )
    confirm_bad: int = knob(
        "MAILCFG_ALERT_CONFIRM_BAD",
        "A finding alerts once this many of the last definite checks show it.",
        2,
    )
    confirm_window: int = knob(
        "MAILCFG_ALERT_CONFIRM_WINDOW", "How many of the last definite checks count for that.", 3
    )
    resolve_after: Span = knob(
        "MAILCFG_ALERT_RESOLVE_AFTER",
        "How long all must be in order before an alert ends.",
        timedelta(hours=1),
    )
    remind_every: Span = knob(
        "MAILCFG_ALERT_REMIND_EVERY",
        "How long after its last message an alert that lasts is brought to mind.",
        timedelta(hours=24),
    )
    unknown_after: Span = knob(
        "MAILCFG_ALERT_UNKNOWN_AFTER",
        "How long checks must fail without a break before that is said.",
        timedelta(hours=6),
    )
    pending_grace: Span = knob(
        "MAILCFG_ALERT_PENDING_GRACE",
        "How long Zoho may take to confirm a right record before that alerts.",
        timedelta(hours=72),
    )
    propagation_grace: Span = knob(
        "MAILCFG_ALERT_PROPAGATION_GRACE",
        "How long servers may disagree on the record before that alerts.",
        timedelta(hours=24),
    )
    publish_grace: Span = knob(
        "MAILCFG_PUBLISH_GRACE",
        "How long after a change of ours its record may be missing before that alerts.",
        timedelta(hours=4),
    )
    flap_opens: int = knob(
        "MAILCFG_ALERT_FLAP_OPENS",
        "So many alerts within MAILCFG_ALERT_FLAP_WINDOW are told as flapping.",
        3,
    )
    flap_window: Span = knob(
        "MAILCFG_ALERT_FLAP_WINDOW",
        "The time within which MAILCFG_ALERT_FLAP_OPENS alerts are flapping.",
        timedelta(hours=24),
    )
    flap_quiet: Span = knob(
        "MAILCFG_ALERT_FLAP_QUIET",
        "How long all must be in order before a flapping alert ends.",
        timedelta(hours=6),
    )
    call_timeout: Span = knob(
        "MAILCFG_CALL_TIMEOUT", "How long a call to Zoho may take.", timedelta(seconds=10)
    )
    quiet: Span = knob(
        "MAILCFG_QUIET",
        "How long after its time-out a write may still take effect; nothing is read before.",
        timedelta(seconds=20),
    )
    margin: Span = knob(
        "MAILCFG_MARGIN",
        "What clocks may differ by, and how long after it was stored a write may be sent.",
        timedelta(seconds=5),
    )
    lease: Span = knob(
        "MAILCFG_LEASE",
        "How long one process may work on a change or a message before another one takes it over.",
        timedelta(seconds=60),
    )
    retry: Span = knob(
        "MAILCFG_RETRY",
        "How long a change waits, at least, after a call that failed.",
        timedelta(seconds=30),
    )
    give_up: Span = knob(
        "MAILCFG_UNCERTAIN_FOR",
        "How long a write's outcome may stay unknown before a person must look.",
        timedelta(hours=24),
    )
    alarm_after: Span = knob(
        "MAILCFG_UNCERTAIN_ALERT",
        "How long an outcome may stay unknown before the alert channel is told; then hourly.",
        timedelta(minutes=15),
    )
    sends: int = knob(
        "MAILCFG_SENDS", "How often one step of a change may be sent, if it has no effect.", 3
    )
    membership_cache: Span = knob(
        "MAILCFG_MEMBERSHIP_CACHE",
        "How long a usergroup's members may be remembered for clicks; 60s at most.",
        timedelta(seconds=60),
    )
    shutdown_grace: Span = knob(
        "MAILCFG_SHUTDOWN_GRACE",
        "How long a stopping process finishes what it began.",
        timedelta(seconds=20),
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
    label: str = knob("MAILCFG_LABEL", "Name of this deployment, shown at the foot of cards.", "")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = knob(
        "MAILCFG_LOG_LEVEL", "DEBUG, INFO, WARNING or ERROR.", "INFO"
    )
    log_format: Literal["console", "json"] = knob(
        "MAILCFG_LOG_FORMAT", "console for people, json for machines.", "console"
    )

    @property
    def highest_quorum(self) -> int:
        return max(self.approvals, self.approvals_sensitive)

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Where to post what belongs in a channel that is gone, in the order to try."""
        named = (self.fallback_channel,) if self.fallback_channel else ()
        return (*named, self.approval_channel, self.alert_channel)

    def faults(self) -> list[str]:
        """What is impossible though each value is well formed; one line each."""
        return [
            *self._slack_faults(),
            *self._address_faults(),
            *self._people_faults(),
            *self._storage_faults(),
            *self._timing_faults(),
            *self._alert_faults(),
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
        channels = {"APPROVAL": self.approval_channel, "ALERT": self.alert_channel}
        if self.fallback_channel is not None:
            channels["FALLBACK"] = self.fallback_channel
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
        for entry in self.approvers:
            if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", entry):
                yield _no_id("MAILCFG_APPROVERS", entry, "user id (U…) or usergroup id (S…)")
        for user in self.requesters:
            if user != "*" and not re.fullmatch(r"[UW][A-Z0-9]{2,}", user):
                yield _no_id("MAILCFG_REQUESTERS", user, "user id (U…)")
        yield from self._mention_faults()
        if not self.watch_only:
            yield from self._quorum_faults()

    def _mention_faults(self) -> Iterator[str]:
        mentioned = {"MAILCFG_NOTIFY": self.notify, "MAILCFG_ESCALATE_TO": self.escalate_to}
        for name, ids in mentioned.items():
            for each in ids:
                if not re.fullmatch(r"[UWS][A-Z0-9]{2,}", each):
                    yield f"{name} has `{each}`, which is no id of a Slack user (U…) or group (S…)."

    def _quorum_faults(self) -> Iterator[str]:
        quorums = {"APPROVALS": self.approvals, "APPROVALS_SENSITIVE": self.approvals_sensitive}
        for name, quorum in quorums.items():
            if quorum < 1:
                yield (
                    f"MAILCFG_{name} must be 1 or more: nothing is changed without a second person."
                )
        known = len(set(self.approvers))
        has_group = any(entry.startswith("S") for entry in self.approvers)
        if known == 0:
            yield (
                "MAILCFG_APPROVERS is missing: list the Slack user ids of those who may approve, "
                "or set MAILCFG_WATCH_ONLY=true."
            )
        elif known < self.highest_quorum and not has_group:
            yield (
                f"MAILCFG_APPROVERS has {known}, but a change can need {self.highest_quorum} "
                "approvals: add approvers, or lower MAILCFG_APPROVALS_SENSITIVE."
            )

    def _storage_faults(self) -> Iterator[str]:
        yield from _key_faults(self.secret_key)
        yield from _database_faults(self.database_url)

    def _timing_faults(self) -> Iterator[str]:
        """The relations that make a write safe; see `services/apply.Timing`."""
        if self.lease < self.call_timeout + self.quiet + self.margin:
            yield (
                "MAILCFG_LEASE must be at least MAILCFG_CALL_TIMEOUT + MAILCFG_QUIET + "
                "MAILCFG_MARGIN: otherwise two processes could write at once."
            )
        if self.shutdown_grace < self.call_timeout + self.margin:
            yield (
                "MAILCFG_SHUTDOWN_GRACE must be at least MAILCFG_CALL_TIMEOUT + MAILCFG_MARGIN: "
                "otherwise a write could be cut off."
            )
        if self.sends < 1:
            yield "MAILCFG_SENDS must be 1 or more: nothing could be written otherwise."
        if self.membership_cache > timedelta(seconds=60):
            yield (
                "MAILCFG_MEMBERSHIP_CACHE must be 60s or less: who has left a group must not go on "
                "approving."
            )
        if self.commit_budget >= SLACK_WAITS:
            yield (
                "MAILCFG_COMMIT_BUDGET must be less than 3s: Slack waits no longer for an answer "
                "to a click."
            )

    def _alert_faults(self) -> Iterator[str]:
        """The relations without which an alert could never open, or never be told as flapping."""
        if self.confirm_bad < 1:
            yield "MAILCFG_ALERT_CONFIRM_BAD must be 1 or more: an alert needs a finding."
        if self.confirm_bad > self.confirm_window:
            yield (
                "MAILCFG_ALERT_CONFIRM_BAD must be at most MAILCFG_ALERT_CONFIRM_WINDOW: otherwise "
                "no alert could ever open."
            )
        if self.flap_opens < 2:
            yield "MAILCFG_ALERT_FLAP_OPENS must be 2 or more: one alert alone is no flapping."
        elif self.flap_window <= (self.flap_opens - 1) * self.resolve_after:
            yield (
                "MAILCFG_ALERT_FLAP_WINDOW must be longer than MAILCFG_ALERT_RESOLVE_AFTER times "
                "(MAILCFG_ALERT_FLAP_OPENS - 1): otherwise flapping could never be told."
            )
        if self.flap_quiet < self.resolve_after:
            yield (
                "MAILCFG_ALERT_FLAP_QUIET must be at least MAILCFG_ALERT_RESOLVE_AFTER: a flapping "
                "alert ends later than others, not earlier."
            )


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


class StorageSettings(BaseSettings):
    """What a command needs that only looks into the database; the same variables, fewer of them."""

    model_config = SOURCES

    database_url: str = _as_above("database_url")
    org: str = _as_above("org")
    secret_key: Keys = knob("MAILCFG_SECRET_KEY", "Seals approvals.", ())

    def faults(self) -> list[str]:
        """What is impossible though each value is well formed; one line each."""
        return [*_database_faults(self.database_url)]


class ZohoSettings(BaseSettings):
    """What is needed to reach Zoho and to store a token; Slack need not be set up yet."""

    model_config = SOURCES

    zoho_data_center: DataCenter = _as_above("zoho_data_center")
    zoho_client_id: str = _as_above("zoho_client_id")
    zoho_client_secret: SecretStr = _as_above("zoho_client_secret")
    zoho_refresh_token: SecretStr | None = _as_above("zoho_refresh_token")
    zoho_accounts_url: str | None = _as_above("zoho_accounts_url")
    cliq_api_url: str | None = _as_above("cliq_api_url")
    database_url: str = _as_above("database_url")
    secret_key: Keys = _as_above("secret_key")
    watch_only: bool = _as_above("watch_only")
    call_timeout: Span = _as_above("call_timeout")
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


class CheckSettings(BaseSettings):
    """What `mailcfg check` needs when the sender is given to it: nothing, but servers may be named."""

    model_config = SOURCES

    dns_servers: Servers = _as_above("dns_servers")
    dns_authoritative: Servers = _as_above("dns_authoritative")


class ApiSettings(BaseSettings):
    """What it needs to ask the API by itself, without a database."""

    model_config = SOURCES

    zoho_data_center: DataCenter = _as_above("zoho_data_center")
    zoho_client_id: str = _as_above("zoho_client_id")
    zoho_client_secret: SecretStr = _as_above("zoho_client_secret")
    zoho_refresh_token: SecretStr = knob(
        "ZOHO_REFRESH_TOKEN", "Refresh token of a full Admin of the organisation (1000.…)."
    )
    zoho_accounts_url: str | None = _as_above("zoho_accounts_url")
    cliq_api_url: str | None = _as_above("cliq_api_url")


class GivenSettings(Settings):
    """Settings from given values alone: neither the environment nor a file is read."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_: PydanticBaseSettingsSource,
        **__: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


Checkable = TypeVar("Checkable", Settings, StorageSettings, ZohoSettings)
Outside = TypeVar("Outside", bound=BaseSettings)


def load(env_file: Path | None = Path(".env"), secrets_dir: Path = SECRETS_DIR) -> Settings:
    """The settings of this process. Raises SettingsError with every fault at once."""
    return _checked(lambda: _from_outside(Settings, env_file, secrets_dir))


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
    """The settings of this process with stand-ins for what is missing or wrong.

    Raises SettingsError only for a file that is no text.
    """
    folder = secrets_dir if secrets_dir.is_dir() else None
    with _as_text(env_file):
        return _partly(lambda **more: Settings(_env_file=env_file, _secrets_dir=folder, **more))


def partly_from_values(values: Mapping[str, str]) -> Partial:
    """The same from these variables and nothing else."""
    return _partly(lambda **more: GivenSettings.model_validate({**values, **more}))


def _partly(make: Callable[..., Settings]) -> Partial:
    said: dict[str, str] = {}
    try:
        settings = make()
    except ValidationError as error:
        said = {str(fault["loc"][0]): _sentence(fault) for fault in error.errors()}
        settings = make(**{variable: _stand_in(variable) for variable in said})
    more = [fault for fault in settings.faults() if _named_in(fault) not in said]
    wrong = frozenset(said) | {_named_in(fault) for fault in more}
    return Partial(settings, (*said.values(), *more), wrong)


def _stand_in(variable: str) -> Any:
    """The default, else nothing at all in the shape of the field."""
    field = next(f for f in Settings.model_fields.values() if f.validation_alias == variable)
    if not field.is_required():
        return field.get_default()
    shapes: dict[object, object] = {SecretStr: SecretStr(""), str: ""}
    return shapes.get(field.annotation, ())


def _named_in(fault: str) -> str:
    """Every fault begins with the variable that it is about."""
    return fault.partition(" ")[0]


def load_storage(env_file: Path | None = Path(".env")) -> StorageSettings:
    """The same for a command that needs the database only. Raises SettingsError."""
    return _checked(lambda: _from_outside(StorageSettings, env_file))


def load_check(env_file: Path | None = Path(".env")) -> CheckSettings:
    """The same for `mailcfg check`. Raises SettingsError."""
    return _from_outside(CheckSettings, env_file)


def load_api(env_file: Path | None = Path(".env")) -> ApiSettings:
    """The same where it asks the API by itself. Raises SettingsError."""
    return _from_outside(ApiSettings, env_file)


def load_zoho(env_file: Path | None = Path(".env")) -> ZohoSettings:
    """The same for a command that reaches Zoho only. Raises SettingsError."""
    return _checked(lambda: _from_outside(ZohoSettings, env_file))


def from_values(values: Mapping[str, str]) -> Settings:
    """The settings that these variables give, and nothing else. Raises SettingsError."""
    return _checked(lambda: _understood(lambda: GivenSettings.model_validate(dict(values))))


def _from_outside(
    kind: type[Outside], env_file: Path | None, secrets_dir: Path = SECRETS_DIR
) -> Outside:
    """From the environment, the file and the directory of secrets. Raises SettingsError."""
    folder = secrets_dir if secrets_dir.is_dir() else None
    try:
        with _as_text(env_file):
            return _understood(lambda: kind(_env_file=env_file, _secrets_dir=folder))
    except SettingsError as error:
        if env_file is None or env_file.exists():
            raise
        raise SettingsError([*error.faults, there_is_no(env_file)]) from error


@contextmanager
def _as_text(env_file: Path | None) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise SettingsError([f"{env_file} is not written in UTF-8: save it as that."]) from error


def there_is_no(env_file: Path) -> str:
    return f"There is no {env_file} here; `mailcfg init` writes one."


def _understood(make: Callable[[], Outside]) -> Outside:
    try:
        return make()
    except ValidationError as error:
        raise SettingsError([_sentence(fault) for fault in error.errors()]) from error


def _checked(make: Callable[[], Checkable]) -> Checkable:
    settings = make()
    faults = settings.faults()
    if faults:
        raise SettingsError(faults)
    return settings


def variables() -> dict[str, tuple[str, str]]:
    """Every variable with its default as people write it, and its sentence."""
    return {
        str(field.validation_alias): (_written(field.get_default()), field.description or "")
        for field in Settings.model_fields.values()
    }


def _sentence(fault: Any) -> str:
    variable = str(fault["loc"][0])
    meaning = variables()[variable][1]
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
    return "" if default in ((), None) or "Undefined" in repr(default) else str(default)


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
