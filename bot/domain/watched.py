"""What one check of the sender found, and what that is to the alerts and to a checklist. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.alert import Observation
from bot.domain.change import ChangeRequest
from bot.domain.checklist import Pass, key_applied_at
from bot.domain.findings import Diagnosis, State
from bot.domain.headlines import topmost_bad
from bot.domain.mail_config import MailConfig, undamaged
from bot.domain.verdict import RecordKind


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What one check found, before anything follows from it.

    `slot` is the time for which a tick was due; None is a check that somebody asked for. `unread` is
    why the API could not be read; then nothing is known about the rest. `is_followed` is whether the
    checklist of the last applied request is still open. `late` is the request that ended badly and
    whose write may have made what is live after all.
    """

    at: datetime
    slot: datetime | None
    approved: ChangeRequest | None
    found: Diagnosis
    next_at: datetime
    is_followed: bool = False
    late: ChangeRequest | None = None

    @property
    def live(self) -> MailConfig | None:
        return self.found.case.live

    @property
    def undamaged(self) -> MailConfig | None:
        """What is live but for Zoho's own damage, which comes and goes without being a change."""
        approved = None if self.approved is None else self.approved.approved_config
        return undamaged(self.live, approved)

    @property
    def unread(self) -> str:
        return self.found.case.unread

    @property
    def is_unknown(self) -> bool:
        return self.found.state is State.UNKNOWN

    def observation(self) -> Observation:
        """For the alerts. While DNS is unknown, what the API alone shows is no statement on DNS.

        Once a checklist is complete the record was seen everywhere: that it is missing then is not
        the expected gap after our own apply.
        """
        worst = None if self.is_unknown else topmost_bad(self.found)
        seen = worst or self.found.primary
        if seen is None:
            return Observation()
        applied_at = key_applied_at(self.approved, self.live) if self.is_followed else None
        return Observation(seen.id, seen.severity, applied_at)

    def for_checklist(self) -> Pass:
        """Who holds the record of the key that is live."""
        answers, verdict = self.found.case.answers, self.found.case.verdict
        if answers is None or verdict is None:
            return Pass(self.at, self.live)
        judged = (*verdict.truth, *verdict.caches)
        holds = {holding.reply: holding.kind is RecordKind.RIGHT for holding in judged}
        caches = [holds[reply] for reply in answers.resolvers if reply in holds]
        return Pass(
            self.at,
            self.live,
            {reply.server: holds.get(reply) for reply in answers.authoritative},
            all(caches) if caches else None,
        )
