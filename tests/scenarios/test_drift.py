"""What the watch says in the alert channel: once, in place, and nothing that it does not know."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.sandbox.cliq.faults import FaultKind
from bot.sandbox.slack.records import Message, View
from bot.sandbox.stage import CHECK_EVERY
from tests.scenarios.play import (
    ADMIN,
    ALERTS,
    ALICE,
    BOB,
    CAROL,
    ERIN,
    MALLORY,
    MOVE,
    Person,
    Play,
)


@pytest.fixture
async def settled(empty_play: Play) -> Play:
    """What is live is approved, published and verified; the alert channel has the watch line only."""
    play = empty_play
    play.stage.publish_record()
    await play.start()
    card = await play.approved('accept reason="It has always been so"')
    await play.says(card, "In force")
    await play.until(lambda: "Done." in play.thread(card)[-1], "the end of its checklist")
    await play.shows("Approved as #1", ALERTS)
    await play.shows("DKIM verified · CNAME verified · DKIM in order at 2 of 2 servers", ALERTS)
    assert len(play.texts(ALERTS)) == 1
    return play


async def checks(play: Play, times: int) -> None:
    """So many intervals pass, each with its check."""
    for _ in range(times):
        await play.stage.pass_time(CHECK_EVERY)


async def alert(play: Play, words: str) -> Message:
    """Wait for an alert that says `words`."""
    await play.shows(words, ALERTS)
    found = play.stage.card(words, ALERTS)
    assert found is not None
    return found


def alerts(play: Play) -> list[str]:
    """What the alert channel says beside the watch line."""
    return [text for text in play.texts(ALERTS) if not text.startswith("Watching")]


async def test_the_first_check_says_what_is_watched_and_offers_to_approve_it(play: Play):
    shown = await play.shows("Watching scott@acme.example (Scott Fisher)", ALERTS)
    assert "Nothing is approved yet. Approve what is live" in shown
    assert "[Approve as it is…]" in shown


async def test_what_is_live_is_approved_from_the_first_card(play: Play):
    watch = play.stage.card("Nothing is approved yet", ALERTS)
    view = await play.opens(ALICE, "accept", watch)
    outcome = await play.slack.submit(ALICE.id, view.id, {"reason": "It has always been so"})
    assert outcome.closed
    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
    await play.until(lambda: "is posted" in "".join(play.private(ALICE)), "the answer")
    for person in (BOB, CAROL):
        await play.clicks(person, "approve", card)
    await play.says(card, "Live configuration accepted")
    play.passes()
    await play.shows("Approved as #1", ALERTS)
    assert "Nothing is approved yet" not in play.texts(ALERTS)[0]


async def test_a_guest_who_presses_the_button_is_refused_privately(play: Play):
    watch = play.stage.card("Nothing is approved yet", ALERTS)
    assert await play.clicks(MALLORY, "accept", watch) == (
        "You are a guest in this workspace; only full members may do this."
    )
    assert play.slack.open_view(MALLORY.id) is None
    assert play.texts(ADMIN) == []


async def test_the_buttons_of_an_alert_open_for_those_who_may_ask(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    await play.shows("Display name: Scott Fisher → Accounts Payable", ALERTS)
    alert = play.stage.card("Changed outside approval\n", ALERTS)
    assert alert is not None
    accept = play.slack.click(ERIN.id, alert.channel, alert.ts, "more", value="accept")
    for refusal in (await play.clicks(ERIN, "restore", alert), await play.hears(ERIN, accept)):
        assert refusal.startswith("You are not among those who may ask for changes.")
        assert play.slack.open_view(ERIN.id) is None


async def test_a_missing_record_opens_one_living_message_and_recovery_is_said_once(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    await checks(play, 1)
    await play.shows("DKIM broken: no record; right at 0 of 2 servers", ALERTS)
    assert alerts(play) == []

    await checks(play, 1)
    opened = await alert(play, "DKIM broken: no record\nNo TXT record at")
    shown = play.stage.read(opened)
    assert live["dkim_value"] in shown
    assert "The record to publish\nName, relative to the zone acme.example, type TXT" in shown

    await checks(play, 2)
    assert len(alerts(play)) == 1

    play.stage.publish_record()
    await checks(play, 1)
    await play.says(opened, "Fixed, being watched\nAll is in order again; watching until")
    await checks(play, 4)
    await play.says(opened, "Resolved: DKIM of scott@acme.example is in order: both authoritative")
    await play.until(lambda: len(play.thread(opened)) == 1, "the line in the thread")
    assert play.thread(opened)[0].startswith("Resolved: DKIM of scott@acme.example is in order")
    assert len(alerts(play)) == 1


async def test_an_alert_is_checked_again_at_a_click_and_rendered_anew(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    await checks(play, 2)
    opened = await alert(play, "DKIM broken: no record\n")
    answer = await play.clicks(ERIN, "check", opened)
    assert answer.startswith("DKIM of scott@acme.example is broken.\nNo TXT record at")

    play.stage.publish_record()
    play.stage.dns.resolver.forget()
    answer = await play.clicks(ERIN, "check", opened)
    assert "is in order: both authoritative servers and one resolver hold Zoho's key." in answer
    assert "The alert is watched until" in answer
    await play.says(opened, "Fixed, being watched")


async def test_reminders_are_snoozed_from_the_menu_by_those_who_may_ask(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    await checks(play, 2)
    opened = await alert(play, "DKIM broken: no record\n")
    refusal = await snoozes(play, ERIN, opened)
    assert refusal.startswith("You are not among those who may ask for changes.")
    assert (await snoozes(play, ALICE, opened)).startswith(
        "Reminders of this alert are snoozed until"
    )
    await play.says(opened, "Reminders are snoozed until tomorrow at")

    await checks(play, 1)
    play.passes(timedelta(hours=20))
    await checks(play, 1)
    await checks(play, 1)
    assert play.thread(opened) == []


async def snoozes(play: Play, who: Person, card: Message) -> str:
    """Choose one day from the menu; the answer."""
    choice = play.slack.click(who.id, card.channel, card.ts, "snooze", value="1d")
    return await play.hears(who, choice)


async def test_the_record_is_shown_privately_at_a_click(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    await checks(play, 2)
    opened = await alert(play, "DKIM broken: no record\n")
    answer = await play.clicks(ERIN, "record", opened)
    assert live["dkim_value"] in answer
    assert "Do not publish" not in answer


async def test_a_change_outside_approval_is_reported_and_accepted_from_its_button(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    shown = await play.shows("Changed outside approval\nSomebody changed the sender", ALERTS)
    assert "→ live\nDisplay name: Scott Fisher → Accounts Payable" in shown
    opened = await alert(play, "Changed outside approval\n")

    view = await chooses(play, ALICE, "accept", opened)
    assert "Nothing is written to Cliq." in play.slack.plain_text(view)
    await play.slack.submit(ALICE.id, view.id, {"reason": "Finance asked for it"})
    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
    await play.clicks(BOB, "approve", card)
    await play.says(card, "In force: accept the live configuration")

    await play.says(opened, "Resolved: What is live is what was approved.")
    assert play.cliq.writes() == []


async def chooses(play: Play, who: Person, choice: str, card: Message) -> View:
    """Choose what opens a form from the menu behind the three dots; the form."""
    await play.slack.click(who.id, card.channel, card.ts, "more", value=choice)
    return await play.until(lambda: play.slack.open_view(who.id), f"a form for {who.name}")


async def test_a_change_outside_approval_is_undone_by_restoring(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    opened = await alert(play, "Display name: Scott Fisher → Accounts Payable")

    view = await play.opens(ALICE, "restore", opened)
    assert "setting the sender back to scott@acme.example" in play.slack.plain_text(view)
    await play.slack.submit(ALICE.id, view.id, {"reason": "Nobody knows who did that"})
    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
    assert "Display name: Accounts Payable → Scott Fisher" in play.stage.read(card)
    await play.clicks(BOB, "approve", card)
    await play.says(card, "In force: change display name")

    await play.says(opened, "Resolved: What is live is what was approved.")
    live = play.cliq.configuration
    assert live is not None
    assert live["name"] == "Scott Fisher"


async def test_who_restores_where_mailcfg_is_no_member_is_answered_in_a_direct_message(
    settled: Play,
):
    play, lounge = settled, "C0LOUNGE"
    play.slack.add_channel(lounge, "lounge", (ALICE.id,))
    play.cliq.edit(name="Accounts Payable")
    await play.slack.command(ALICE.id, "check", lounge)
    checked = await play.until(
        lambda: next(
            (m for m in play.slack.sees(ALICE.id, lounge) if "Restore" in play.stage.read(m)), None
        ),
        "the answer",
    )

    view = await play.opens(ALICE, "restore", checked)
    await play.slack.submit(ALICE.id, view.id, {"reason": "Nobody knows who did that"})

    def told() -> list[str]:
        direct = play.slack.sees(ALICE.id, play.slack.state.dm_with(ALICE.id).id)
        return [text for text in map(play.stage.read, direct) if "is posted" in text]

    assert len(await play.until(told, "a direct message")) == 1


async def test_zohos_verification_of_a_key_is_told(play: Play):
    play.stage.publish_record()
    play.passes()
    await play.shows("Zoho changed the DKIM status: not verified → verified", ALERTS)


async def test_a_failed_reading_says_only_that(settled: Play):
    play = settled
    play.be_impatient()
    play.cliq.edit(name="Accounts Payable")
    play.spoil(FaultKind.STATUS, "GET", code=500, next=3)
    play.passes()
    shown = await play.shows("Could not check: Zoho Cliq has a fault", ALERTS)
    assert "Accounts Payable" not in shown
    assert alerts(play) == []

    play.passes(timedelta(minutes=2))
    await play.shows("Display name: Scott Fisher → Accounts Payable", ALERTS)
    await play.until(
        lambda: "Could not check" not in "".join(play.texts(ALERTS)), "a line without trouble"
    )


async def test_an_alert_that_was_deleted_comes_back(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    await play.shows("Changed outside approval\n", ALERTS)
    opened = await alert(play, "Changed outside approval\n")
    play.slack.state.drop_message(ALERTS, opened.ts)
    play.passes()
    await play.shows("Changed outside approval\n", ALERTS)


async def test_the_record_that_our_own_change_needs_is_followed_in_its_thread(settled: Play):
    play = settled
    card = await play.approved(MOVE.replace("it@", "it@mail."))
    await play.says(card, "In force")
    await play.until(
        lambda: any("Record not seen" in line for line in play.thread(card)), "its checklist"
    )
    await checks(play, 3)
    await play.shows("DKIM record not published yet; right at 0 of 2 servers", ALERTS)
    assert alerts(play) == []

    play.stage.publish_record()
    play.stage.dns.resolver.forget()
    await checks(play, 1)
    await play.until(lambda: "Done." in play.thread(card)[-1], "the end of its checklist")
    listed = await play.until(lambda: complete(play, card), "the whole checklist ticked")
    assert len(listed) == 1
    channel = play.slack.state.dm_with(ALICE.id).id
    await play.until(
        lambda: (
            "Done: your request #2"
            in "".join(play.stage.read(message) for message in play.slack.sees(ALICE.id, channel))
        ),
        "the message to Alice",
    )


def complete(play: Play, card: Message) -> list[str]:
    """The checklists of request 2 in which everything is ticked."""
    return [line for line in play.thread(card) if "follows #2" in line and line.count("✓") == 4]
