"""What is remembered of the passes over DNS between two checks, for whoever asks how things stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.domain.findings import Diagnosis, State
from bot.domain.headlines import STATE_WORDS, dns_line
from bot.domain.moment import from_stamp, stamp, whole
from bot.domain.sentences import moment


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

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "at": stamp(self.at),
            "line": self.line,
            "word": self.word,
            "apex": self.apex,
            "unknown": self.unknown,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LastPass:
        """The inverse of `as_dict`."""
        return cls(**values | {"at": from_stamp(values["at"])})
