"""What is remembered of the passes over DNS between two checks, for whoever asks how things stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from bot.domain.findings import Diagnosis, State
from bot.domain.headlines import STATE_WORDS, dns_line
from bot.domain.sentences import moment
from bot.domain.stored import whole


@dataclass(frozen=True, slots=True)
class LastPass:
    """The newest definite pass, and whether a later one found nothing out.

    `line` and `word` are how DKIM stood at `at`, in a line and in a word; `apex` is the zone of the
    key, for when it cannot be found any more. `unknown` is why the newest pass is not definite; ""
    if it is.
    """

    at: datetime | None = None
    line: str = ""
    word: str = ""
    apex: str | None = None
    unknown: str = ""

    def after(self, found: Diagnosis, at: datetime) -> LastPass:
        """With one more pass; an unknown one takes nothing away."""
        if found.state is State.UNKNOWN:
            return replace(self, unknown=found.findings[0].sentence)
        apex = found.case.answers.apex if found.case.answers else None
        return LastPass(whole(at), dns_line(found), STATE_WORDS[found.state], apex or self.apex)

    def last_known(self, now: datetime) -> str:
        """ "in order (04:00 UTC)", or "" before the first definite pass."""
        return f"{self.word} ({moment(self.at, now)})" if self.at else ""
