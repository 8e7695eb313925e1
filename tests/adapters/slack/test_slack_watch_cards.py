"""The living messages of the watch and its notices: true to their facts, within limits, safe to read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.adapters.slack.cards import telling
from bot.adapters.slack.cards import watch as cards
from bot.adapters.slack.cards.parts import Rendered
from bot.domain import messages
from bot.domain.change import ChangeRequest
from bot.domain.checklist import Checklist, Server
from bot.domain.findings import diagnose
from bot.domain.incident import Incident
from bot.domain.mail_config import MailConfig
from tests.adapters.slack.every_card import (
    ADDRESS,
    INCIDENTS,
    LATER,
    LIVE,
    MOVED,
    ORGANISATION,
    REISSUED,
    alert,
    applied,
    checklist,
    found,
    incident,
    watch_of,
)
from tests.adapters.slack.hostile import HOSTILE
from tests.adapters.slack.reading import (
    buttons,
    header,
    live_tokens,
    plain,
    problems,
    rich_texts,
)
from tests.fakes import MORNING

every_incident = pytest.mark.parametrize("incident_", INCIDENTS.values(), ids=INCIDENTS.keys())
every_hostile = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
REQUEST = applied(ADDRESS, MOVED)


def card(subject: Incident):
    return cards.card(subject, ORGANISATION)


@every_incident
def test_slack_takes_every_living_message(incident_: Incident):
    assert problems(card(incident_)) == []


@every_incident
def test_a_screen_reader_gets_a_sentence(incident_: Incident):
    assert card(incident_).text.endswith(".")
    assert "*" not in card(incident_).text


@every_incident
def test_a_living_message_mentions_nobody_and_links_nowhere(incident_: Incident):
    assert live_tokens(card(incident_)) <= {"<!date>"}


HOST = "1700000000000._domainkey.acme.example"
SAID = {
    "watch, in order": "Watching scott@acme.example (Scott Fisher)\n"
    "DKIM verified · CNAME verified · DKIM in order at 2 of 2 servers\n",
    "watch, waiting for Zoho": "DKIM not verified · CNAME verified · DKIM record right at 2 of 2 "
    "servers, waiting for Zoho",
    "watch, nothing approved": "Nothing is approved yet. Approve what is live, and whatever differs "
    "from it later is reported here.\n[Approve as it is…]",
    "watch, system sender": "Watching Cliq's system sender: no custom sender is set.",
    "watch, drifted": "Changed outside approval; see the alert.",
    "watch, record missing": "CNAME verified · DKIM broken: no record; right at 0 of 2 servers",
    "watch, no answer from DNS": f"Could not check {HOST}: ns1.acme.example, ns2.acme.example and "
    "resolver 192.0.2.53:53 timed out.",
    "watch, of an earlier version": "DKIM verified · CNAME verified\nApproved as #42",
    "outside": "Approved (#42, today at 9:30 AM) → live\nDisplay name: Scott Fisher → Intruder\n"
    "Was it meant? Ask to accept it. If not, ask to restore what was approved. Both need approval.",
    "outside, removed": "Address: scott@acme.example → not set",
    "outside, made": "Address: not set → scott@acme.example",
    "outside, over": "Resolved: What is live is what was approved.\nFirst seen today at 9:00 AM · "
    "resolved today at 9:30 AM · lasted 30 min",
    "outside, DNS unknown": f"Could not check {HOST}: ",
    "record missing": f"No TXT record at {HOST}. Zoho still says verified, but receivers can no "
    "longer check the signature.\nTo do: Add a TXT record: Name 1700000000000._domainkey, Value as "
    "Zoho gives it, TTL 3600, at the provider that runs ns1.acme.example and ns2.acme.example.\n"
    "What each server holds\n• ns1.acme.example: knows no such name\n• ns2.acme.example: knows no "
    "such name\n• resolver 192.0.2.53:53: knows no such name\nThe record to publish\nName, "
    "relative to the zone acme.example, type TXT, TTL 3600:\n1700000000000._domainkey\n",
    "record missing, risky": "Policy p=reject: receivers may reject these mails.",
    "at the wrong name": f"The key is published at {HOST}.acme.example instead of {HOST}. Zoho "
    "still says verified, but receivers can no longer check the signature.\nTo do: In the Name "
    "field enter only 1700000000000._domainkey, then delete the record at",
    "another key": "• ns1.acme.example: key UJAUJuZw, 225 characters",
    "outside, late effect": "Probably an effect of #41, which ended without being in force: Zoho has "
    "carried out a write of it, perhaps after that was given up.",
    "flapping and snoozed": "It comes and goes, so only a daily reminder is sent until it stays "
    "away. Reminders are snoozed until today at 9:30 AM.",
    "fixed": "All is in order again; watching until 10:30 AM.\nDKIM in order at 2 of 2 servers.\n",
    "settled": "What is live is approved again; watching until 10:30 AM.",
    "not known at the moment": "The last check found nothing out. ",
    "resolved": "Resolved: DKIM of scott@acme.example is in order: both authoritative servers and "
    "one resolver hold Zoho's key.\nDKIM broken: no record First seen today at 9:00 AM · resolved "
    "today at 9:30 AM · lasted 30 min",
    "resolved, drift as well": "Resolved: What is live is what was approved. DKIM of scott@acme",
    "resolved, sender removed": "Resolved: No custom sender is set: Cliq's system sender is in use, "
    "and there is nothing to check.",
    "of an earlier version": "This alert is over. mailcfg was updated; what is still wrong is told "
    "anew.",
    "checklist, begun": "What follows #42\n✓ In force, today at 9:00 AM\n○ Record not seen in DNS "
    "yet\n○ Not verified by Zoho yet\n/mailcfg dns shows the record to publish.",
    "checklist, half way": "✓ Record seen at ns1.acme.example, today at 9:30 AM\n"
    "○ Record not seen yet at ns2.acme.example\n○ No answer yet from ns3.acme.example\n",
    "checklist, by resolvers": "✓ Record seen by resolvers, today at 9:30 AM",
    "checklist, waiting for Zoho": "Nothing to do: Zoho looks by itself, and no call would hurry it.",
    "checklist, complete": "✓ Verified by Zoho, today at 9:30 AM\nDone, today at 9:30 AM",
    "checklist, superseded": "Another key is live by now, so nothing more is waited for here.",
}


@pytest.mark.parametrize(("name", "said"), SAID.items(), ids=SAID.keys())
def test_each_living_message_says_what_is_the_matter(name: str, said: str):
    assert said in plain(card(INCIDENTS[name]))


HEADERS = {
    "outside": "Changed outside approval",
    "outside, key reissued": "Changed outside approval",
    "record missing": "DKIM broken: no record",
    "record not published yet": "DKIM record not published yet",
    "at the wrong name": "DKIM broken: published at the wrong name",
    "another key": "DKIM broken: another key is published",
    "fixed": "Fixed, being watched",
}


@pytest.mark.parametrize(("name", "head"), HEADERS.items(), ids=HEADERS.keys())
def test_an_alert_begins_with_what_is_wrong(name: str, head: str):
    assert header(card(INCIDENTS[name])) == head


def test_an_alert_about_a_record_has_it_ready_to_copy_in_every_notation():
    shown = rich_texts(card(INCIDENTS["record missing"])).split("\n")
    assert shown == [
        "1700000000000._domainkey",
        LIVE.dkim_host,
        LIVE.dkim_value,
        f'"{LIVE.dkim_value}"',
    ]


def test_a_long_record_is_split_where_a_zone_file_wants_it():
    shown = rich_texts(card(INCIDENTS["outside, key reissued"])).split("\n")
    value = REISSUED.dkim_value
    assert shown[2:] == [value, f'"{value[:255]}" "{value[255:]}"']


STRANGERS = {
    "missing": {},
    "another key": {REISSUED.dkim_host: (LIVE.dkim_value,)},
    "wrong name": {f"{REISSUED.dkim_host}.acme.example": (REISSUED.dkim_value,)},
    "two records": {REISSUED.dkim_host: (REISSUED.dkim_value, "v=spf1 -all")},
}


@pytest.mark.parametrize("texts", STRANGERS.values(), ids=STRANGERS.keys())
def test_a_record_of_an_unapproved_key_stands_below_do_not_publish_only(texts: dict[str, Any]):
    shown = plain(card(alert(found(REISSUED, texts=texts))))
    before, _, after = shown.partition("Do not publish until accepted: this key belongs to")
    assert REISSUED.dkim_value not in before
    assert REISSUED.dkim_value in after
    assert "The record to publish" not in shown
    assert shown.startswith("Changed outside approval\n")
    todo = shown.partition("To do: ")[2]
    assert todo.startswith("Do not publish until accepted. Then: ")


def test_what_was_changed_outside_approval_can_be_restored_first_and_accepted_behind_it():
    offered = buttons(card(INCIDENTS["outside, key reissued"]))
    assert list(offered) == ["check", "snooze", "restore", "more"]
    assert [option["value"] for option in offered["more"]["options"]] == ["accept", "record"]
    pressed = [offered[name]["value"] for name in ("check", "restore")]
    assert set(pressed) == {INCIDENTS["outside"].id}


def test_a_broken_record_is_mended_by_the_record():
    offered = buttons(card(INCIDENTS["record missing"]))
    assert list(offered) == ["check", "snooze", "record"]
    labels = [option["text"]["text"] for option in offered["snooze"]["options"]]
    assert labels == ["1 hour", "6 hours", "1 day", "1 week"]


def test_where_no_record_helps_none_is_offered():
    assert list(buttons(card(INCIDENTS["fixed"]))) == ["check"]


def test_there_is_nothing_to_snooze_before_an_alert_is_confirmed():
    assert list(buttons(card(INCIDENTS["outside"]))) == ["check", "restore", "more"]


def test_what_is_resolved_offers_nothing_any_more():
    for name in ("resolved", "outside, over", "of an earlier version"):
        assert buttons(card(INCIDENTS[name])) == {}


def test_many_servers_are_counted_instead_of_listed():
    shown = plain(card(alert(found(texts={}), servers=[f"ns{n}: silent" for n in range(15)])))
    assert "• ns11: silent\n• and 3 more\n" in shown
    assert "ns12" not in shown


@every_hostile
def test_values_from_the_api_and_dns_stay_words(hostile: str):
    live = MailConfig(hostile, hostile, hostile, hostile, hostile, hostile)
    texts = {LIVE.dkim_host: (hostile,)}
    servers = (Server(hostile[:200], None, True), Server(hostile[:200], LATER, True))
    unread = diagnose(replace(found().case, live=None, answers=None, unread=hostile))
    shown = [
        card(incident(replace(watch_of(found(live)).body, error=hostile))),
        card(alert(found(live), unknown=hostile)),
        card(alert(found(replace(LIVE, name=hostile), texts=texts))),
        card(alert(found(texts=texts), servers=[hostile] * 20)),
        card(alert(found(), is_resolved=True, ended=hostile, cause=hostile)),
        card(checklist(servers=servers)),
        said(messages.CannotCheck(unread.findings[0].sentence)),
        said(messages.ChecksResumed(hostile)),
        said(messages.AlertChanged(hostile, hostile)),
        said(messages.UnknownOutcome("r", 42, "set", MORNING, hostile)),
    ]
    assert [problems(each) for each in shown] == [[]] * len(shown)
    assert set().union(*map(live_tokens, shown)) <= {"<!date>"}


@pytest.mark.parametrize("sign", ["n", "&"])
def test_a_long_value_outside_approval_can_be_read_in_full(sign: str):
    shown = card(alert(found(replace(LIVE, name=sign * 3000))))
    assert f"from  Scott Fisher\nto    {sign * 3000}" in rich_texts(shown)


DOWN = ("verified", "not_verified", LATER, "DKIM broken: no record; right at 0 of 2 servers")
HEADING, WHY = "DKIM broken: no record", "No TXT record at x. Add it."
SENTENCES: list[tuple[messages.Body, str]] = [
    (
        messages.StatusMoved("dkim_status", "not_verified", "verified", LATER, is_right=True),
        "Zoho changed the DKIM status: not verified → verified, today at 9:30 AM. The record in DNS "
        "is right.",
    ),
    (
        messages.StatusMoved("dkim_status", *DOWN, is_right=True),
        "Zoho changed the DKIM status: verified → not verified, today at 9:30 AM. The record in DNS "
        "is right. Nothing to publish; we keep watching.",
    ),
    (
        messages.StatusMoved("dkim_status", *DOWN),
        "Zoho changed the DKIM status: verified → not verified, today at 9:30 AM. DKIM broken: no "
        "record; right at 0 of 2 servers.",
    ),
    (
        messages.StatusMoved("cname_status", *DOWN),
        "Changed in Cliq, not through mailcfg: CNAME status: verified → not verified, today at "
        "9:30 AM.",
    ),
    (
        messages.CannotCheck("Could not check x since 04:15 UTC: …"),
        "mailcfg cannot check the sender. Could not check x since 04:15 UTC: …\nIt goes on trying, "
        "and says so once it can again.",
    ),
    (
        messages.ChecksResumed("DKIM in order at 2 of 2 servers"),
        "The sender can be checked again. DKIM in order at 2 of 2 servers.",
    ),
    (
        messages.ChangedOutside(LIVE, replace(LIVE, name="Intruder")),
        "Changed outside approval. Display name: Scott Fisher → Intruder. The alert has what can be "
        "done.",
    ),
    (
        messages.AlertOpened(HEADING, WHY),
        "Confirmed by a second check: DKIM broken: no record\nNo TXT record at x. Add it.",
    ),
    (
        messages.AlertFlapping(HEADING, WHY),
        "It comes and goes. From now on only a daily reminder is sent, until it has stayed away for "
        "long enough: DKIM broken: no record\nNo TXT record at x. Add it.",
    ),
    (
        messages.AlertChanged(HEADING, WHY),
        "Another cause by now: DKIM broken: no record\nNo TXT record at x. Add it.",
    ),
    (
        messages.AlertReminder(HEADING, WHY, MORNING),
        "Reminder: still so, since today at 9:00 AM: DKIM broken: no record\n"
        "No TXT record at x. Add it.",
    ),
    (
        messages.AlertResolved("DKIM of scott@acme.example is in order."),
        "Resolved: DKIM of scott@acme.example is in order.",
    ),
]


def said(
    body: messages.Body, request: ChangeRequest | None = None, link: str | None = None
) -> Rendered:
    return telling.message(body, request, link, ORGANISATION)


@pytest.mark.parametrize(("body", "words"), SENTENCES)
def test_what_is_told_once_is_a_sentence_or_two(body: messages.Body, words: str):
    assert plain(said(body)) == words
    assert problems(said(body)) == []


@every_hostile
def test_a_status_that_nobody_knows_stays_a_word(hostile: str):
    shown = said(messages.StatusMoved("cname_status", hostile, hostile, LATER))
    assert problems(shown) == []
    assert live_tokens(shown) <= {"<!date>"}


def test_the_end_of_a_checklist_is_said_in_the_thread_and_to_the_requester():
    assert plain(said(messages.Followed(LATER), REQUEST)) == (
        "#42: verified by Zoho, today at 9:30 AM. Done."
    )
    link = "https://acme.slack.com/archives/C0MAILADMIN/p1"
    assert plain(said(messages.FollowedPrivately(LATER), REQUEST)) == (
        "Done: your request #42 to change sender address is in force, its DKIM record is in DNS, and "
        "Zoho has verified it, today at 9:30 AM."
    )
    assert f"<{link}|#42>" in str(said(messages.FollowedPrivately(LATER), REQUEST, link).blocks)


def test_a_strict_policy_is_said_with_what_receivers_may_do():
    risk = messages.DmarcAtRisk("Policy p=reject: receivers may reject these mails.")
    assert plain(said(risk, REQUEST)) == (
        "Until the record of #42 is published: Policy p=reject: receivers may reject these mails."
    )


def test_a_checklist_that_nobody_answered_is_complete_by_what_resolvers_see():
    found_by_resolvers = Checklist("r", "h", "v", MORNING, resolvers_at=LATER)
    assert found_by_resolvers.is_published
