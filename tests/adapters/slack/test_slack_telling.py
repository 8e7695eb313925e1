"""How Slack is told: at its pace, somewhere else if need be, mentioning people once and not again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.workspace import Workspace
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import ChangeRequest
from bot.domain.incident import Kind
from bot.domain.organisation import Channels
from bot.domain.reminders import QuietHours, Reminders
from bot.domain.timing import Timing
from bot.ports import Message
from bot.sandbox import world
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.slack.records import Message as Posted
from tests.adapters.slack.every_card import ORGANISATION, TIMES
from tests.fakes import FakeClock
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, RENAME, Office

ADMIN, ALERTS, SPARE = "C0ADMIN", "C0ALERTS", "C0SPARE"
CALLED = "Approvers: @Bob, @Carol"
ESCALATION = "Please see to it that an approver decides."
GONE_NOTE = (
    "This belongs in #admin (C0ADMIN), where mailcfg cannot post any more. Whoever runs mailcfg "
    "should let it in again, or give it another channel."
)


def notice(n: int) -> Message:
    facts = {"field": "dkim_status", "before": "not_verified", "after": f"state {n}"}
    facts |= {"publication": "right", "at": TIMES["checked_at"]}
    return Message(f"status:{n}", "status", TIMES | facts)


@pytest.fixture(autouse=True)
def channels(slack: SlackWorkspace) -> None:
    members = (BOB.user, world.BOT_USER_ID)
    slack.add_channel(ADMIN, "admin", members)
    slack.add_channel(ALERTS, "alerts", members)
    slack.add_channel(SPARE, "spare", members)


def notifier_of(office: Office, workspace: Workspace, **settings: Any) -> Notifier:
    organisation = replace(ORGANISATION, **settings)
    return Notifier(organisation, workspace, office.store, office.clock)


def channels_with(**more: Any) -> Channels:
    return replace(ORGANISATION.channels, **more)


@pytest.fixture
def notifier(office: Office, workspace: Workspace) -> Notifier:
    return notifier_of(office, workspace)


def seen(slack: SlackWorkspace, channel: str = ADMIN) -> list[str]:
    return [slack.plain_text(message) for message in slack.sees(BOB.user, channel)]


def thread(slack: SlackWorkspace, channel: str = ADMIN) -> list[str]:
    (card,) = slack.sees(BOB.user, channel)
    return texts(slack, slack.sees(BOB.user, channel, thread_ts=card.ts)[1:])


def texts(slack: SlackWorkspace, messages: list[Posted]) -> list[str]:
    return [slack.plain_text(message) for message in messages]


def private(slack: SlackWorkspace, user: str = ALICE.user) -> list[str]:
    return texts(slack, slack.sees(user, slack.state.dm_with(user).id))


def posts(slack: SlackWorkspace) -> list[Any]:
    return [r for r in slack.requests if r.method == "chat.postMessage"]


def pings(slack: SlackWorkspace) -> int:
    """How many new messages have called the approvers."""
    called = f"Approvers: <@{BOB.user}>"
    return sum(1 for post in posts(slack) if called in str(post.arguments["blocks"]))


async def tell(office: Office, *messages: Message) -> None:
    async with office.store.begin(office.org) as tx:
        for message in messages:
            await tx.tell(message)


async def wait(office: Office, **span: float) -> None:
    """Let time pass, and have the bot do what it does by itself."""
    office.clock.advance(**span)
    await office.changes.expire()
    await office.changes.remind()


async def test_a_channel_gets_one_message_a_second_in_their_order(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, timing=Timing())
    await tell(office, notice(1), notice(2), notice(3))
    counts, waits = [], []
    for _ in range(6):
        waits.append(await notifier.send_due())
        counts.append(len(posts(slack)))
        office.clock.advance(milliseconds=500)

    assert counts == [1, 1, 2, 2, 3, 3]
    assert waits == [1.0, 0.5, 1.0, 0.5, None, None]
    assert [f"state {n}" in text for n, text in enumerate(seen(slack, ALERTS), 1)] == [True] * 3


async def test_another_channel_and_an_edit_need_not_wait(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, timing=Timing())
    await tell(office, notice(1))
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    assert len(posts(slack)) == 2

    await office.approve(BOB, request)
    assert await notifier.send_due() == 1.0
    assert "1 of 2 approvals" in seen(slack)[0]
    assert thread(slack) == []

    office.clock.advance(seconds=1)
    await notifier.send_due()
    assert thread(slack) == ["@Bob approved #1: 1 of 2."]


async def test_slacks_retry_after_holds_back_everything_of_its_kind(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    slack.faults.plan(Fault("chat.postMessage", FaultKind.RATELIMITED, retry_after=30))
    await tell(office, notice(1), notice(2))
    await office.approve(BOB, request)

    assert await notifier.send_due() == 30.0
    assert "1 of 2 approvals" in seen(slack)[0]
    office.clock.advance(seconds=29)
    assert await notifier.send_due() == 1.0
    assert len(posts(slack)) == 2

    office.clock.advance(seconds=1)
    await notifier.send_due()
    assert len(seen(slack, ALERTS)) == 2
    assert thread(slack) == ["@Bob approved #1: 1 of 2."]


@pytest.mark.parametrize(
    ("said", "waits"),
    [("0", 1), ("-5", 1), ("1.5", 2), ("nan", 1), ("9" * 30, 86_400), ("1e999", 86_400)],
)
async def test_whatever_retry_after_says_there_is_a_pause_and_it_ends(
    notifier: Notifier, office: Office, slack: SlackWorkspace, said: Any, waits: int
):
    slack.faults.plan(Fault("chat.postMessage", FaultKind.RATELIMITED, retry_after=said))
    await tell(office, notice(1), notice(2))

    assert await notifier.send_due() == waits
    await notifier.send_due()
    assert len(posts(slack)) == 1
    office.clock.advance(seconds=waits)
    await notifier.send_due()
    assert len(seen(slack, ALERTS)) == 2


async def test_edits_wait_for_their_own_retry_after(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    slack.faults.plan(Fault("chat.update", FaultKind.RATELIMITED, retry_after=30))
    await office.approve(BOB, request)

    await notifier.send_due()
    assert "0 of 2 approvals" in seen(slack)[0]
    assert thread(slack) == ["@Bob approved #1: 1 of 2."]

    office.clock.advance(seconds=30)
    await notifier.send_due()
    assert "1 of 2 approvals" in seen(slack)[0]


@pytest.mark.parametrize("fault", ["channel_not_found", "not_in_channel", "is_archived"])
async def test_a_card_whose_channel_is_gone_is_posted_elsewhere_and_says_so(
    notifier: Notifier, office: Office, slack: SlackWorkspace, fault: str
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.ERROR, error=fault))
    await notifier.send_due()
    assert seen(slack) == []
    assert [GONE_NOTE in card for card in seen(slack, ALERTS)] == [True]

    await office.approve(BOB, request)
    await notifier.send_due()
    (card,) = seen(slack, ALERTS)
    assert "1 of 2 approvals" in card
    assert GONE_NOTE in card
    assert thread(slack, ALERTS) == ["@Bob approved #1: 1 of 2."]


@pytest.mark.parametrize("fault", ["is_archived", "is_inactive", "not_in_channel"])
async def test_a_card_moves_with_its_thread_when_its_channel_goes(
    notifier: Notifier, office: Office, slack: SlackWorkspace, fault: str
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    slack.faults.plan(Fault("chat.update", FaultKind.ERROR, error=fault))
    slack.set_channel(ADMIN, is_archived=True)
    await office.approve(BOB, request)

    await notifier.send_due()

    (card,) = seen(slack, ALERTS)
    assert "1 of 2 approvals" in card
    assert CALLED in card
    assert thread(slack, ALERTS) == ["@Bob approved #1: 1 of 2."]
    assert pings(slack) == 1


async def test_a_line_in_a_thread_takes_its_card_along(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)
    await notifier.send_due()
    slack.set_channel(ADMIN, is_archived=True)
    for _ in range(2):
        office.clock.advance(minutes=5)
        await notifier.send_due()

    assert GONE_NOTE in seen(slack, ALERTS)[0]
    assert CALLED in thread(slack, ALERTS)[0]


async def test_an_alert_whose_channel_is_gone_goes_to_the_other_one(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await tell(office, notice(1))
    slack.set_channel(ALERTS, is_archived=True)

    await notifier.send_due()

    assert "This belongs in #alerts (C0ALERTS)" in seen(slack)[0]


async def test_the_fallback_channel_comes_first_where_there_is_one(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, channels=channels_with(fallback=SPARE))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.set_channel(ADMIN, is_archived=True)

    await notifier.send_due()

    assert GONE_NOTE in seen(slack, SPARE)[0]
    assert seen(slack, ALERTS) == []


async def test_where_the_fallback_channel_is_gone_too_the_next_one_is_tried(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, channels=channels_with(fallback=SPARE))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    for channel in (ADMIN, SPARE):
        slack.set_channel(channel, is_archived=True)
    await notifier.send_due()
    assert GONE_NOTE in seen(slack, ALERTS)[0]

    slack.set_channel(ADMIN, is_archived=False)
    slack.set_channel(ALERTS, is_archived=True)
    await tell(office, notice(1))
    await notifier.send_due()
    assert "This belongs in #alerts (C0ALERTS)" in seen(slack)[0]


async def test_where_every_channel_is_gone_the_card_waits_for_one(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    for channel in (ADMIN, ALERTS):
        slack.set_channel(channel, is_archived=True)
    await notifier.send_due()

    slack.set_channel(ADMIN, is_archived=False)
    office.clock.advance(seconds=1)
    await notifier.send_due()

    assert GONE_NOTE not in seen(slack)[0]


@pytest.mark.parametrize("fault", ["cant_update_message", "edit_window_closed"])
async def test_a_card_that_cannot_be_edited_is_posted_anew_once(
    notifier: Notifier, office: Office, slack: SlackWorkspace, fault: str
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    slack.faults.plan(Fault("chat.update", FaultKind.ERROR, error=fault, times=2))
    await office.approve(BOB, request)

    await notifier.send_due()
    await notifier.send_due()

    cards = seen(slack)
    assert [text for text in cards if "1 of 2 approvals" in text] == cards[1:]
    assert len(cards) == 2


async def test_a_deleted_card_is_posted_again_for_who_asks_what_is_pending(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    (posted,) = slack.sees(BOB.user, ADMIN)
    slack.state.drop_message(ADMIN, posted.ts)

    link = await notifier.shown_again(request.id)

    (card,) = slack.sees(BOB.user, ADMIN)
    assert link is not None
    assert link.endswith(card.ts.replace(".", ""))


async def test_a_card_that_is_there_is_not_posted_again(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()

    await notifier.shown_again(request.id)

    assert len(posts(slack)) == 1


async def test_a_card_calls_its_approvers_once(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    (posted,) = slack.sees(BOB.user, ADMIN)
    assert CALLED in slack.plain_text(posted)
    slack.state.drop_message(ADMIN, posted.ts)
    await notifier.shown_again(request.id)
    await wait(office, hours=1)
    await notifier.send_due()

    assert CALLED in seen(slack)[0]
    assert pings(slack) == 1


async def test_approvers_who_were_called_a_moment_ago_are_called_in_the_thread(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)
    await notifier.send_due()
    assert CALLED in seen(slack)[1]
    assert pings(slack) == 1

    office.clock.advance(minutes=5)
    await notifier.send_due()

    card = slack.sees(BOB.user, ADMIN)[1]
    (line,) = texts(slack, slack.sees(BOB.user, ADMIN, thread_ts=card.ts)[1:])
    assert line == (
        "Approvers: @Bob, @Carol\n"
        "#2 to change display name waits for approval until Mar 3, 2026 at 9:00 AM."
    )
    assert pings(slack) == 2


async def test_nobody_is_called_to_what_is_decided_meanwhile(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)
    await office.changes.propose(ALICE, RENAME)
    await notifier.send_due()
    await office.changes.withdraw(ALICE)
    office.clock.advance(minutes=5)
    before = pings(slack)

    await notifier.send_due()

    assert pings(slack) == before
    assert await office.messages() == []


async def test_others_who_are_to_know_are_mentioned_too(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, channels=channels_with(notify=("S0MAIL", "U0ERIN")))
    await office.changes.propose(ALICE, NEW_ADDRESS)

    await notifier.send_due()

    said = str(posts(slack)[0].arguments["blocks"])
    assert "· for information: <!subteam^S0MAIL>, <@U0ERIN>" in said


async def test_reminders_are_lines_in_the_thread_and_the_second_escalates(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, channels=channels_with(escalate_to=(CAROL.user,)))
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, request)
    for hours in (1, 3, 19, 1):
        await wait(office, hours=hours)
        await notifier.send_due()

    reminders = [line for line in thread(slack) if "Reminder" in line]
    assert reminders[0] == (
        "Reminder: #1 to change sender address still waits for approval, asked Mar 2, 2026 at "
        "9:00 AM.\n"
        "1 of 2 approvals so far. It expires Mar 3, 2026 at 9:00 AM; then nothing is changed."
    )
    assert [f"@Carol {ESCALATION}" in line for line in reminders] == [False, True, False]
    assert "#1 expired" in thread(slack)[-1]


async def test_a_reminder_that_slack_delayed_into_the_quiet_hours_waits_for_their_end(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    quiet = QuietHours(time(11), time(12), ZoneInfo("UTC"))
    notifier = notifier_of(office, workspace, reminders=Reminders(quiet=quiet))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await notifier.send_due()
    await wait(office, hours=1)
    office.clock.advance(hours=1, minutes=30)
    await notifier.send_due()
    assert thread(slack) == []

    office.clock.advance(minutes=30)
    await notifier.send_due()
    assert ["Reminder" in line for line in thread(slack)] == [True]


async def test_help_is_called_for_once_though_slack_was_away_at_the_time(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    notifier = notifier_of(office, workspace, channels=channels_with(escalate_to=(CAROL.user,)))
    await office.changes.propose(ALICE, NEW_ADDRESS)
    for hours in (1, 3, 19):
        await wait(office, hours=hours)
    for _ in range(2):
        await notifier.send_due()

    assert [ESCALATION in line for line in thread(slack)] == [True, False]


async def test_two_bots_on_one_database_remind_once(
    url: str, office: Office, clock: FakeClock, workspace: Workspace, slack: SlackWorkspace
):
    twin = Office(SqlStore(open_engine(url)), clock=clock)
    bots = [(each, notifier_of(each, workspace)) for each in (office, twin)]
    await office.changes.propose(ALICE, NEW_ADDRESS)
    clock.advance(hours=1)
    for each, _ in bots:
        await each.changes.remind()

    for _ in range(2):
        await asyncio.gather(*(notifier.send_due() for _, notifier in bots))

    await twin.store.close()
    assert len([line for line in thread(slack) if "Reminder" in line]) == 1


async def test_after_an_outage_every_card_is_current_and_nothing_is_lost_or_said_twice(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    slack.faults.plan(Fault("*", FaultKind.SERVER_ERROR, times=10_000))
    first = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, first)
    second = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, second)
    await tell(office, notice(1))
    for _ in range(5):
        await wait(office, hours=1)
        await notifier.send_due()
    slack.faults.clear()
    for _ in range(2):
        await wait(office, minutes=5)
        await notifier.send_due()

    assert ["Rejected" in card or "1 of 2 approvals" in card for card in seen(slack)] == [True] * 2
    assert len(seen(slack, ALERTS)) == 1
    assert len(private(slack)) == 1
    lines = [
        line
        for card in slack.sees(BOB.user, ADMIN)
        for line in texts(slack, slack.sees(BOB.user, ADMIN, thread_ts=card.ts)[1:])
    ]
    assert sum("rejected #1" in line for line in lines) == 1
    assert sum("approved #2: 1 of 2" in line for line in lines) == 1
    assert sum("Reminder" in line for line in lines) == 1


async def test_the_requester_is_told_in_private_that_it_is_in_force(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.applied(RENAME)
    await notifier.send_due()
    await notifier.send_due()

    link = await notifier.link(request.id)
    assert private(slack) == [
        f"In force: your request #1 ({link}) to change display name.\n"
        "Confirmed by reading it back Mar 2, 2026 at 9:00 AM."
    ]
    assert private(slack, BOB.user) == []


async def test_a_rejection_is_told_with_its_reason_and_what_to_do_next(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, request, "Customers know this name")
    await notifier.send_due()

    (message,) = slack.sees(ALICE.user, slack.state.dm_with(ALICE.user).id)
    assert slack.plain_text(message).partition("\n")[2] == (
        "Rejected by @Bob Mar 2, 2026 at 9:00 AM\n"
        "Nothing was changed.\n"
        "> Customers know this name\n"
        "Ask again on its card asks for the same over what is live then."
    )
    assert (
        message.text == "Your request #1 to change display name is rejected; nothing was changed."
    )


@pytest.mark.parametrize("fault", ["channel_not_found", "messages_tab_disabled"])
async def test_who_takes_no_private_messages_is_not_asked_for_ever(
    notifier: Notifier, office: Office, slack: SlackWorkspace, fault: str
):
    request = await office.changes.propose(ALICE, RENAME)
    await notifier.send_due()
    await office.reject(BOB, request)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.ERROR, skip=1, error=fault))

    await notifier.send_due()

    office.clock.advance(hours=1)
    assert await office.messages() == []
    assert private(slack) == []


async def test_a_private_message_needs_no_card(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await ended_without_a_card(office, slack)
    await notifier.send_due()
    assert "your request #1 to change display name" in private(slack)[0]


async def ended_without_a_card(office: Office, slack: SlackWorkspace) -> ChangeRequest:
    for channel in (ADMIN, ALERTS):
        slack.set_channel(channel, is_archived=True)
    request = await office.changes.propose(ALICE, RENAME)
    return await office.reject(BOB, request)


async def test_a_checklist_moves_with_the_card_of_its_request(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.applied(RENAME)
    for _ in range(2):
        await notifier.send_due()
    slack.set_channel(ADMIN, is_archived=True)
    office.dns.publish_key_of(office.cliq.live)
    await office.watch.check_now()
    for _ in range(3):
        await notifier.send_due()
        office.clock.advance(minutes=5)

    card = next(m for m in slack.sees(BOB.user, ALERTS) if GONE_NOTE in slack.plain_text(m))
    replies = texts(slack, slack.sees(BOB.user, ALERTS, thread_ts=card.ts)[1:])
    assert ["✓ Verified by Zoho" in line for line in replies].count(True) == 1


async def test_a_checklist_takes_the_card_of_its_request_along(
    notifier: Notifier, office: Office, slack: SlackWorkspace
):
    await office.applied(RENAME)
    await notifier.send_due()
    checklist = await office.store.open_incidents(office.org, Kind.CHECKLIST)
    slack.set_channel(ADMIN, is_archived=True)
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(checklist[0].edited(checklist[0].facts))
    for _ in range(3):
        await notifier.send_due()
        office.clock.advance(minutes=5)

    assert GONE_NOTE in seen(slack, ALERTS)[0]
    assert "What follows #1" in thread(slack, ALERTS)[0]
