"""The audit: a hash chain in which each entry seals the one before it, and what can be done with it.

A chain inside one database proves nothing to somebody who kept no old head; so its head also goes to
places that whoever holds the database does not hold: the log, and the result of each change.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO

from bot.domain.change import ChangeRequest, Seal, canonical, is_untouched
from bot.ports import AuditEntry, AuditRow, Store

GENESIS = "0" * 64
FIELDS = ("org", "seq", "at", "actor", "kind", "request_id", "body", "prev", "hash")


def canonical_body(entry: AuditEntry) -> str:
    """What is sealed of an entry, as canonical JSON: everything but its place in the chain."""
    return canonical(
        {
            "at": entry.at.isoformat(timespec="milliseconds"),
            "actor": entry.actor,
            "kind": entry.kind,
            "request_id": entry.request_id,
            "body": entry.body,
        }
    )


def chain_hash(previous: str, org: str, seq: int, body: str) -> str:
    """SHA-256 over the previous hash, the place and the canonical body."""
    return hashlib.sha256(f"{previous}|{org}|{seq}|{body}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of the whole audit found; `problem` names the first bad row, "" if there is none."""

    entries: int
    requests: int
    head: str
    problem: str = ""


async def verify(store: Store, org: str, seal: Seal | None = None) -> Verification:
    """Follow the chain from its beginning, then check every request and vote against its seal.

    Without `seal` the votes cannot be checked. Raises DatabaseError, and Tampered for a row that
    cannot even be read.
    """
    previous, count = GENESIS, 0
    async for row in store.audit(org):
        count += 1
        problem = _broken(row, previous, count)
        if problem:
            return Verification(count, 0, previous, problem)
        previous = row.hash
    requests = 0
    async for request in store.requests(org):
        requests += 1
        if seal is not None and not is_untouched(request, seal):
            return Verification(count, requests, previous, _forged(request))
    return Verification(count, requests, previous)


def _broken(row: AuditRow, previous: str, expected: int) -> str:
    """What is wrong with one row of the chain, or ""."""
    if row.seq != expected:
        return f"Entry {expected} is missing: after entry {expected - 1} comes {row.seq}."
    if row.prev != previous:
        return f"Entry {row.seq} does not follow entry {row.seq - 1}: that one was replaced."
    if row.hash != chain_hash(previous, row.entry.org, row.seq, canonical_body(row.entry)):
        return f"Entry {row.seq} of the audit was changed after it was written."
    return ""


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


def _values(row: AuditRow) -> dict[str, Any]:
    entry = row.entry
    told = [entry.org, row.seq, entry.at.isoformat(timespec="milliseconds"), entry.actor]
    told += [entry.kind, entry.request_id, entry.body, row.prev, row.hash]
    return dict(zip(FIELDS, told, strict=True))


def _cells(row: AuditRow) -> dict[str, Any]:
    """For spreadsheets: a cell that starts like a formula is defused with an apostrophe."""
    flat = _values(row) | {"body": canonical(row.entry.body)}
    return {name: _defused(value) for name, value in flat.items()}


def _defused(value: Any) -> Any:
    is_formula = isinstance(value, str) and value.startswith(tuple("=+-@\t\r"))
    return f"'{value}" if is_formula else value
