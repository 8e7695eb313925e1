"""Living messages: what is shown in one place and edited there for as long as it lasts. Pure.

Each is rendered from its `facts`, which are made here from a diagnosis. When an alert begins and
ends is `alert`'s to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from bot.domain.alert import AlertState
from bot.domain.case import Case
from bot.domain.change import ChangeRequest
from bot.domain.findings import Diagnosis, Role, Severity, State
from bot.domain.headlines import dns_line, topmost_bad
from bot.domain.moment import stamp
from bot.domain.report import groups, record_to_publish
from bot.domain.sentences import OUTSIDE, seen

Facts = dict[str, Any]

CHECKLIST_ID = "checklist-"
"""How the id of every checklist begins, so that a card can be told without a look at what it shows."""


class Kind(StrEnum):
    WATCH = "watch"
    """The one line that says what is watched and how it stands; never resolved."""
    ALERT = "alert"
    """What is wrong with the sender; one at a time."""
    CHECKLIST = "checklist"
    """How far an applied change has come; it stands in the thread of its request."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A living message. Of one kind and `key` at most one is open in an organisation.

    `key` is the id of the request for a checklist, and "" for the others.
    """

    id: str
    org: str
    kind: Kind
    key: str
    opened_at: datetime
    facts: Facts = field(default_factory=dict)
    resolved_at: datetime | None = None
    rev: int = 1

    def edited(self, facts: Facts, *, resolved_at: datetime | None = None) -> Incident:
        return replace(self, facts=facts, resolved_at=resolved_at, rev=self.rev + 1)


def watch_facts(found: Diagnosis, approved: ChangeRequest | None) -> Facts:
    """What the one line says; `error` is why the newest check found nothing out."""
    live = found.case.live
    return {
        "live": live and live.as_dict(),
        "number": approved and approved.number,
        "is_drifted": not found.case.is_approved,
        "dns": "" if found.state is State.UNKNOWN else dns_line(found),
        "error": found.findings[0].sentence if found.state is State.UNKNOWN else "",
    }


def alert_facts(found: Diagnosis, approved: ChangeRequest | None) -> Facts:
    """What an alert says of one definite pass: the trouble, who holds what, what to publish."""
    worst = topmost_bad(found)
    facts: Facts = {
        "heading": worst.heading if worst else "",
        "is_bad": worst is not None,
        "said": [
            {"sentence": " ".join(f.sentence for f in group), "fix": group[0].fix}
            for group in groups(found)
            if group[0].severity is not Severity.INFO or group[0].role is Role.WAITING
        ],
        "servers": list(seen(found.case)),
        "dns": dns_line(found),
        "record": _record(found),
        "is_approved": found.case.is_approved,
    }
    return facts | outside_facts(found.case, approved)


def outside_facts(case: Case, approved: ChangeRequest | None) -> Facts:
    """Live against approved, where they differ."""
    if case.is_approved:
        return {"is_outside": False}
    before = approved and approved.approved_config
    return {
        "is_outside": True,
        "heading": OUTSIDE,
        "live": case.live and case.live.as_dict(),
        "approved": before and before.as_dict(),
        "number": approved and approved.number,
        "approved_at": stamp(approved.ended_at) if approved else None,
    }


def _record(found: Diagnosis) -> Facts | None:
    """The record to publish, where publishing it helps."""
    record = record_to_publish(found)
    return (
        None
        if record is None
        else {"name": record.name, "value": record.value, "zone": record.zone}
    )


def standing_facts(state: AlertState, ends_at: datetime | None) -> Facts:
    """What the state machine adds; `ends_at` is the forecast while all is good."""
    incident = state.incident
    return {
        "is_confirmed": incident is not None,
        "is_flapping": incident is not None and incident.is_flapping,
        "snoozed_until": stamp(incident.snoozed_until) if incident else None,
        "ends_at": stamp(ends_at),
    }
