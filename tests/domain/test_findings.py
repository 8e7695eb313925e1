"""The table of findings: its order, its sentences for people, and that nothing makes it fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.case import Case, History, Snapshot
from bot.domain.dns_answers import Answers, Reply, Status
from bot.domain.findings import TABLE, Diagnosis, FindingId, Severity, State, diagnose
from bot.domain.report import as_dict, as_text, explanation
from tests.fakes import config, dkim_value

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIVE = config(bits=2048)
HOST = LIVE.dkim_host


def said(*texts: str, server: str = "ns1", status: Status = Status.ANSWERED) -> Reply:
    return Reply(server, HOST, status, texts, ttl=300, is_authoritative=server.startswith("ns"))


def answers(*replies: Reply) -> Answers:
    """Posture in order, an apex, and what these servers said."""
    return Answers(
        host=HOST,
        at=NOW,
        authoritative=tuple(r for r in replies if r.is_authoritative),
        resolvers=tuple(r for r in replies if not r.is_authoritative),
        apex="acme.example",
        name_servers=("ns1.dnshost.example", "ns2.dnshost.example"),
        spf=Reply("ns1", "acme.example", Status.ANSWERED, ("v=spf1 -all",)),
        dmarc=(Reply("ns1", "_dmarc.acme.example", Status.ANSWERED, ("v=DMARC1; p=none",)),),
    )


def found(*replies: Reply, **more: object) -> Diagnosis:
    return diagnose(Case(live=LIVE, answers=answers(*replies), **more))  # type: ignore[arg-type]


def test_the_table_has_every_finding_once_and_the_key_size_twice():
    ids = [row.id for row in TABLE]

    assert list(dict.fromkeys(i for i in ids if i != FindingId.KEY_WEAK)) == [
        i for i in FindingId if i != FindingId.KEY_WEAK
    ]
    assert len(TABLE) == len(FindingId) + 1


def test_a_missing_record_is_explained_in_one_paragraph():
    assert explanation(found(said(), said(server="ns2"))) == (
        f"No TXT record at {HOST}. Zoho still says verified, but receivers can no longer check the "
        "signature. Add a TXT record: Name 1700000000000._domainkey, Value as Zoho gives it, "
        "TTL 3600, at the provider that runs ns1.dnshost.example and ns2.dnshost.example."
    )


def test_each_server_is_shown_with_what_it_holds():
    diagnosis = found(
        said(LIVE.dkim_value),
        said("v=spf1 include:x", server="ns2"),
        said(status=Status.NXDOMAIN, server="r1"),
        said(status=Status.TIMED_OUT, server="r2"),
    )

    assert diagnosis.primary is not None
    assert diagnosis.primary.evidence == (
        f"ns1: Zoho's key {LIVE.dkim_value[-14:-6]}, 401 characters",
        "ns2: 16 characters that start `v=spf1`",
        "resolver r1: knows no such name",
        "resolver r2: timed out",
    )


def test_the_record_below_a_change_outside_approval_is_not_to_be_published():
    approved = Snapshot(replace(LIVE, dkim_value=dkim_value(2048, 1)), approved_at=NOW)

    text = as_text(found(said(), snapshot=approved))

    assert text.startswith(
        "Changed outside approval\nZoho issued a new DKIM key since 2 Mar 2026.\n"
        f"  Live: {HOST}, 2048 bits, key "
    )
    assert "To do: Do not publish until accepted. Then: Add a TXT record" in text
    assert "\n\nDo not publish until accepted\nName, " in text
    assert "The record to publish" not in text


def test_an_unknown_says_since_when_who_failed_and_what_was_known_last():
    history = History(unknown_since=NOW - timedelta(hours=6), last_known="in order (02:45 UTC)")
    replies = [
        said(status=Status.TIMED_OUT, server=name) for name in ("ns1", "ns2")
    ] + [said(status=Status.SERVFAIL, server="r1")]  # fmt: skip

    diagnosis = found(*replies, history=history)

    assert diagnosis.findings[0].severity is Severity.UNKNOWN
    assert diagnosis.findings[0].sentence == (
        f"Could not check {HOST} since 03:00 UTC: ns1 and ns2 timed out; resolver r1 reported a "
        "server failure. Last known: in order (02:45 UTC)."
    )


def test_a_sender_without_any_look_at_dns_is_unknown_not_in_order():
    assert diagnose(Case(live=LIVE)).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("hours", "severity"), [(71.99, Severity.INFO), (72, Severity.WARNING), (500, Severity.WARNING)]
)
def test_waiting_for_zoho_becomes_a_warning_after_its_grace(hours: float, severity: Severity):
    case = Case(
        live=replace(LIVE, dkim_status="not_verified"),
        answers=answers(said(LIVE.dkim_value)),
        history=History(waiting=timedelta(hours=hours)),
    )
    assert [f.severity for f in diagnose(case).findings] == [severity]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.lists(st.text(max_size=60), max_size=3), max_size=4),
    st.lists(st.sampled_from(Status), min_size=4, max_size=4),
)
def test_whatever_servers_say_it_ends_in_a_diagnosis_that_can_be_shown(
    texts: list[list[str]], statuses: list[Status]
):
    replies = [
        said(*values, server=name, status=status)
        for values, name, status in zip(texts, ("ns1", "ns2", "r1", "r2"), statuses, strict=False)
    ]

    diagnosis = found(*replies)

    assert all(c.isprintable() or c == "\n" for c in as_text(diagnosis))
    assert as_dict(diagnosis)["state"] == diagnosis.state
    if not any(reply.is_definite for reply in replies):
        assert diagnosis.state in {State.UNKNOWN, State.BROKEN}
