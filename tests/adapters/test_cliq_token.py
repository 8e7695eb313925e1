"""The one token: renewed once however many need it, paused where asking would not help, pinned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import parse_qs

import httpx
import pytest
from pydantic import SecretStr

from bot.adapters.cliq.accounts import AccountsServer, Credentials
from bot.adapters.cliq.client import new_http_client
from bot.adapters.cliq.connect import connect_as_set
from bot.adapters.cliq.memory import InMemory
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.store.shared import shared_token
from bot.adapters.store.sql import SqlStore
from bot.adapters.store.vault import Vault
from bot.domain.token import AccessToken, TokenState
from bot.errors import (
    NotConnected,
    OAuthConfigError,
    OAuthError,
    OAuthThrottled,
    OAuthUnavailable,
    OtherCredentials,
    ReauthRequired,
)
from bot.sandbox.clock import AdjustableClock
from tests.fakes import MORNING, FakeClock

CLIENT = Credentials("1000.CLIENT", SecretStr("secret"), SecretStr("1000.env.token"), home="us")
STORED = Credentials("1000.CLIENT", SecretStr("secret"), home="us")


class Accounts:
    """Zoho's accounts server: gives numbered tokens, or what it is told to say."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.says: dict[str, str] | None = None
        self.waits_for: asyncio.Event | None = None
        self.was_asked = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        form = parse_qs(request.content.decode())
        self.asked.append({name: value for name, (value,) in form.items()})
        waits_for = self.waits_for
        self.was_asked.set()
        await asyncio.sleep(0)
        if waits_for is not None:
            await waits_for.wait()
        token = {"access_token": f"1000.access.{len(self.asked)}", "expires_in": 3600}
        return httpx.Response(200, content=json.dumps(self.says or token))


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


@pytest.fixture
async def http(accounts: Accounts) -> AsyncIterator[httpx.AsyncClient]:
    async with new_http_client(transport=httpx.MockTransport(accounts)) as client:
        yield client


@pytest.fixture
def clock() -> AdjustableClock:
    return AdjustableClock()


@pytest.fixture
def shared() -> InMemory[TokenState]:
    return InMemory(TokenState())


class Processes:
    """Any number of processes that share one state; while one waits, time passes."""

    def __init__(
        self, http: httpx.AsyncClient, clock: AdjustableClock, shared: InMemory[TokenState]
    ) -> None:
        self._http = http
        self._clock = clock
        self._shared = shared
        self.waits = 0

    def another(self, credentials: Credentials = CLIENT) -> ZohoAuth:
        url = "https://accounts.zoho.example"
        return ZohoAuth(
            url, credentials, self._http, self._clock, shared=self._shared, sleep=self._wait
        )

    async def _wait(self, seconds: float) -> None:
        self.waits += 1
        self._clock.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)


@pytest.fixture
def processes(
    http: httpx.AsyncClient, clock: AdjustableClock, shared: InMemory[TokenState]
) -> Processes:
    return Processes(http, clock, shared)


async def secret_of(auth: ZohoAuth) -> str:
    return (await auth.token()).secret.get_secret_value()


async def test_twenty_processes_that_need_a_token_at_once_ask_for_one(
    processes: Processes, accounts: Accounts
):
    tokens = await asyncio.gather(*(secret_of(processes.another()) for _ in range(20)))

    assert set(tokens) == {"1000.access.1"}
    assert len(accounts.asked) == 1
    assert processes.waits > 0


async def test_a_token_that_one_process_found_dead_is_renewed_once_for_all(
    processes: Processes, accounts: Accounts
):
    one, two = processes.another(), processes.another()
    dead = await one.token()
    await asyncio.gather(one.drop(dead), two.drop(dead))

    assert await asyncio.gather(secret_of(one), secret_of(two)) == ["1000.access.2"] * 2
    await two.drop(dead)
    assert await secret_of(one) == "1000.access.2"


async def test_a_token_that_is_refused_at_its_first_use_is_renewed_though_times_are_stored_whole(
    http: httpx.AsyncClient, accounts: Accounts, store: SqlStore
):
    clock = FakeClock(MORNING + timedelta(microseconds=1))
    shared = shared_token(store, "default", Vault([b"k" * 32]))
    auth = ZohoAuth("https://accounts.zoho.example", CLIENT, http, clock, shared=shared)

    await auth.drop(await auth.token())

    assert await secret_of(auth) == "1000.access.2"


