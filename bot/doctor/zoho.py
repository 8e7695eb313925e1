"""Zoho: the token, what it may do, and one GET, all within the budget that the bot shares.

The GET is counted and the token taken from the database where there is one, also beside a running
bot: each is one short transaction, which SQLite and PostgreSQL order among processes, on the clock
that the bot counts on, however wrong this machine's is. While the API is locked nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx

from bot.adapters.cliq.answers import ALL_SCOPES, SCOPES
from bot.adapters.cliq.client import CliqClient, Tries, new_http_client
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import Budget, MemoryBudget
from bot.adapters.store.shared import shared_budget
from bot.adapters.store.sql import SqlStore, open_engine
from bot.doctor.clocks import judge_clock, read_date
from bot.doctor.findings import Judgement, NotChecked, Sheet, failure, ok, warning
from bot.domain.mail_config import MailConfig
from bot.domain.token import AccessToken
from bot.errors import AuthError, BudgetSpent, OAuthThrottled, PermissionDenied
from bot.ports import BudgetStanding, Clock, Purpose
from bot.settings import Partial
from bot.storage import own_clock
from bot.zoho import endpoints_of, shared_token_of, zoho_auth

NEEDED = (
    "ZOHO_DATA_CENTER",
    "ZOHO_CLIENT_ID",
    "ZOHO_CLIENT_SECRET",
    "ZOHO_ACCOUNTS_URL",
    "CLIQ_API_URL",
    "MAILCFG_SECRET_KEY",
)
CONNECT = "Make a code in Zoho's API console and run `mailcfg connect --code 1000.…`."

ACCEPTED = "Zoho accepts the client and the refresh token."
STILL_GOOD = "The access token that the bot shares is still good; none was asked for."


def sheet() -> Sheet:
    return Sheet("zoho.budget", "zoho.token", "zoho.scopes", "zoho.admin", "zoho.clock")


class Dates:
    """Remembers how far this machine's clock is ahead of the Date header of the last answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: datetime | None = None
        self.skew: timedelta | None = None

    @property
    def has_asked(self) -> bool:
        return self._asked is not None

    async def asked(self, _: httpx.Request) -> None:
        self._asked = self._clock.now()

    async def answered(self, response: httpx.Response) -> None:
        date = read_date(response.headers.get("Date"))
        if date is not None and self._asked is not None:
            between = self._asked + (self._clock.now() - self._asked) / 2
            self.skew = between - date


@dataclass(frozen=True, slots=True)
class Sender:
    """What the GET has read; `config` None is that no custom sender is set."""

    config: MailConfig | None


async def check(
    found: Partial, sheet: Sheet, clock: Clock, call_seconds: float, *, has_database: bool
) -> Sender:
    """Without a database yet, count and token end with the check. Raises what ends it early."""
    for variable in NEEDED:
        if variable in found.wrong:
            raise NotChecked(f"{variable} has no right value")
    async with AsyncExitStack() as opening:
        checkup = await _opened(found, clock, call_seconds, opening, has_database=has_database)
        return await checkup.run(sheet)


async def _opened(
    found: Partial,
    clock: Clock,
    call_seconds: float,
    opening: AsyncExitStack,
    *,
    has_database: bool,
) -> ZohoCheckup:
    settings = found.settings
    dates = Dates(clock)
    http = await opening.enter_async_context(new_http_client(endpoints_of(settings).api_url))
    http.event_hooks = {"request": [dates.asked], "response": [dates.answered]}
    budget: Budget = MemoryBudget(clock)
    tokens = None
    if has_database:
        store = SqlStore(open_engine(settings.database_url))
        opening.push_async_callback(store.close)
        clock = await own_clock(store, clock)
        budget = Budget(clock, shared_budget(store, settings.org))
        tokens = shared_token_of(settings, store)
    auth = zoho_auth(settings, clock, http, tokens=tokens, total_seconds=call_seconds)
    client = CliqClient(
        endpoints_of(settings).api_url,
        auth,
        http=http,
        clock=clock,
        budget=budget,
        organisation=settings.org,
        tries=Tries(call_seconds, repeats=False),
    )
    return ZohoCheckup(client, auth, budget, dates, only_look=settings.policy.watch_only)


