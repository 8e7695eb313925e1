"""The one-time messages about a request that are told beside its moves, and the key of each.

A key is what makes a message one: however many processes tell it, it is stored, and so sent, once.
"""

from __future__ import annotations

from datetime import datetime

from bot.domain.change import ChangeRequest, milliseconds
from bot.domain.reminders import Reminder
from bot.ports import Message

REMINDER = "reminder"
MENTION = "mention"
OUTCOME = "outcome"
UNKNOWN = "unknown_outcome"


def mention(request: ChangeRequest) -> Message:
    """The approvers, mentioned in the thread since it was too early to do it on the card."""
    return Message(f"{MENTION}:{request.id}", MENTION, {}, subject=request.id)


def reminder(request: ChangeRequest, due: Reminder) -> Message:
    """A line in the thread; it is void once the request no longer waits for approvals."""
    key = f"{REMINDER}:{request.id}:{due.name}"
    return Message(key, REMINDER, {"escalates": due.escalates}, subject=request.id)


def names(keys: tuple[str, ...]) -> tuple[str, ...]:
    """The reminders that were told, from the keys of their messages."""
    return tuple(key.rpartition(":")[2] for key in keys)


def outcome(request: ChangeRequest) -> Message:
    """How it ended, to the requester alone."""
    to = {"to": request.requester.user}
    return Message(f"{OUTCOME}:{request.id}", OUTCOME, to, subject=request.id)


def unknown(request: ChangeRequest, number: int, since: datetime) -> Message:
    """To the alert channel: what a write did has not been found out for some time."""
    facts = {"number": request.number, "title": request.plan.title, "since": milliseconds(since)}
    facts |= {"request": request.id, "why": request.waits_for}
    return Message(f"{UNKNOWN}:{request.id}:{number}", UNKNOWN, facts)
