"""Approvals over the wire: who is refused, races, unclear writes, restarts; one effect, or none."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from bot.sandbox import world
from bot.sandbox.cliq.faults import FaultKind
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from tests.scenarios.play import (
    ADMIN,
    ALERTS,
    ALICE,
    BOB,
    CAROL,
    ERIN,
    GONE,
    MALLORY,
    MOVE,
    OSCAR,
    RENAME,
    ROBOT,
    Person,
    Play,
    head_cut_off,
)

OWN = "You asked for this change, so someone else must decide on it."
NOT_APPROVER = "You are not among the approvers of this workspace's sender."
MAY_NOT_DECIDE = {
    "a guest": (MALLORY, "You are a guest in this workspace; only full members may do this."),
    "the requester": (ALICE, OWN),
    "a bot": (ROBOT, "Bots may not do this; a person must."),
    "somebody of another team": (
        OSCAR,
        "You are not a member of this workspace; only its members may do this.",
    ),
    "a member who is no approver": (ERIN, NOT_APPROVER),
    "a deactivated account": (GONE, "Your account in this workspace is deactivated."),
}
NOT_YOURS = "Only the person who asked for #1 can withdraw it; an approver can reject it."


@pytest.mark.parametrize(("who", "why"), MAY_NOT_DECIDE.values(), ids=MAY_NOT_DECIDE.keys())
@pytest.mark.parametrize("action", ["approve", "reject"])
async def test_who_may_not_decide_is_told_why_and_nothing_changes(
    play: Play, action: str, who: Person, why: str
):
    card = await play.asks()
    before = play.stage.read(card)

    assert await play.clicks(who, action, card) == why

    assert play.texts(ADMIN) == [before]
    assert play.thread(card) == []
    assert play.slack.open_view(who.id) is None
    assert play.puts() == 0


@pytest.mark.parametrize("who", [BOB, ERIN, MALLORY, ROBOT, GONE], ids=lambda p: p.name)
async def test_only_who_asked_can_withdraw(play: Play, who: Person):
    card = await play.asks()
    before = play.stage.read(card)

    assert await play.clicks(who, "withdraw", card) == NOT_YOURS
    assert await play.types(who, "withdraw") == NOT_YOURS

    assert play.texts(ADMIN) == [before]


async def test_who_asked_withdraws_by_the_button(play: Play):
    card = await play.asks()
    assert await play.clicks(ALICE, "withdraw") == ("Request #1 is withdrawn; nothing was changed.")
    await play.says(card, "Withdrawn by the requester.")


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("is_restricted", "You are a guest in this workspace; only full members may do this."),
        ("is_stranger", "You are not a member of this workspace; only its members may do this."),
    ],
)
async def test_who_asked_and_is_no_full_member_any_more_withdraws_nothing(
    play: Play, flag: str, said: str
):
    card = await play.asks()
    play.slack.set_flags(ALICE.id, **{flag: True})

    assert await play.clicks(ALICE, "withdraw", card) == said
    assert await play.types(ALICE, "withdraw") == said

    assert "0 of 2 approvals" in play.stage.read(play.card())


async def test_a_form_to_reject_that_a_stranger_got_hold_of_is_refused(play: Play):
    await play.asks()
    view = await play.opens(CAROL, "reject")
    play.slack.set_flags(CAROL.id, is_restricted=True)
    outcome = await play.slack.submit(CAROL.id, view.id, {"reason": "no"})
    assert outcome.errors == {
        "reason": "You are a guest in this workspace; only full members may do this."
    }
    assert "0 of 2 approvals" in play.stage.read(play.card())


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_two_approve_clicks_at_once_apply_once(empty_play: Play, transport: str):
    play = empty_play
    await play.start(transport=transport)
    card = await play.asks()

    await asyncio.gather(
        play.clicks(BOB, "approve", card),
        play.clicks(CAROL, "approve", card),
    )

    await play.says(card, "In force: change sender address")
    assert [write.method for write in play.cliq.writes()] == ["PUT"]


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_a_double_click_counts_once(empty_play: Play, transport: str):
    play = empty_play
    await play.start(transport=transport)
    card = await play.asks()

    await asyncio.gather(
        *(play.slack.click(BOB.id, card.channel, card.ts, "approve") for _ in range(3))
    )
    await play.until(lambda: len(play.private(BOB)) == 3, "three answers")

    assert sorted("already" in answer for answer in play.private(BOB)) == [False, True, True]
    await play.says(card, "1 of 2 approvals")
    assert play.puts() == 0


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_each_transport_takes_a_change_through(empty_play: Play, transport: str):
    play = empty_play
    await play.start(transport=transport)
    card = await play.asks()
    assert await play.clicks(BOB, "approve") == "Your approval of #1 is recorded: 1 of 2."
    assert await play.clicks(CAROL, "approve") == "Your approval of #1 is recorded: 2 of 2."
    await play.says(card, "Confirmed by reading it back")
    await play.until(lambda: len(play.thread(card)) == 4, "the thread")
    assert play.thread(card)[:2] == [
        "@Bob approved #1: 1 of 2.",
        "@Carol approved #1: 2 of 2.",
    ]
    assert play.thread(card)[2].startswith("#1 In force: change sender address.")
    assert play.thread(card)[3].startswith("What follows #1\n✓ In force, ")
    live = play.cliq.configuration
    assert live is not None
    assert live["email_id"] == "it@acme.example"


async def test_a_time_out_after_the_effect_ends_in_force_with_one_write(play: Play):
    play.be_impatient()
    play.spoil(FaultKind.TIMEOUT_AFTER_EFFECT, "PUT")
    card = await play.approved()
    shown = await play.says(card, "Outcome unknown: change sender address")
    assert "Not known yet whether the write took effect; next look" in shown
    assert "In force" not in shown

    play.passes(timedelta(seconds=36))

    await play.says(card, "In force: change sender address")
    assert play.puts() == 1
    assert len(play.cliq.writes()) == 1


@pytest.mark.parametrize(
    "kind", [FaultKind.RESET_AFTER_EFFECT, FaultKind.TRUNCATED], ids=lambda kind: kind.value
)
async def test_an_answer_that_was_lost_after_the_effect_ends_in_force_with_one_write(
    play: Play, kind: FaultKind
):
    play.spoil(kind, "PUT")
    card = await play.approved()
    await play.says(card, "Outcome unknown")
    play.passes(timedelta(seconds=36))
    await play.says(card, "In force")
    assert play.puts() == 1


async def test_an_outcome_that_stays_unknown_is_told_in_the_alert_channel(play: Play):
    play.be_impatient()
    play.spoil(FaultKind.RESET_AFTER_EFFECT, "PUT")
    card = await play.approved()
    await play.says(card, "Outcome unknown")
    play.spoil(FaultKind.STATUS, "GET", code=500, next=1000)

    play.passes(timedelta(minutes=16))
    await play.shows("mailcfg goes on looking and sends nothing blindly", ALERTS)
    play.passes(timedelta(minutes=61))
    await play.until(lambda: told_of_unknown(play) == 2 or None, "the second alarm")

    play.cliq.faults.clear()
    play.passes(timedelta(minutes=6))
    await play.says(card, "In force")
    assert (play.puts(), told_of_unknown(play)) == (1, 2)


def told_of_unknown(play: Play) -> int:
    return sum("Outcome unknown: what #1" in text for text in play.texts(ALERTS))


async def test_a_write_that_had_no_effect_is_sent_again_after_a_look(play: Play):
    play.spoil(FaultKind.STATUS, "PUT", code=500)
    card = await play.approved()
    await play.says(card, "Outcome unknown")

    play.passes(timedelta(seconds=36))

    await play.says(card, "In force")
    assert play.puts() == 2
    assert len(play.cliq.writes()) == 1


async def test_an_unknown_outcome_is_not_guessed_while_nothing_can_be_read(play: Play):
    play.be_impatient()
    play.spoil(FaultKind.RESET_AFTER_EFFECT, "PUT")
    card = await play.approved()
    await play.says(card, "Outcome unknown")
    play.spoil(FaultKind.STATUS, "GET", code=500, next=3)
    play.passes(timedelta(seconds=36))
    await play.says(card, "Zoho Cliq has a fault of its own")
    assert "Outcome unknown" in play.stage.read(play.card())

    play.passes(timedelta(minutes=1))
    await play.says(card, "In force")
    assert play.puts() == 1


async def test_a_refused_write_fails_with_the_reason_and_leaves_the_old_sender(play: Play):
    play.spoil(FaultKind.STATUS, "PUT", code=403)
    card = await play.approved()
    shown = await play.says(card, "Failed: change sender address")
    assert "Zoho Cliq says that mailcfg's Zoho user may not do this" in shown
    assert "The configuration is unchanged." in shown
    assert play.cliq.writes() == []

    answer = await play.clicks(ALICE, "again")
    assert "Request #2 " in answer
    assert "> Again: Scott has left" in await play.shows("Waiting for approval")


async def test_a_throttled_write_waits_with_its_approval(play: Play):
    play.spoil(FaultKind.STATUS, "PUT", code=429)
    card = await play.approved()
    shown = await play.says(card, "Zoho Cliq has locked its API because of too many calls")
    assert "Approved: change sender address" in shown
    assert "Waits until today at" in shown or "Waits until tomorrow at" in shown

    play.passes(timedelta(minutes=11))

    await play.says(card, "In force")
    assert len(play.cliq.writes()) == 1


async def test_a_change_meanwhile_makes_the_request_out_of_date(play: Play):
    card = await play.asks()
    await play.clicks(BOB, "approve")
    play.cliq.edit(name="Accounts Payable")
    await play.clicks(CAROL, "approve")
    shown = await play.says(card, "Out of date: change sender address")
    assert "The configuration changed meanwhile. Nothing was written." in shown
    assert "When it was asked → now\nDisplay name: Scott Fisher → Accounts Payable" in shown
    assert play.puts() == 0


async def test_what_is_in_place_already_needs_no_write(play: Play):
    card = await play.asks(RENAME)
    play.cliq.edit(name="Acme Support")
    await play.clicks(BOB, "approve")
    await play.says(card, "Already in place, confirmed")
    assert play.puts() == 0


async def test_an_approver_who_has_become_a_guest_no_longer_counts(play: Play):
    play.spoil(FaultKind.STATUS, "PUT", code=429)
    card = await play.approved()
    await play.says(card, "Waits until")
    play.slack.set_flags(BOB.id, is_restricted=True)

    play.passes(timedelta(minutes=11))

    await play.says(card, "An approver is no longer eligible. Nothing was changed.")
    assert play.cliq.writes() == []


async def test_a_request_that_nobody_decides_on_expires_and_can_be_asked_again(play: Play):
    card = await play.asks()
    play.passes(timedelta(hours=24))
    await play.says(card, "The approvals did not come in time. Nothing was changed.")
    expired = "#1 expired. The approvals did not come in time. Nothing was changed."
    await play.until(
        lambda: [head_cut_off(line) for line in play.thread(card)] == [expired],
        "the line in the thread",
    )
    click = play.slack.click(BOB.id, card.channel, card.ts, "approve", value=None, stale=True)
    assert "I do not know that request" in await play.hears(BOB, click)

    assert "Request #2 " in await play.clicks(ALICE, "again")


async def test_a_card_of_a_moment_ago_decides_nothing_any_more(play: Play):
    card = await play.asks()
    await play.types(ALICE, "withdraw")
    await play.says(card, "Withdrawn")
    value = card.blocks[-2]["elements"][0]["value"]
    click = play.slack.click(BOB.id, card.channel, card.ts, "approve", value=value, stale=True)
    assert await play.hears(BOB, click) == "#1 has ended: it was cancelled."


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_a_bot_started_again_finishes_a_pending_request(empty_play: Play, transport: str):
    play = empty_play
    await play.start(transport=transport)
    card = await play.asks()
    await play.clicks(BOB, "approve")

    await play.stop()
    await play.start(transport=transport)

    assert await play.clicks(CAROL, "approve", card) == "Your approval of #1 is recorded: 2 of 2."
    await play.says(card, "In force")
    assert len(play.cliq.writes()) == 1
    assert len(play.texts(ADMIN)) == 1


async def test_a_bot_started_again_applies_what_was_approved_but_parked(play: Play):
    play.spoil(FaultKind.STATUS, "PUT", code=429)
    card = await play.approved()
    await play.says(card, "Waits until")
    await play.stop()
    play.passes(timedelta(minutes=11))
    await play.start()
    await play.says(card, "In force")
    assert len(play.cliq.writes()) == 1


async def test_a_bot_started_again_settles_an_unknown_outcome_by_reading(play: Play):
    play.spoil(FaultKind.RESET_AFTER_EFFECT, "PUT")
    card = await play.approved()
    await play.says(card, "Outcome unknown")
    await play.stop()
    play.passes(timedelta(seconds=36))
    await play.start()
    await play.says(card, "In force")
    assert play.puts() == 1


async def test_slack_refusing_posts_does_not_hold_a_change_up(play: Play):
    card = await play.asks()
    await play.clicks(BOB, "approve")
    play.slack.faults.plan(SlackFault("chat.update", SlackFaultKind.SERVER_ERROR))
    await play.slack.click(CAROL.id, card.channel, card.ts, "approve")
    await play.until(lambda: not play.slack.faults.planned, "the failed edit")
    play.passes(timedelta(seconds=5))
    await play.says(card, "In force")


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_what_is_acknowledged_is_stored_already(empty_play: Play, transport: str):
    play = empty_play
    await play.start(transport=transport)

    view = await play.asks_in_form(ALICE)
    await play.slack.submit(ALICE.id, view.id, {"email_id": "it@acme.example", "reason": "x"})
    assert play.stored("SELECT state FROM request") == ["PENDING"]

    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the card")
    await play.slack.click(BOB.id, card.channel, card.ts, "approve")
    assert play.stored("SELECT verdict FROM decision") == ["approve"]

    view = await play.opens(CAROL, "reject", card)
    await play.slack.submit(CAROL.id, view.id, {"reason": "no"})
    assert play.stored("SELECT state FROM request") == ["REJECTED"]

    card = await play.asks(RENAME)
    await play.slack.click(ALICE.id, card.channel, card.ts, "withdraw")
    assert play.stored("SELECT state FROM request ORDER BY no") == ["REJECTED", "CANCELLED"]


async def test_every_refusal_is_in_the_audit(play: Play):
    await play.asks()
    await play.clicks(MALLORY, "approve")
    await play.clicks(ALICE, "approve")
    await play.types(ERIN, MOVE)
    await play.clicks(BOB, "withdraw")
    refused = [
        json.loads(body)["code"]
        for body in play.stored("SELECT body FROM audit WHERE kind = 'refused' ORDER BY seq")
    ]
    assert refused == ["guest", "own_request", "not_requester", "not_own_request"]


async def test_every_click_is_acknowledged_within_a_second(play: Play):
    await play.approved()
    await play.types(ALICE, "show")
    assert all(done.ack_ms is not None for done in play.slack.interactions)
    assert max(done.ack_ms or 0 for done in play.slack.interactions) < 1000


async def test_nothing_but_an_approved_request_writes(play: Play):
    for line in (MOVE, 'reset reason="x"', 'accept reason="x"'):
        await play.asks(line)
        await play.types(ALICE, "withdraw")
    assert play.puts() == 0
    assert play.cliq.writes() == []
    assert {call.arguments.get("channel") for call in play.slack.requests} <= {
        None,
        world.ADMIN_CHANNEL,
        world.ALERT_CHANNEL,
    }
