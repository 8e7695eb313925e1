"""The outside, as the services see it. Each Protocol is documented here and not again where it is met."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Protocol

from bot.domain.dkim import TxtAnswer
from bot.domain.mail_config import MailConfig


class Clock(Protocol):
    """Time, so that tests and the sandbox can move it."""

    def now(self) -> datetime:
        """Wall time, UTC and aware."""

    def elapsed(self) -> float:
        """Seconds from an arbitrary start that never run backwards, time asleep included."""


class Purpose(Enum):
    """Why the API is called; it decides how much of the shared budget may be used up.

    The value is the number of calls in the counting window below which this purpose may still call.
    """

    LOOK = 8
    """`show` and the drift check."""
    APPLY = 12
    """The read before a write, and the write."""
    CONFIRM = 19
    """Reads that settle a write which was already sent."""


class MailConfigApi(Protocol):
    """The organisation's mail configuration at Zoho. Every call may raise CliqError or OAuthError."""

    async def read(self, purpose: Purpose) -> MailConfig | None:
        """The live configuration; None is "no custom sender". May repeat a failed read by itself."""

    async def write(self, arguments: dict[str, str | int]) -> None:
        """One PUT, never repeated. Returns once accepted, which is no proof: read afterwards.

        Only NotSent, RateLimited, BudgetSpent, AuthError and OAuthError mean "no effect, may be
        sent again"; ServerError, MalformedAnswer and Ambiguous mean "unknown"; the others "refused".
        """

    async def remove(self) -> None:
        """One DELETE, never repeated; the same promises as `write`."""


class Resolver(Protocol):
    """DNS."""

    async def txt(self, host: str) -> tuple[TxtAnswer, ...]:
        """What each configured server says about the TXT records at `host`. Never raises."""

    async def zone_of(self, host: str) -> str | None:
        """The apex of the zone that holds `host`, or None if it could not be found out."""
