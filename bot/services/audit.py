"""The audit's hash chain: each entry seals the one before it, so that no row can be changed alone."""

from __future__ import annotations

import hashlib

from bot.domain.change import canonical
from bot.ports import AuditEntry

GENESIS = "0" * 64


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
