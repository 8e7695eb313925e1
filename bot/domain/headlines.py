"""A diagnosis in a few words: the finding that alerts, and the one line about DNS."""

from __future__ import annotations

from bot.domain.findings import Diagnosis, Finding, FindingId, Severity, State
from bot.domain.sentences import UNKNOWN
from bot.domain.verdict import RecordKind

BAD = frozenset({Severity.CRITICAL, Severity.WARNING})


def topmost_bad(found: Diagnosis) -> Finding | None:
    """The finding that alerts.

    Not simply the primary one: waiting for Zoho is no trouble and stands above a change outside
    approval, which is one.
    """
    return next((finding for finding in found.findings if finding.severity in BAD), None)


def dns_line(found: Diagnosis) -> str:
    """How DKIM stands, without a full stop: "DKIM in order at 2 of 2 servers"."""
    match found.state:
        case State.NOT_APPLICABLE:
            return "No custom sender is set, so there is no DKIM record"
        case State.UNKNOWN:
            return UNKNOWN
        case State.OK:
            return f"DKIM in order{_at_servers(found, ' at')}"
        case State.PENDING:
            waits = "Zoho" if FindingId.VERIFY_PENDING in found.ids else "the other servers"
            return f"DKIM record right{_at_servers(found, ' at')}, waiting for {waits}"
        case State.BROKEN:
            worst = topmost_bad(found)
            assert worst is not None
            return f"{worst.heading}{_at_servers(found, '; right at')}"


def _at_servers(found: Diagnosis, words: str) -> str:
    """How many of those who were asked hold the right record; "" where DNS was not asked."""
    answers, verdict = found.case.answers, found.case.verdict
    if answers is None or verdict is None:
        return ""
    own = any(reply.is_definite for reply in answers.authoritative)
    asked = answers.authoritative if own else answers.resolvers
    judged = (*verdict.truth, *verdict.caches)
    right = {h.reply for h in judged if h.kind is RecordKind.RIGHT} & set(asked)
    what = "server" if own else "resolver"
    return f"{words} {len(right)} of {len(asked)} {what}{'' if len(asked) == 1 else 's'}"


STATE_WORDS = {
    State.OK: "in order",
    State.BROKEN: "broken",
    State.PENDING: "pending",
    State.NOT_APPLICABLE: "no custom sender",
}
"""How a definite state is remembered in "Last known: …"."""
