"""The audit: a hash chain in which each entry seals the one before it, and what can be done with it.

A chain inside one database proves nothing to somebody who kept no old head; so its head also goes to
places that whoever holds the database does not hold: the log, and the result of each change.
"""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TextIO

from bot.domain.audit import GENESIS, AuditEntry, AuditHead, AuditRow, broken
from bot.domain.change import ChangeRequest, Seal, State, VoteKind, is_untouched
from bot.domain.organisation import Organisation
from bot.domain.stored import Stored, canonical
from bot.errors import Tampered
from bot.ports import Clock, Store

FIELDS = ("org", "seq", "at", "actor", "kind", "request_id", "body", "prev", "hash")


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole audit found; `problem` names the first bad row, "" if there is none."""

    entries: int
    requests: int
    head: str
    problem: str = ""


async def verify(
    store: Store, org: str, seal: Seal | None = None, noted: AuditHead | None = None
) -> Verification:
    """Follow the chain from its beginning, then check every request and vote against it.

    Without `seal` the votes' own seals cannot be checked. `noted` is a head that was kept elsewhere,
    which the chain must lead through. Raises DatabaseError, and Tampered for a row that cannot even
    be read.
    """
    previous, count, proposed = GENESIS, 0, 0
    async for row in store.audit(org):
        count += 1
        problem = broken(row, previous, count) or _elsewhere(row, noted)
        if problem:
            return Verification(count, 0, previous, problem)
        previous = row.hash
        proposed += row.entry.kind == "proposed"
    requests, problem = 0, _cut_off(count, noted)
    async for request in store.requests(org):
        if problem:
            break
        requests += 1
        problem = await _problem_of(store, request, seal)
    if not problem and requests < proposed:
        problem = f"The audit tells of {proposed} requests, and the database holds {requests}."
    return Verification(count, requests, previous, problem)


async def verify_end(store: Store, org: str, most: int) -> Verification:
    """Follow the chain through its last `most` entries only; `entries` is how many there were.

    Requests and votes are not looked at. Raises DatabaseError, and Tampered.
    """
    head = await store.audit_head(org)
    start = 0 if head is None else max(0, head.seq - most)
    previous, followed = None, 0
    async for row in store.audit(org, start):
        followed += 1
        problem = broken(row, previous or row.prev, start + followed)
        if problem:
            return Verification(followed, 0, previous or row.prev, problem)
        previous = row.hash
    return Verification(followed, 0, previous or GENESIS)


async def _problem_of(store: Store, request: ChangeRequest, seal: Seal | None) -> str:
    """Read once more whatever a running bot has moved between two looks."""
    while True:
        if seal is not None and not is_untouched(request, seal):
            problem = _forged(request)
        else:
            problem = disagreement(request, await store.audit_of(request))
        now = await store.request(request.org, request.id) if problem else request
        if now is None or now.rev == request.rev:
            return problem
        request = now


class DailyHead:
    """Gives the head of one organisation's audit once a day (UTC), to whoever asks first."""

    def __init__(self, organisation: Organisation, store: Store, clock: Clock) -> None:
        self._org = organisation.id
        self._store = store
        self._clock = clock
        self._day: date | None = None

    async def due(self) -> AuditHead | None:
        now = self._clock.now()
        if now.date() == self._day:
            return None
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        async with self._store.begin(self._org) as tx:
            is_ours = await tx.take_slot(f"head:{self._org}", midnight)
        self._day = now.date()
        return await self._store.audit_head(self._org) if is_ours else None


async def doubt(store: Store, request: ChangeRequest) -> str:
    """Why a request cannot be trusted, by the audit since it was asked for; "" if it can.

    Asked before anything is sent for it.
    """
    try:
        entries = await store.audit_of(request)
        problem = disagreement(request, entries)
        if problem:
            return problem
        first = entries[0]
        previous, expected = first.prev, first.seq
        async for row in store.audit(request.org, first.seq - 1):
            problem = broken(row, previous, expected)
            if problem:
                return problem
            previous, expected = row.hash, expected + 1
    except Tampered as unreadable:
        return str(unreadable)
    return ""


