"""What is in an answer: where its aliases lead, the TXT records there, how long it may be kept."""

from __future__ import annotations

from dataclasses import dataclass

from dns.message import QueryMessage
from dns.name import Name
from dns.rdatatype import RdataType
from dns.rrset import RRset

ALIASES_MAX = 8
"""So many aliases are followed; longer chains are not followed by every receiver either."""


@dataclass(frozen=True, slots=True)
class Chain:
    """The aliases of an answer. `end` is None if they lead in a circle, or on and on."""

    aliases: tuple[Name, ...]
    end: Name | None


def follow(response: QueryMessage, start: Name) -> Chain:
    """Where the CNAME records of the answer lead from `start`."""
    alias_of = {
        rrset.name: rrset[0].target
        for rrset in response.answer
        if rrset.rdtype == RdataType.CNAME and len(rrset)
    }
    name, aliases = start, list[Name]()
    while name in alias_of:
        name = alias_of[name]
        if name == start or name in aliases or len(aliases) == ALIASES_MAX:
            return Chain((*aliases, name), None)
        aliases.append(name)
    return Chain(tuple(aliases), name)


def records(response: QueryMessage, name: Name, rdtype: RdataType) -> RRset | None:
    found = (r for r in response.answer if r.rdtype == rdtype and r.name == name)
    return next(found, None)


def texts(found: RRset | None) -> tuple[str, ...]:
    """TXT records, each as its joined strings (RFC 6376 section 3.6.2.2), in a steady order."""
    return tuple(sorted(_text(b"".join(rdata.strings)) for rdata in found or ()))


def _text(value: bytes) -> str:
    """Every byte sequence as some text; never with surrogates, which could not be stored or sent."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def soa(response: QueryMessage) -> RRset | None:
    for rrset in (*response.answer, *response.authority):
        if rrset.rdtype == RdataType.SOA and len(rrset):
            return rrset
    return None


def ttl(response: QueryMessage) -> int | None:
    """Seconds for which caches may keep the answer, or the "no" (RFC 2308 section 5)."""
    if response.answer:
        return min(rrset.ttl for rrset in response.answer)
    found = soa(response)
    return None if found is None else min(found.ttl, found[0].minimum)
