"""`mailcfg check`: read the sender, ask DNS, say what is found. For anyone's terminal or CI.

It joins the client, the resolver and the diagnosis by itself, without Slack, without a database and
without the rest of the bot, so that it starts fast; the API's client is imported only where the API
is asked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot.adapters.dns.resolver import DnsResolver
from bot.clock import SystemClock
from bot.domain.case import Case, History, Snapshot
from bot.domain.findings import Diagnosis, Severity, diagnose
from bot.domain.mail_config import MailConfig
from bot.domain.report import as_dict, as_text
from bot.errors import InputError
from bot.ports import Purpose
from bot.services.dns_pass import ask_dns
from bot.settings import load_check, read_server

AskApi = Callable[[Path], Awaitable[MailConfig | None]]
IN_ORDER, FOUND, UNKNOWN, WRONG = 0, 1, 2, 3
"""Exit codes: nothing above info; critical or warning; could not be checked; usage or API error."""
FORMATS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Options:
    """What was typed. `live` and `approved` are file names, `-` for standard input; servers `ip:port`."""

    live: str | None
    approved: str | None
    resolvers: Sequence[str]
    authoritative: Sequence[str]
    not_verified_hours: float
    form: str


async def check(options: Options, env_file: Path, ask_api: AskApi) -> tuple[str, int]:
    """What to print, and the exit code; `ask_api` reads the sender if it is not given. Raises
    MailcfgError."""
    if options.form not in FORMATS:
        raise InputError(f"`{options.form}` is no format: it is text or json.")
    history = History(waiting=_hours(options.not_verified_hours))
    settings = load_check(env_file)
    clock = SystemClock()
    resolver = DnsResolver(
        _servers(options.resolvers) or settings.dns_servers,
        _servers(options.authoritative) or settings.dns_authoritative,
        clock,
    )
    snapshot = None if options.approved is None else Snapshot(read_config(options.approved))
    live = await ask_api(env_file) if options.live is None else read_config(options.live)
    answers = await ask_dns(resolver, live)
    found = diagnose(Case(live=live, answers=answers, snapshot=snapshot, history=history))
    shown = as_text(found) if options.form == "text" else json.dumps(as_dict(found), indent=2)
    return shown, exit_code(found)


def _hours(number: float) -> timedelta:
    try:
        return timedelta(hours=number)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{number} is no number of hours.") from error


def exit_code(found: Diagnosis) -> int:
    severities = {finding.severity for finding in found.findings}
    if severities & {Severity.CRITICAL, Severity.WARNING}:
        return FOUND
    return UNKNOWN if Severity.UNKNOWN in severities else IN_ORDER


def _servers(typed: Sequence[str]) -> tuple[tuple[str, int], ...]:
    try:
        return tuple(read_server(word) for word in typed)
    except ValueError as error:
        raise InputError(f"{str(error)[0].upper()}{str(error)[1:]}.") from error


def read_config(file: str) -> MailConfig | None:
    """The API's `data` object in a file, `-` for standard input; None where it is empty or null.

    The whole answer (`{"url": …, "data": {…}}`) is understood, too. Raises InputError.
    """
    where = "Standard input" if file == "-" else file
    try:
        found = json.loads(sys.stdin.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON; it should hold the API's `data` object.") from error
    if isinstance(found, dict) and "email_id" not in found and "data" in found:
        found = found["data"]
    if found is None or found == {}:
        return None
    return _config(where, found)


def _config(where: str, found: Any) -> MailConfig:
    if not isinstance(found, dict):
        raise InputError(f"{where} holds no JSON object; it should be the API's `data` object.")
    values = {name: found.get(name) or "" for name in MailConfig("", "").as_dict()}
    wrong = [name for name, value in values.items() if not _is_sound(value)]
    if wrong:
        raise InputError(f"{where}: {wrong[0]} should be text.")
    if "@" not in values["email_id"]:
        raise InputError(f"{where} has no email_id, which is the sender's address.")
    return MailConfig(**values)


def _is_sound(value: Any) -> bool:
    """Text that can be printed: JSON can also spell halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


async def ask_alone(env_file: Path) -> MailConfig | None:
    """One token refresh and one GET, never repeated, for a machine that has no database.

    Raises CliqError, OAuthError or SettingsError.
    """
    from bot.adapters.cliq.accounts import Credentials
    from bot.adapters.cliq.client import open_client
    from bot.settings import load_api

    settings = load_api(env_file)
    credentials = Credentials(
        settings.zoho_client_id, settings.zoho_client_secret, settings.zoho_refresh_token
    )
    async with open_client(
        credentials,
        data_center=settings.zoho_data_center,
        accounts_url=settings.zoho_accounts_url,
        api_url=settings.cliq_api_url,
        repeats=False,
    ) as client:
        return await client.read(Purpose.LOOK)
