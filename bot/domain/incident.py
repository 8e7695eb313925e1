"""Living messages: what is shown in one place and edited there for as long as it lasts. Pure.

What each says is a frozen body, made and edited here from what a check found. When an alert begins
and ends is `alert`'s to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Generic, TypeVar

from bot.domain.alert import AlertState
from bot.domain.case import Case
from bot.domain.change import ChangeRequest
from bot.domain.checklist import Checklist
from bot.domain.dkim import Record
from bot.domain.findings import Diagnosis, Role, Severity
from bot.domain.headlines import dns_line, topmost_bad
from bot.domain.mail_config import MailConfig
from bot.domain.report import groups, headline, record_to_publish
from bot.domain.sentences import OUTSIDE, seen
from bot.domain.watched import CheckResult

CHECKLIST_ID = "checklist-"
"""How the id of every checklist begins, so that a card can be told without a look at what it shows."""


class LivingKind(StrEnum):
    """What a body is called where it is stored."""

    WATCH = "watch"
    ALERT = "alert"
    CHECKLIST = "checklist"


@dataclass(frozen=True, slots=True)
class WatchLine:
    """The one line that says what is watched and how it stands; never resolved.

    `number` is the request that was approved last, None if nothing ever was. `dns` is how DKIM
    stands, `error` why the newest check found nothing out.
    """

    kind: ClassVar = LivingKind.WATCH
    live: MailConfig | None
    number: int | None
    is_drifted: bool
    checked_at: datetime
    next_at: datetime
    dns: str = ""
    error: str = ""

    @classmethod
    def of(cls, check: CheckResult) -> WatchLine:
        """What a check says that could read the API."""
        found = check.found
        return cls(
            live=check.live,
            number=check.approved.number if check.approved else None,
            is_drifted=not found.case.is_approved,
            checked_at=check.at,
            next_at=check.next_at,
            dns="" if check.is_unknown else dns_line(found),
            error=found.findings[0].sentence if check.is_unknown else "",
        )

    def unread(self, check: CheckResult) -> WatchLine:
        """After a check that could not."""
        error = check.found.findings[0].sentence
        return replace(self, error=error, next_at=check.next_at)


@dataclass(frozen=True, slots=True)
class Saying:
    """What is wrong or waited for, and what to do about it, if anything."""

    sentence: str
    fix: str


@dataclass(frozen=True, slots=True)
class Outside:
    """What is live, and what was approved instead: by which request, and when."""

    live: MailConfig | None
    approved: MailConfig | None
    number: int | None
    approved_at: datetime | None

    @classmethod
    def of(cls, case: Case, approved: ChangeRequest | None) -> Outside | None:
        if case.is_approved:
            return None
        if approved is None:
            return cls(case.live, None, None, None)
        return cls(case.live, approved.approved_config, approved.number, approved.ended_at)


@dataclass(frozen=True, slots=True)
class AlertBody:
    """What is wrong with the sender, who holds what, what to publish; one at a time.

    `unknown` is why the newest check found nothing out; then the rest is what was known before it.
    `late` is the request that ended badly and may have made what is live after all. `cause` and
    `was_outside` outlast what they are about, to say how it `ended`. `ends_at` is the forecast while
    all is good.
    """

    kind: ClassVar = LivingKind.ALERT
    heading: str
    is_bad: bool
    said: tuple[Saying, ...]
    servers: tuple[str, ...]
    dns: str
    record: Record | None
    is_approved: bool
    outside: Outside | None
    checked_at: datetime
    next_at: datetime
    is_confirmed: bool = False
    is_flapping: bool = False
    snoozed_until: datetime | None = None
    ends_at: datetime | None = None
    unknown: str = ""
    late: int | None = None
    cause: str = ""
    was_outside: bool = False
    ended: str = ""

    @classmethod
    def of(cls, check: CheckResult, state: AlertState, ends_at: datetime | None) -> AlertBody:
        """What one pass found: the trouble, who holds what, what to publish."""
        found = check.found
        worst = topmost_bad(found)
        outside = Outside.of(found.case, check.approved)
        title = OUTSIDE if outside else worst.heading if worst else ""
        bare = cls(
            heading=title,
            is_bad=worst is not None,
            said=_said(found),
            servers=tuple(seen(found.case)),
            dns=dns_line(found),
            record=record_to_publish(found),
            is_approved=found.case.is_approved,
            outside=outside,
            checked_at=check.at,
            next_at=check.next_at,
            late=check.late.number if check.late else None,
            cause=title,
            was_outside=outside is not None,
        )
        return bare.standing(state, ends_at)

    def after(self, check: CheckResult, state: AlertState, ends_at: datetime | None) -> AlertBody:
        """With one more check; one that is unknown leaves standing what the last definite one found."""
        if check.unread:
            unread = replace(self, unknown=_why(check), next_at=check.next_at)
            return unread.standing(state, ends_at)
        fresh = self._without_dns(check) if check.is_unknown else self.of(check, state, ends_at)
        cause = fresh.heading or self.cause
        return replace(fresh, cause=cause, was_outside=bool(fresh.outside) or self.was_outside)

    def _without_dns(self, check: CheckResult) -> AlertBody:
        """What the API alone shows, beside what DNS showed before."""
        outside = Outside.of(check.found.case, check.approved)
        return replace(
            self,
            heading=OUTSIDE if outside else self.heading,
            outside=outside,
            unknown=_why(check),
            late=check.late.number if check.late else None,
            checked_at=check.at,
            next_at=check.next_at,
        )

    def standing(self, state: AlertState, ends_at: datetime | None) -> AlertBody:
        """With what the state machine says of it."""
        incident = state.incident
        return replace(
            self,
            is_confirmed=incident is not None,
            is_flapping=incident is not None and incident.is_flapping,
            snoozed_until=incident.snoozed_until if incident else None,
            ends_at=ends_at,
        )

    def end(self, check: CheckResult) -> AlertBody:
        """Nothing is left that it could be about."""
        ended = headline(check.found)
        return replace(self, ended=ended, unknown="", checked_at=check.at, next_at=check.next_at)


@dataclass(frozen=True, slots=True)
class ReplacedAlert:
    """An alert of an earlier version, which is over: what is still so is told anew."""

    kind: ClassVar = LivingKind.ALERT


@dataclass(frozen=True, slots=True)
class ChecklistBody:
    """How far the applied request of this number has come; it stands in the request's thread."""

    kind: ClassVar = LivingKind.CHECKLIST
    number: int
    checklist: Checklist


Living = WatchLine | AlertBody | ReplacedAlert | ChecklistBody
Says = TypeVar("Says", bound=Living)


@dataclass(frozen=True, slots=True)
class Incident(Generic[Says]):
    """A living message. Of one kind and `key` at most one is open in an organisation.

    `key` is the id of the request for a checklist, and "" for the others.
    """

    id: str
    org: str
    key: str
    opened_at: datetime
    body: Says
    resolved_at: datetime | None = None
    rev: int = 1

    def edited(self, body: Says, *, resolved_at: datetime | None = None) -> Incident[Says]:
        return replace(self, body=body, resolved_at=resolved_at, rev=self.rev + 1)


def _said(found: Diagnosis) -> tuple[Saying, ...]:
    return tuple(
        Saying(" ".join(finding.sentence for finding in group), group[0].fix)
        for group in groups(found)
        if group[0].severity is not Severity.INFO or group[0].role is Role.WAITING
    )


def _why(check: CheckResult) -> str:
    return check.found.findings[0].sentence
