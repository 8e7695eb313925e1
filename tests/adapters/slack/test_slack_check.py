"""The answer to `check`: what it says first, what is copied, and nothing said twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.slack.cards import answers
from bot.adapters.slack.cards.parts import Rendered
from bot.domain.case import Case, Snapshot
from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.findings import diagnose
from bot.domain.mail_config import MailConfig
from bot.services.check import Checked
from tests.adapters.slack.hostile import HOSTILE
from tests.adapters.slack.reading import (
    buttons,
    header,
    live_tokens,
    mrkdwn,
    plain,
    problems,
    rich_texts,
)
from tests.fakes import MORNING, config

LIVE = config(bits=2048)
APPROVED = Snapshot(LIVE, MORNING - timedelta(days=2))
SERVERS = ("ns1.dnshost.example", "ns2.dnshost.example")


def held(*texts: str, status: Status = Status.ANSWERED) -> Answers:
    """Both servers and a resolver say the same; SPF and DMARC are in order."""
    said = Reply("", LIVE.dkim_host, status if texts else Status.NXDOMAIN, texts)
    own = tuple(replace(said, server=name, is_authoritative=True) for name in SERVERS)
    return Answers(
        host=LIVE.dkim_host,
        at=MORNING,
        authoritative=own,
        resolvers=(replace(said, server="9.9.9.9:53"),),
        apex="acme.example",
        name_servers=SERVERS,
        spf=Reply("ns1", "acme.example", Status.ANSWERED, ("v=spf1 -all",)),
        dmarc=(Reply("ns1", "_dmarc.acme.example", Status.ANSWERED, ("v=DMARC1; p=reject",)),),
    )


def card(
    answered: Answers | None, live: MailConfig | None = LIVE, snapshot: Snapshot | None = APPROVED
) -> Rendered:
    case = Case(live=live, answers=answered, snapshot=snapshot)
    is_approved = snapshot is not None and case.is_approved
    return answers.check(
        Checked(diagnose(case), is_approved, MORNING, MORNING + timedelta(hours=1))
    )


def test_a_missing_record_reads_like_this():
    name, value = "1700000000000._domainkey", LIVE.dkim_value
    assert plain(card(held())) == (
        "DKIM is broken\n"
        f"Critical. No TXT record at {name}.acme.example. Zoho still says verified, but receivers can "
        "no longer check the signature. Policy p=reject: receivers may reject these mails.\n"
        f"To do: Add a TXT record: Name {name}, Value as Zoho gives it, TTL 3600, at the provider that "
        "runs ns1.dnshost.example and ns2.dnshost.example.\n"
        "• ns1.dnshost.example: knows no such name\n"
        "• ns2.dnshost.example: knows no such name\n"
        "• resolver 9.9.9.9:53: knows no such name\n"
        "The record to publish\n"
        "Name, relative to the zone acme.example, type TXT, TTL 3600:\n"
        f"{name}\n"
        "Full name, if your panel wants it; a zone file wants a dot after it:\n"
        f"{name}.acme.example\n"
        "Value in one piece, for panels that split by themselves:\n"
        f"{value}\n"
        "Value in split form, for panels and zone files that do not split; the quotation marks belong "
        "to the notation, not to the value:\n"
        f'"{value[:255]}" "{value[255:]}"\n'
        "scott@acme.example Last checked 9:00 AM, next 10:00 AM"
    )


def test_what_is_in_order_says_what_each_server_holds_and_gives_nothing_to_publish():
    shown = plain(card(held(LIVE.dkim_value)))
    assert shown == (
        "DKIM is in order\n"
        "DKIM of scott@acme.example is in order: both authoritative servers and one resolver hold "
        "Zoho's key.\n"
        "What each server holds\n"
        f"• ns1.dnshost.example: Zoho's key {LIVE.dkim_value[-14:-6]}, 401 characters\n"
        f"• ns2.dnshost.example: Zoho's key {LIVE.dkim_value[-14:-6]}, 401 characters\n"
        f"• resolver 9.9.9.9:53: Zoho's key {LIVE.dkim_value[-14:-6]}, 401 characters\n"
        "scott@acme.example Last checked 9:00 AM, next 10:00 AM"
    )


def test_a_change_outside_approval_is_said_first_and_can_be_restored_or_accepted():
    shown = card(held(), replace(LIVE, name="Evil"))
    assert header(shown) == "Changed outside approval"
    assert "The display name is Evil, approved is Scott Fisher." in plain(shown)
    assert list(buttons(shown)) == ["restore", "accept"]


@pytest.mark.parametrize(
    ("live", "snapshot"),
    [(replace(LIVE, dkim_host="2._domainkey.acme.example"), APPROVED), (LIVE, None)],
    ids=["another key", "nothing approved yet"],
)
def test_what_nobody_approved_is_not_to_be_published(live: MailConfig, snapshot: Snapshot | None):
    shown = plain(card(held(), live, snapshot))
    assert "Do not publish until accepted: what is live was not approved.\nName" in shown
    assert "The record to publish" not in shown


def test_what_the_servers_hold_is_said_once_however_many_findings_rest_on_it():
    testing = f"v=DKIM1; t=y; {LIVE.dkim_value}"
    shown = plain(card(held(testing), replace(LIVE, dkim_status="not_verified")))
    assert "t=y tells receivers to treat the mails as unsigned." in shown
    assert "Zoho has not confirmed yet." in shown
    assert shown.count("• ns1.dnshost.example: ") == 1


def test_evidence_of_one_finding_does_not_repeat_what_the_servers_hold():
    slip = Reply("ns1", f"{LIVE.dkim_host}.acme.example", Status.ANSWERED, (LIVE.dkim_value,))
    shown = plain(card(replace(held(), slips=(slip,))))
    assert "acme.example.acme.example: holds Zoho's key" in shown
    assert shown.count("• ns1.dnshost.example: ") == 1
    assert "What each server holds" not in shown


def test_without_a_sender_there_is_nothing_to_check():
    shown = card(None, None, None)
    assert plain(shown) == (
        "Nothing to check\n"
        "No custom sender is set: Cliq's system sender is in use, and there is nothing to check.\n"
        "Last checked 9:00 AM, next 10:00 AM"
    )


def test_who_listens_hears_the_state_and_the_first_finding():
    assert card(held()).text.startswith(
        "DKIM of scott@acme.example is broken. No TXT record at 1700000000000._domainkey.acme.example."
    )


def test_backticks_of_ours_become_monospace():
    two = held(LIVE.dkim_value, "v=spf1 -all")
    assert "Delete the record that starts v=spf1; keep the one with p=MIIB… " in plain(card(two))


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_comes_from_outside_stays_words(hostile: str):
    texts = (hostile, *(f"{hostile} {n}" for n in range(199)))
    answered = held(*texts)
    reply = replace(answered.authoritative[0], server=hostile, aliases=(hostile,) * 8)
    answered = replace(
        answered,
        authoritative=(reply, *answered.authoritative) * 20,
        apex=hostile,
        name_servers=(hostile,) * 20,
    )
    live = replace(LIVE, email_id=f"{hostile}@acme.example", name=hostile)
    shown = card(answered, live)

    assert problems(shown) == []
    assert live_tokens(shown) == {"<!date>"}
    assert hostile not in mrkdwn(shown) or hostile.isalnum()
    assert len(rich_texts(shown)) < 13_000
