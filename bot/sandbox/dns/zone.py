"""One editable DNS zone, and what an authoritative server answers from it.

No sockets here: names and records go in, replies come out. The rules are RFC 1034 section 4.3.2
(the search), RFC 2308 (negative answers), RFC 4592 (wildcards) and RFC 6604 (aliases that lead
nowhere). What a person types is checked here, and refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.name import Name
from dns.rcode import Rcode
from dns.rdata import Rdata
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT
from dns.rrset import RRset

from bot.errors import InputError

DEFAULT_TTL = 300
TTL_MAX = 2**31 - 1
STRING_MAX = 255
"""Bytes of one character-string (RFC 1035 section 3.3)."""
SET_MAX = 60_000
"""Bytes of all records of one name and type, so that they fit a TCP answer."""
CHAIN_MAX = 16

Value = str | Sequence[str]
"""A record's value: text; for TXT also the list of its character-strings."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The sections of an answer."""

    rcode: Rcode
    answer: tuple[RRset, ...] = ()
    authority: tuple[RRset, ...] = ()
    additional: tuple[RRset, ...] = ()
    is_authoritative: bool = True


class Zone:
    """Records under one apex. SOA and NS of the apex are there even if nobody gave them."""

    def __init__(self, apex: str, records: Iterable[Mapping[str, Any]] = ()) -> None:
        """`records` have the form that `self.records` gives. Raises InputError."""
        self.apex = parse_name(apex)
        self._sets: dict[tuple[Name, RdataType], RRset] = {}
        for record in records:
            self.put(record["name"], record["type"], record["values"], record["ttl"])
        self._complete()

    @property
    def name(self) -> str:
        return _shown(self.apex)

    def holds(self, name: Name) -> bool:
        return name.is_subdomain(self.apex)

    def put(
        self, name: str, rdtype: str, values: Iterable[Value], ttl: int, *, add: bool = False
    ) -> None:
        """Make `values` the records of that name and type, or with `add` put them beside the others.

        Raises InputError.
        """
        owner, kind = self._inside(name), _parse_type(rdtype)
        rdatas = [_parse_value(kind, value) for value in values]
        if add:
            rdatas = [*self._sets.get((owner, kind), ()), *rdatas]
        self._check(owner, kind, rdatas)
        self._sets[owner, kind] = dns.rrset.from_rdata_list(owner, _checked_ttl(ttl), rdatas)

    def remove(self, name: str, rdtype: str) -> bool:
        """Take away all records of that name and type; whether there were any. Raises InputError."""
        owner, kind = self._inside(name), _parse_type(rdtype)
        if owner == self.apex and kind in {RdataType.SOA, RdataType.NS}:
            raise InputError(f"The {kind.name} records of {self.name} itself cannot be removed.")
        return self._sets.pop((owner, kind), None) is not None

    def records(self) -> list[dict[str, Any]]:
        """Every record, by name: `{"name", "type", "ttl", "values"}`, fit for a new Zone."""
        return [
            {
                "name": _shown(rrset.name),
                "type": rrset.rdtype.name,
                "ttl": rrset.ttl,
                "values": [_shown_value(rdata) for rdata in rrset],
            }
            for _, rrset in sorted(self._sets.items(), key=lambda item: item[0])
        ]

    def txt(self, name: str) -> list[str]:
        """The TXT values at a name, strings joined, aliases followed; [] if there are none."""
        try:
            reply = self.look_up(parse_name(name), RdataType.TXT)
        except InputError:
            return []
        found = (rrset for rrset in reply.answer if rrset.rdtype == RdataType.TXT)
        return [_text(b"".join(rdata.strings)) for rrset in found for rdata in rrset]

    def look_up(self, name: Name, rdtype: RdataType) -> Reply:
        """What an authoritative server says; it follows aliases as far as they stay in the zone."""
        chain: list[RRset] = []
        while self.holds(name) and len(chain) < CHAIN_MAX:
            if (cut := self._delegation(name)) is not None:
                glue = self._addresses(cut)
                return Reply(Rcode.NOERROR, tuple(chain), (cut,), glue, bool(chain))
            owner = self._owner(name)
            if owner is None:
                return Reply(Rcode.NXDOMAIN, tuple(chain), (self._negative_soa(),))
            if found := self._matching(owner, name, rdtype):
                extra = tuple(a for rrset in found for a in self._addresses(rrset))
                return Reply(Rcode.NOERROR, (*chain, *found), additional=extra)
            alias = self._sets.get((owner, RdataType.CNAME))
            if alias is None:
                return Reply(Rcode.NOERROR, tuple(chain), (self._negative_soa(),))
            chain.append(_renamed(alias, name))
            name = alias[0].target
        refused = not chain
        return Reply(Rcode.REFUSED if refused else Rcode.NOERROR, tuple(chain), (), (), not refused)

    def _complete(self) -> None:
        servers = [f"{label}.{self.name}." for label in ("ns1", "ns2")]
        if (self.apex, RdataType.SOA) not in self._sets:
            soa = f"{servers[0]} hostmaster.{self.name}. 1 3600 600 604800 300"
            self.put(self.name, "SOA", [soa], 3600)
        if (self.apex, RdataType.NS) not in self._sets:
            self.put(self.name, "NS", servers, 3600)
            for server in servers:
                self.put(server, "A", ["127.0.0.1"], 3600)

    def _inside(self, name: str) -> Name:
        owner = parse_name(name)
        if not self.holds(owner):
            raise InputError(
                f"{_shown(owner)} is not in the zone {self.name}; give the whole name, such as "
                f"www.{self.name}."
            )
        return owner

    def _check(self, owner: Name, kind: RdataType, rdatas: Sequence[Rdata]) -> None:
        where = _shown(owner)
        if not rdatas:
            raise InputError(f"No value was given for the {kind.name} record at {where}.")
        if dns.rdatatype.is_singleton(kind) and len(set(rdatas)) > 1:
            raise InputError(f"There can be one {kind.name} record at {where}, not several.")
        if kind == RdataType.SOA and owner != self.apex:
            raise InputError(f"A SOA record belongs at {self.name} only, not at {where}.")
        others = {other for at, other in self._sets if at == owner} - {kind}
        if others and RdataType.CNAME in {kind, *others}:
            raise InputError(f"{where} cannot have a CNAME beside other records; remove one first.")
        if sum(len(rdata.to_wire() or b"") for rdata in rdatas) > SET_MAX:
            raise InputError(f"The records at {where} are too long for any DNS answer.")

    def _delegation(self, name: Name) -> RRset | None:
        while name != self.apex:
            if (servers := self._sets.get((name, RdataType.NS))) is not None:
                return servers
            name = name.parent()
        return None

    def _owner(self, name: Name) -> Name | None:
        """The name whose records answer for `name`: itself, a wildcard, or none (NXDOMAIN)."""
        encloser = name
        while not self._exists(encloser):
            encloser = encloser.parent()
        if encloser == name:
            return name
        wildcard = dns.name.from_text("*", encloser)
        return wildcard if self._exists(wildcard) else None

    def _exists(self, name: Name) -> bool:
        """With records, or an empty non-terminal above some."""
        return any(owner.is_subdomain(name) for owner, _ in self._sets)

    def _matching(self, owner: Name, name: Name, rdtype: RdataType) -> tuple[RRset, ...]:
        return tuple(
            _renamed(rrset, name)
            for (at, kind), rrset in self._sets.items()
            if at == owner and rdtype in {kind, RdataType.ANY}
        )

    def _addresses(self, servers: RRset) -> tuple[RRset, ...]:
        if servers.rdtype != RdataType.NS:
            return ()
        wanted = [(ns.target, kind) for ns in servers for kind in (RdataType.A, RdataType.AAAA)]
        return tuple(self._sets[key] for key in wanted if key in self._sets)

    def _negative_soa(self) -> RRset:
        """The SOA as it stands in negative answers; its TTL says how long these may be kept."""
        soa = self._sets[self.apex, RdataType.SOA]
        short = _renamed(soa, soa.name)
        short.ttl = min(soa.ttl, soa[0].minimum)
        return short


