"""What will happen to mail between a change that makes a new key and the record for it.

Looked up when the change is proposed and kept with it, so that what an approver read is what was
approved. Plain text without markup; what could not be looked up is said as such, never as "none".
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from bot.domain.case import plain
from bot.domain.dns_answers import Answers
from bot.domain.posture import Dmarc, posture
from bot.domain.sentences import listed
from bot.domain.stored import Stored

NAME_SERVERS_MAX = 6
"""So many are named; they are data from outside, and kept with the request."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """What DNS said of the proposed sender's `domain`; None is "could not be looked up".

    `dmarc` is the effective policy, which may stand at a parent. No `name_servers`: unknown.
    """

    domain: str
    name_servers: tuple[str, ...]
    spf_records: int | None
    dmarc: Dmarc | None

    @classmethod
    def of(cls, domain: str, answers: Answers) -> Preflight:
        found = posture(answers)
        names = tuple(plain(name) for name in answers.name_servers[:NAME_SERVERS_MAX])
        return cls(domain, names, found.spf_records, found.dmarc)

    def said(self) -> str:
        """The whole in a few sentences, what to do last."""
        return " ".join([self._gap(), self._dmarc(), self._spf(), "Have the DNS owner ready."])

    def _gap(self) -> str:
        until = (
            f"After this, DKIM for {self.domain} cannot pass until a new TXT record is published"
        )
        if not self.name_servers:
            return f"{until}. The name servers of its zone could not be looked up."
        return f"{until} at {listed(self.name_servers)}."

    def _dmarc(self) -> str:
        found = self.dmarc
        if found is None:
            return "The DMARC policy could not be looked up."
        if found.records == 0:
            return "It has no DMARC record, so no policy asks receivers to reject mail meanwhile."
        if found.records > 1:
            return f"It has {found.records} DMARC records, which count as no policy."
        inherited = "" if found.domain == self.domain else f" (from {found.domain})"
        return f"Its DMARC policy is p={found.policy}{inherited}: {_EFFECTS[found.policy]}."

    def _spf(self) -> str:
        match self.spf_records:
            case None:
                return "The SPF record could not be looked up."
            case 0:
                return "It has no SPF record."
            case 1:
                return "Its SPF record helps only where the return path is in this domain, too."
            case number:
                return f"It has {number} SPF records, which count as none."

    def as_dict(self) -> Stored:
        return asdict(self) | {"name_servers": list(self.name_servers)}

    @classmethod
    def from_dict(cls, values: Stored) -> Preflight:
        """The inverse of `as_dict`, for a stored row."""
        found = values["dmarc"]
        return cls(
            domain=values["domain"],
            name_servers=tuple(values["name_servers"]),
            spf_records=values["spf_records"],
            dmarc=None if found is None else Dmarc(**found),
        )


_EFFECTS = {
    "reject": "receivers may reject mail meanwhile",
    "quarantine": "receivers may quarantine mail meanwhile",
    "none": "receivers are not asked to reject mail meanwhile",
}
