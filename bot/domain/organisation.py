"""One Cliq organisation: its name and its rules as one value, handed to all that serves it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from bot.domain.alert import Parameters
from bot.domain.change import ChangeRequest, Seal
from bot.domain.policy import Policy
from bot.domain.reminders import Reminders
from bot.domain.timing import Timing


@dataclass(frozen=True, slots=True)
class Channels:
    """Where an organisation is spoken to at Slack, by ids.

    `notify` are the users and user groups that each request mentions besides its approvers,
    `escalate_to` those that the last reminder mentions. Neither may do more for it.
    """

    approval: str
    alert: str
    fallback: str | None = None
    notify: tuple[str, ...] = ()
    escalate_to: tuple[str, ...] = ()

    @property
    def fallbacks(self) -> tuple[str, ...]:
        """Where to post what belongs in a channel that is gone, in the order to try."""
        named = (self.fallback,) if self.fallback else ()
        return (*named, self.approval, self.alert)


@dataclass(frozen=True, slots=True)
class Organisation:
    """`id` is its key in every table; `label` stands at the foot of its cards. `policy` is the rules
    of today. `alerts` is how patient alerts are, `check_every` the time between two checks."""

    id: str
    channels: Channels
    policy: Policy
    seal: Seal
    label: str = ""
    data_center: str = "us"
    reminders: Reminders = field(default_factory=Reminders)
    alerts: Parameters = field(default_factory=Parameters)
    check_every: timedelta = timedelta(minutes=15)
    timing: Timing = field(default_factory=Timing)

    def needed(self, request: ChangeRequest) -> int:
        """The approvals that a request needs today, as many as when it was asked for or more."""
        return request.quorum_under(self.policy)
