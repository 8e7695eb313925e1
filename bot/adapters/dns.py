"""DNS look-ups: each server asked by itself, so that who said what stays visible.

Authoritative servers are asked without recursion, resolvers with it. An answer is definite (records,
or a definite "none") or it is nothing at all: a time-out or a failing server never looks like a
missing record. Messages are built here because dnspython's own resolver folds these together.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from dns.message import QueryMessage
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from bot.domain.dkim import TxtAnswer
from bot.ports import Clock

Address = tuple[str, int]
"""Host (an IP address) and port."""

EDNS_PAYLOAD = 1232
TRIES = 2
DISCOVERY_SECONDS = 4.0
LOOKUP_SECONDS = 8.0
KEEP = timedelta(hours=1)
SERVERS_MAX = 8
ALIASES_MAX = 8

PROBLEMS = {Rcode.SERVFAIL: "server failure", Rcode.REFUSED: "refused"}


@dataclass(frozen=True, slots=True)
class Server:
    """One server to ask. `name` is how people are told of it."""

    name: str
    address: Address
    is_authoritative: bool

    @classmethod
    def at(cls, address: Address, *, is_authoritative: bool) -> Server:
        host, port = address
        return cls(
            f"[{host}]:{port}" if ":" in host else f"{host}:{port}", address, is_authoritative
        )


class NoAnswer(Exception):
    """No definite answer; the text is the reason in words."""


class DnsResolver:
    """`ports.Resolver` over the network.

    Without `resolvers` those of the machine are asked; without `authoritative` the servers of the
    zone are looked up, and the last ones found are kept for as long as nobody names others.
    `discovered_port` is where servers found in DNS listen; it is 53 everywhere but in a test.
    A question is put twice to a server, and each time waits `try_seconds`.
    """

    def __init__(
        self,
        resolvers: Iterable[Address],
        authoritative: Iterable[Address],
        clock: Clock,
        *,
        discovered_port: int = 53,
        try_seconds: float = 1.0,
    ) -> None:
        self._resolvers = tuple(Server.at(a, is_authoritative=False) for a in resolvers)
        self._authoritative = tuple(Server.at(a, is_authoritative=True) for a in authoritative)
        self._clock = clock
        self._discovered_port = discovered_port
        self._query = partial(_query, try_seconds=try_seconds)
        self._apexes: dict[Name, tuple[datetime, Name]] = {}
        self._servers: dict[Name, tuple[datetime, tuple[Server, ...]]] = {}

    async def txt(self, host: str) -> tuple[TxtAnswer, ...]:
        end = asyncio.get_running_loop().time() + LOOKUP_SECONDS
        try:
            name = _name(host)
        except NoAnswer as error:
            return (TxtAnswer(host, None, str(error)),)
        by_authority, by_resolvers = await asyncio.gather(
            self._ask_authority(name, end), self._ask_all(self._recursive(), name, end)
        )
        return (*by_authority, *by_resolvers)

    async def zone_of(self, host: str) -> str | None:
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                apex = await self._apex(_name(host))
        except (NoAnswer, TimeoutError):
            return None
        return apex.to_text(omit_final_dot=True)

    async def _ask_authority(self, name: Name, end: float) -> tuple[TxtAnswer, ...]:
        return await self._ask_all(self._authoritative or await self._discover(name), name, end)

    async def _ask_all(
        self, servers: Iterable[Server], name: Name, end: float
    ) -> tuple[TxtAnswer, ...]:
        return tuple(await asyncio.gather(*(self._ask_one(s, name, end) for s in servers)))

    async def _ask_one(self, server: Server, name: Name, end: float) -> TxtAnswer:
        try:
            async with asyncio.timeout_at(end):
                values = await self._values(server, name)
        except NoAnswer as error:
            return TxtAnswer(server.name, None, str(error), server.is_authoritative)
        except TimeoutError:
            return TxtAnswer(server.name, None, "timed out", server.is_authoritative)
        return TxtAnswer(server.name, values, is_authoritative=server.is_authoritative)

    async def _values(self, server: Server, name: Name) -> tuple[str, ...]:
        """The TXT values that this server leads to; aliases out of its zone are for the resolvers."""
        response = await self._query(server, name, RdataType.TXT)
        for _ in range(ALIASES_MAX):
            target, records = _follow(response)
            if records or target == name or not server.is_authoritative or _soa_owner(response):
                return _texts(records)
            name, response = target, await self._resolve(target, RdataType.TXT)
        raise NoAnswer("alias chain too long")

    async def _resolve(self, name: Name, rdtype: RdataType) -> QueryMessage:
        """The first definite answer of any resolver. Raises NoAnswer."""
        servers = self._recursive() or self._authoritative
        asked = [asyncio.ensure_future(self._query(server, name, rdtype)) for server in servers]
        problem = NoAnswer("no server to ask")
        try:
            for finished in asyncio.as_completed(asked):
                try:
                    return await finished
                except NoAnswer as error:
                    problem = error
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise problem

    def _recursive(self) -> tuple[Server, ...]:
        return self._resolvers or _resolvers_of_this_machine()

    async def _apex(self, host: Name) -> Name:
        """The owner of the SOA at or above `host`. Raises NoAnswer."""
        now = self._clock.now()
        self._apexes = {h: (at, a) for h, (at, a) in self._apexes.items() if now - at < KEEP}
        if host not in self._apexes:
            self._apexes[host] = (now, await self._find_apex(host))
        return self._apexes[host][1]

    async def _find_apex(self, host: Name) -> Name:
        name = host
        while name != dns.name.root:
            owner = _soa_owner(await self._resolve(name, RdataType.SOA))
            # An alias is answered with the SOA of its target's zone, which does not hold `name`.
            if owner is not None and name.is_subdomain(owner) and owner != dns.name.root:
                return owner
            name = name.parent()
        raise NoAnswer("no zone found")

    async def _discover(self, host: Name) -> tuple[Server, ...]:
        """The zone's own servers; when they cannot be found now, those found before, or none."""
        try:
            async with asyncio.timeout(DISCOVERY_SECONDS):
                apex = await self._apex(host)
                found, servers = self._servers.get(apex, (None, ()))
                if found is None or self._clock.now() - found >= KEEP:
                    servers = await self._find_servers(apex)
                    self._servers[apex] = (self._clock.now(), servers)
        except (NoAnswer, TimeoutError):
            return self._last_known(host)
        return servers

    def _last_known(self, host: Name) -> tuple[Server, ...]:
        known = [apex for apex in self._servers if host.is_subdomain(apex)]
        return self._servers[max(known, key=len)][1] if known else ()

    async def _find_servers(self, apex: Name) -> tuple[Server, ...]:
        _, records = _follow(await self._resolve(apex, RdataType.NS))
        targets = [ns.target for ns in records or ()][:SERVERS_MAX]
        pairs = [(target, t) for target in targets for t in (RdataType.A, RdataType.AAAA)]
        found = await asyncio.gather(*(self._addresses(*pair) for pair in pairs))
        servers = tuple(server for group in found for server in group)[:SERVERS_MAX]
        if not servers:
            raise NoAnswer("no name server found")
        return servers

    async def _addresses(self, name: Name, rdtype: RdataType) -> tuple[Server, ...]:
        try:
            _, records = _follow(await self._resolve(name, rdtype))
        except NoAnswer:
            return ()
        addresses = [rdata.address for rdata in records or ()]
        label = name.to_text(omit_final_dot=True).lower()
        return tuple(
            Server(label, (address, self._discovered_port), True)
            for address in addresses
            if ":" not in address or _has_route(address)
        )


