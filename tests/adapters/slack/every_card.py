"""Requests in every state and everything else that a card can be about, as plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.adapters.slack.cards.parts import Deployment
from bot.domain.change import ChangeRequest, Decision, VoteKind, milliseconds
from bot.domain.dkim import Publication
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.plan import AcceptPlan, Baseline, Plan, plan_accept, plan_reset, plan_set
from bot.domain.policy import Actor
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from tests.fakes import MORNING, config
from tests.office import ALICE, BOB, CAROL, ORG, POLICY

DEPLOYMENT = Deployment(ORG, "production", "eu")
REQUEST_ID = "r3qu3st-1d-0f-24-charact"
LATER = MORNING + timedelta(minutes=30)

LIVE = config()
MOVED = config("it@acme.example", "IT", selector="1800000000000", which=1)
ADDRESS = plan_set(Patch(email_id="it@acme.example"), LIVE)
DOMAIN = plan_set(Patch(email_id="it@mail.acme.example", dkim_key_size=2048), LIVE)
NAME = plan_set(Patch(name="Acme Support"), LIVE)
STATED = plan_set(Patch(cname_status="verified"), replace(LIVE, cname_status="not_verified"))
FIRST = plan_set(Patch(name="Scott Fisher", email_id="scott@acme.example"), None)
PUNYCODE = plan_set(Patch(email_id="it@xn--bcher-kva.example"), LIVE)
HOSTILE_HELD = ("<!channel> *now*", "n" * 253)
EXPECTED = Preflight(
    "mail.acme.example", ("ns1.dnshost.example",), 1, Dmarc("acme.example", 1, "reject")
)
FORESEEN = replace(DOMAIN, preflight=EXPECTED)
UNFORESEEN = replace(DOMAIN, preflight=Preflight("mail.acme.example", (), None, None))
AMONG_HOSTILE = replace(DOMAIN, preflight=replace(EXPECTED, name_servers=HOSTILE_HELD))
RESET = plan_reset(LIVE)
ACCEPT = plan_accept(MOVED, Baseline(LIVE))
ACCEPT_FIRST = plan_accept(LIVE, None)
ACCEPT_NONE = AcceptPlan(LIVE, None)


def pending(plan: Plan = ADDRESS, reason: str = "Scott has left") -> ChangeRequest:
    bare = ChangeRequest(
        id=REQUEST_ID,
        org=ORG,
        number=42,
        plan=plan,
        policy=POLICY,
        quorum=POLICY.quorum(is_sensitive=plan.sensitive_because is not None),
        requester=ALICE,
        requester_evidence={},
        reason=reason,
        created_at=MORNING,
        expires_at=MORNING + timedelta(hours=24),
    )
    return replace(bare, digest=bare.compute_digest())


def vote(person: Actor, kind: VoteKind = VoteKind.APPROVE, reason: str = "") -> Decision:
    return Decision(person, kind, LATER, reason, {}, "mac")


def voted(plan: Plan = ADDRESS) -> ChangeRequest:
    return pending(plan).approve(vote(BOB), LATER, 2)


def approved(plan: Plan = ADDRESS) -> ChangeRequest:
    return voted(plan).approve(vote(CAROL), LATER, 2)


def claimed(plan: Plan = ADDRESS) -> ChangeRequest:
    return approved(plan).claim(LATER)


def removing() -> ChangeRequest:
    """Cliq kept the old address: its removal is the next write."""
    return claimed().go_on(LATER)


def removed() -> ChangeRequest:
    """The old configuration is gone: the new one is the next write."""
    return removing().claim(LATER).go_on(LATER)


def rejected(plan: Plan = ADDRESS, reason: str = "Customers know this address") -> ChangeRequest:
    return voted(plan).reject(vote(CAROL, VoteKind.REJECT, reason), LATER)


def applied(plan: Plan, observed: MailConfig | None, effect: str = "written") -> ChangeRequest:
    return claimed(plan).apply(LATER, observed, effect)


WHY = "Zoho Cliq does not show what was asked for"
NEITHER = "Cliq shows neither the old nor the wanted configuration"

REQUESTS: dict[str, ChangeRequest] = {
    "pending, no votes": pending(),
    "pending, one vote": voted(),
    "pending, ordinary": pending(NAME),
    "pending, another domain": pending(DOMAIN),
    "pending, with a preflight": pending(FORESEEN),
    "pending, with a failed preflight": pending(UNFORESEEN),
    "pending, with a hostile preflight": pending(AMONG_HOSTILE),
    "pending, stated CNAME": pending(STATED),
    "pending, first sender": pending(FIRST),
    "pending, punycode": pending(PUNYCODE),
    "pending, reset": pending(RESET),
    "pending, accept": pending(ACCEPT),
    "pending, accept the first": pending(ACCEPT_FIRST),
    "pending, accept none": pending(ACCEPT_NONE),
    "approved": approved(),
    "approved and parked": claimed().park(LATER, "Zoho Cliq cannot be reached; nothing was sent."),
    "applying": claimed(),
    "applying an accept": claimed(ACCEPT),
    "sent, checking": claimed().mark_sent(),
    "in force": applied(ADDRESS, MOVED),
    "in force already": applied(ADDRESS, MOVED, "none"),
    "in force with a warning": applied(DOMAIN, config("it@mail.acme.example", "IT")),
    "in force, reset": applied(RESET, None),
    "in force, accepted": applied(ACCEPT, MOVED, "none"),
    "unknown": claimed().become_uncertain(LATER, LATER, "Zoho Cliq did not answer in time."),
    "rejected": rejected(),
    "withdrawn": voted().withdraw(LATER),
    "no longer eligible": claimed().cancel_ineligible(LATER, "an approver is no longer eligible"),
    "expired while pending": pending().expire(LATER),
    "expired while approved": approved().expire(LATER),
    "stale": claimed().go_stale(LATER, replace(LIVE, name="Accounts Payable")),
    "stale, removed meanwhile": claimed().go_stale(LATER, None),
    "stale accept": claimed(ACCEPT).go_stale(LATER, LIVE),
    "failed": claimed().fail(LATER, "Zoho Cliq refused the values that were sent."),
    "conflict": claimed().conflict(LATER, NEITHER, replace(LIVE, name="Accounts Payable")),
    "conflict, nothing set": claimed().conflict(LATER, NEITHER, None),
    "conflict, nothing read": claimed().conflict(
        LATER, "it could not be found out", None, was_read=False
    ),
    "about to remove the kept address": removing(),
    "removing the kept address": removing().claim(LATER),
    "removed the kept address": removed(),
    "setting the new one": removed().claim(LATER),
    "setting the new one, waiting": removed().claim(LATER).park(LATER, "Zoho Cliq is locked."),
    "set anew": removed().claim(LATER).apply(LATER, MOVED, "written"),
    "conflict, removed and refused": removed().claim(LATER).fail(LATER, "Zoho Cliq said no.", None),
}

TIMES = {"checked_at": milliseconds(LATER), "next_at": milliseconds(LATER) + 900_000}
ANSWERS = [
    {"server": "192.0.2.1:53", "values": [], "problem": ""},
    {"server": "192.0.2.1:53", "values": [], "problem": ""},
    {"server": "192.0.2.2:53", "values": None, "problem": "SERVFAIL"},
    {"server": "192.0.2.3:53", "values": ["v=spf1 -all", "x"], "problem": ""},
]


def record_facts(live: MailConfig = LIVE, **changes: Any) -> dict[str, Any]:
    facts = TIMES | {
        "host": live.dkim_host,
        "value": live.dkim_value,
        "zone": "acme.example",
        "email_id": live.email_id,
        "dkim_status": live.dkim_status,
        "publication": Publication.MISSING,
        "is_drifted": False,
        "answers": ANSWERS,
    }
    return facts | changes


def watch_facts(live: MailConfig | None = LIVE, **changes: Any) -> dict[str, Any]:
    facts = TIMES | {
        "live": live and live.as_dict(),
        "publication": Publication.RIGHT,
        "number": 42,
        "is_drifted": False,
    }
    return facts | changes


def outside_facts(approved: MailConfig | None, live: MailConfig | None) -> dict[str, Any]:
    return TIMES | {
        "approved": approved and approved.as_dict(),
        "live": live and live.as_dict(),
        "number": 42,
        "approved_at": milliseconds(MORNING),
    }


def incident(kind: Kind, facts: dict[str, Any], *, is_resolved: bool = False) -> Incident:
    ended = LATER if is_resolved else None
    return Incident("1nc1d3nt-1d", ORG, kind, "key", MORNING, facts, ended)


UNVERIFIED = replace(LIVE, dkim_status="not_verified")
INCIDENTS: dict[str, Incident] = {
    "watch, in order": incident(Kind.WATCH, watch_facts()),
    "watch, waiting for Zoho": incident(Kind.WATCH, watch_facts(UNVERIFIED)),
    "watch, nothing approved": incident(Kind.WATCH, watch_facts(number=None)),
    "watch, system sender": incident(Kind.WATCH, watch_facts(None, publication="unknown")),
    "watch, drifted": incident(Kind.WATCH, watch_facts(is_drifted=True)),
    "watch, record missing": incident(Kind.WATCH, watch_facts(publication="missing")),
    "watch, record differs": incident(Kind.WATCH, watch_facts(publication="different")),
    "watch, no answer from DNS": incident(Kind.WATCH, watch_facts(publication="unknown")),
    "watch, check failed": incident(Kind.WATCH, watch_facts(error="Zoho Cliq has a fault.")),
    "outside": incident(Kind.OUTSIDE, outside_facts(LIVE, replace(LIVE, name="Intruder"))),
    "outside, everything": incident(Kind.OUTSIDE, outside_facts(LIVE, MOVED)),
    "outside, removed": incident(Kind.OUTSIDE, outside_facts(LIVE, None)),
    "outside, made": incident(Kind.OUTSIDE, outside_facts(None, LIVE)),
    "outside, resolved": incident(Kind.OUTSIDE, outside_facts(LIVE, LIVE), is_resolved=True),
    "record missing": incident(Kind.RECORD, record_facts()),
    "record not published yet": incident(Kind.RECORD, record_facts(UNVERIFIED)),
    "record differs": incident(Kind.RECORD, record_facts(publication="different")),
    "record of a stranger": incident(Kind.RECORD, record_facts(is_drifted=True, zone=None)),
    "record resolved": incident(
        Kind.RECORD, record_facts(publication="right", answers=[]), is_resolved=True
    ),
    "record, sender removed": incident(Kind.RECORD, {"removed": True} | TIMES, is_resolved=True),
}