def disagreement(request: ChangeRequest, entries: Sequence[AuditRow]) -> str:
    """What the audit tells otherwise about a request than its own row and votes do, or ""."""
    told = [row.entry for row in entries]
    is_told = _is_as_proposed(request, told) and _is_as_voted(request, told)
    if is_told and _has_ended_as_told(request, told):
        return ""
    return (
        f"Request #{request.number} or its votes are not what the audit tells of them: a row was "
        "changed, added or deleted."
    )


def _is_as_proposed(request: ChangeRequest, told: Sequence[AuditEntry]) -> bool:
    proposed = [entry for entry in told if entry.kind == "proposed"]
    if len(proposed) != 1:
        return False
    entry = proposed[0]
    number = entry.body.get("number", request.number)  # early versions did not write it
    return (entry.actor, entry.body.get("digest"), number) == (
        request.requester.principal,
        request.digest,
        request.number,
    )


VOTES = {"approved": VoteKind.APPROVE, "rejected": VoteKind.REJECT}


def _is_as_voted(request: ChangeRequest, told: Sequence[AuditEntry]) -> bool:
    votes = [entry for entry in told if entry.kind in VOTES]
    voted = {entry.actor: entry for entry in votes}
    cast = {decision.voter.principal: decision for decision in request.decisions}
    is_counted = voted.keys() == cast.keys() and len(votes) == len(cast)
    return is_counted and all(
        decision.kind is VOTES[voted[who].kind]
        and decision.reason == voted[who].body.get("reason", "")
        and decision.evidence == voted[who].body.get("evidence", decision.evidence)
        for who, decision in cast.items()
    )


ENDS = {word for state in State for word in state.words.audited}
"""The audit's words for the moves that end a request."""


def _has_ended_as_told(request: ChangeRequest, told: Sequence[AuditEntry]) -> bool:
    ends = [entry for entry in told if entry.kind in ENDS]
    if request.is_open or len(ends) != 1:
        return request.is_open and not ends
    left = request.observed and request.observed.as_dict()
    return ends[0].kind in request.state.words.audited and left == ends[0].body.get(
        "observed", left
    )


def _elsewhere(row: AuditRow, noted: AuditHead | None) -> str:
    if noted is None or row.seq != noted.seq or row.hash.startswith(noted.hash):
        return ""
    return f"Entry {row.seq} is not the one whose head was noted: the audit was written anew."


def _cut_off(count: int, noted: AuditHead | None) -> str:
    if noted is None or noted.seq <= count:
        return ""
    return f"The audit ends at entry {count}, before the noted head {noted}: its end was cut off."


def _forged(request: ChangeRequest) -> str:
    return (
        f"Request #{request.number} or one of its votes was changed after it was written, or "
        "MAILCFG_SECRET_KEY no longer lists the key that sealed it."
    )


async def export(
    rows: AsyncIterator[AuditRow], out: TextIO, form: str, since: datetime | None = None
) -> int:
    """Write the entries since a time, oldest first, as `jsonl` or `csv`; returns how many."""
    writer = csv.DictWriter(out, FIELDS) if form == "csv" else None
    if writer is not None:
        writer.writeheader()
    count = 0
    async for row in rows:
        if since is not None and row.entry.at < since:
            continue
        count += 1
        if writer is not None:
            writer.writerow(_cells(row))
        else:
            out.write(json.dumps(_values(row), ensure_ascii=False) + "\n")
    return count


def _values(row: AuditRow) -> Stored:
    entry = row.entry
    told = [entry.org, row.seq, entry.at.isoformat(timespec="milliseconds"), entry.actor]
    told += [entry.kind, entry.request_id, entry.body, row.prev, row.hash]
    return dict(zip(FIELDS, told, strict=True))


def _cells(row: AuditRow) -> Stored:
    """For spreadsheets: a cell that starts like a formula is defused with an apostrophe."""
    flat = _values(row) | {"body": canonical(row.entry.body)}
    return {name: _defused(value) for name, value in flat.items()}


def _defused(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(tuple("=+-@\t\r"))
    return f"'{value}" if is_formula else value
