"""What is told at once, beside the alerts: a status that moved, a change outside approval. Pure.

A notice says what a reading of the API shows, so it needs no second look at DNS; that what follows
from it lasts is for `alert` to find out. Each is told once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bot.domain.mail_config import FIELDS, MailConfig, fingerprint
from bot.domain.typed import VERIFIED

REMEMBERED_MAX = 20
"""Live configurations of one drift that are remembered as told."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A successful look at the API, of a tick or not."""

    at: datetime
    live: MailConfig | None


@dataclass(frozen=True, slots=True)
class StatusChange:
    """A status that moved without us; `field` is the API's name of it."""

    field: str
    before: str
    after: str
    at: datetime


def status_changes(
    before: Reading, after: Reading, *, is_awaited: bool = False
) -> tuple[StatusChange, ...]:
    """What moved between two readings in a row, in either direction.

    Our own write leaves a reading of its own, so what it did lies before the first of them. A status
    of another host or domain has not moved: it is another thing's. `is_awaited` says that an open
    checklist waits for Zoho, and tells a `verified` itself.
    """
    old, new = before.live, after.live
    if old is None or new is None:
        return ()
    moved = []
    if FIELDS["dkim_host"].is_same(old.dkim_host, new.dkim_host):
        moved.append(StatusChange("dkim_status", old.dkim_status, new.dkim_status, after.at))
    if old.domain == new.domain:
        moved.append(StatusChange("cname_status", old.cname_status, new.cname_status, after.at))
    return tuple(c for c in moved if c.before != c.after and not (is_awaited and _is_news(c)))


def _is_news(change: StatusChange) -> bool:
    """Whether it is what a checklist waits for."""
    return change.field == "dkim_status" and change.after == VERIFIED


def outside_approval(
    told: tuple[str, ...], live: MailConfig | None, is_approved: bool
) -> tuple[tuple[str, ...], bool]:
    """Whether to say now that the sender was changed outside approval, and what is told by then.

    Once for each live configuration: `told` are those said since the approved one was last live, so
    that going back and forth between two makes no noise, and a change that is made anew after it
    was undone is told anew. While a change of ours is being written nothing is judged, so do not ask.
    """
    if is_approved:
        return (), False
    mark = fingerprint(live)
    if mark in told:
        return told, False
    return (*told, mark)[-REMEMBERED_MAX:], True
