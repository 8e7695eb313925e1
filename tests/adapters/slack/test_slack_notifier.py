"""Telling Slack: cards are kept up to date, one-time messages go out once, whatever Slack does."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import Table, update

from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.workspace import Workspace
from bot.adapters.store import schema
from bot.ports import Card, Message
from bot.sandbox import world
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.slack.records import Message as Posted
from tests.adapters.slack.every_card import ORGANISATION, TIMES, alert, found
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, RENAME, Office

ADMIN, ALERTS = "C0ADMIN", "C0ALERTS"
NOTICE = Message(
    "status:1",
    "status",
    TIMES
    | {
        "field": "dkim_status",
        "before": "verified",
        "after": "not_verified",
        "is_right": True,
        "dns": "DKIM in order at 2 of 2 servers",
        "at": TIMES["checked_at"],
    },
)


@pytest.fixture(autouse=True)
def channels(slack: SlackWorkspace) -> None:
    members = (BOB.user, world.BOT_USER_ID)
    slack.add_channel(ADMIN, "admin", members)
    slack.add_channel(ALERTS, "alerts", members)


@pytest.fixture
def notifier(office: Office, workspace: Workspace) -> Notifier:
    return Notifier(ORGANISATION, workspace, office.store, office.clock)


def seen(slack: SlackWorkspace, channel: str = ADMIN) -> list[str]:
    return [slack.plain_text(message) for message in slack.sees(BOB.user, channel)]


def thread(slack: SlackWorkspace, card: Posted) -> list[str]:
    replies = slack.sees(BOB.user, card.channel, thread_ts=card.ts)[1:]
    return [slack.plain_text(reply) for reply in replies]


def calls(slack: SlackWorkspace, method: str) -> int:
    return sum(1 for request in slack.requests if request.method == method)


async def tell(office: Office, message: Message) -> None:
    async with office.store.begin(office.org) as tx:
        await tx.tell(message)


async def test_a_new_request_is_posted_once(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)

    await notifier.send_due()
    await notifier.send_due()

    assert ["0 of 2 approvals" in card for card in seen(slack)] == [True]
    assert calls(slack, "chat.postMessage") == 1


async def test_an_undamaged_card_is_shown_beside_a_damaged_one(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.applied(RENAME)
    await office.changes.propose(ALICE, NEW_ADDRESS)
    damaged = update(schema.request).where(schema.request.c.no == 2).values(policy_json="{}")
    await office.tamper(damaged)

    await notifier.send_due()

    assert ["In force" in card for card in seen(slack)] == [True]


@pytest.mark.parametrize("table", [schema.incident, schema.outbox])
async def test_what_cannot_be_rendered_keeps_nothing_else_from_being_told(
    notifier: Notifier, office: Office, slack: SlackWorkspace, table: Table
):
    opened = alert(found())
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(opened)
        await tx.save_card(Card(opened.id, ALERTS))
    await tell(office, replace(NOTICE, key="status:0"))
    await office.tamper(update(table).values(facts_json="{}"))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await tell(office, NOTICE)

    with pytest.raises(KeyError):
        await notifier.send_due()

    assert ["0 of 2 approvals" in card for card in seen(slack)] == [True]
    assert any("Zoho changed the DKIM status" in line for line in seen(slack, ALERTS))


async def test_two_callers_at_once_post_one_card(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)

    await asyncio.gather(*(notifier.send_due() for _ in range(5)))

    assert calls(slack, "chat.postMessage") == 1


async def test_a_card_is_edited_in_place_and_its_thread_gets_a_line(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    (posted,) = slack.sees(BOB.user, ADMIN)
    await office.approve(BOB, request)

    await notifier.send_due()

    (card,) = slack.sees(BOB.user, ADMIN)
    assert card.ts == posted.ts
    assert "1 of 2 approvals" in slack.plain_text(card)
    assert thread(slack, card) == ["@Bob approved #1: 1 of 2."]


async def test_several_moves_make_one_edit(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    await office.approve(BOB, request)
    await office.reject(CAROL, request)

    await notifier.send_due()

    assert calls(slack, "chat.update") == 1
    assert "Rejected: change sender address" in seen(slack)[0]


async def test_a_deleted_card_is_posted_again(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    (posted,) = slack.sees(BOB.user, ADMIN)
    slack.state.drop_message(ADMIN, posted.ts)
    await office.approve(BOB, request)

    await notifier.send_due()

    (card,) = slack.sees(BOB.user, ADMIN)
    assert "1 of 2 approvals" in slack.plain_text(card)
    assert thread(slack, card) == ["@Bob approved #1: 1 of 2."]


async def test_slacks_retry_after_is_honoured(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.RATELIMITED, retry_after=30))

    await notifier.send_due()
    office.clock.advance(seconds=29)
    await notifier.send_due()
    assert calls(slack, "chat.postMessage") == 1

    office.clock.advance(seconds=1)
    await notifier.send_due()
    assert len(seen(slack)) == 1


async def test_slacks_retry_after_is_honoured_for_one_time_messages_too(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await tell(office, NOTICE)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.RATELIMITED, retry_after=30))

    await notifier.send_due()
    office.clock.advance(seconds=29)
    await notifier.send_due()
    assert calls(slack, "chat.postMessage") == 1

    office.clock.advance(seconds=1)
    await notifier.send_due()
    assert len(seen(slack, ALERTS)) == 1


async def test_a_failing_slack_is_tried_less_and_less_often(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.SERVER_ERROR, times=3))
    tries = []
    for _ in range(8):
        await notifier.send_due()
        tries.append(calls(slack, "chat.postMessage"))
        office.clock.advance(seconds=1)
    assert tries == [1, 2, 2, 3, 3, 3, 3, 4]
    assert len(seen(slack)) == 1


async def test_a_card_whose_answer_was_lost_is_posted_at_least_once(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.LOST_ANSWER))
    await notifier.send_due()
    office.clock.advance(seconds=1)
    await notifier.send_due()
    await office.approve(BOB, request)

    await notifier.send_due()

    assert "1 of 2 approvals" in seen(slack)[-1]
    assert await notifier.link(request.id) is not None


async def test_a_thread_line_waits_for_its_card(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, request)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.DROPPED))

    await notifier.send_due()
    assert seen(slack) == []

    office.clock.advance(seconds=1)
    await notifier.send_due()
    (card,) = slack.sees(BOB.user, ADMIN)
    assert thread(slack, card) == ["@Bob approved #1: 1 of 2."]


async def test_a_one_time_message_is_sent_once_however_often_it_is_told(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await tell(office, NOTICE)
    await tell(office, NOTICE)

    await asyncio.gather(notifier.send_due(), notifier.send_due())

    assert seen(slack, ALERTS) == [
        "Zoho changed the DKIM status: verified → not verified, Mar 2, 2026 at 9:30 AM. The record "
        "in DNS is right. Nothing to publish; we keep watching."
    ]


async def test_an_alert_is_posted_in_the_alert_channel_and_resolved_in_place(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    opened = alert(found(texts={}))
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(opened)
        await tx.save_card(Card(opened.id, ALERTS))
    await notifier.send_due()
    assert "No TXT record at" in seen(slack, ALERTS)[0]

    resolved = alert(found(), is_resolved=True, ended="DKIM is in order.")
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(replace(resolved, rev=2))
    await notifier.send_due()
    assert "Resolved: DKIM is in order." in seen(slack, ALERTS)[0]
    assert len(seen(slack, ALERTS)) == 1


async def test_a_checklist_stands_in_the_thread_of_its_request_and_is_edited_there(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    office.dns.publish_key_of(office.cliq.live)
    await office.applied(RENAME)
    await notifier.send_due()
    await notifier.send_due()
    (card,) = slack.sees(BOB.user, ADMIN)
    listed = [line for line in thread(slack, card) if "What follows #1" in line]
    assert len(listed) == 1
    assert "○ Record not seen in DNS yet" in listed[0]

    await office.watch.tick()
    await notifier.send_due()

    listed = [line for line in thread(slack, card) if "What follows #1" in line]
    assert len(listed) == 1
    assert "✓ Verified by Zoho" in listed[0]
    assert thread(slack, card)[-1] == "#1: verified by Zoho, Mar 2, 2026 at 9:00 AM. Done."


async def test_the_end_of_a_checklist_is_told_to_the_requester_alone(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    slack.add_user(ALICE.user, "Alice Doe")
    office.dns.publish_key_of(office.cliq.live)
    await office.applied(RENAME)
    await office.watch.tick()
    await notifier.send_due()
    await notifier.send_due()

    private = slack.sees(ALICE.user, slack.state.dm_with(ALICE.user).id)
    told = [slack.plain_text(message) for message in private][-1]
    assert told.startswith("Done: your request #1 (http")
    assert "to change display name is in force, its DKIM record is in DNS" in told


async def test_a_checklist_waits_for_the_card_of_its_request(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.applied(RENAME)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.SERVER_ERROR))
    await notifier.send_due()
    assert seen(slack) == []

    office.clock.advance(seconds=2)
    await notifier.send_due()
    await notifier.send_due()

    (card,) = slack.sees(BOB.user, ADMIN)
    assert any("What follows #1" in line for line in thread(slack, card))


async def test_one_channel_that_is_gone_does_not_stop_the_others(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, RENAME)
    await tell(office, NOTICE)
    slack.set_channel(ADMIN, is_archived=True)

    await notifier.send_due()

    assert len(seen(slack, ALERTS)) == 2


async def test_every_message_carries_text_and_blocks_and_unfurls_nothing(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    await office.approve(BOB, request)
    await tell(office, NOTICE)
    await notifier.send_due()

    sent = [r.arguments for r in slack.requests if r.method.startswith("chat.")]
    assert len(sent) == 4
    assert all(arguments["text"] and arguments["blocks"] for arguments in sent)
    assert all(arguments["unfurl_links"] is False for arguments in sent)
    assert all(arguments["unfurl_media"] is False for arguments in sent)


async def test_a_card_has_a_link_once_it_is_posted(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    assert await notifier.link(request.id) is None

    await notifier.send_due()

    link = await notifier.link(request.id)
    assert link is not None
    assert f"/archives/{ADMIN}/p" in link
    slack.faults.plan(Fault("chat.getPermalink", FaultKind.SERVER_ERROR))
    assert await notifier.link(request.id) is None
