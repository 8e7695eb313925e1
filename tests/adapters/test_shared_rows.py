"""What every process shares: exact, lasting, and of no use to whoever copies the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from bot.adapters.cliq.memory import InMemory
from bot.adapters.cliq.throttle import Budget
from bot.adapters.store import schema
from bot.adapters.store.shared import shared_budget, shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.domain.api_budget import CallCount
from bot.domain.token import AccessToken, TokenState
from bot.errors import BudgetSpent, RateLimited
from bot.ports import Purpose, Shared
from tests.fakes import MORNING as NOW
from tests.fakes import FakeClock

OLD_KEY, NEW_KEY = b"an old key of thirty-two bytes....", b"a new key of thirty-two bytes....."
CANARIES = ("1000.canary.access", "1000.canary.refresh")
TOKEN = AccessToken(SecretStr(CANARIES[0]), NOW + timedelta(minutes=55), frozenset({"A", "B"}))
STATE = TokenState(
    token=TOKEN,
    refresh_token=SecretStr(CANARIES[1]),
    grant="g",
    pinned="p",
    requests=(NOW, NOW + timedelta(seconds=1)),
    paused_until=NOW + timedelta(minutes=10),
    paused_for="reauth",
    owner="o",
    until=NOW + timedelta(seconds=15),
)


@pytest.fixture
async def again(url: str) -> AsyncIterator[SqlStore]:
    """The same database, opened by another process."""
    opened = SqlStore(open_engine(url))
    yield opened
    await opened.close()


def tokens(store: SqlStore, *keys: bytes, org: str = "default") -> Shared[TokenState]:
    return shared_token(store, org, Vault(keys or (NEW_KEY,)))


async def test_before_anything_is_stored_there_is_nothing(store: SqlStore):
    assert await shared_budget(store, "default").read() == CallCount()
    assert await tokens(store).read() == TokenState()


async def test_what_one_process_stores_another_finds(store: SqlStore, again: SqlStore):
    count = CallCount((NOW, NOW + timedelta(milliseconds=5)), NOW + timedelta(minutes=9), "429")
    await shared_budget(store, "default").change(lambda _: count)
    await tokens(store).change(lambda _: STATE)

    assert await shared_budget(again, "default").read() == count
    assert await tokens(again).read() == STATE


async def test_organisations_have_each_their_own(store: SqlStore):
    await shared_budget(store, "one").change(lambda count: count.lock(NOW, "429"))

    assert await shared_budget(store, "two").read() == CallCount()


async def test_a_change_that_fails_changes_nothing(store: SqlStore):
    await shared_budget(store, "default").change(lambda count: count.lock(NOW, "429"))

    def fails(count: CallCount) -> CallCount:
        raise BudgetSpent("GET", retry_at=NOW)

    with pytest.raises(BudgetSpent):
        await shared_budget(store, "default").change(fails)

    assert (await shared_budget(store, "default").read()).lock_reason == "429"


@pytest.mark.parametrize("purpose", Purpose)
async def test_many_at_once_in_two_processes_get_exactly_the_budget(
    store: SqlStore, again: SqlStore, purpose: Purpose
):
    budgets = [Budget(FakeClock(), shared_budget(each, "default")) for each in (store, again)]

    outcomes = await asyncio.gather(
        *(budgets[n % 2].take("GET", purpose) for n in range(40)), return_exceptions=True
    )

    assert outcomes.count(None) == purpose.value
    assert sum(isinstance(each, BudgetSpent) for each in outcomes) == 40 - purpose.value
    assert (await budgets[0].standing()).used == purpose.value


async def test_a_throttle_that_one_process_met_closes_the_way_for_the_others_and_after_a_restart(
    store: SqlStore, again: SqlStore
):
    clock, until = FakeClock(), NOW + timedelta(minutes=10)
    await Budget(clock, shared_budget(store, "default")).lock(until, "429")
    other = Budget(clock, shared_budget(again, "default"))

    with pytest.raises(RateLimited) as refused:
        await other.take("GET", Purpose.CONFIRM)
    locked = (await other.standing()).locked_until
    clock.advance(minutes=10)
    await other.take("GET", Purpose.CONFIRM)

    assert refused.value.retry_at == locked == until
    assert (await other.standing()).locked_until is None


async def test_the_stored_tokens_cannot_be_read_in_the_database(store: SqlStore):
    await tokens(store).change(lambda _: STATE)

    stored = await rows(store)
    assert stored["fingerprint"] == "p"
    assert [canary for canary in CANARIES if canary in repr(stored)] == []
    assert [canary for canary in CANARIES if canary in repr(STATE)] == []


async def test_a_new_first_key_still_opens_what_the_old_one_locked_and_locks_it_anew(
    store: SqlStore,
):
    await tokens(store, OLD_KEY).change(lambda _: STATE)
    both = tokens(store, NEW_KEY, OLD_KEY)
    assert await both.read() == STATE

    await both.change(lambda state: state.released("o"))

    assert await tokens(store, NEW_KEY).read() == STATE.released("o")


async def test_without_its_key_a_refresh_token_is_told_from_none_and_kept(store: SqlStore):
    await tokens(store, OLD_KEY).change(lambda _: STATE)

    other = tokens(store, NEW_KEY)
    found = await other.read()
    await other.change(lambda state: replace(state, grant="h"))

    assert (found.token, found.refresh_token, found.is_sealed) == (None, None, True)
    kept = await tokens(store, OLD_KEY).read()
    assert kept.refresh_token == STATE.refresh_token


@pytest.mark.parametrize("place", ["another row", "another column", "damaged"])
async def test_what_was_moved_or_changed_in_the_database_does_not_open(store: SqlStore, place: str):
    await tokens(store).change(lambda _: STATE)
    table, stored = schema.oauth_token, await rows(store)
    changes = {
        "another row": {"org": "other"},
        "another column": {"refresh_token_enc": stored["access_token_enc"]},
        "damaged": {"refresh_token_enc": stored["refresh_token_enc"][:-8] + "AAAAAAA="},
    }[place]
    async with store.transaction() as connection:
        await connection.execute(update(table).values(changes))

    found = await tokens(store, org=str(changes.get("org", "default"))).read()

    assert (found.refresh_token, found.is_sealed) == (None, True)


async def test_the_one_process_of_a_sqlite_database_takes_over_a_renewal_at_once(
    sqlite_store: SqlStore,
):
    await tokens(sqlite_store).change(lambda _: STATE)

    await sqlite_store.release()

    assert await tokens(sqlite_store).read() == STATE.released("o")


async def test_memory_keeps_the_same_promises_for_one_process():
    shared = InMemory(CallCount())
    budget = Budget(FakeClock(), shared)
    await asyncio.gather(*(budget.take("GET", Purpose.LOOK) for _ in range(8)))

    with pytest.raises(BudgetSpent):
        await budget.take("GET", Purpose.LOOK)

    assert (await budget.standing()).used == 8


async def rows(store: SqlStore) -> dict[str, str]:
    async with store.transaction() as connection:
        found = await connection.execute(select(schema.oauth_token))
        return dict(found.mappings().one())
