"""Asking why mail is not trusted, and what a new key will mean for it: over every wire."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from bot.sandbox.slack.records import Message
from tests.scenarios.play import ADMIN, ALERTS, ALICE, ERIN, SCOTT, Person, Play

ACCEPT = 'accept reason="It has always been so"'
SUBDOMAIN = 'set email=it@mail.acme.example dkim=2048 reason="Its own domain"'
COPIED = ("name", "full name", "value", "split")
PASTED = [("name", "value"), ("name", "split"), ("full name", "split")]


async def accepted(play: Play, bits: int = 1024) -> Play:
    """What is live has a key of this size and is approved."""
    play.cliq.edit(**SCOTT | {"dkim_key_size": bits})
    await play.start()
    await play.says(await play.approved(ACCEPT), "In force")
    return play


def newest_answer(play: Play, who: Person) -> Message:
    seen = [m for m in play.slack.sees(who.id, ADMIN) if m.ephemeral_to]
    return max(seen, key=lambda message: message.ts)


def copied(answer: Message) -> dict[str, str]:
    """What stands in the code blocks of an answer, to be copied."""
    blocks = [part for block in answer.blocks for part in block.get("elements", [])]
    texts = [b["elements"][0]["text"] for b in blocks if b["type"] == "rich_text_preformatted"]
    return dict(zip(COPIED, texts, strict=True))


def paste(play: Play, name: str, value: str) -> None:
    """A panel: it appends the zone to a short name, and takes a value whole or in strings."""
    zone = play.stage.dns.zone
    host = name if name.endswith(f".{zone}") else f"{name}.{zone}"
    typed: Any = shlex.split(value) if value.startswith('"') else value
    play.stage.dns.publish(host, typed)
    play.stage.dns.resolver.forget()


@pytest.mark.parametrize("bits", [1024, 2048])
@pytest.mark.parametrize(("name", "value"), PASTED)
async def test_the_record_that_is_printed_cures_what_was_found_once_it_is_pasted(
    empty_play: Play, bits: int, name: str, value: str
):
    play = await accepted(empty_play, bits)
    before = await play.types(ERIN, "check")
    assert "DKIM is broken" in before
    assert "The record to publish" in before

    form = copied(newest_answer(play, ERIN))
    paste(play, form[name], form[value])

    after = await play.types(ERIN, "check")
    assert "is in order: both authoritative servers and one resolver hold Zoho's key." in after
    assert "No TXT record" not in after
    assert "The record to publish" not in after


async def test_dns_and_check_print_the_same_record(empty_play: Play):
    play = await accepted(empty_play)
    await play.types(ERIN, "check")
    from_check = copied(newest_answer(play, ERIN))

    answer = await play.types(ERIN, "dns")

    assert copied(newest_answer(play, ERIN)) == from_check
    assert "Do not publish" not in answer
    assert "Publish it where the zone is run now: at ns1.acme.example, ns2.acme.example." in answer


async def test_a_name_that_was_typed_with_the_zone_is_found_and_cured(empty_play: Play):
    play = await accepted(empty_play)
    live = play.cliq.configuration
    assert live is not None
    play.stage.dns.publish(f"{live['dkim_host']}.acme.example", live["dkim_value"])

    found = await play.types(ERIN, "diagnose")

    assert f"The key is published at {live['dkim_host']}.acme.example instead of" in found
    form = copied(newest_answer(play, ERIN))
    paste(play, form["name"], form["value"])
    assert "DKIM is in order" in await play.types(ERIN, "check")


async def test_a_change_outside_approval_comes_first_and_can_be_restored_from_the_answer(
    empty_play: Play,
):
    play = await accepted(empty_play)
    play.cliq.edit(name="Accounts Payable")

    answer = await play.types(ALICE, "check")

    assert answer.startswith(
        "Changed outside approval\nThe display name is Accounts Payable, approved is Scott Fisher."
    )
    assert "Do not publish until accepted: what is live was not approved." in answer
    assert "The record to publish" not in answer
    view = await play.opens(ALICE, "restore", newest_answer(play, ALICE))
    outcome = await play.slack.submit(ALICE.id, view.id, {"reason": "Nobody agreed to this"})
    assert outcome.closed
    await play.shows("Waiting for approval: change display name")


async def test_a_check_by_hand_opens_no_alert(empty_play: Play):
    play = await accepted(empty_play)
    await play.shows("Approved as #1", ALERTS)

    for _ in range(3):
        await play.types(ERIN, "check")

    assert [text.partition("\n")[0] for text in play.texts(ALERTS)] == [
        "Watching scott@acme.example (Scott Fisher)"
    ]


async def test_servers_that_do_not_answer_are_unknown_and_never_missing(empty_play: Play):
    play = await accepted(empty_play)
    play.stage.dns.break_all("refused")
    play.stage.dns.resolver.forget()

    answer = await play.types(ERIN, "check")

    assert answer.startswith("DKIM could not be checked\n")
    assert "refused to answer" in answer
    assert "No TXT record" not in answer


async def test_a_new_key_says_above_approve_what_will_happen_to_mail(play: Play):
    play.stage.dns.publish("_dmarc.acme.example", "v=DMARC1; p=quarantine; sp=reject")

    card = await play.asks(SUBDOMAIN)

    shown = play.stage.read(card)
    warning = (
        "Until the new DKIM record is published\n"
        "After this, DKIM for mail.acme.example cannot pass until a new TXT record is published at "
        "ns1.acme.example and ns2.acme.example. Its DMARC policy is p=reject (from acme.example): "
        "receivers may reject mail meanwhile. It has no SPF record. Have the DNS owner ready."
    )
    assert warning in shown
    assert shown.index(warning) < shown.index("[Approve]")


async def test_what_was_shown_is_what_was_approved(play: Play):
    card = await play.asks(SUBDOMAIN)
    play.stage.dns.publish("_dmarc.acme.example", "v=DMARC1; p=reject")
    for person in ("U0BOB", "U0CAROL"):
        await play.slack.click(person, card.channel, card.ts, "approve")

    await play.says(card, "In force")

    (target,) = play.stored("SELECT target_json FROM request")
    assert '"policy":"none"' in target


async def test_a_dns_out_of_reach_delays_no_request_and_is_said_on_its_card(play: Play):
    play.stage.dns.break_all("silent")
    play.stage.dns.resolver.forget()

    shown = play.stage.read(await play.asks(SUBDOMAIN))

    assert (
        "The DMARC policy could not be looked up. The SPF record could not be looked up." in shown
    )
    assert "no DMARC record" not in shown
