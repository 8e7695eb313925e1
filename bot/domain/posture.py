"""SPF and DMARC of the From domain, as far as DKIM needs them: how many records, and which policy.

Not a validator of either. Several records at one name are no policy (RFC 7208 section 4.5, RFC 7489
section 6.6.3). What could not be looked up is unknown, never "none".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bot.domain.dkim import tags
from bot.domain.dns_answers import Answers, Reply

DMARC = re.compile(r"v\s*=\s*DMARC1\s*(;|$)")
POLICIES = ("none", "quarantine", "reject")


@dataclass(frozen=True, slots=True)
class Dmarc:
    """The effective policy: `p`, or `sp` where it comes from a parent of the From domain.

    `records` is how many stand at `domain`; unless it is one, the policy is "none".
    """

    domain: str
    records: int
    policy: str = "none"
    is_strict: bool = False

    @property
    def is_enforced(self) -> bool:
        return self.policy in {"quarantine", "reject"}


@dataclass(frozen=True, slots=True)
class Posture:
    """None is "could not be looked up"."""

    spf_records: int | None
    dmarc: Dmarc | None


def posture(answers: Answers) -> Posture:
    spf = answers.spf
    known = spf is not None and spf.is_definite
    return Posture(len(spf_records(spf)) if spf and known else None, dmarc(answers.dmarc))


def spf_records(reply: Reply) -> list[str]:
    lowered = (text.lower() for text in reply.texts)
    return [text for text in lowered if text == "v=spf1" or text.startswith("v=spf1 ")]


def dmarc(replies: tuple[Reply, ...]) -> Dmarc | None:
    """The nearest record counts: `replies` go from the From domain to its parents."""
    if not replies or not all(reply.is_definite for reply in replies):
        return None
    for reply in replies:
        records = [text for text in reply.texts if DMARC.match(text.strip())]
        if records:
            return _dmarc(_domain(reply), records, is_inherited=reply is not replies[0])
    return Dmarc(_domain(replies[0]), 0)


def _domain(reply: Reply) -> str:
    return reply.name.removeprefix("_dmarc.")


def _dmarc(domain: str, records: list[str], *, is_inherited: bool) -> Dmarc:
    if len(records) > 1:
        return Dmarc(domain, len(records))
    found = {name.lower(): value.lower() for name, value in tags(records[0]).items()}
    policy = found.get("sp" if is_inherited and "sp" in found else "p", "none")
    policy = policy if policy in POLICIES else "none"
    return Dmarc(domain, 1, policy, is_strict=found.get("adkim") == "s")
