"""What the watch says in the alert channel: once, in place, and nothing that it does not know."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.sandbox.cliq_faults import FaultKind
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
    RENAME,
    Play,
)


@pytest.fixture
async def settled(empty_play: Play) -> Play:
    """What is live is approved, published and verified; the alert channel has the watch line only."""
    play = empty_play
    play.stage.publish_record()
    await play.start()
    await play.says(await play.approved('accept reason="It has always been so"'), "In force")
    play.passes()
    await play.shows("Approved as #1", ALERTS)
    await play.shows("DKIM verified · CNAME verified · DKIM record published", ALERTS)
    assert len(play.texts(ALERTS)) == 1
    return play


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
    for button in ("restore", "accept"):
        refusal = await play.clicks(ERIN, button, alert)
        assert refusal.startswith("You are not among those who may ask for changes.")
        assert play.slack.open_view(ERIN.id) is None


async def test_a_missing_record_opens_one_living_message_and_recovery_is_said_once(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    play.passes()
    shown = await play.shows("There is no TXT record at", ALERTS)
    assert live["dkim_value"] in shown
    (alert,) = [m for m in play.slack.sees(BOB.id, ALERTS) if "no TXT" in play.stage.read(m)]

    await play.stage.pass_time(CHECK_EVERY)
    await play.stage.pass_time(CHECK_EVERY)
    assert len(alerts(play)) == 1

    play.stage.publish_record()
    play.passes()
    resolved = await play.says(alert, "Resolved: the DKIM record is published at")
    assert "First seen today at" in resolved or "First seen yesterday at" in resolved
    line = f"Resolved: the DKIM record is published at {live['dkim_host']}. Zoho has verified it."
    await play.until(lambda: play.thread(alert) == [line], "the line in the thread")


async def test_another_record_in_dns_is_an_alert_of_its_own_kind(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.publish(live["dkim_host"], "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GN")
    play.passes()
    shown = await play.shows("DKIM record differs", ALERTS)
    assert "holds another record than the key that Zoho signs mail from" in shown
    assert live["dkim_value"] in shown


async def test_a_missing_record_that_becomes_a_wrong_one_changes_the_same_message(settled: Play):
    play, live = settled, settled.cliq.configuration
    assert live is not None
    play.stage.dns.remove(live["dkim_host"])
    play.passes()
    await play.shows("There is no TXT record at", ALERTS)
    alert = play.stage.card("There is no TXT record at", ALERTS)
    assert alert is not None
    play.stage.dns.publish(live["dkim_host"], "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GN")
    play.passes()
    await play.says(alert, "DKIM record differs")
    await play.until(lambda: len(play.thread(alert)) == 1, "the line in the thread")
    assert len(alerts(play)) == 1


async def test_a_change_outside_approval_is_reported_and_accepted_from_its_button(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    shown = await play.shows("Changed outside approval\nSomebody changed the sender", ALERTS)
    assert "→ live\nDisplay name: Scott Fisher → Accounts Payable" in shown
    alert = play.stage.card("Changed outside approval\n", ALERTS)

    view = await play.opens(ALICE, "accept", alert)
    assert "Nothing is written to Cliq." in play.slack.plain_text(view)
    await play.slack.submit(ALICE.id, view.id, {"reason": "Finance asked for it"})
    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
    await play.clicks(BOB, "approve", card)
    await play.says(card, "In force: accept the live configuration")
    play.passes()

    await play.shows("Resolved: the live configuration is the approved one again.", ALERTS)
    assert play.cliq.writes() == []


async def test_a_change_outside_approval_is_undone_by_restoring(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    await play.shows("Display name: Scott Fisher → Accounts Payable", ALERTS)
    alert = play.stage.card("Changed outside approval\n", ALERTS)

    view = await play.opens(ALICE, "restore", alert)
    assert "setting the sender back to scott@acme.example" in play.slack.plain_text(view)
    await play.slack.submit(ALICE.id, view.id, {"reason": "Nobody knows who did that"})
    card = await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
    assert "Display name: Accounts Payable → Scott Fisher" in play.stage.read(card)
    await play.clicks(BOB, "approve", card)
    await play.says(card, "In force: change display name")
    play.passes()

    await play.shows("Resolved: the live configuration is the approved one again.", ALERTS)
    live = play.cliq.configuration
    assert live is not None
    assert live["name"] == "Scott Fisher"


async def test_a_sender_that_somebody_removed_is_reported(settled: Play):
    settled.cliq.edit()
    settled.passes()
    shown = await settled.shows("Changed outside approval\n", ALERTS)
    assert "Address: scott@acme.example → not set" in shown


async def test_an_unapproved_key_is_not_to_be_published(settled: Play):
    settled.cliq.edit(email_id="x@mail.acme.example")
    settled.passes()
    shown = await settled.shows("DKIM record not published yet", ALERTS)
    assert "Do not publish until accepted: this key belongs to a configuration that nobody" in shown


async def test_our_own_change_is_no_drift(settled: Play):
    play = settled
    await play.says(await play.approved(RENAME), "In force")
    play.passes()
    await play.shows("Watching scott@acme.example (Acme Support)", ALERTS)
    assert not any("outside approval" in text for text in play.texts(ALERTS))


async def test_a_cname_status_that_moved_is_told_once_in_each_direction(settled: Play):
    play = settled
    play.cliq.edit(cname_status="not_verified")
    play.passes()
    await play.shows("Changed in Cliq, not through mailcfg: CNAME status: verified → not", ALERTS)
    play.passes()
    await play.shows("CNAME not verified", ALERTS)
    play.cliq.edit(cname_status="verified")
    play.passes()
    await play.shows("not through mailcfg: CNAME status: not verified → verified", ALERTS)
    told = [text for text in alerts(play) if "through mailcfg: CNAME status" in text]
    assert len(told) == 2
    assert not any("outside approval" in text for text in play.texts(ALERTS))


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
    shown = await play.shows("The last check could not be made: Zoho Cliq has a fault", ALERTS)
    assert "Accounts Payable" not in shown
    assert alerts(play) == []

    play.passes(timedelta(minutes=2))
    await play.shows("Display name: Scott Fisher → Accounts Payable", ALERTS)
    await play.until(
        lambda: "could not be made" not in "".join(play.texts(ALERTS)), "a line without trouble"
    )


@pytest.mark.parametrize("fault", ["servfail", "refused"])
async def test_dns_without_an_answer_is_no_missing_record(settled: Play, fault: str):
    settled.stage.dns.break_all(fault)
    settled.passes()
    await settled.shows("DKIM record could not be looked up", ALERTS)
    assert not any("no TXT record" in text for text in settled.texts(ALERTS))


async def test_an_alert_that_was_deleted_comes_back(settled: Play):
    play = settled
    play.cliq.edit(name="Accounts Payable")
    play.passes()
    await play.shows("Changed outside approval\n", ALERTS)
    alert = play.stage.card("Changed outside approval\n", ALERTS)
    assert alert is not None
    play.slack.delete_message(ALERTS, alert.ts)
    play.passes()
    await play.shows("Changed outside approval\n", ALERTS)


async def test_the_new_record_after_a_change_is_watched_at_once(settled: Play):
    play = settled
    await play.says(await play.approved(MOVE.replace("it@", "it@mail.")), "In force")
    play.passes()
    shown = await play.shows("DKIM record not published yet", ALERTS)
    assert "mail from it@mail.acme.example" in shown
    assert "Do not publish" not in shown
