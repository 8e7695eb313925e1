"""What people are told once: the key that makes it one, whom it is for, and what it says.

A body is complete and typed from whoever tells to whoever renders; how it reads is the cards' to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from bot.domain.change import ChangeRequest
from bot.domain.mail_config import MailConfig
from bot.domain.reminders import Reminder as Due


class MessageKind(StrEnum):
    """What a body is called where it is stored."""

    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    RESULT = "result"
    MENTION = "mention"
    REMINDER = "reminder"
    OUTCOME = "outcome"
    UNKNOWN_OUTCOME = "unknown_outcome"
    UNREADABLE = "unreadable"
    FOLLOWED = "followed"
    FOLLOWED_DM = "followed_dm"
    DMARC = "dmarc"
    STATUS = "status"
    OUTSIDE = "outside"
    ALERT_OPENED = "alert_opened"
    ALERT_FLAPPING = "alert_flapping"
    ALERT_CHANGED = "alert_changed"
    ALERT_REMINDER = "alert_reminder"
    ALERT_RESOLVED = "alert_resolved"
    CANNOT_CHECK = "cannot_check"
    CHECKS_RESUMED = "checks_resumed"


@dataclass(frozen=True, slots=True)
class Approved:
    """The user `user` has approved it; so many have, of so many that are needed."""

    kind: ClassVar = MessageKind.APPROVED
    user: str
    given: int
    needed: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """`head`, here and below, is where the audit ended with this end of a request."""

    kind: ClassVar = MessageKind.REJECTED
    user: str
    reason: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    kind: ClassVar = MessageKind.WITHDRAWN
    user: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class Expired:
    kind: ClassVar = MessageKind.EXPIRED
    why: str
    head: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """How applying a request ended, for everybody."""

    kind: ClassVar = MessageKind.RESULT
    head: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """Calls the approvers, since it was too early to do it on the card."""

    kind: ClassVar = MessageKind.MENTION


@dataclass(frozen=True, slots=True)
class Reminder:
    """A request still waits; one that `escalates` calls those who see to it that somebody decides."""

    kind: ClassVar = MessageKind.REMINDER
    escalates: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request ended, for its requester alone."""

    kind: ClassVar = MessageKind.OUTCOME


@dataclass(frozen=True, slots=True)
class UnknownOutcome:
    """What the write of `request` did has not been found out; `why` is what the last look met."""

    kind: ClassVar = MessageKind.UNKNOWN_OUTCOME
    request: str
    number: int
    title: str
    since: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The stored request of this number is damaged."""

    kind: ClassVar = MessageKind.UNREADABLE
    number: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A checklist is through, since Zoho has verified the key."""

    kind: ClassVar = MessageKind.FOLLOWED
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class FollowedPrivately:
    """The same, for the requester alone."""

    kind: ClassVar = MessageKind.FOLLOWED_DM
    verified_at: datetime


@dataclass(frozen=True, slots=True)
class DmarcAtRisk:
    """What receivers may do to the mail until the record of a request is published."""

    kind: ClassVar = MessageKind.DMARC
    said: str


@dataclass(frozen=True, slots=True)
class StatusMoved:
    """A status moved without us; `field` is the API's name of it.

    `dns` is how DKIM stands in a line, `is_right` whether every server holds the right record.
    """

    kind: ClassVar = MessageKind.STATUS
    field: str
    before: str
    after: str
    at: datetime
    dns: str = ""
    is_right: bool = False


@dataclass(frozen=True, slots=True)
class ChangedOutside:
    """The sender was changed once more, or while the alert was about something else."""

    kind: ClassVar = MessageKind.OUTSIDE
    approved: MailConfig | None
    live: MailConfig | None


@dataclass(frozen=True, slots=True)
class AlertOpened:
    """A second check has confirmed the alert; `heading` and `said` are what it is about."""

    kind: ClassVar = MessageKind.ALERT_OPENED
    heading: str
    said: str


