"""How messages and living messages are spelt in the database: what is stored comes back, also what an
earlier version stored; and what nobody here can read is never taken for something else.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any, get_args

import pytest
from sqlalchemy import update

from bot.adapters.store import rows, schema
from bot.domain import messages as m
from bot.domain.incident import AlertBody, Incident, Outside, ReplacedAlert, WatchLine
from bot.errors import Tampered
from bot.ports import Waiting
from tests.adapters.slack.every_card import INCIDENTS
from tests.fakes import MORNING, config
from tests.office import ORG, Office

AT = 1772442000000
"""MORNING, as it is stored."""
LIVE = config()
ALERT = {"heading": "DKIM broken", "said": "No TXT record.", "dns": "DKIM broken", "at": AT}
ALERT |= {"ended": "In order.", "was_outside": True, "first_seen_at": AT}
OF_REQUEST, OF_ALERT = m.Thread("r1"), m.Thread("a1")
VOTE = {"user": "U0BOB", "reason": "no", "given": 1, "needed": 2, "at": AT}
ALARM = {"number": 7, "title": "set", "since": AT, "request": "r1", "why": "no answer"}
STATUS = {"field": "dkim_status", "before": "verified", "after": "not_verified", "at": AT}
OUTSIDE = {"is_outside": True, "live": None, "approved": LIVE.as_dict(), "number": 1}

STORED: list[tuple[str, str | None, dict[str, Any], m.Body, m.Recipient]] = [
    ("approved", "r1", VOTE, m.Approved("U0BOB", 1, 2), OF_REQUEST),
    ("rejected", "r1", VOTE | {"head": "7:3f"}, m.Rejected("U0BOB", "no", "7:3f"), OF_REQUEST),
    ("withdrawn", "r1", {"user": "U0A", "head": "7:3f"}, m.Withdrawn("U0A", "7:3f"), OF_REQUEST),
    ("expired", "r1", {"why": "late", "head": "7:3f"}, m.Expired("late", "7:3f"), OF_REQUEST),
    ("result", "r1", {"state": "APPLIED", "at": AT, "head": "7:3f"}, m.Result("7:3f"), OF_REQUEST),
    ("mention", "r1", {}, m.Mention(), OF_REQUEST),
    ("reminder", "r1", {"escalates": True}, m.Reminder(True), OF_REQUEST),
    ("outcome", "r1", {"to": "U0ALICE"}, m.Outcome(), m.Requester("r1")),
    ("followed", "r1", {"verified_at": AT}, m.Followed(MORNING), OF_REQUEST),
    ("followed_dm", "r1", {"verified_at": AT}, m.FollowedPrivately(MORNING), m.Requester("r1")),
    ("dmarc", "r1", {"said": "p=reject"}, m.DmarcAtRisk("p=reject"), OF_REQUEST),
    (
        "unknown_outcome",
        None,
        ALARM,
        m.UnknownOutcome("r1", 7, "set", MORNING, "no answer"),
        m.AlertChannel(),
    ),
    ("unreadable", None, {"number": 7}, m.Unreadable(7), m.AlertChannel()),
    (
        "status",
        None,
        STATUS | {"publication": "right"},
        m.StatusMoved("dkim_status", "verified", "not_verified", MORNING),
        m.AlertChannel(),
    ),
    ("cannot_check", None, ALERT, m.CannotCheck("No TXT record."), m.AlertChannel()),
    ("checks_resumed", None, ALERT, m.ChecksResumed("DKIM broken"), m.AlertChannel()),
    ("outside", None, ALERT | OUTSIDE, m.ChangedOutside(LIVE, None), m.AlertChannel()),
    ("outside", "a1", ALERT | OUTSIDE, m.ChangedOutside(LIVE, None), OF_ALERT),
    ("alert_opened", "a1", ALERT, m.AlertOpened("DKIM broken", "No TXT record."), OF_ALERT),
    ("alert_flapping", "a1", ALERT, m.AlertFlapping("DKIM broken", "No TXT record."), OF_ALERT),
    ("alert_changed", "a1", ALERT, m.AlertChanged("DKIM broken", "No TXT record."), OF_ALERT),
    (
        "alert_reminder",
        "a1",
        ALERT,
        m.AlertReminder("DKIM broken", "No TXT record.", MORNING),
        OF_ALERT,
    ),
    ("alert_resolved", "a1", ALERT, m.AlertResolved("In order.", True), OF_ALERT),
]
"""What the version before stored of each kind, and what that says."""


def stored(kind: str, subject: str | None, facts: dict[str, Any]) -> Any:
    row = {"key": "k", "kind": kind, "subject": subject, "facts_json": json.dumps(facts)}
    return row | {"tries": 0, "channel": None, "ts": None}


@pytest.mark.parametrize(("kind", "subject", "facts", "body", "to"), STORED)
def test_a_message_is_read_as_it_was_meant_then_and_now(
    kind: str, subject: str | None, facts: dict[str, Any], body: m.Body, to: m.Recipient
):
    message = m.Message("k", body, to)

    assert rows.waiting_from(stored(kind, subject, facts)) == Waiting("k", message)
    today = stored(kind, subject, facts) | rows.message_row("", message)
    assert rows.waiting_from(today) == Waiting("k", message)


def test_there_is_one_of_every_kind():
    assert {type(body) for _, _, _, body, _ in STORED} == set(get_args(m.Body))
    assert {kind for kind, *_ in STORED} == set(m.MessageKind)


@pytest.mark.parametrize(
    ("kind", "facts"), [("of_tomorrow", {}), ("status", {}), ("reminder", {"escalates": "never"})]
)
def test_what_cannot_be_read_is_no_message(kind: str, facts: dict[str, Any]):
    assert rows.waiting_from(stored(kind, "r1", facts)) == Waiting("k", None)


@pytest.mark.parametrize("living", INCIDENTS.values(), ids=INCIDENTS.keys())
async def test_a_living_message_comes_back(office: Office, living: Incident[Any]):
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(living)

    assert await office.store.subject(office.org, living.id) == living


WORDS = {"heading": "DKIM broken", "is_bad": True, "servers": ["ns1: silent"], "dns": "DKIM broken"}
WORDS |= {"said": [{"sentence": "No TXT record.", "fix": ""}], "is_approved": True}
WORDS |= {"record": {"name": "h", "value": "v", "zone": None}, "is_confirmed": True}
WORDS |= {"is_flapping": False, "snoozed_until": AT, "ends_at": None}
TIMES = {"checked_at": AT, "next_at": AT + 900_000}


async def read(office: Office, kind: str, facts: dict[str, Any]) -> Any:
    """What is shown of facts that an earlier version has stored."""
    living = INCIDENTS["checklist, begun"]
    async with office.store.begin(office.org) as tx:
        await tx.save_incident(living)
    table = schema.incident
    await office.tamper(update(table).values(kind=kind, facts_json=json.dumps(facts)))
    found = await office.store.subject(office.org, living.id)
    assert isinstance(found, Incident)
    return found.body


async def test_an_alert_of_an_earlier_version_is_read(office: Office):
    calm = await read(office, "alert", WORDS | TIMES | {"is_outside": False})
    assert isinstance(calm, AlertBody)
    assert (calm.outside, calm.unknown, calm.late, calm.cause) == (None, "", None, "")
    assert (calm.snoozed_until, calm.record) == (MORNING, replace(calm.record, name="h", value="v"))
    assert calm.next_at == MORNING + timedelta(minutes=15)

    drifted = await read(office, "alert", WORDS | TIMES | OUTSIDE | {"approved_at": AT})
    assert drifted.outside == Outside(None, LIVE, 1, MORNING)
    assert await read(office, "alert", {"is_replaced": True}) == ReplacedAlert()


async def test_a_line_of_the_watch_of_an_earlier_version_is_read(office: Office):
    facts = TIMES | {"live": LIVE.as_dict(), "number": 1, "is_drifted": False, "publication": "x"}
    line = await read(office, "watch", facts)
    assert line == WatchLine(LIVE, 1, False, MORNING, MORNING + timedelta(minutes=15))


async def test_a_damaged_living_message_is_no_other_one(office: Office):
    with pytest.raises(Tampered):
        await read(office, "alert", {})
    with pytest.raises(Tampered):
        await office.store.open_incident(ORG, AlertBody)