async def _query(
    server: Server, name: Name, rdtype: RdataType, *, try_seconds: float
) -> QueryMessage:
    """One definite answer, within two tries. Raises NoAnswer."""
    flags = 0 if server.is_authoritative else dns.flags.RD
    message = dns.message.make_query(name, rdtype, use_edns=0, payload=EDNS_PAYLOAD, flags=flags)
    problem = NoAnswer("timed out")
    for _ in range(TRIES):
        try:
            return await _exchange(server, message, try_seconds)
        except NoAnswer as error:
            problem = error
    raise problem


async def _exchange(server: Server, message: QueryMessage, seconds: float) -> QueryMessage:
    host, port = server.address
    try:
        response, _ = await dns.asyncquery.udp_with_fallback(
            message, host, timeout=seconds, port=port, ignore_unexpected=True
        )
    except (dns.exception.Timeout, TimeoutError) as error:
        raise NoAnswer("timed out") from error
    except (OSError, EOFError) as error:
        raise NoAnswer("unreachable") from error
    except (dns.exception.DNSException, ValueError) as error:
        raise NoAnswer("unreadable answer") from error
    rcode = response.rcode()
    if rcode not in {Rcode.NOERROR, Rcode.NXDOMAIN}:
        raise NoAnswer(PROBLEMS.get(rcode, rcode.name))
    if not isinstance(response, QueryMessage) or _is_referral(response):
        raise NoAnswer("only a referral to other servers")
    return response


def _is_referral(response: QueryMessage) -> bool:
    kinds = {rrset.rdtype for rrset in response.authority}
    return not response.answer and RdataType.NS in kinds and RdataType.SOA not in kinds


def _follow(response: QueryMessage) -> tuple[Name, RRset | None]:
    """Where the aliases in the answer end, and the records there. Raises NoAnswer."""
    try:
        result = response.resolve_chaining()
    except dns.exception.DNSException as error:
        raise NoAnswer("alias loop, or an answer that contradicts itself") from error
    return result.canonical_name, result.answer


def _soa_owner(response: QueryMessage) -> Name | None:
    for rrset in (*response.answer, *response.authority):
        if rrset.rdtype == RdataType.SOA:
            return rrset.name
    return None


def _texts(records: RRset | None) -> tuple[str, ...]:
    return tuple(sorted(_text(b"".join(rdata.strings)) for rdata in records or ()))


def _text(value: bytes) -> str:
    """Every byte sequence as some text; never with surrogates, which could not be stored or sent."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _name(host: str) -> Name:
    try:
        return dns.name.from_text(host)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NoAnswer("not a DNS name") from error


def _resolvers_of_this_machine() -> tuple[Server, ...]:
    try:
        configured = dns.resolver.Resolver()
    except (dns.exception.DNSException, OSError):
        return ()
    addresses = [str(server) for server in configured.nameservers]
    return tuple(Server.at((a, configured.port), is_authoritative=False) for a in addresses)


def _has_route(address: str) -> bool:
    """Whether this machine could send to an IPv6 address; connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 53))
    except OSError:
        return False
    return True
