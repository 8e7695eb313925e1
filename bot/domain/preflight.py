"""What a new DKIM key will mean for mail until its record is published, said before anyone approves.

From a survey of the proposed From domain. A look-up that failed is said as such, never as "none".
"""

from __future__ import annotations

from bot.domain.case import plain
from bot.domain.dns_answers import Answers
from bot.domain.posture import Dmarc, posture
from bot.domain.sentences import listed


def warning(answers: Answers) -> str:
    """A paragraph for whoever decides; `answers` are those of `ports.Resolver.survey`."""
    found = posture(answers)
    where = f" at {listed(map(plain, answers.name_servers))}" if answers.name_servers else ""
    said = [
        f"After this, DKIM for {plain(answers.host)} cannot pass until a new TXT record is published"
        f"{where}.",
        "" if where else "The name servers of its zone could not be looked up.",
        _policy(found.dmarc),
        _spf(found.spf_records),
        "Have the DNS owner ready.",
    ]
    return " ".join(filter(None, said))


def _policy(policy: Dmarc | None) -> str:
    if policy is None:
        return "The DMARC policy could not be looked up."
    if policy.records == 0:
        return "It has no DMARC policy."
    if policy.records > 1:
        return f"It has {policy.records} DMARC records, which count as none."
    if policy.is_enforced:
        what = policy.policy
        return f"Its DMARC policy is p={what}: receivers may {what} mail meanwhile."
    return "Its DMARC policy is p=none: it asks receivers for nothing meanwhile."


def _spf(records: int | None) -> str:
    if records is None:
        return "SPF could not be looked up."
    if records == 1:
        return ""
    return f"It has {records} SPF records, which count as none." if records else "It has no SPF."