async def test_where_the_one_that_asks_dies_another_asks_once_its_lease_has_ended(
    processes: Processes, accounts: Accounts, clock: AdjustableClock
):
    accounts.waits_for = asyncio.Event()
    dying = asyncio.create_task(processes.another().token())
    await accounts.was_asked.wait()
    dying.cancel()
    accounts.waits_for, began = None, clock.now()

    assert await secret_of(processes.another()) == "1000.access.2"
    assert timedelta(seconds=14) < clock.now() - began < timedelta(seconds=17)


async def test_an_answer_that_comes_after_its_lease_leaves_the_next_ones_lease_alone(
    processes: Processes, accounts: Accounts, clock: AdjustableClock
):
    accounts.waits_for = late = asyncio.Event()
    slow = asyncio.create_task(processes.another().token())
    await accounts.was_asked.wait()
    accounts.was_asked.clear()
    accounts.waits_for = in_time = asyncio.Event()
    clock.advance(timedelta(seconds=16))
    next_one = asyncio.create_task(secret_of(processes.another()))
    await accounts.was_asked.wait()

    accounts.says = {"error": "general_error"}
    late.set()
    with pytest.raises(OAuthUnavailable):
        await slow
    accounts.says = None
    third = asyncio.create_task(secret_of(processes.another()))
    await asyncio.sleep(0)
    in_time.set()

    assert await asyncio.gather(next_one, third) == ["1000.access.2"] * 2
    assert len(accounts.asked) == 2


async def test_connecting_holds_the_token_for_as_long_as_its_request_may_take(
    http: httpx.AsyncClient,
    accounts: Accounts,
    clock: AdjustableClock,
    shared: InMemory[TokenState],
    processes: Processes,
):
    server = AccountsServer("https://a.example", CLIENT, http, clock, total_seconds=60)
    accounts.waits_for = asyncio.Event()
    connecting = asyncio.create_task(connect_as_set(CLIENT, server, shared, clock))
    await accounts.was_asked.wait()
    clock.advance(timedelta(seconds=45))
    bot = asyncio.create_task(secret_of(processes.another()))
    await asyncio.sleep(0)
    accounts.waits_for.set()

    await connecting
    assert await bot == "1000.access.1"
    assert len(accounts.asked) == 1


async def test_of_two_who_connect_at_once_neither_gets_the_others_token(
    http: httpx.AsyncClient,
    accounts: Accounts,
    clock: AdjustableClock,
    shared: InMemory[TokenState],
    processes: Processes,
):
    server = AccountsServer("https://a.example", CLIENT, http, clock)
    accounts.waits_for = asyncio.Event()
    connecting = asyncio.create_task(connect_as_set(CLIENT, server, shared, clock))
    await accounts.was_asked.wait()
    new = SecretStr("1000.new.token")
    await shared.change(lambda s: s.connected(new, None, STORED.grant(new), STORED.client))
    accounts.waits_for.set()
    await connecting

    assert await secret_of(processes.another(CLIENT)) == "1000.access.1"
    assert await secret_of(processes.another(STORED)) == "1000.access.2"
    assert accounts.asked[1]["refresh_token"] == "1000.new.token"


async def test_a_revoked_refresh_token_is_asked_about_once_in_ten_minutes_by_all_together(
    processes: Processes, accounts: Accounts, clock: AdjustableClock
):
    accounts.says = {"error": "invalid_code"}
    for _ in range(5):
        with pytest.raises(ReauthRequired, match="mailcfg connect"):
            await processes.another().token()
    asked = len(accounts.asked)
    clock.advance(timedelta(minutes=10))
    accounts.says = None

    assert await secret_of(processes.another()) == "1000.access.2"
    assert asked == 1


@pytest.mark.parametrize("word", ["Access Denied", "access denied"])
async def test_access_denied_is_never_a_reason_to_authorise_again(
    processes: Processes, accounts: Accounts, clock: AdjustableClock, word: str
):
    accounts.says = {"error": word, "status": "failure"}
    told = []
    for _ in range(3):
        with pytest.raises(OAuthError) as caught:
            await processes.another().token()
        told.append(caught.value)

    assert {type(error) for error in told} == {OAuthThrottled}
    assert not any("authorise" in str(error) for error in told)
    assert len(accounts.asked) == 1


async def test_a_wrong_data_centre_is_named_as_a_possible_cause(
    processes: Processes, accounts: Accounts
):
    accounts.says = {"error": "invalid_client"}

    with pytest.raises(OAuthConfigError, match="ZOHO_DATA_CENTER is not the one"):
        await processes.another().token()
    with pytest.raises(OAuthConfigError, match="ZOHO_DATA_CENTER is not the one"):
        await processes.another().token()

    assert len(accounts.asked) == 1


