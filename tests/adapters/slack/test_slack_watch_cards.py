"""The living messages of the watch and its notices: true to their facts, within limits, safe to read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.adapters.slack.cards import watch as cards
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import MailConfig
from bot.ports import Message
from tests.adapters.slack.every_card import (
    DEPLOYMENT,
    INCIDENTS,
    LIVE,
    TIMES,
    incident,
    outside_facts,
    record_facts,
    watch_facts,
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

every_incident = pytest.mark.parametrize("incident_", INCIDENTS.values(), ids=INCIDENTS.keys())
every_hostile = pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())


def card(subject: Incident):
    return cards.card(subject, DEPLOYMENT)


@every_incident
def test_slack_takes_every_living_message(incident_: Incident):
    assert problems(card(incident_)) == []


@every_incident
def test_a_screen_reader_gets_a_sentence(incident_: Incident):
    assert card(incident_).text.endswith(".")


@every_incident
def test_a_living_message_mentions_nobody_and_links_nowhere(incident_: Incident):
    assert live_tokens(card(incident_)) <= {"<!date>"}


SAID = {
    "watch, in order": "Watching scott@acme.example (Scott Fisher)\n"
    "DKIM verified · CNAME verified · DKIM record published",
    "watch, waiting for Zoho": "DKIM not verified · CNAME verified · DKIM record published",
    "watch, nothing approved": "Nothing is approved yet. Approve what is live, and whatever differs "
    "from it later is reported here.\n[Approve as it is…]",
    "watch, system sender": "Watching Cliq's system sender: no custom sender is set.",
    "watch, drifted": "Changed outside approval; see the alert.",
    "watch, record missing": "DKIM record missing in DNS",
    "watch, record differs": "DNS holds another DKIM record",
    "watch, no answer from DNS": "DKIM record could not be looked up",
    "watch, check failed": "The last check could not be made: Zoho Cliq has a fault.",
    "outside": "Approved (#42, today at 9:00 AM) → live\nDisplay name: Scott Fisher → Intruder",
    "outside, removed": "Address: scott@acme.example → not set",
    "outside, made": "Address: not set → scott@acme.example",
    "outside, resolved": "Resolved: the live configuration is the approved one again.",
    "record missing": "There is no TXT record at 1700000000000._domainkey.acme.example. Receivers "
    "cannot check the DKIM signature of mail from scott@acme.example until it is published.",
    "record differs": "holds another record than the key that Zoho signs mail from "
    "scott@acme.example with.",
    "record of a stranger": "Do not publish until accepted: this key belongs to a configuration that "
    "nobody approved.",
    "record resolved": "Resolved: the DKIM record is published at "
    "1700000000000._domainkey.acme.example. Zoho has verified it.",
    "record, sender removed": "Resolved: no custom sender is set any more, so no DKIM record is "
    "needed.",
}


@pytest.mark.parametrize(("name", "said"), SAID.items(), ids=SAID.keys())
def test_each_living_message_says_what_is_the_matter(name: str, said: str):
    assert said in plain(card(INCIDENTS[name]))


HEADERS = {
    "outside": "Changed outside approval",
    "record missing": "DKIM record missing",
    "record not published yet": "DKIM record not published yet",
    "record differs": "DKIM record differs",
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


def test_an_alert_says_what_each_server_answered_once():
    assert (
        "192.0.2.1:53: no record · 192.0.2.2:53: no answer (SERVFAIL) · 192.0.2.3:53: 2 records\n"
    ) in plain(card(INCIDENTS["record missing"]))


def test_a_change_outside_approval_can_be_accepted_or_restored():
    offered = buttons(card(INCIDENTS["outside"]))
    assert list(offered) == ["accept", "restore"]
    assert {button["value"] for button in offered.values()} == {INCIDENTS["outside"].id}


def test_what_is_resolved_offers_nothing_any_more():
    assert buttons(card(INCIDENTS["outside, resolved"])) == {}


@every_hostile
def test_values_from_the_api_and_dns_stay_words(hostile: str):
    live = MailConfig(hostile, hostile, hostile, hostile, hostile, hostile)
    answers = [{"server": hostile[:200], "values": None, "problem": hostile[:200]}]
    shown = [
        card(incident(Kind.WATCH, watch_facts(live, error=hostile))),
        card(incident(Kind.OUTSIDE, outside_facts(LIVE, live))),
        card(incident(Kind.RECORD, record_facts(live, zone=hostile, answers=answers))),
        card(incident(Kind.RECORD, record_facts(live, publication="different"))),
    ]
    assert [problems(each) for each in shown] == [[]] * 4
    assert set().union(*map(live_tokens, shown)) <= {"<!date>"}


@pytest.mark.parametrize("sign", ["n", "&"])
def test_a_long_value_outside_approval_can_be_read_in_full(sign: str):
    live = replace(LIVE, name=sign * 3000)
    shown = card(incident(Kind.OUTSIDE, outside_facts(LIVE, live)))
    assert f"from  Scott Fisher\nto    {sign * 3000}" in rich_texts(shown)


def status(field: str, before: str, after: str, publication: str = "right") -> Message:
    facts = {"field": field, "before": before, "after": after, "publication": publication}
    return Message("key", "status", facts | {"at": TIMES["checked_at"]})


NOTICES = {
    "DKIM up": (
        status("dkim_status", "not_verified", "verified"),
        "Zoho changed the DKIM status: not verified → verified, today at 9:30 AM. The record in DNS "
        "is right.",
    ),
    "DKIM down, record right": (
        status("dkim_status", "verified", "not_verified"),
        "Zoho changed the DKIM status: verified → not verified, today at 9:30 AM. The record in DNS "
        "is right. Nothing to publish; we keep watching.",
    ),
    "DKIM down, record missing": (
        status("dkim_status", "verified", "not_verified", "missing"),
        "Zoho changed the DKIM status: verified → not verified, today at 9:30 AM. DKIM record "
        "missing in DNS.",
    ),
    "CNAME down": (
        status("cname_status", "verified", "not_verified"),
        "Changed in Cliq, not through mailcfg: CNAME status: verified → not verified, today at "
        "9:30 AM.",
    ),
}


@pytest.mark.parametrize(("message", "said"), NOTICES.values(), ids=NOTICES.keys())
def test_a_moved_status_is_one_sentence(message: Message, said: str):
    shown = cards.notice(message)
    assert plain(shown) == said
    assert problems(shown) == []


@every_hostile
def test_a_status_that_nobody_knows_stays_a_word(hostile: str):
    shown = cards.notice(status("cname_status", hostile, hostile))
    assert problems(shown) == []
    assert live_tokens(shown) <= {"<!date>"}


THREAD = {
    "record_resolved": "Resolved: the DKIM record is published at "
    "1700000000000._domainkey.acme.example. Zoho has verified it.",
    "record_changed": "Changed: There is no TXT record at 1700000000000._domainkey.acme.example. "
    "Receivers cannot check the DKIM signature of mail from scott@acme.example until it is "
    "published. The message above has the record.",
    "outside_resolved": "Resolved: the live configuration is the approved one again.",
    "outside_changed": "Changed again outside approval; the message above shows what is live now.",
}


@pytest.mark.parametrize(("kind", "said"), THREAD.items(), ids=THREAD.keys())
def test_what_happened_to_an_alert_is_one_line_in_its_thread(kind: str, said: str):
    line = cards.thread_line(Message("key", kind, record_facts(), subject="1nc1d3nt-1d"))
    assert plain(line) == said
    assert problems(line) == []