class ZohoCheckup:
    """The checks of one organisation, in their order: each needs the one before it."""

    def __init__(
        self, client: CliqClient, auth: ZohoAuth, budget: Budget, dates: Dates, *, only_look: bool
    ) -> None:
        self._client = client
        self._auth = auth
        self._budget = budget
        self._dates = dates
        self._only_look = only_look

    async def run(self, sheet: Sheet) -> Sender:
        standing = await self._budget.standing()
        sheet.put("zoho.budget", judge_budget(standing))
        if standing.locked_until is not None:
            raise NotChecked(f"Zoho's API is locked until {standing.locked_until:%H:%M} UTC")
        await self._auth.check()
        try:
            token = await self._auth.token()
        except OAuthThrottled as pause:
            sheet.put("zoho.token", warning(str(pause)))
            raise NotChecked("there is no token yet") from pause
        finally:
            sheet.put("zoho.clock", judge_clock(self._dates.skew, "Zoho"))
        sheet.put("zoho.token", ok(ACCEPTED if self._dates.has_asked else STILL_GOOD))
        sheet.put("zoho.scopes", judge_scopes(token, only_look=self._only_look))
        config = await self._read(sheet)
        sheet.put("zoho.admin", ok(_told(config)))
        return Sender(config)

    async def _read(self, sheet: Sheet) -> MailConfig | None:
        """One GET; a second one only where a stored token turns out to be dead."""
        try:
            try:
                return await self._client.read(Purpose.LOOK)
            except AuthError:
                await self._auth.token()
                return await self._client.read(Purpose.LOOK)
        except BudgetSpent as spent:
            sheet.put("zoho.admin", warning(f"Not checked: {spent}"))
            raise NotChecked("the calls of this minute are used up") from spent
        except PermissionDenied as refusal:
            sheet.put("zoho.admin", judge_refusal())
            raise NotChecked("Zoho refused to read the configuration") from refusal
        finally:
            sheet.put("zoho.clock", judge_clock(self._dates.skew, "Zoho"))


def judge_budget(standing: BudgetStanding) -> Judgement:
    """Zoho serves 20 calls a minute and then locks; the bot's own limit is 19."""
    most = Purpose.CONFIRM.value
    if standing.locked_until is not None:
        return warning(
            f"Zoho has locked its API until {standing.locked_until:%H:%M} UTC; nothing is sent.",
            "Wait. If it comes back, find what else uses this Zoho user.",
        )
    told = f"{standing.used} of {most} calls are used in this minute."
    return ok(told) if standing.used < Purpose.LOOK.value else warning(told, "Wait a minute.")


def judge_scopes(token: AccessToken, *, only_look: bool) -> Judgement:
    """A deployment that only watches needs to read, and no more."""
    if token.scopes is None:
        return warning("Zoho does not say which scopes it granted; the first call shows them.")
    needed = {SCOPES["GET"]} if only_look else set(SCOPES.values())
    missing = set() if ALL_SCOPES in token.scopes else needed - token.scopes
    if missing:
        return failure(
            f"Zoho did not grant {_listed(missing)}.",
            f"{CONNECT[:-1]} with {','.join(s for s in SCOPES.values() if s in needed)}.",
        )
    return ok(f"Granted: {_listed(token.scopes)}.")


def judge_refusal() -> Judgement:
    return failure(
        "Zoho refuses its user this configuration: a full Admin of the organisation is needed.",
        f"Make that person an Admin, or have one connect: {CONNECT[0].lower()}{CONNECT[1:]}",
    )


def _told(config: MailConfig | None) -> str:
    if config is None:
        return "The configuration can be read: no custom sender is set."
    return f"The configuration can be read: mail comes from {config.email_id}."


def _listed(scopes: Iterable[str]) -> str:
    return ", ".join(sorted(scopes))