async def test_all_processes_together_ask_eight_times_in_ten_minutes_at_most(
    processes: Processes, accounts: Accounts
):
    accounts.says = {"error": "general_error"}
    for _ in range(8):
        with pytest.raises(OAuthUnavailable):
            await processes.another().token()

    with pytest.raises(OAuthThrottled) as caught:
        await processes.another().token()

    assert len(accounts.asked) == 8
    assert str(caught.value) == (
        "mailcfg has asked Zoho for as many tokens as it lets itself in ten minutes; it goes on at "
        f"{caught.value.retry_at:%H:%M} UTC. Whoever runs mailcfg finds in its log how Zoho answered."
    )


async def test_those_who_wait_for_one_request_share_its_failure_and_the_next_one_asks_anew(
    processes: Processes, accounts: Accounts
):
    accounts.says = {"error": "general_error"}
    auth = processes.another()
    told = await asyncio.gather(*(auth.token() for _ in range(10)), return_exceptions=True)
    asked = len(accounts.asked)
    accounts.says = None

    assert {type(each) for each in told} == {OAuthUnavailable}
    assert asked == 1
    assert await secret_of(auth) == "1000.access.2"


async def test_the_secret_or_the_refresh_token_set_right_ends_the_pause_at_once(
    processes: Processes, accounts: Accounts
):
    accounts.says = {"error": "invalid_client_secret"}
    with pytest.raises(OAuthConfigError):
        await processes.another().token()
    accounts.says = None

    mended = Credentials("1000.CLIENT", SecretStr("right"), SecretStr("1000.env.token"), home="us")
    assert await secret_of(processes.another(mended)) == "1000.access.2"


async def test_the_refresh_token_of_the_settings_comes_before_the_stored_one(
    processes: Processes, accounts: Accounts, shared: InMemory[TokenState]
):
    stored = SecretStr("1000.stored.token")
    await shared.change(lambda s: s.connected(stored, None, STORED.grant(stored), STORED.client))

    await processes.another(STORED).token()
    await processes.another(CLIENT).token()

    assert [form["refresh_token"] for form in accounts.asked] == [
        "1000.stored.token",
        "1000.env.token",
    ]


async def test_without_any_refresh_token_the_cure_is_named(processes: Processes):
    with pytest.raises(NotConnected) as caught:
        await processes.another(STORED).check()

    assert str(caught.value) == (
        "ZOHO_REFRESH_TOKEN is missing, and none is stored: make a code in Zoho's API console and "
        "run `mailcfg connect --code 1000.…`, or set ZOHO_REFRESH_TOKEN."
    )


async def test_a_stored_one_that_no_key_opens_is_told_from_none(
    processes: Processes, shared: InMemory[TokenState]
):
    await shared.change(lambda _: TokenState(is_sealed=True))

    with pytest.raises(NotConnected, match="MAILCFG_SECRET_KEY was changed, add the old key"):
        await processes.another(STORED).check()


@pytest.mark.parametrize(
    "other",
    [
        Credentials("1000.OTHER", SecretStr("secret"), SecretStr("1000.env.token"), home="us"),
        Credentials("1000.CLIENT", SecretStr("secret"), SecretStr("1000.env.token"), home="eu"),
        Credentials(
            "1000.CLIENT", SecretStr("secret"), SecretStr("1000.env.token"), home="us/network/x"
        ),
    ],
    ids=["client", "data centre", "network"],
)
async def test_with_another_client_than_before_nothing_is_asked_or_sent(
    processes: Processes, accounts: Accounts, other: Credentials
):
    await processes.another().token()

    with pytest.raises(OtherCredentials, match="another organisation's settings may be in place"):
        await processes.another(other).check()
    with pytest.raises(OtherCredentials):
        await processes.another(other).token()

    assert len(accounts.asked) == 1


async def test_new_secrets_of_the_same_client_are_no_other_credentials(
    processes: Processes, accounts: Accounts
):
    await processes.another().token()
    renewed = Credentials("1000.CLIENT", SecretStr("new"), SecretStr("1000.new.token"), home="us")

    assert await secret_of(processes.another(renewed)) == "1000.access.2"
    assert accounts.asked[1]["refresh_token"] == "1000.new.token"


async def test_an_answer_for_a_grant_that_was_replaced_meanwhile_is_not_kept(
    processes: Processes, accounts: Accounts, shared: InMemory[TokenState]
):
    accounts.waits_for = asyncio.Event()
    asking = asyncio.create_task(processes.another().token())
    await accounts.was_asked.wait()
    new = SecretStr("1000.new.token")
    token = AccessToken(SecretStr("1000.new.access"), (await shared.read()).requests[0])
    await shared.change(lambda s: s.connected(new, token, STORED.grant(new), STORED.client))
    accounts.waits_for.set()
    await asking

    assert (await shared.read()).token == token
