"""Requests in every state and everything else that a card can be about, as plain values."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from bot.domain.case import Case, Snapshot, key_host
from bot.domain.change import ChangeRequest, Decision, VoteKind, milliseconds
from bot.domain.checklist import Checklist, Server
from bot.domain.dns_answers import Status
from bot.domain.findings import Diagnosis, diagnose
from bot.domain.incident import Incident, Kind, alert_facts, outside_facts, watch_facts
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.plan import Baseline, Plan
from bot.domain.policy import Actor
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from bot.domain.report import headline
from bot.domain.sender_plans import AcceptPlan, plan_accept, plan_reset, plan_set
from tests.fakes import MORNING, FakeDns, config, dkim_value
from tests.office import ACME, ALICE, BOB, CAROL, ORG, POLICY

ORGANISATION = replace(ACME, label="production", data_center="eu")
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
UNVERIFIED = replace(LIVE, dkim_status="not_verified")
REISSUED = config(bits=2048, selector="1800000000000", which=1, dkim_status="not_verified")
NS1, NS2 = FakeDns.SERVERS
WRONG_NAME = f"{LIVE.dkim_host}.acme.example"


def found(
    live: MailConfig | None = LIVE,
    *,
    approved: MailConfig | None = LIVE,
    texts: dict[str, tuple[str, ...]] | None = None,
    policy: str = "v=DMARC1; p=none",
    failing: Status | None = None,
    **more: Any,
) -> Diagnosis:
    """What a pass finds while DNS holds these `texts`; the right record, if none are given."""
    dns = FakeDns()
    dns.policy = policy
    dns.fail(failing)
    host = key_host(live) if live else None
    answers = None
    if live is not None and host is not None:
        dns.records = {str(host): (live.dkim_value,)} if texts is None else texts
        answers = dns.answers(host, live.domain)
    return diagnose(Case(live, answers, Snapshot(approved, MORNING), **more))


LAST = applied(plan_set(Patch(name=LIVE.name), replace(LIVE, name="Scott")), LIVE)
STANDING = {
    "is_confirmed": True,
    "is_flapping": False,
    "snoozed_until": None,
    "ends_at": None,
    "unknown": "",
}


def alert_of(diagnosis: Diagnosis, **changes: Any) -> dict[str, Any]:
    """The facts of an alert about this, as the watch stores them."""
    facts = alert_facts(diagnosis, LAST)
    return STANDING | {"cause": facts["heading"]} | facts | TIMES | changes


def watch_of(diagnosis: Diagnosis, approved: ChangeRequest | None = LAST) -> dict[str, Any]:
    return watch_facts(diagnosis, approved) | TIMES


def incident(kind: Kind, facts: dict[str, Any], *, is_resolved: bool = False) -> Incident:
    ended = LATER if is_resolved else None
    return Incident("1nc1d3nt-1d", ORG, kind, "", MORNING, facts, ended)


def alert(diagnosis: Diagnosis, *, is_resolved: bool = False, **changes: Any) -> Incident:
    return incident(Kind.ALERT, alert_of(diagnosis, **changes), is_resolved=is_resolved)


def checklist(**changes: Any) -> Incident:
    begun = Checklist("r3qu3st", MOVED.dkim_host, MOVED.dkim_value, MORNING)
    facts = {"number": 42, "checklist": replace(begun, **changes).as_dict()}
    return incident(Kind.CHECKLIST, facts)


SEEN = (Server(NS1, LATER, True), Server(NS2, LATER, True))
HALF = (Server(NS1, LATER, True), Server(NS2, None, True), Server("ns3.acme.example"))
ELSEWHERE = {WRONG_NAME: (LIVE.dkim_value,)}
OTHER_KEY = {LIVE.dkim_host: (dkim_value(1024, 5),)}
INTRUDER = replace(LIVE, name="Intruder")

INCIDENTS: dict[str, Incident] = {
    "watch, in order": incident(Kind.WATCH, watch_of(found())),
    "watch, waiting for Zoho": incident(Kind.WATCH, watch_of(found(UNVERIFIED))),
    "watch, nothing approved": incident(Kind.WATCH, watch_of(found(), None)),
    "watch, system sender": incident(Kind.WATCH, watch_of(found(None, approved=None))),
    "watch, drifted": incident(Kind.WATCH, watch_of(found(INTRUDER))),
    "watch, record missing": incident(Kind.WATCH, watch_of(found(texts={}))),
    "watch, no answer from DNS": incident(Kind.WATCH, watch_of(found(failing=Status.TIMED_OUT))),
    "watch, of an earlier version": incident(
        Kind.WATCH, TIMES | {"live": LIVE.as_dict(), "number": 42, "is_drifted": False}
    ),
    "outside": alert(found(INTRUDER), is_confirmed=False),
    "outside, everything": alert(found(MOVED)),
    "outside, late effect": alert(found(INTRUDER), is_confirmed=False, late=41),
    "outside, removed": alert(found(None)),
    "outside, made": incident(
        Kind.ALERT,
        alert_of(found(LIVE, approved=None))
        | outside_facts(found(LIVE, approved=None).case, applied(RESET, None)),
    ),
    "outside, key reissued": alert(found(REISSUED, texts={})),
    "outside, over": alert(
        found(), is_resolved=True, was_outside=True, is_confirmed=False, ended=headline(found())
    ),
    "record missing": alert(found(texts={})),
    "record missing, risky": alert(found(texts={}, policy="v=DMARC1; p=reject")),
    "record not published yet": alert(found(UNVERIFIED, texts={})),
    "at the wrong name": alert(found(texts=ELSEWHERE)),
    "another key": alert(found(texts=OTHER_KEY)),
    "flapping and snoozed": alert(
        found(texts={}), is_flapping=True, snoozed_until=milliseconds(LATER)
    ),
    "fixed": alert(
        found(), cause="DKIM broken: no record", ends_at=milliseconds(LATER) + 3_600_000
    ),
    "settled": alert(found(), was_outside=True, ends_at=milliseconds(LATER) + 3_600_000),
    "not known at the moment": alert(
        found(texts={}), unknown=found(failing=Status.SERVFAIL).findings[0].sentence
    ),
    "outside, DNS unknown": alert(found(INTRUDER, failing=Status.TIMED_OUT), is_confirmed=False),
    "resolved": alert(
        found(), is_resolved=True, cause="DKIM broken: no record", ended=headline(found())
    ),
    "resolved, drift as well": alert(
        found(), is_resolved=True, was_outside=True, ended=headline(found())
    ),
    "resolved, sender removed": alert(
        found(None, approved=None), is_resolved=True, ended=headline(found(None, approved=None))
    ),
    "of an earlier version": incident(Kind.ALERT, {"is_replaced": True}, is_resolved=True),
    "checklist, begun": checklist(),
    "checklist, half way": checklist(servers=HALF),
    "checklist, by resolvers": checklist(resolvers_at=LATER),
    "checklist, waiting for Zoho": checklist(servers=SEEN),
    "checklist, complete": checklist(servers=SEEN, verified_at=LATER, ended_at=LATER),
    "checklist, superseded": checklist(ended_at=LATER, is_superseded=True),
}
