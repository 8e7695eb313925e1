"""Delivery: cards are kept up to date, one-time messages go out once, whatever the chat does."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from bot.adapters.store import schema
from bot.domain import messages
from bot.domain.change import ChangeRequest, State
from bot.domain.checklist import Checklist
from bot.domain.incident import ChecklistBody, Incident, WatchLine
from bot.domain.messages import Approved, Mention, Message, Outcome, Reminder
from bot.domain.reminders import QuietHours, Reminders
from bot.errors import ChatTrouble, MessageGone, NobodyThere, PlaceGone, Tampered, ThreadGone
from bot.ports import Card, Said, Shown
from bot.services.delivery import Delivery
from tests.fakes import MORNING, Killed
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, RENAME, Office

ADMIN, ALERTS, SPARE = "C0ADMIN", "C0ALERTS", "C0SPARE"
NOTICE, LATER_NOTICE = (
    Message("n1", messages.CannotCheck("DNS")),
    Message("n2", messages.ChecksResumed("right")),
)
APPROVED = Approved(BOB.user, 1, 2)
LINE = WatchLine(None, None, False, MORNING, MORNING)


def delivery_of(office: Office, **settings: Any) -> Delivery:
    organisation = replace(office.organisation, **settings)
    return Delivery(organisation, office.chat, office.store, office.clock)


async def tell(office: Office, *messages: Message) -> None:
    async with office.store.begin(office.org) as tx:
        for message in messages:
            await tx.tell(message)


async def watched(office: Office) -> Incident[WatchLine]:
    line = Incident("i1", office.org, "", MORNING, LINE)
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(line)
        await tx.save_card(Card(line.id, ALERTS))
    return line


async def wait(office: Office, **span: float) -> None:
    """Let time pass, and have the bot do what it does by itself."""
    office.clock.advance(**span)
    await office.changes.expire()
    await office.changes.remind()


def cards(office: Office, channel: str = ADMIN) -> list[tuple[State, int]]:
    """The requests that are shown: how they stand, and with how many approvals."""
    shown = [each.subject for each in office.chat.sees(channel) if isinstance(each, Shown)]
    return [(each.state, len(each.approvals)) for each in shown if isinstance(each, ChangeRequest)]


def said(contents: list[Any]) -> list[Any]:
    return [each.body for each in contents if isinstance(each, Said)]


def notices(office: Office, channel: str = ALERTS) -> list[Any]:
    return said(office.chat.sees(channel))


def lines(office: Office, channel: str = ADMIN, which: int = 0) -> list[Any]:
    """What is told once below a card."""
    return said(office.chat.thread(channel, which))


def calls(office: Office) -> int:
    """How many new messages have called the approvers."""
    pending = [p for p in office.chat.posts if isinstance(p, Shown) and p.subject.is_open]
    return sum(not shown.is_quiet for shown in pending) + said(office.chat.posts).count(Mention())


async def test_what_is_told_is_posted_once_whoever_calls_and_however_often(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    assert await office.delivery.link(request.id) is None
    for _ in range(2):
        await tell(office, NOTICE)

    await asyncio.gather(*(office.delivery.send_due() for _ in range(5)))
    await office.delivery.send_due()

    assert (cards(office), notices(office)) == ([(State.PENDING, 0)], [NOTICE.body])
    assert len(office.chat.posts) == 2
    assert await office.delivery.link(request.id) == f"https://chat.example/{ADMIN}/1.0"


async def test_what_cannot_be_read_keeps_nothing_else_from_being_told(office: Office):
    await office.applied(RENAME)
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await watched(office)
    await tell(office, NOTICE, LATER_NOTICE)
    request, living = schema.request, schema.incident
    await office.tamper(update(request).where(request.c.no == 2).values(policy_json="{}"))
    await office.tamper(update(living).where(living.c.id == "i1").values(facts_json="{}"))
    of_tomorrow = update(schema.outbox).where(schema.outbox.c.key == "n1")
    await office.tamper(of_tomorrow.values(kind="of_tomorrow"))

    with pytest.raises(Tampered, match="card of the watch"):
        await office.delivery.send_due()

    assert cards(office) == [(State.APPLIED, 1)]
    assert notices(office) == [LATER_NOTICE.body]
    office.clock.advance(minutes=5)
    waiting = await office.store.due_messages(office.org, office.clock.now())
    assert [(each.key, each.message) for each in waiting if each.tries] == [("n1", None)]


async def test_a_card_is_edited_in_place_once_for_several_moves_and_its_thread_has_each(
    office: Office,
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    await office.approve(BOB, request)
    await office.delivery.send_due()
    assert cards(office) == [(State.PENDING, 1)]
    assert lines(office) == [APPROVED]

    await office.reject(CAROL, request)
    await office.changes.propose(ALICE, RENAME)
    await office.changes.withdraw(ALICE)
    await office.delivery.send_due()
    assert cards(office) == [(State.REJECTED, 1), (State.CANCELLED, 0)]
    assert office.chat.edits == 2


@pytest.mark.parametrize("trouble", [None, MessageGone("cant_update_message")])
async def test_a_card_that_cannot_be_edited_is_posted_anew_once(
    office: Office, trouble: ChatTrouble | None
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    office.chat.delete(ADMIN)
    await office.approve(BOB, request)
    office.chat.troubles.append(trouble)

    for _ in range(2):
        await office.delivery.send_due()

    assert cards(office) == [(State.PENDING, 1)]
    assert lines(office) == [APPROVED]


@pytest.mark.parametrize("has_card", [True, False])
async def test_what_the_chat_asks_to_wait_is_waited(office: Office, has_card: bool):
    await (watched(office) if has_card else tell(office, NOTICE))
    office.chat.troubles.append(ChatTrouble("ratelimited", 30))

    await office.delivery.send_due()
    office.clock.advance(seconds=29)
    await office.delivery.send_due()
    assert len(office.chat.posts) == 1

    office.clock.advance(seconds=1)
    await office.delivery.send_due()
    assert len(office.chat.sees(ALERTS)) == 1


async def test_a_failing_chat_is_tried_less_and_less_often(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    office.chat.troubles.extend([ChatTrouble("internal_error")] * 3)
    tries = []
    for _ in range(8):
        await office.delivery.send_due()
        tries.append(len(office.chat.posts))
        office.clock.advance(seconds=1)
    assert tries == [1, 2, 2, 3, 3, 3, 3, 4]
    assert cards(office) == [(State.PENDING, 0)]


async def test_what_it_is_too_early_for_is_left_as_it_is(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    await office.approve(BOB, request)
    await tell(office, NOTICE)
    office.chat.waits = {ADMIN: 0.5, ALERTS: 2.0}

    assert await office.delivery.send_due() == 0.5
    assert cards(office) == [(State.PENDING, 1)]
    assert lines(office) == notices(office) == []

    office.chat.waits = {}
    assert await office.delivery.send_due() is None
    assert (lines(office), notices(office)) == ([APPROVED], [NOTICE.body])


async def test_a_card_whose_sender_died_is_shown_once_the_lease_has_ended(office: Office):
    await office.changes.propose(ALICE, RENAME)
    office.chat.troubles.append(Killed())
    with pytest.raises(Killed):
        await office.delivery.send_due()

    office.clock.advance(seconds=59)
    await office.delivery.send_due()
    assert cards(office) == []
    office.clock.advance(seconds=1)
    await office.delivery.send_due()
    assert cards(office) == [(State.PENDING, 0)]


def checklists(office: Office, channel: str = ADMIN) -> list[Checklist]:
    shown = [each.subject for each in office.chat.thread(channel) if isinstance(each, Shown)]
    return [each.body.checklist for each in shown if isinstance(each.body, ChecklistBody)]


async def test_a_checklist_stands_in_the_thread_of_its_request_and_is_edited_there(office: Office):
    office.dns.publish_key_of(office.cliq.live)
    await office.applied(RENAME)
    office.chat.troubles.append(ChatTrouble("internal_error"))
    await office.delivery.send_due()
    assert office.chat.sees(ADMIN) == []

    office.clock.advance(seconds=1)
    for _ in range(2):
        await office.delivery.send_due()
    assert [found.is_published for found in checklists(office)] == [False]

    await office.watch.tick()
    await office.delivery.send_due()
    assert [found.is_complete for found in checklists(office)] == [True]
    told = [body.kind for body in lines(office)]
    assert told == ["approved", "result", "followed"]
    assert notices(office, ALICE.user) == [
        Outcome(),
        messages.FollowedPrivately(office.clock.now()),
    ]


async def test_a_checklist_is_shown_behind_the_result_that_it_follows(office: Office):
    request = await office.changes.propose(ALICE, RENAME)
    await office.delivery.send_due()
    await office.approve(BOB, request)
    await office.applier.settle()

    await office.delivery.send_due()

    assert [type(each) for each in office.chat.thread(ADMIN)] == [Said, Said, Shown]


async def test_a_checklist_moves_with_the_card_of_its_request(office: Office):
    await office.applied(RENAME)
    for _ in range(2):
        await office.delivery.send_due()
    office.chat.gone.add(ADMIN)
    (row,) = await office.store.open_incidents(office.org, ChecklistBody)
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(row.edited(row.body))
    for _ in range(3):
        await office.delivery.send_due()
        office.clock.advance(minutes=5)

    assert cards(office, ALERTS) == [(State.APPLIED, 1)]
    assert len(checklists(office, ALERTS)) == 1


@pytest.mark.parametrize("stood", [False, True])
async def test_a_card_whose_channel_is_gone_is_elsewhere_with_its_thread_and_says_so(
    office: Office, stood: bool
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    if stood:
        await office.delivery.send_due()
    office.chat.gone.add(ADMIN)
    await office.approve(BOB, request)
    for _ in range(2):
        await office.delivery.send_due()

    (card,) = office.chat.sees(ALERTS)
    assert card.instead_of == ADMIN
    assert cards(office, ALERTS) == [(State.PENDING, 1)]
    assert lines(office, ALERTS) == [APPROVED]
    assert not card.is_quiet
    assert calls(office) == (1 if stood else 2)  # what was refused had called as well


@pytest.mark.parametrize("trouble", [PlaceGone("is_archived"), ThreadGone("thread_not_found")])
async def test_a_line_in_a_thread_takes_its_card_along(office: Office, trouble: ChatTrouble):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    await office.approve(BOB, request)
    office.chat.troubles.extend([None, trouble])
    await office.delivery.send_due()
    assert lines(office) == []
    edits = office.chat.edits

    office.clock.advance(seconds=1)
    await office.delivery.send_due()
    assert office.chat.edits == edits + 1
    assert lines(office) == [APPROVED]


@pytest.mark.parametrize(
    ("fallback", "gone", "there"),
    [
        (None, [ALERTS], ADMIN),
        (SPARE, [ALERTS], SPARE),
        (SPARE, [ALERTS, SPARE], ADMIN),
    ],
)
async def test_a_notice_whose_channel_is_gone_goes_to_the_first_other_one(
    office: Office, fallback: str | None, gone: list[str], there: str
):
    channels = replace(office.organisation.channels, fallback=fallback)
    await tell(office, NOTICE)
    office.chat.gone.update(gone)

    await delivery_of(office, channels=channels).send_due()

    assert office.chat.sees(there) == [Said(NOTICE.body, instead_of=ALERTS)]
    assert await office.messages() == []


async def test_where_every_channel_is_gone_a_card_waits_for_its_own(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    office.chat.gone.update([ADMIN, ALERTS])
    await office.delivery.send_due()

    office.chat.gone.clear()
    office.clock.advance(seconds=1)
    await office.delivery.send_due()

    assert [card.instead_of for card in office.chat.sees(ADMIN)] == [""]


async def test_who_asks_what_is_pending_gets_the_card_again_if_it_was_deleted(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    await office.delivery.shown_again(request.id)
    assert len(office.chat.posts) == 1

    office.chat.delete(ADMIN)
    link = await office.delivery.shown_again(request.id)
    assert link == f"https://chat.example/{ADMIN}/2.0"
    assert calls(office) == 1
    assert [card.is_quiet for card in office.chat.sees(ADMIN)] == [False]


async def test_approvers_who_were_called_a_moment_ago_are_called_in_the_thread(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.delivery.send_due()
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)
    await office.delivery.send_due()
    assert calls(office) == 1

    office.clock.advance(minutes=5)
    await office.delivery.send_due()

    assert lines(office, which=1) == [Mention()]
    assert calls(office) == 2


async def test_nobody_is_called_to_what_is_decided_meanwhile(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)
    await office.delivery.send_due()
    await office.changes.withdraw(ALICE)
    office.clock.advance(minutes=5)

    await office.delivery.send_due()

    assert Mention() not in said(office.chat.posts)
    assert await office.messages() == []


async def test_help_is_called_for_once_though_the_chat_was_away_at_the_time(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    for hours in (1, 3, 19):
        await wait(office, hours=hours)
    for _ in range(2):
        await office.delivery.send_due()

    assert lines(office) == [Reminder(True), Reminder(False)]


async def test_a_reminder_that_was_delayed_into_the_quiet_hours_waits_for_their_end(
    office: Office,
):
    quiet = QuietHours(time(11), time(12), ZoneInfo("UTC"))
    delivery = delivery_of(office, reminders=Reminders(quiet=quiet))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await delivery.send_due()
    await wait(office, hours=1)
    office.clock.advance(hours=1, minutes=30)
    await delivery.send_due()
    assert lines(office) == []

    office.clock.advance(minutes=30)
    await delivery.send_due()
    assert lines(office) == [Reminder(False)]


async def test_after_an_outage_every_card_is_current_and_nothing_is_lost_or_said_twice(
    office: Office,
):
    office.chat.troubles.extend([ChatTrouble("internal_error")] * 1_000)
    first = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, first)
    second = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, second)
    await tell(office, NOTICE)
    for _ in range(5):
        await wait(office, hours=1)
        await office.delivery.send_due()
    office.chat.troubles.clear()
    for _ in range(2):
        await wait(office, minutes=5)
        await office.delivery.send_due()

    assert sorted(cards(office)) == [(State.PENDING, 1), (State.REJECTED, 0)]
    assert (notices(office), notices(office, ALICE.user)) == ([NOTICE.body], [Outcome()])
    told = sorted(body.kind for which in (0, 1) for body in lines(office, which=which))
    assert told == ["approved", "mention", "rejected", "reminder"]


@pytest.mark.parametrize("trouble", [PlaceGone("is_archived"), NobodyThere("user_disabled")])
async def test_who_takes_no_private_messages_is_not_asked_for_ever(
    office: Office, trouble: ChatTrouble
):
    request = await office.changes.propose(ALICE, RENAME)
    await office.delivery.send_due()
    await office.reject(BOB, request)
    office.chat.troubles.extend([None, None, trouble])

    await office.delivery.send_due()

    office.clock.advance(hours=1)
    assert await office.messages() == []
    assert office.chat.sees(ALICE.user) == []


async def test_a_private_message_needs_no_card(office: Office):
    office.chat.gone.update([ADMIN, ALERTS])
    request = await office.changes.propose(ALICE, RENAME)
    rejected = await office.reject(BOB, request)

    await office.delivery.send_due()

    assert office.chat.sees(ALICE.user) == [Said(Outcome(), rejected)]
    assert office.chat.sees(BOB.user) == []
