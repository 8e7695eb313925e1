"""Several real processes on one PostgreSQL database stay within one budget and use one token."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bot.adapters.store.shared import shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.ports import Purpose
from bot.sandbox.accounts import TOKEN_PATH
from bot.sandbox.cliq.log import LoggedRequest
from bot.sandbox.cliq.profile import PROFILES
from bot.sandbox.cliq.serving import ServedCliq, start
from bot.sandbox.cliq.state import ADMIN
from tests.callers import KEY, ORG, Callers, callers
from tests.postgres import Postgres
from tests.soak.options import SOAK, Soak

MINUTE = timedelta(seconds=60)


@pytest.fixture
async def zoho() -> AsyncIterator[ServedCliq]:
    served = await start()
    yield served
    await served.close()


@pytest.fixture
def soak(request: pytest.FixtureRequest) -> Soak:
    return request.config.stash[SOAK]


def asked(zoho: ServedCliq, *, token: bool = False) -> list[LoggedRequest]:
    return [each for each in zoho.emulator.log.all() if (each.path == TOKEN_PATH) == token]


def most_in_a_minute(calls: list[LoggedRequest]) -> int:
    """The most calls in any 60 seconds, by the time at which Zoho saw them."""
    times = [each.at for each in calls]
    return max((_within(times, at) for at in times), default=0)


def _within(times: list[datetime], begin: datetime) -> int:
    return sum(begin <= at < begin + MINUTE for at in times)


@pytest.mark.parametrize(
    ("number", "purpose"),
    [
        (2, Purpose.CONFIRM),
        *(pytest.param(4, purpose, marks=pytest.mark.soak) for purpose in Purpose),
    ],
)
async def test_processes_that_call_at_once_send_exactly_the_budget(
    postgres: Postgres, zoho: ServedCliq, soak: Soak, number: int, purpose: Purpose
):
    async with callers(number, postgres.emptied(), zoho.dotenv()) as several:
        outcomes = await several.told(f"15 {purpose.name}")

    wanted = number * 15
    assert outcomes == Counter(served=purpose.value, BudgetSpent=wanted - purpose.value)
    assert most_in_a_minute(asked(zoho)) == len(asked(zoho)) == purpose.value
    assert len(asked(zoho, token=True)) == 1
    soak.report(
        "one budget",
        f"{number} processes x 15 calls for {purpose.name}: {len(asked(zoho))} sent, the most in "
        f"a minute {most_in_a_minute(asked(zoho))}, token requests 1",
    )


@pytest.mark.parametrize(
    ("number", "profile"),
    [
        (2, "observed"),
        *(pytest.param(4, profile, marks=pytest.mark.soak) for profile in PROFILES),
    ],
)
async def test_after_a_throttle_no_process_sends_anything_until_the_lock_ends(
    postgres: Postgres, zoho: ServedCliq, soak: Soak, number: int, profile: str
):
    zoho.emulator.set_profile(profile)
    async with callers(number, postgres.emptied(), zoho.dotenv()) as several:
        zoho.emulator.state.throttle.lock(ADMIN, zoho.emulator.clock.now())
        assert await several.each[0].told("1 LOOK") == {"RateLimited": 1}
        while_locked = [await several.told("15 CONFIRM")]
        await pass_time(zoho, several, 590)
        while_locked.append(await several.told("15 CONFIRM"))
        reached = len(asked(zoho)) - 1
        await pass_time(zoho, several, 11)
        afterwards = await several.told("15 CONFIRM")

    assert while_locked == [Counter(RateLimited=number * 15)] * 2
    assert reached == 0
    assert afterwards["served"] == Purpose.CONFIRM.value
    soak.report(
        "one lock",
        f"{number} processes, {profile}: {reached} calls in 601 s of lock, then "
        f"{afterwards['served']}",
    )


async def pass_time(zoho: ServedCliq, several: Callers, seconds: int) -> None:
    zoho.emulator.clock.advance(timedelta(seconds=seconds))
    await several.told(f"advance {seconds}")


@pytest.mark.parametrize("number", [3, pytest.param(20, marks=pytest.mark.soak)])
async def test_processes_that_start_with_an_expired_token_ask_for_one_together(
    postgres: Postgres, zoho: ServedCliq, soak: Soak, number: int
):
    url = postgres.emptied()
    async with callers(1, url, zoho.dotenv()) as first:
        await first.told("token")
        await expire_token(url)
    async with callers(number, url, zoho.dotenv()) as several:
        outcomes = await several.told("token")

    assert outcomes == Counter(served=number)
    assert len(asked(zoho, token=True)) == 2
    soak.report("one token", f"{number} processes with an expired token: 1 refresh")


async def expire_token(url: str) -> None:
    """As if an hour had gone by since it was stored."""
    store = SqlStore(open_engine(url))
    shared = shared_token(store, ORG, Vault([KEY.encode()]))
    token = (await shared.read()).token
    assert token is not None
    old = replace(token, refresh_at=token.refresh_at - timedelta(hours=2))
    await shared.change(lambda state: replace(state, token=old))
    await store.close()


async def test_no_process_says_a_secret(postgres: Postgres, zoho: ServedCliq):
    async with callers(2, postgres.emptied(), zoho.dotenv()) as several:
        await several.told("5 APPLY")
        zoho.emulator.state.refresh_tokens.clear()
        zoho.emulator.state.access_tokens.clear()
        await several.told("2 CONFIRM")

    mine = zoho.emulator.state.credentials
    canaries = [KEY, mine.client_secret, mine.refresh_token, "1000."]
    assert "token request" in several.said
    assert [canary for canary in canaries if canary in several.said] == []


@pytest.mark.soak
async def test_over_minutes_there_is_never_a_twentieth_call_in_any_minute(
    postgres: Postgres, zoho: ServedCliq, soak: Soak
):
    """In real time, since Zoho's minute slides."""
    seconds = 300 if soak.share == "full" else 160
    async with callers(4, postgres.emptied(), zoho.dotenv()) as several:
        began, served = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            for purpose in Purpose:
                served += (await several.told(f"2 {purpose.name}"))["served"]
            await asyncio.sleep(0.5)

    calls = asked(zoho)
    assert len(calls) == served > 2 * Purpose.CONFIRM.value
    assert most_in_a_minute(calls) <= Purpose.CONFIRM.value
    soak.report(
        "one budget over time",
        f"4 processes asking all the time for {seconds} s: {served} sent, the most in any minute "
        f"{most_in_a_minute(calls)}",
    )