@dataclass(frozen=True, slots=True)
class AlertFlapping:
    """It comes and goes, and is told of less from now on."""

    kind: ClassVar = MessageKind.ALERT_FLAPPING
    heading: str
    said: str


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """The alert has another cause by now."""

    kind: ClassVar = MessageKind.ALERT_CHANGED
    heading: str
    said: str


@dataclass(frozen=True, slots=True)
class AlertReminder:
    kind: ClassVar = MessageKind.ALERT_REMINDER
    heading: str
    said: str
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class AlertResolved:
    """`ended` is how DKIM stands then; `was_outside` whether it was about a change outside approval,
    `is_confirmed` whether it had come to be about more than that."""

    kind: ClassVar = MessageKind.ALERT_RESOLVED
    ended: str
    was_outside: bool = False
    is_confirmed: bool = False


@dataclass(frozen=True, slots=True)
class CannotCheck:
    kind: ClassVar = MessageKind.CANNOT_CHECK
    said: str


@dataclass(frozen=True, slots=True)
class ChecksResumed:
    """`dns` is how DKIM stands, in a line."""

    kind: ClassVar = MessageKind.CHECKS_RESUMED
    dns: str


OfRequest = (
    Approved
    | Rejected
    | Withdrawn
    | Expired
    | Result
    | Mention
    | Reminder
    | Outcome
    | Followed
    | FollowedPrivately
    | DmarcAtRisk
)
"""What only says something together with the request that it is about."""
Body = (
    OfRequest
    | AlertOpened
    | AlertFlapping
    | AlertChanged
    | AlertReminder
    | AlertResolved
    | ChangedOutside
    | UnknownOutcome
    | Unreadable
    | StatusMoved
    | CannotCheck
    | ChecksResumed
)


@dataclass(frozen=True, slots=True)
class Requester:
    """Whoever made the request with this id, in private."""

    subject: str


@dataclass(frozen=True, slots=True)
class Thread:
    """The thread below the card of the request or living message with this id."""

    subject: str


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """The organisation's alert channel itself."""


Recipient = Requester | Thread | AlertChannel


@dataclass(frozen=True, slots=True)
class Message:
    """Something to be sent once, and at least once: one with the same key is not stored again.

    However many processes tell it, it is stored, and so sent, once.
    """

    key: str
    body: Body
    to: Recipient = AlertChannel()

    @property
    def kind(self) -> MessageKind:
        return self.body.kind


def moved(request: ChangeRequest, body: Approved | Rejected | Withdrawn | Expired) -> Message:
    """A line for the thread of a request that people or the clock have just moved."""
    return Message(f"{body.kind}:{request.id}:{request.rev}", body, Thread(request.id))


def mention(request: ChangeRequest) -> Message:
    return Message(f"mention:{request.id}", Mention(), Thread(request.id))


def reminder(request: ChangeRequest, due: Due) -> Message:
    key = f"reminder:{request.id}:{due.name}"
    return Message(key, Reminder(due.escalates), Thread(request.id))


def reminded_of(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the reminders that were given, from the keys of their messages."""
    return tuple(key.rpartition(":")[2] for key in keys)


def result(request: ChangeRequest, head: str) -> Message:
    return Message(f"result:{request.id}", Result(head), Thread(request.id))


def outcome(request: ChangeRequest) -> Message:
    return Message(f"outcome:{request.id}", Outcome(), Requester(request.id))


def unknown_outcome(request: ChangeRequest, number: int, since: datetime) -> Message:
    """The `number`th alarm about it."""
    title, why = request.plan.title, request.waits_for
    body = UnknownOutcome(request.id, request.number, title, since, why)
    return Message(f"unknown_outcome:{request.id}:{number}", body)


def unreadable(org: str, number: int) -> Message:
    return Message(f"unreadable:{org}:{number}", Unreadable(number))


def followed(request_id: str, verified_at: datetime) -> tuple[Message, Message]:
    """In the thread of the request, and to its requester alone."""
    return (
        Message(f"followed:{request_id}", Followed(verified_at), Thread(request_id)),
        Message(f"followed_dm:{request_id}", FollowedPrivately(verified_at), Requester(request_id)),
    )
