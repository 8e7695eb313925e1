"""A diagnosis in a few words: the heading of an alert, and the one line about DNS."""

from __future__ import annotations

from bot.domain.findings import Diagnosis, Finding, FindingId, Severity, State
from bot.domain.report import OUTSIDE
from bot.domain.verdict import Kind

ID = FindingId
NOT_PUBLISHED = "DKIM record not published yet"
HEADINGS = {
    ID.API_INVALID: "Zoho's DKIM data is unusable",
    ID.DNS_BROKEN: "DKIM broken: the domain cannot be resolved",
    ID.CNAME_BROKEN: "DKIM broken: an alias that leads to no key",
    ID.DKIM_MULTIPLE: "DKIM broken: more than one record",
    ID.DKIM_REVOKED: "DKIM broken: the published key is revoked",
    ID.DKIM_TRUNCATED: "DKIM broken: the published key is cut off",
    ID.DKIM_MALFORMED: "DKIM broken: the record is damaged",
    ID.DKIM_KEY_MISMATCH: "DKIM broken: another key is published",
    ID.DKIM_TAG_CONFLICT: "DKIM broken: a tag forbids the key",
    ID.DKIM_WRONG_NAME: "DKIM broken: published at the wrong name",
    ID.DKIM_MISSING: "DKIM broken: no record",
    ID.DNS_UNKNOWN: "DKIM could not be checked",
    ID.DNS_PROPAGATING: "Name servers still disagree",
    ID.VERIFY_PENDING: "Zoho has not confirmed the right record",
    ID.STATUS_STALE: "DKIM broken",
    ID.DMARC_AT_RISK: "DMARC puts this mail at risk",
    ID.KEY_REISSUED: OUTSIDE,
    ID.CONFIG_DRIFT: OUTSIDE,
    ID.DKIM_TEST_MODE: "DKIM is in test mode",
    ID.KEY_WEAK: "DKIM broken: Zoho's key is too short",
    ID.POLICY_WEAK: "SPF or DMARC needs care",
}
"""What an alert is headed by while a finding is the gravest."""
BAD = frozenset({Severity.CRITICAL, Severity.WARNING})


def topmost_bad(found: Diagnosis) -> Finding | None:
    """The finding that alerts.

    Not simply the primary one: waiting for Zoho is no trouble and stands above a change outside
    approval, which is one.
    """
    return next((finding for finding in found.findings if finding.severity in BAD), None)


def heading(found: Diagnosis, finding: FindingId) -> str:
    """What to call `finding`: a record that Zoho never saw is not broken, it was not published."""
    if finding is ID.DKIM_MISSING and not found.case.is_verified:
        return NOT_PUBLISHED
    if finding is ID.DKIM_MULTIPLE and found.case.is_harmless_multiple:
        return "DKIM at risk: more than one record"
    return HEADINGS[finding]


def dns_line(found: Diagnosis) -> str:
    """How DKIM stands, without a full stop: "DKIM in order at 2 of 2 servers"."""
    match found.state:
        case State.NOT_APPLICABLE:
            return "No custom sender is set, so there is no DKIM record"
        case State.UNKNOWN:
            return HEADINGS[ID.DNS_UNKNOWN]
        case State.OK:
            return f"DKIM in order{_at_servers(found, ' at')}"
        case State.PENDING:
            waits = "Zoho" if found.has(ID.VERIFY_PENDING) else "the other servers"
            return f"DKIM record right{_at_servers(found, ' at')}, waiting for {waits}"
        case State.BROKEN:
            worst = topmost_bad(found)
            assert worst is not None
            return f"{heading(found, worst.id)}{_at_servers(found, '; right at')}"


def _at_servers(found: Diagnosis, words: str) -> str:
    """How many of those who were asked hold the right record; "" where DNS was not asked."""
    answers, verdict = found.case.answers, found.case.verdict
    if answers is None or verdict is None:
        return ""
    own = any(reply.is_definite for reply in answers.authoritative)
    asked = answers.authoritative if own else answers.resolvers
    judged = (*verdict.truth, *verdict.caches)
    right = {h.reply for h in judged if h.kind is Kind.RIGHT} & set(asked)
    what = "server" if own else "resolver"
    return f"{words} {len(right)} of {len(asked)} {what}{'' if len(asked) == 1 else 's'}"


STATE_WORDS = {
    State.OK: "in order",
    State.BROKEN: "broken",
    State.PENDING: "pending",
    State.NOT_APPLICABLE: "no custom sender",
}
"""How a definite state is remembered in "Last known: …"."""
