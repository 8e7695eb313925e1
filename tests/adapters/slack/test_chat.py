"""Writing to Slack over the wire: at its pace, with text and blocks, its faults in our words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.slack.chat import SlackChat
from bot.adapters.slack.workspace import Workspace
from bot.domain.messages import CannotCheck, Message, Outcome
from bot.domain.timing import Timing
from bot.errors import ChatTrouble, MessageGone, NobodyThere, PlaceGone, ThreadGone
from bot.ports import Place, Said, Shown
from bot.sandbox import world
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.services.delivery import Delivery
from tests.adapters.slack.every_card import INCIDENTS, ORGANISATION, REQUESTS, pending, rejected
from tests.office import ALICE, BOB, NEW_ADDRESS, Office

ADMIN, ALERTS = Place("C0ADMIN"), Place("C0ALERTS")
CARD, NOTICE = Shown(pending()), Said(CannotCheck("DNS"))


@pytest.fixture(autouse=True)
def channels(slack: SlackWorkspace) -> None:
    members = (BOB.user, world.BOT_USER_ID)
    slack.add_channel(ADMIN.channel, "admin", members)
    slack.add_channel(ALERTS.channel, "alerts", members)


@pytest.fixture
def chat(office: Office, workspace: Workspace) -> SlackChat:
    return SlackChat(ORGANISATION, workspace, office.clock)


@pytest.fixture
def delivery(office: Office, chat: SlackChat) -> Delivery:
    return Delivery(ORGANISATION, chat, office.store, office.clock)


def seen(slack: SlackWorkspace, where: Place = ADMIN, **thread: str) -> list[str]:
    found = slack.sees(BOB.user, where.channel, **thread)
    return [slack.plain_text(message) for message in found]


def posts(slack: SlackWorkspace) -> int:
    return sum(1 for request in slack.requests if request.method == "chat.postMessage")


def refuse(slack: SlackWorkspace, method: str, **fault: Any) -> None:
    slack.faults.plan(Fault(method, FaultKind.ERROR, **fault))


def limit(slack: SlackWorkspace, method: str, seconds: Any) -> None:
    slack.faults.plan(Fault(method, FaultKind.RATELIMITED, retry_after=seconds))


async def tell(office: Office, *said: str) -> None:
    async with office.store.begin(office.org) as tx:
        for words in said:
            await tx.tell(Message(words, CannotCheck(words)))


async def test_a_card_is_posted_and_edited_and_has_a_thread_and_a_link(
    chat: SlackChat, slack: SlackWorkspace
):
    card = await chat.post(Shown(pending(), is_quiet=True), ADMIN)
    assert "Approvers" not in seen(slack)[0]
    await chat.edit(CARD, card)
    line = await chat.post(NOTICE, card)
    await chat.post(Shown(INCIDENTS["watch, in order"], instead_of=ADMIN.channel), ALERTS)

    assert "Approvers: @Bob, @Carol" in seen(slack)[0]
    assert line.channel == card.channel == ADMIN.channel
    assert "cannot check" in seen(slack, thread_ts=card.ts)[1]
    assert seen(slack, ALERTS)[0].endswith(
        "This belongs in #admin (C0ADMIN), where mailcfg cannot post any more. Whoever runs mailcfg "
        "should let it in again, or give it another channel."
    )
    sent = [request.arguments for request in slack.requests if request.method.startswith("chat.")]
    assert all(arguments["text"] and arguments["blocks"] for arguments in sent)
    assert all(arguments["unfurl_links"] is False for arguments in sent)
    assert all(arguments["unfurl_media"] is False for arguments in sent)
    assert f"/archives/{ADMIN.channel}/p" in str(await chat.link(card))
    refuse(slack, "chat.getPermalink", error="internal_error")
    assert await chat.link(card) is None


async def test_the_outcome_is_told_in_private_with_what_to_do_next(
    chat: SlackChat, slack: SlackWorkspace
):
    await chat.post(Said(Outcome(), rejected()), Place(ALICE.user))
    await chat.post(Said(Outcome(), REQUESTS["in force"], "https://x.example"), Place(ALICE.user))

    private = slack.sees(ALICE.user, slack.state.dm_with(ALICE.user).id)
    assert private[0].text == (
        "Your request #42 to change sender address is rejected; nothing was changed."
    )
    assert (
        slack.plain_text(private[0])
        .partition("\n")[2]
        .endswith(
            "Nothing was changed.\n> Customers know this address\n"
            "Ask again on its card asks for the same over what is live then."
        )
    )
    assert "In force: your request #42 (https://x.example) to" in slack.plain_text(private[1])


WORDS = {
    "message_not_found": MessageGone,
    "cant_update_message": MessageGone,
    "edit_window_closed": MessageGone,
    "channel_not_found": PlaceGone,
    "not_in_channel": PlaceGone,
    "is_archived": PlaceGone,
    "is_inactive": PlaceGone,
    "thread_not_found": ThreadGone,
    "cannot_reply_to_message": ThreadGone,
    "user_not_found": NobodyThere,
    "user_disabled": NobodyThere,
    "cannot_dm_bot": NobodyThere,
    "messages_tab_disabled": NobodyThere,
    "internal_error": ChatTrouble,
}


@pytest.mark.parametrize(("word", "trouble"), WORDS.items())
async def test_slacks_faults_are_said_in_our_words(
    chat: SlackChat, slack: SlackWorkspace, word: str, trouble: type[ChatTrouble]
):
    card = await chat.post(CARD, ADMIN)
    for method in ("chat.postMessage", "chat.update"):
        refuse(slack, method, error=word)

    with pytest.raises(ChatTrouble, match=word) as posting:
        await chat.post(NOTICE, ADMIN)
    with pytest.raises(ChatTrouble, match=word) as editing:
        await chat.edit(CARD, card)

    assert type(posting.value) is type(editing.value) is trouble


async def test_a_card_whose_answer_was_lost_is_posted_at_least_once(
    delivery: Delivery, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    slack.faults.plan(Fault("chat.postMessage", FaultKind.LOST_ANSWER))
    await delivery.send_due()
    office.clock.advance(seconds=1)
    await delivery.send_due()
    await office.approve(BOB, request)

    await delivery.send_due()

    assert "1 of 2 approvals" in seen(slack)[-1]


async def test_a_channel_gets_one_message_a_second_in_their_order(
    office: Office, workspace: Workspace, slack: SlackWorkspace
):
    organisation = replace(ORGANISATION, timing=Timing())
    chat = SlackChat(organisation, workspace, office.clock)
    delivery = Delivery(organisation, chat, office.store, office.clock)
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await tell(office, "1", "2")
    counts, waits = [], []
    for _ in range(4):
        waits.append(await delivery.send_due())
        counts.append(posts(slack))
        office.clock.advance(milliseconds=500)

    assert counts == [2, 2, 3, 3]
    assert waits == [1.0, 0.5, None, None]
    assert [str(n) in text for n, text in enumerate(seen(slack, ALERTS), 1)] == [True] * 2

    await tell(office, "3")
    await delivery.send_due()
    await office.approve(BOB, request)
    await tell(office, "4")
    assert await delivery.send_due() == 1.0
    assert "1 of 2 approvals" in seen(slack)[0]


async def test_slacks_retry_after_holds_back_everything_of_its_kind_and_nothing_else(
    delivery: Delivery, office: Office, slack: SlackWorkspace
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await delivery.send_due()
    limit(slack, "chat.postMessage", 30)
    await tell(office, "1", "2")
    await office.approve(BOB, request)

    assert await delivery.send_due() == 30.0
    assert "1 of 2 approvals" in seen(slack)[0]
    office.clock.advance(seconds=29)
    assert await delivery.send_due() == 1.0
    assert posts(slack) == 2
    office.clock.advance(seconds=1)
    await delivery.send_due()
    assert len(seen(slack, ALERTS)) == 2

    limit(slack, "chat.update", 30)
    await office.changes.withdraw(ALICE)
    await tell(office, "3")
    await delivery.send_due()
    assert "1 of 2 approvals" in seen(slack)[0]
    assert len(seen(slack, ALERTS)) == 3
    office.clock.advance(seconds=30)
    await delivery.send_due()
    assert "Withdrawn" in seen(slack)[0]


@pytest.mark.parametrize(
    ("said", "waits"),
    [("0", 1), ("-5", 1), ("1.5", 2), ("nan", 1), ("9" * 30, 86_400), ("1e999", 86_400)],
)
async def test_whatever_retry_after_says_there_is_a_pause_and_it_ends(
    delivery: Delivery, office: Office, slack: SlackWorkspace, said: str, waits: int
):
    limit(slack, "chat.postMessage", said)
    await tell(office, "1", "2")

    assert await delivery.send_due() == waits
    await delivery.send_due()
    assert posts(slack) == 1
    office.clock.advance(seconds=waits)
    await delivery.send_due()
    assert len(seen(slack, ALERTS)) == 2
