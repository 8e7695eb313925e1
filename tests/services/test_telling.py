"""What people are told beside the moves of a request: mentions, reminders, and how it ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import ChangeRequest, State
from bot.domain.reminders import MENTION_EVERY
from bot.errors import NotAllowed, PermissionDenied
from bot.ports import Card
from tests.fakes import FakeClock
from tests.office import ALICE, BOB, ERIN, NEW_ADDRESS, RENAME, Office


async def card(office: Office, request: ChangeRequest) -> Card:
    found = await office.store.card(office.org, request.id)
    assert found is not None
    return found


async def reminders(office: Office) -> list[str]:
    due = await office.store.due_messages(office.org, office.clock.now())
    return [each.message.key for each in due if each.message.kind == "reminder"]


async def test_a_request_that_waits_is_remembered_at_each_of_its_moments_once(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    moments = []
    for quarter in range(4 * 25):
        for _ in range(2):
            await office.changes.remind()
        known = len(await reminders(office))
        if known > len(moments):
            moments.append(timedelta(minutes=15) * quarter)
        office.clock.advance(minutes=15)

    assert moments == [timedelta(hours=1), timedelta(hours=4), timedelta(hours=23)]
    assert await reminders(office) == [
        f"reminder:{request.id}:after 3600s",
        f"reminder:{request.id}:after 14400s",
        f"reminder:{request.id}:before 3600s",
    ]


async def test_nobody_is_reminded_of_what_is_decided(office: Office):
    await office.approved()
    office.clock.advance(minutes=59)
    await office.applier.settle()
    office.clock.advance(hours=5)

    await office.changes.remind()

    assert await reminders(office) == []


async def test_a_reminder_shows_the_card_again(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    async with office.store.begin(office.org) as tx:
        await tx.save_card(Card(request.id, "C0ADMIN", "1.0", request.rev))
    office.clock.advance(hours=1)

    await office.changes.remind()

    assert len(await office.store.due_cards(office.org, office.clock.now())) == 1


async def test_two_processes_remind_once(url: str, office: Office, clock: FakeClock):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    office.clock.advance(hours=1)
    twin = Office(SqlStore(open_engine(url)), clock=clock)

    await asyncio.gather(*(each.changes.remind() for each in (office, twin, office, twin)))

    await twin.store.close()
    assert len(await reminders(office)) == 1


async def test_the_approvers_are_mentioned_at_most_every_five_minutes(office: Office):
    first = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    office.clock.advance(minutes=2)
    second = await office.changes.propose(ALICE, RENAME)

    assert (await card(office, first)).mention_at == first.created_at
    assert (await card(office, second)).mention_at == first.created_at + MENTION_EVERY
    assert "mention" not in await office.messages()
    office.clock.advance(minutes=3)
    assert (await office.messages())[-1] == "mention"


async def test_nor_sooner_because_mailcfg_was_started_again(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)

    await office.store.release()

    assert "mention" not in await office.messages()
    office.clock.advance(minutes=5)
    assert (await office.messages())[-1] == "mention"


async def test_a_later_request_mentions_them_on_its_card(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    office.clock.advance(minutes=5)

    later = await office.changes.propose(ALICE, RENAME)

    office.clock.advance(minutes=5)
    assert (await card(office, later)).mention_at == later.created_at
    assert "mention" not in await office.messages()


async def test_a_mention_that_was_withdrawn_before_its_time_holds_nobody_back(office: Office):
    first = await office.changes.propose(ALICE, NEW_ADDRESS)
    for _ in range(3):
        await office.changes.withdraw(ALICE)
        office.clock.advance(minutes=1)
        request = await office.changes.propose(ALICE, RENAME)

    assert (await card(office, request)).mention_at == first.created_at + MENTION_EVERY


async def test_the_requester_is_told_how_it_ended_whoever_ended_it(office: Office):
    await office.applied()
    assert (await office.messages())[-1] == "outcome"

    office.cliq.fail_next_write(PermissionDenied("PUT"))
    failed = await office.applied(RENAME)
    assert failed.state is State.FAILED
    assert (await office.messages()).count("outcome") == 2

    rejected = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, rejected)
    await office.changes.propose(ALICE, RENAME)
    office.clock.advance(hours=24)
    await office.changes.expire()
    assert (await office.messages()).count("outcome") == 4


async def test_who_withdraws_a_request_is_not_told_so(office: Office):
    await office.changes.propose(ALICE, RENAME)
    await office.changes.withdraw(ALICE)

    assert await office.messages() == ["withdrawn"]


async def test_who_may_not_ask_is_refused_before_they_write_a_reason(office: Office):
    await office.changes.check_may_propose(ALICE)
    with pytest.raises(NotAllowed) as refused:
        await office.changes.check_may_propose(ERIN)

    assert refused.value.code == "not_requester"
    assert await office.audited() == ["refused"]
