"""The audit's chain: entries, each sealed by a hash over the one before it.

A chain inside one database proves nothing to somebody who kept no old head; what is done with heads,
and what the chain says of each request, is `services/audit`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.domain.stored import canonical
from bot.errors import InputError

GENESIS = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit: who did what, with values only; `body` never holds a secret."""

    org: str
    at: datetime
    actor: str
    kind: str
    request_id: str | None = None
    body: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry in its place in the chain; `hash` seals it and `prev`, the hash before it."""

    entry: AuditEntry
    seq: int
    prev: str
    hash: str


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The end of an audit at some time: who has kept it notices a chain that was rewritten.

    Written `7:3f2a…`; `hash` may be the beginning of one.
    """

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @property
    def short(self) -> str:
        """Short enough for a message, long enough for nobody to find another with the same."""
        return f"{self.seq}:{self.hash[:16]}"


HEAD = re.compile(r"([1-9][0-9]{0,9}):([0-9a-f]{16,64})")


def noted_head(text: str) -> AuditHead:
    """A head as it was noted, `7:3f2a…` with 16 digits or more of its hash. Raises InputError."""
    found = HEAD.fullmatch(text.strip().lower())
    if found is None:
        raise InputError(
            f"`{text}` is no head of an audit. Write it as it was noted, like 7:3f2a9c0d1e5b8a47."
        )
    return AuditHead(int(found[1]), found[2])


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


def broken(row: AuditRow, previous: str, expected: int) -> str:
    """What is wrong with one row of the chain, or ""."""
    if row.seq != expected:
        return f"Entry {expected} is missing: after entry {expected - 1} comes {row.seq}."
    if row.prev != previous:
        return f"Entry {row.seq} does not follow entry {row.seq - 1}: that one was replaced."
    if row.hash != chain_hash(previous, row.entry.org, row.seq, canonical_body(row.entry)):
        return f"Entry {row.seq} of the audit was changed after it was written."
    return ""
