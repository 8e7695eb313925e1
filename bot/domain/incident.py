"""Living messages about the watched sender: when one is opened, changed and resolved. Pure.

Each kind has at most one open message for an organisation, edited in place while it lasts. What is
unknown changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    WATCH = "watch"
    """The one line that says what is watched and how it stands; never resolved."""
    OUTSIDE = "outside"
    """The live configuration is not the approved one."""
    RECORD = "record"
    """DNS does not publish the key that Zoho signs with."""


class Event(StrEnum):
    OPENED = "opened"
    CHANGED = "changed"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Incident:
    """A living message. `key` tells one cause from the next; `facts` are what it is rendered from."""

    id: str
    org: str
    kind: Kind
    key: str
    opened_at: datetime
    facts: dict[str, Any] = field(default_factory=dict)
    resolved_at: datetime | None = None
    rev: int = 1


@dataclass(frozen=True, slots=True)
class Observation:
    """What a check found about one kind: `key` is the cause, or None where all is well."""

    key: str | None
    facts: dict[str, Any]


def step(
    current: Incident | None, seen: Observation | None, now: datetime, fresh: Incident
) -> tuple[Incident | None, Event | None]:
    """The message after an observation, and what happened, if anything.

    `seen` None is "could not find out" and changes nothing. `fresh` is the message to open, should
    one be needed; its id comes from outside.
    """
    if seen is None:
        return current, None
    if seen.key is None:
        if current is None:
            return None, None
        resolved = replace(current, resolved_at=now, facts=seen.facts, rev=current.rev + 1)
        return resolved, Event.RESOLVED
    if current is None:
        return replace(fresh, key=seen.key, facts=seen.facts, opened_at=now), Event.OPENED
    event = None if seen.key == current.key else Event.CHANGED
    moved = replace(current, key=seen.key, facts=seen.facts, rev=current.rev + 1)
    return (current, None) if moved.facts == current.facts and event is None else (moved, event)
