"""The mail configuration's API at Zoho Cliq, over HTTP: three calls on one address.

It sends, counts and repeats; what an answer means is `answers`'s business, tokens are `oauth`'s, the
limit is `throttle`'s. A read may be repeated. A write never is, but for a refused token, which means
that the API did not act.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
import structlog

from bot import __version__
from bot.adapters.cliq.accounts import Credentials
from bot.adapters.cliq.answers import Answer, check, read_config
from bot.adapters.cliq.data_centers import endpoints, is_loopback
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import Budget, MemoryBudget
from bot.clock import SystemClock
from bot.domain.mail_config import MailConfig, Wanted
from bot.domain.token import AccessToken
from bot.errors import (
    Ambiguous,
    AuthError,
    CliqError,
    MalformedAnswer,
    NotSent,
    RateLimited,
    ServerError,
)
from bot.ports import Clock, Purpose

log = structlog.get_logger("bot.adapters.cliq")

PATH = "/api/v2/mailconfigurations/global"
CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 10.0
READ_RETRIES = 2
PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 8.0

NEVER_CONNECTED = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


TOO_LATE = "The time in which the call could be sent had passed; it will be tried anew."


def new_http_client(
    base_url: str | None = None, *, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """The one HTTP client of a process, for Cliq and accounts alike; close it with `aclose()`.

    It goes through the machine's proxy, if it has one; not where `base_url` is on this machine, and never
    with plain http.
    """
    # Zoho's cookies would carry one organisation's session into calls for another.
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(
        transport=transport,
        cookies=no_cookies,
        follow_redirects=False,
        trust_env=base_url is None or not is_loopback(httpx.URL(base_url).host),
        mounts={"http://": None},  # for this machine only, so what it carries may not leave it
        headers={"User-Agent": f"mailcfg/{__version__}"},
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
    )


@asynccontextmanager
async def open_client(
    credentials: Credentials,
    *,
    data_center: str = "us",
    accounts_url: str | None = None,
    api_url: str | None = None,
    repeats: bool = True,
) -> AsyncIterator[CliqClient]:
    """A client on its own, without a database: its budget and its token end with it.

    The addresses are those of the data centre unless given. Raises SettingsError for one that is none.
    """
    at = endpoints(data_center, accounts_url=accounts_url, api_url=api_url)
    clock = SystemClock()
    async with new_http_client(at.api_url) as http:
        auth = ZohoAuth(at.accounts_url, credentials, http, clock)
        budget = MemoryBudget(clock)
        tries = Tries(repeats=repeats)
        yield CliqClient(at.api_url, auth, http=http, clock=clock, budget=budget, tries=tries)


@dataclass(frozen=True, slots=True)
class Tries:
    """How a call is made: `total_seconds` bounds each try as a whole, getting a token apart.

    Without `repeats` every call is one request, come what may.
    """

    total_seconds: float = TOTAL_SECONDS
    repeats: bool = True
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    random: Callable[[], float] = random.random


USUAL = Tries()


class CliqClient:
    """`ports.MailConfigApi` of one organisation, which `organisation` names in the log."""

    def __init__(
        self,
        base_url: str,
        auth: ZohoAuth,
        *,
        http: httpx.AsyncClient,
        clock: Clock,
        budget: Budget,
        organisation: str = "",
        tries: Tries = USUAL,
    ) -> None:
        self._url = base_url + PATH
        self._auth = auth
        self._http = http
        self._clock = clock
        self._budget = budget
        self._organisation = organisation
        self._tries = tries

    async def check_credentials(self) -> None:
        """Whether these credentials are fit to begin with; nothing is sent.

        Raises NotConnected, OtherCredentials.
        """
        await self._auth.check()

    async def read(self, purpose: Purpose) -> MailConfig | None:
        return await self._call("GET", purpose)

    async def write(self, wanted: Wanted, *, send_by: float = math.inf) -> None:
        await self._call("PUT", Purpose.APPLY, body_of(wanted), send_by)

    async def remove(self, *, send_by: float = math.inf) -> None:
        await self._call("DELETE", Purpose.APPLY, send_by=send_by)

    async def _call(
        self,
        method: str,
        purpose: Purpose,
        arguments: dict[str, str | int] | None = None,
        send_by: float = math.inf,
    ) -> MailConfig | None:
        may_renew_token = self._tries.repeats
        pauses = self._pauses() if self._tries.repeats and method == "GET" else []
        while True:
            try:
                return await self._try(method, purpose, arguments, send_by)
            except AuthError:
                if not may_renew_token:
                    raise
                may_renew_token = False
            except (NotSent, Ambiguous, ServerError):
                if not pauses:
                    raise
                await self._tries.sleep(pauses.pop(0))

    def _pauses(self) -> list[float]:
        """Seconds before each repetition: doubling, with up to a quarter more by chance."""
        steady = (min(PAUSE_SECONDS * 2**n, PAUSE_SECONDS_MAX) for n in range(READ_RETRIES))
        return [seconds * (1 + self._tries.random() / 4) for seconds in steady]

    async def _try(
        self,
        method: str,
        purpose: Purpose,
        arguments: dict[str, str | int] | None,
        send_by: float,
    ) -> MailConfig | None:
        # Checked before the token is fetched, so that while locked nothing at all is sent; the
        # token before the call is counted, so that between counting and sending there is no wait.
        await self._budget.check(method, purpose)
        token = await self._auth.token()
        started = time.monotonic()
        await self._budget.take(method, purpose)
        # The call counts from before it was stored, and must be over while it does.
        seconds = self._tries.total_seconds - (time.monotonic() - started)
        if seconds <= 0 or self._clock.elapsed() > send_by:
            raise NotSent(method, sentence=TOO_LATE)
        answer = await self._send(method, arguments, token, seconds)
        return await self._understood(answer, token)

    async def _understood(self, answer: Answer, token: AccessToken) -> MailConfig | None:
        """What it says; a throttle closes the way for everybody, a dead token is forgotten."""
        now, scopes = self._clock.now(), token.scopes
        try:
            if answer.method == "GET":
                return read_config(answer, now=now, granted=scopes)
            check(answer, now=now, granted=scopes)
        except RateLimited as error:
            await self._budget.lock(error.retry_at, f"{error.status} {error.code or ''}".strip())
            raise
        except AuthError:
            await self._auth.drop(token)
            raise
        return None

    async def _send(
        self,
        method: str,
        arguments: dict[str, str | int] | None,
        token: AccessToken,
        seconds: float,
    ) -> Answer:
        started = time.monotonic()
        try:
            answer = await self._request(method, arguments, token, seconds)
        except CliqError as error:
            self._note(method, started, error=type(error).__name__)
            raise
        self._note(method, started, status=answer.status, code=answer.text_of("code"))
        return answer

    async def _request(
        self,
        method: str,
        arguments: dict[str, str | int] | None,
        token: AccessToken,
        seconds: float,
    ) -> Answer:
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.request(
                    method,
                    self._url,
                    json=arguments,
                    headers={
                        "Accept": "application/json",
                        "Authorization": self._auth.header(token),
                    },
                    auth=None,
                    follow_redirects=False,
                    timeout=httpx.Timeout(self._tries.total_seconds, connect=CONNECT_SECONDS),
                )
        except NEVER_CONNECTED as error:
            raise NotSent(method) from error
        except httpx.DecodingError as error:
            raise MalformedAnswer(method) from error
        except (httpx.RequestError, TimeoutError) as error:
            raise _unanswered(method) from error
        return Answer(method, response.status_code, response.headers, response.content)

    def _note(self, method: str, started: float, **what: object) -> None:
        ms = round(1000 * (time.monotonic() - started))
        log.info("cliq call", organisation=self._organisation, method=method, ms=ms, **what)


def body_of(wanted: Wanted) -> dict[str, str | int]:
    """The JSON body of the PUT: three fields always, the key size only when it was asked."""
    size = {} if wanted.dkim_key_size is None else {"dkim_key_size": wanted.dkim_key_size}
    always = {"name": wanted.name, "email_id": wanted.email_id}
    return always | {"cname_status": wanted.cname_status} | size


def _unanswered(method: str) -> Ambiguous:
    if method == "GET":
        return Ambiguous(method, sentence="Zoho Cliq did not answer in time. Try again later.")
    return Ambiguous(method)
