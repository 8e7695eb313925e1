"""The Cliq client with its tokens and its budget, against a scripted far end."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qs

import httpx
import pytest
import structlog
from pydantic import SecretStr

from bot.adapters.cliq.accounts import Credentials
from bot.adapters.cliq.client import CliqClient, Tries, new_http_client
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import MemoryBudget
from bot.domain.mail_config import Wanted
from bot.errors import (
    Ambiguous,
    AuthError,
    BadRequest,
    BudgetSpent,
    CliqError,
    MailcfgError,
    MalformedAnswer,
    NotFound,
    NotSent,
    OAuthConfigError,
    OAuthError,
    OAuthThrottled,
    OAuthUnavailable,
    PermissionDenied,
    RateLimited,
    ReauthRequired,
    ScopeError,
    ServerError,
)
from bot.ports import Purpose
from bot.sandbox.clock import AdjustableClock

SENDER = {"email_id": "scott@acme.example", "name": "Scott", "cname_status": "verified"}
ARGUMENTS: dict[str, str | int] = {**SENDER, "dkim_key_size": 2048}
WANTED = Wanted(**ARGUMENTS, asked=())  # type: ignore[arg-type]
CONFIGURED = httpx.Response(200, json={"data": SENDER})
UNAUTHORISED = httpx.Response(401, json={"message": "invalid AuthToken"})
CANARIES = ("canary-secret", "1000.canary-refresh", "1000.canary-access")

Scripted = httpx.Response | Exception


class FarEnd:
    """Cliq and the accounts server: answers from a script, then over and over the last one.

    A token is good until `revoke`; `api` and `tokens` are what was asked.
    """

    def __init__(self) -> None:
        self.script: list[Scripted] = [CONFIGURED]
        self.token_script: list[Scripted] = []
        self.api: list[httpx.Request] = []
        self.tokens: list[httpx.Request] = []
        self.token_fields: dict[str, object] = {"expires_in": 3600}
        self.refused: set[str] = set()

    @property
    def current(self) -> str:
        return f"{CANARIES[2]}.{len(self.tokens)}"

    def revoke(self) -> None:
        self.refused.add(f"Bearer {self.current}")

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "accounts.zoho.example":
            return await self._give_token(request)
        self.api.append(request)
        if request.headers["Authorization"] in self.refused:
            return _fresh(UNAUTHORISED)
        return _play(self.script)

    async def _give_token(self, request: httpx.Request) -> httpx.Response:
        self.tokens.append(request)
        await asyncio.sleep(0)
        if self.token_script:
            return _play(self.token_script)
        return httpx.Response(200, json={"access_token": self.current} | self.token_fields)


def _play(script: list[Scripted]) -> httpx.Response:
    step = script.pop(0) if len(script) > 1 else script[0]
    if isinstance(step, Exception):
        raise step
    return _fresh(step)


def _fresh(response: httpx.Response) -> httpx.Response:
    return httpx.Response(response.status_code, headers=response.headers, content=response.content)


@pytest.fixture
def far_end() -> FarEnd:
    return FarEnd()


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture
async def http(far_end: FarEnd) -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client(transport=httpx.MockTransport(far_end)) as client:
        yield client


@pytest.fixture
def auth(http: httpx.AsyncClient, clock: AdjustableClock) -> ZohoAuth:
    credentials = Credentials("1000.CLIENT", SecretStr(CANARIES[0]), SecretStr(CANARIES[1]))
    return ZohoAuth("https://accounts.zoho.example", credentials, http, clock)


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def cliq(
    http: httpx.AsyncClient, auth: ZohoAuth, clock: AdjustableClock, slept: list[float]
) -> CliqClient:
    return make_client(http, auth, clock, slept)


def make_client(
    http: httpx.AsyncClient,
    auth: ZohoAuth,
    clock: AdjustableClock,
    slept: list[float],
    **options: float,
) -> CliqClient:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return CliqClient(
        "https://cliq.zoho.example",
        auth,
        http=http,
        clock=clock,
        budget=MemoryBudget(clock),
        tries=Tries(sleep=sleep, random=lambda: 1.0, **options),
    )


class TestRequests:
    async def test_a_read_is_one_get_with_a_bearer_token(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        config = await cliq.read(Purpose.LOOK)

        (request,) = far_end.api
        assert config is not None
        assert config.email_id == "scott@acme.example"
        assert request.method == "GET"
        assert request.url == "https://cliq.zoho.example/api/v2/mailconfigurations/global"
        assert request.headers["Authorization"] == f"Bearer {CANARIES[2]}.1"
        assert request.headers["Accept"] == "application/json"
        assert request.headers["User-Agent"].startswith("mailcfg/")

    async def test_a_write_sends_the_arguments_as_they_are(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        await cliq.write(WANTED)

        (request,) = far_end.api
        assert request.method == "PUT"
        assert request.headers["Content-Type"] == "application/json"
        assert json.loads(request.content) == ARGUMENTS

    async def test_the_key_size_is_sent_only_when_it_was_asked_for(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        await cliq.write(replace(WANTED, dkim_key_size=None))

        assert json.loads(far_end.api[0].content) == SENDER

    async def test_a_removal_is_a_delete_without_body(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        far_end.script = [httpx.Response(204)]

        await cliq.remove()

        assert far_end.api[0].method == "DELETE"
        assert far_end.api[0].content == b""

    async def test_nothing_configured_is_none(self, cliq: CliqClient, far_end: FarEnd) -> None:
        far_end.script = [httpx.Response(200, json={"data": {}})]

        assert await cliq.read(Purpose.LOOK) is None

    async def test_a_token_may_take_as_long_as_any_other_call_to_zoho(
        self, http: httpx.AsyncClient, far_end: FarEnd, clock: AdjustableClock
    ) -> None:
        secrets = Credentials("id", SecretStr("s"), SecretStr("r"))
        auth = ZohoAuth("https://accounts.zoho.example", secrets, http, clock, total_seconds=0.5)

        await auth.token()

        assert set(far_end.tokens[0].extensions["timeout"].values()) == {0.5}

    async def test_a_redirect_is_never_followed(self, cliq: CliqClient, far_end: FarEnd) -> None:
        far_end.script = [httpx.Response(302, headers={"Location": "https://evil.example/"})]

        with pytest.raises(MalformedAnswer, match="redirect"):
            await cliq.read(Purpose.LOOK)

        assert [request.url.host for request in far_end.api] == ["cliq.zoho.example"]

    async def test_cookies_are_not_carried_from_call_to_call(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        cookie = httpx.Response(200, json={}, headers={"Set-Cookie": "iamcsr=1; Path=/"})
        far_end.script = [cookie]

        await cliq.read(Purpose.LOOK)
        await cliq.read(Purpose.LOOK)

        assert "Cookie" not in far_end.api[1].headers


class TestRepetition:
    @pytest.mark.parametrize(
        "failure",
        [
            httpx.ConnectError("no route"),
            httpx.ConnectTimeout("slow"),
            httpx.ReadTimeout("slow"),
            httpx.ReadError("reset"),
            httpx.RemoteProtocolError("disconnected"),
            httpx.Response(500),
            httpx.Response(503, text="<html>"),
        ],
    )
    async def test_a_read_is_repeated_twice_with_growing_pauses(
        self, cliq: CliqClient, far_end: FarEnd, slept: list[float], failure: Scripted
    ) -> None:
        far_end.script = [failure, failure, CONFIGURED]

        assert await cliq.read(Purpose.LOOK) is not None
        assert slept == [0.625, 1.25]

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (httpx.ConnectError("no route"), NotSent),
            (httpx.PoolTimeout("busy"), NotSent),
            (httpx.ReadTimeout("slow"), Ambiguous),
            (httpx.Response(500), ServerError),
        ],
    )
    async def test_a_read_that_fails_three_times_gives_up(
        self, cliq: CliqClient, far_end: FarEnd, failure: Scripted, kind: type[CliqError]
    ) -> None:
        far_end.script = [failure]

        with pytest.raises(kind):
            await cliq.read(Purpose.LOOK)

        assert len(far_end.api) == 3

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (httpx.Response(200, text="<html>"), MalformedAnswer),
            (httpx.Response(400), BadRequest),
            (httpx.Response(403), PermissionDenied),
            (httpx.Response(401, json={"code": "oauthtoken_scope_invalid"}), ScopeError),
            (httpx.Response(429), RateLimited),
        ],
    )
    async def test_other_failures_of_a_read_are_final(
        self, cliq: CliqClient, far_end: FarEnd, failure: Scripted, kind: type[CliqError]
    ) -> None:
        far_end.script = [failure, CONFIGURED]

        with pytest.raises(kind):
            await cliq.read(Purpose.LOOK)

        assert len(far_end.api) == 1

    @pytest.mark.parametrize(
        ("failure", "kind"),
        [
            (httpx.ConnectError("refused"), NotSent),
            (httpx.ConnectTimeout("slow"), NotSent),
            (httpx.PoolTimeout("busy"), NotSent),
            (httpx.ProxyError("proxy"), NotSent),
            (httpx.ReadTimeout("slow"), Ambiguous),
            (httpx.WriteTimeout("slow"), Ambiguous),
            (httpx.ReadError("reset"), Ambiguous),
            (httpx.WriteError("reset"), Ambiguous),
            (httpx.RemoteProtocolError("disconnected"), Ambiguous),
            (httpx.DecodingError("bad gzip"), MalformedAnswer),
            (httpx.Response(408), Ambiguous),
            (httpx.Response(500), ServerError),
            (httpx.Response(502, text="<html>"), ServerError),
            (httpx.Response(200, text="<html>"), MalformedAnswer),
            (httpx.Response(302, headers={"Location": "/"}), MalformedAnswer),
            (httpx.Response(404), NotFound),
            (httpx.Response(429), RateLimited),
        ],
    )
    async def test_a_write_is_never_repeated(
        self, cliq: CliqClient, far_end: FarEnd, failure: Scripted, kind: type[CliqError]
    ) -> None:
        far_end.script = [failure, CONFIGURED]

        with pytest.raises(CliqError) as caught:
            await cliq.write(WANTED)

        assert type(caught.value) is kind
        assert len(far_end.api) == 1

    async def test_no_answer_within_the_total_time_is_ambiguous(
        self,
        auth: ZohoAuth,
        clock: AdjustableClock,
    ) -> None:
        async def silence(request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

        async with new_http_client(transport=httpx.MockTransport(silence)) as silent:
            cliq = make_client(silent, auth, clock, [], total_seconds=0.01)

            with pytest.raises(Ambiguous, match="not known whether the call took effect"):
                await cliq.remove()

    async def test_a_client_that_must_not_repeat_makes_one_request(
        self, http: httpx.AsyncClient, auth: ZohoAuth, clock: AdjustableClock, far_end: FarEnd
    ) -> None:
        far_end.script = [httpx.Response(500), UNAUTHORISED]
        cliq = make_client(http, auth, clock, [], repeats=False)

        with pytest.raises(ServerError):
            await cliq.read(Purpose.LOOK)
        with pytest.raises(AuthError):
            await cliq.read(Purpose.LOOK)

        assert (len(far_end.api), len(far_end.tokens)) == (2, 1)


class TestTokens:
    async def test_the_token_request_carries_its_secrets_in_the_body(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        await cliq.read(Purpose.LOOK)

        (request,) = far_end.tokens
        assert request.url == "https://accounts.zoho.example/oauth/v2/token"
        assert parse_qs(request.content.decode()) == {
            "grant_type": ["refresh_token"],
            "client_id": ["1000.CLIENT"],
            "client_secret": [CANARIES[0]],
            "refresh_token": [CANARIES[1]],
        }
        assert "Authorization" not in request.headers

    async def test_ten_reads_at_once_need_one_token(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        await asyncio.gather(*(cliq.read(Purpose.APPLY) for _ in range(10)))

        assert (len(far_end.tokens), len(far_end.api)) == (1, 10)

    async def test_ten_reads_with_a_dead_token_renew_it_once(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        await auth.token()
        far_end.revoke()

        await asyncio.gather(*(cliq.read(Purpose.CONFIRM) for _ in range(9)))

        assert len(far_end.tokens) == 2

    async def test_a_late_refusal_of_an_old_token_does_not_cost_the_new_one(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        old = await auth.token()
        far_end.revoke()
        await cliq.read(Purpose.LOOK)

        await auth.drop(old)
        await cliq.read(Purpose.LOOK)

        assert len(far_end.tokens) == 2

    async def test_a_token_is_kept_until_five_minutes_before_its_end(
        self, cliq: CliqClient, far_end: FarEnd, clock: AdjustableClock
    ) -> None:
        await cliq.read(Purpose.LOOK)
        clock.advance(timedelta(minutes=54))
        await cliq.read(Purpose.LOOK)
        kept = len(far_end.tokens)
        clock.advance(timedelta(minutes=1))
        await cliq.read(Purpose.LOOK)

        assert (kept, len(far_end.tokens)) == (1, 2)

    async def test_a_refused_token_is_renewed_and_the_call_sent_once_more(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        await auth.token()
        far_end.revoke()

        await cliq.write(WANTED)

        assert [request.headers["Authorization"][-1] for request in far_end.api] == ["1", "2"]

    async def test_a_second_refusal_surfaces(self, cliq: CliqClient, far_end: FarEnd) -> None:
        far_end.script = [UNAUTHORISED]

        with pytest.raises(AuthError):
            await cliq.write(WANTED)

        assert (len(far_end.api), len(far_end.tokens)) == (2, 2)

    async def test_a_read_renews_its_token_once_however_often_it_is_repeated(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        far_end.script = [UNAUTHORISED, httpx.Response(500), UNAUTHORISED]

        with pytest.raises(AuthError):
            await cliq.read(Purpose.LOOK)

        assert (len(far_end.api), len(far_end.tokens)) == (3, 2)

    async def test_a_missing_scope_does_not_cost_a_token(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        far_end.script = [httpx.Response(401, json={"code": "oauthtoken_scope_invalid"})]

        with pytest.raises(ScopeError, match="UPDATE"):
            await cliq.write(WANTED)
        await auth.token()

        assert (len(far_end.api), len(far_end.tokens)) == (1, 1)

    async def test_a_403_names_the_scope_that_the_token_is_known_to_lack(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        far_end.token_fields = {"expires_in": 3600, "scope": "ZohoCliq.Organisation.READ"}
        far_end.script = [httpx.Response(403, json={"message": "no permission"})]

        with pytest.raises(PermissionDenied):
            await cliq.read(Purpose.LOOK)
        with pytest.raises(ScopeError, match=r"ZohoCliq\.Organisation\.DELETE"):
            await cliq.remove()

    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            (httpx.Response(200, json={"error": "invalid_code"}), ReauthRequired),
            (httpx.Response(200, json={"error": "invalid_client"}), OAuthConfigError),
            (httpx.Response(200, json={"error": "invalid_client_secret"}), OAuthConfigError),
            (httpx.Response(200, json={"error": "Access Denied"}), OAuthThrottled),
            (httpx.Response(500), OAuthUnavailable),
            (httpx.ConnectError("no route"), OAuthUnavailable),
            (httpx.ReadTimeout("slow"), OAuthUnavailable),
        ],
    )
    async def test_without_a_token_nothing_is_sent_to_cliq(
        self, cliq: CliqClient, far_end: FarEnd, answer: Scripted, kind: type[OAuthError]
    ) -> None:
        far_end.token_script = [answer]

        with pytest.raises(kind):
            await cliq.write(WANTED)

        assert far_end.api == []

    async def test_a_renewal_that_fails_after_a_refusal_is_told_as_such(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        await auth.token()
        far_end.revoke()
        far_end.token_script = [httpx.Response(200, json={"error": "invalid_code"})]

        with pytest.raises(ReauthRequired):
            await cliq.write(WANTED)

        assert len(far_end.api) == 1

    async def test_access_denied_pauses_token_requests_for_ten_minutes(
        self, cliq: CliqClient, far_end: FarEnd, clock: AdjustableClock
    ) -> None:
        far_end.token_script = [httpx.Response(400, json={"error": "Access Denied"})]
        for _ in range(3):
            with pytest.raises(OAuthThrottled):
                await cliq.read(Purpose.LOOK)
        asked_while_paused = len(far_end.tokens)
        far_end.token_script = []
        clock.advance(timedelta(minutes=10))

        assert await cliq.read(Purpose.LOOK) is not None
        assert asked_while_paused == 1

    async def test_eight_token_requests_in_ten_minutes_are_the_most(
        self, cliq: CliqClient, far_end: FarEnd, clock: AdjustableClock
    ) -> None:
        far_end.token_script = [httpx.Response(500)]
        for _ in range(8):
            with pytest.raises(OAuthUnavailable):
                await cliq.read(Purpose.LOOK)
        first = clock.now()
        with pytest.raises(OAuthThrottled) as caught:
            await cliq.read(Purpose.LOOK)

        assert len(far_end.tokens) == 8
        assert caught.value.retry_at <= first + timedelta(minutes=10)


class TestBudget:
    @pytest.mark.parametrize(
        ("purpose", "calls"), [(Purpose.LOOK, 8), (Purpose.APPLY, 12), (Purpose.CONFIRM, 19)]
    )
    async def test_each_purpose_stops_at_its_own_count(
        self, cliq: CliqClient, far_end: FarEnd, purpose: Purpose, calls: int
    ) -> None:
        for _ in range(calls):
            await cliq.read(purpose)

        with pytest.raises(BudgetSpent):
            await cliq.read(purpose)

        assert len(far_end.api) == calls

    async def test_looking_leaves_room_for_applying_and_that_for_confirming(
        self, cliq: CliqClient
    ) -> None:
        for _ in range(8):
            await cliq.read(Purpose.LOOK)
        for _ in range(4):
            await cliq.write(WANTED)

        with pytest.raises(BudgetSpent):
            await cliq.remove()
        assert await cliq.read(Purpose.CONFIRM) is not None

    async def test_calls_count_for_seventy_seconds(
        self, cliq: CliqClient, clock: AdjustableClock
    ) -> None:
        await cliq.read(Purpose.LOOK)
        clock.advance(timedelta(seconds=30))
        for _ in range(7):
            await cliq.read(Purpose.LOOK)
        with pytest.raises(BudgetSpent) as caught:
            await cliq.read(Purpose.LOOK)
        wait = caught.value.retry_at - clock.now()
        clock.advance(wait)

        assert timedelta(seconds=39) < wait <= timedelta(seconds=40)
        assert await cliq.read(Purpose.LOOK) is not None

    async def test_every_try_counts_also_the_one_with_a_refused_token(
        self, cliq: CliqClient, auth: ZohoAuth, far_end: FarEnd
    ) -> None:
        await auth.token()
        far_end.revoke()
        far_end.script = [httpx.Response(500), httpx.Response(500), CONFIGURED]
        await cliq.read(Purpose.LOOK)
        for _ in range(4):
            await cliq.read(Purpose.LOOK)

        with pytest.raises(BudgetSpent):
            await cliq.read(Purpose.LOOK)

        assert len(far_end.api) == 8

    async def test_many_calls_at_once_do_not_slip_past_the_count(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        calls = (cliq.read(Purpose.CONFIRM) for _ in range(50))

        outcomes = await asyncio.gather(*calls, return_exceptions=True)

        assert len(far_end.api) == 19
        assert sum(isinstance(outcome, BudgetSpent) for outcome in outcomes) == 31

    @pytest.mark.parametrize(
        ("throttle", "minutes"),
        [
            (httpx.Response(429), 10),
            (httpx.Response(400, json={"code": "request_limit_exceeded"}), 10),
            (httpx.Response(429, headers={"Retry-After": "1200"}), 20),
        ],
    )
    async def test_after_a_throttle_nothing_at_all_is_sent_until_the_lock_ends(
        self,
        cliq: CliqClient,
        far_end: FarEnd,
        clock: AdjustableClock,
        throttle: httpx.Response,
        minutes: int,
    ) -> None:
        far_end.script = [throttle, CONFIGURED]
        with pytest.raises(RateLimited) as first:
            await cliq.read(Purpose.LOOK)
        clock.advance(timedelta(minutes=minutes, seconds=-1))
        with pytest.raises(RateLimited) as second:
            await cliq.write(WANTED)
        sent_while_locked = len(far_end.api)
        clock.advance(timedelta(seconds=1))

        assert await cliq.read(Purpose.CONFIRM) is not None
        assert sent_while_locked == 1
        assert second.value.retry_at == first.value.retry_at
        assert second.value.source == "lock"

    async def test_while_locked_not_even_a_token_is_asked_for(
        self, cliq: CliqClient, far_end: FarEnd, clock: AdjustableClock
    ) -> None:
        far_end.script = [httpx.Response(429, headers={"Retry-After": "7200"})]
        with pytest.raises(RateLimited):
            await cliq.read(Purpose.LOOK)
        clock.advance(timedelta(minutes=90))
        with pytest.raises(RateLimited):
            await cliq.read(Purpose.LOOK)

        assert len(far_end.tokens) == 1


class TestSecrets:
    async def test_no_secret_shows_in_logs_errors_or_reprs(
        self,
        cliq: CliqClient,
        auth: ZohoAuth,
        far_end: FarEnd,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        caplog.set_level(logging.DEBUG)
        seen: list[str] = []
        far_end.script = [UNAUTHORISED, httpx.Response(500), CONFIGURED]
        with structlog.testing.capture_logs() as logs:
            token = await auth.token()
            await cliq.read(Purpose.LOOK)
            seen += await _failures(cliq, far_end)
        seen += [repr(vars(thing)) for thing in (cliq, auth)]
        seen += [repr(token), repr(logs), caplog.text]

        assert len(logs) > 5
        assert [canary for canary in CANARIES if canary in "".join(seen)] == []

    async def test_the_log_tells_method_status_code_and_duration(
        self, cliq: CliqClient, far_end: FarEnd
    ) -> None:
        far_end.script = [httpx.Response(400, json={"code": "operation_failed"})]

        with structlog.testing.capture_logs() as logs, pytest.raises(BadRequest):
            await cliq.write(WANTED)

        call = logs[-1]
        assert (call["method"], call["status"], call["code"]) == ("PUT", 400, "operation_failed")
        assert isinstance(call["ms"], int)


async def _failures(cliq: CliqClient, far_end: FarEnd) -> list[str]:
    """What each failed call shows: its sentence, its attributes, its traceback with causes."""
    told = []
    for step in (httpx.ReadError("reset"), UNAUTHORISED, httpx.Response(429)):
        far_end.script = [step]
        far_end.token_script = [httpx.Response(200, json={"error": "invalid_client"})]
        try:
            await cliq.write(WANTED)
        except MailcfgError as error:
            told += [str(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    return told