def parse_name(text: str) -> Name:
    """A full name, with or without its final dot. Raises InputError."""
    try:
        name = dns.name.from_text(text.strip(), dns.name.root)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise InputError(f"{text!r} is no DNS name: {error}") from error
    if name == dns.name.root:
        raise InputError("The name is empty; give a whole name, such as www.acme.example.")
    return name


def _parse_type(text: str) -> RdataType:
    try:
        kind = dns.rdatatype.from_text(text)
    except (dns.rdatatype.UnknownRdatatype, ValueError) as error:
        raise InputError(f"{text!r} is no DNS record type; try TXT, CNAME, A or NS.") from error
    if dns.rdatatype.is_metatype(kind):
        raise InputError(f"{kind.name} is a kind of question, not of record.")
    return kind


def _parse_value(kind: RdataType, value: Value) -> Rdata:
    if kind == RdataType.TXT:
        return TXT(dns.rdataclass.IN, kind, _character_strings(value))
    if not isinstance(value, str):
        raise InputError(f"The value of a {kind.name} record is one text, not a list.")
    try:
        return dns.rdata.from_text(dns.rdataclass.IN, kind, value, dns.name.root, relativize=False)
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise InputError(f"{value!r} is no value for a {kind.name} record: {error}") from error


def _character_strings(value: Value) -> list[bytes]:
    if isinstance(value, str):
        whole = _bytes(value)
        return [whole[i : i + STRING_MAX] for i in range(0, len(whole), STRING_MAX)] or [b""]
    if not isinstance(value, Sequence) or not all(isinstance(part, str) for part in value):
        raise InputError("The value of a TXT record is a text, or the list of its strings.")
    strings = [_bytes(part) for part in value]
    if not strings:
        raise InputError("A TXT record needs at least one string; it may be empty.")
    for string in strings:
        if len(string) > STRING_MAX:
            raise InputError(
                f"One string of the TXT record has {len(string)} bytes; {STRING_MAX} is the most. "
                "Give the whole value as one text to have it split."
            )
    return strings


def _bytes(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InputError("The value holds a character that cannot be written as bytes.") from error


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _checked_ttl(ttl: int) -> int:
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 <= ttl <= TTL_MAX:
        raise InputError(f"The TTL is a whole number of seconds from 0 to {TTL_MAX}, not {ttl!r}.")
    return ttl


def _renamed(rrset: RRset, name: Name) -> RRset:
    return dns.rrset.from_rdata_list(name, rrset.ttl, list(rrset))


def _shown(name: Name) -> str:
    return name.to_text(omit_final_dot=True)


def _shown_value(rdata: Rdata) -> str | list[str]:
    """Text that `_parse_value` reads back to the same record."""
    if not isinstance(rdata, TXT):
        return rdata.to_text()
    joined = _text(b"".join(rdata.strings))
    usual = tuple(_character_strings(joined)) == rdata.strings
    return joined if usual else [_text(string) for string in rdata.strings]
