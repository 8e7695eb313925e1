"""What follows a change to its real end: in force, record seen at each server, verified by Zoho.

Pure. A checklist belongs to an applied request and is stepped with what each pass finds. It also
answers whether a missing record is the expected consequence of our own apply (`key_applied_at`), so
that it alarms nobody too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from bot.domain.change import ChangeRequest
from bot.domain.mail_config import MailConfig, signs_with
from bot.domain.stored import whole
from bot.domain.typed import VERIFIED


class News(StrEnum):
    """What a step brought, and what it asks for."""

    PROGRESS = "progress"
    """Something was ticked, or no longer holds: the checklist is edited in place."""
    COMPLETE = "complete"
    """All holds: a line in the thread, and a message to the requester."""
    SUPERSEDED = "superseded"
    """Another key is live by now: nothing is waited for any more."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass found about the live key.

    `servers` are the zone's own, each with whether it holds the right record; None is no definite
    answer. `resolvers` is the same for what receivers see; it counts only where the bot reaches
    none of the zone's own servers.
    """

    at: datetime
    live: MailConfig | None
    servers: Mapping[str, bool | None] = field(default_factory=dict)
    resolvers: bool | None = None


class Server(NamedTuple):
    """One of the zone's own servers: since when it is seen to hold the record, None is "not yet".

    One that never gave a definite answer need not hold up the end.
    """

    name: str
    seen_at: datetime | None = None
    has_answered: bool = False

    def told(self, is_right: bool | None, at: datetime) -> Server:
        if is_right is None:
            return self
        return Server(self.name, (self.seen_at or at) if is_right else None, has_answered=True)


@dataclass(frozen=True, slots=True)
class Checklist:
    """How far the key that a request brought has come; None where a step is not done.

    `resolvers_at` is since when receivers see the record. `ended_at` is when all was done, or, with
    `is_superseded`, when another key was found live.
    """

    request_id: str
    host: str
    value: str
    in_force_at: datetime
    servers: tuple[Server, ...] = ()
    resolvers_at: datetime | None = None
    verified_at: datetime | None = None
    ended_at: datetime | None = None
    is_superseded: bool = False

    @property
    def is_published(self) -> bool:
        """Whether every server that answers holds the record."""
        answering = [server for server in self.servers if server.has_answered]
        if not answering:
            return self.resolvers_at is not None
        return all(server.seen_at is not None for server in answering)

    @property
    def is_complete(self) -> bool:
        return self.ended_at is not None and not self.is_superseded

    @property
    def waits_for_zoho(self) -> bool:
        """Whether a `verified` from Zoho is told here, and needs no notice of its own."""
        return self.ended_at is None and self.verified_at is None


def begin(request: ChangeRequest) -> Checklist | None:
    """The checklist of a request that has just been APPLIED; None if it left no DKIM key to follow."""
    followed = request.plan.followed(request.observed)
    if followed is None or request.ended_at is None:
        return None
    return Checklist(request.id, followed.name, followed.value, whole(request.ended_at))


def step(checklist: Checklist, seen: Pass) -> tuple[Checklist, News | None]:
    """The checklist after a pass, and its news. One that has ended never moves again.

    A server that gives no definite answer changes nothing; one that has lost the record again is
    unticked. What is no longer among the zone's servers is left out.
    """
    if checklist.ended_at is not None:
        return checklist, None
    at = whole(seen.at)
    if seen.live is None or not signs_with(seen.live, checklist.host, checklist.value):
        return replace(checklist, ended_at=at, is_superseded=True), News.SUPERSEDED
    moved = _look(checklist, seen, at, seen.live.dkim_status == VERIFIED)
    if moved.verified_at is not None and moved.is_published:
        return replace(moved, ended_at=at), News.COMPLETE
    return moved, None if moved == checklist else News.PROGRESS


def _look(checklist: Checklist, seen: Pass, at: datetime, is_verified: bool) -> Checklist:
    known = {server.name: server for server in checklist.servers}
    servers = (known.get(name, Server(name)).told(held, at) for name, held in seen.servers.items())
    resolvers_at = checklist.resolvers_at
    if seen.resolvers is not None:
        resolvers_at = (resolvers_at or at) if seen.resolvers else None
    return replace(
        checklist,
        servers=tuple(servers) or checklist.servers,
        resolvers_at=resolvers_at,
        verified_at=(checklist.verified_at or at) if is_verified else None,
    )


def key_applied_at(last_applied: ChangeRequest | None, live: MailConfig | None) -> datetime | None:
    """When our own apply brought the key that is live; None if it did not.

    `last_applied` is the last APPLIED request of the sender. It counts if it wrote (accepting writes nothing),
    brought a new host or `p=`, and the API still gives exactly these.
    """
    if last_applied is None or last_applied.observed is None or live is None:
        return None
    base, brought = last_applied.plan.base, last_applied.observed
    is_new = base is None or not signs_with(brought, base.dkim_host, base.dkim_value)
    is_live = signs_with(live, brought.dkim_host, brought.dkim_value)
    is_ours = last_applied.effect == "written" and is_new and is_live
    return last_applied.ended_at if is_ours else None
