"""Which zone holds a name, and which servers are the zone's own.

Found through resolvers and kept for an hour; when nobody can tell any more, what was found last goes
on to count, so that a dead resolver does not blind a check. Validation is asked to be off: a zone
whose signatures are broken still has servers that can be asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import dns.name
from dns.message import QueryMessage
from dns.name import Name
from dns.rdatatype import RdataType

from bot.adapters.dns import reading
from bot.adapters.dns.wire import NoAnswer, Patience, Server, ask, to_text
from bot.domain.dns_answers import Status
from bot.domain.key_host import is_registry
from bot.ports import Clock

KEEP = timedelta(hours=1)
SERVERS_MAX = 8


@dataclass(frozen=True, slots=True)
class Zone:
    """A zone and its servers; `names` are those of its NS records."""

    apex: Name
    names: tuple[str, ...]
    servers: tuple[Server, ...]


class Recursors:
    """The resolvers, asked one after the other; the one that answered last comes first."""

    def __init__(
        self, servers: Callable[[], tuple[Server, ...]], fallback: tuple[Server, ...] = ()
    ) -> None:
        """`fallback` is asked where no resolver answers: servers that know one zone at least."""
        self._servers = servers
        self._fallback = fallback
        self._last: Server | None = None

    @property
    def servers(self) -> tuple[Server, ...]:
        return self._servers()

    async def ask(
        self, name: Name, rdtype: RdataType, patience: Patience, *, checking_disabled: bool = False
    ) -> tuple[Server, QueryMessage]:
        """The first definite answer, and whose it is. Raises NoAnswer."""
        problem = NoAnswer(Status.TIMED_OUT)
        in_turn = sorted(self.servers, key=lambda server: server != self._last)
        for server in (*in_turn, *self._fallback):
            try:
                response = await ask(
                    server, name, rdtype, patience, checking_disabled=checking_disabled
                )
            except NoAnswer as error:
                problem = error
            else:
                self._last = server
                return server, response
        raise problem


class Zones:
    """Found zones. With `fixed` servers those are the servers of every zone, and none are looked up."""

    def __init__(
        self, recursors: Recursors, clock: Clock, fixed: tuple[Server, ...], port: int
    ) -> None:
        self._recursors = recursors
        self._clock = clock
        self._fixed = fixed
        self._port = port
        self._apexes: dict[Name, tuple[datetime, Name]] = {}
        self._zones: dict[Name, tuple[datetime, Zone]] = {}

    async def apex_of(self, name: Name, patience: Patience) -> Name:
        """The apex of the zone that holds `name`. Raises NoAnswer."""
        now = self._clock.now()
        self._apexes = {n: (at, a) for n, (at, a) in self._apexes.items() if now - at < KEEP}
        if name not in self._apexes:
            self._apexes[name] = (now, await self._find_apex(name, patience))
        return self._apexes[name][1]

    async def zone_of(self, name: Name, patience: Patience) -> Zone | None:
        """The zone that holds `name`; the one found last if it cannot be found now, or None."""
        try:
            apex = await self.apex_of(name, patience)
            found, zone = self._zones.get(apex, (None, None))
            if found is None or zone is None or self._clock.now() - found >= KEEP:
                zone = await self._find_zone(apex, patience)
                self._zones[apex] = (self._clock.now(), zone)
        except NoAnswer:
            return self._last_known(name)
        return zone

    def _last_known(self, name: Name) -> Zone | None:
        known = [apex for apex in self._zones if name.is_subdomain(apex)]
        return self._zones[max(known, key=len)][1] if known else None

    async def _find_apex(self, start: Name, patience: Patience) -> Name:
        """The owner of the SOA at or above `start`."""
        name = start
        while len(name) > 1:
            _, response = await self._look_up(name, RdataType.SOA, patience)
            soa = reading.soa(response)
            # An alias is answered with the SOA of its target's zone, which does not hold `name`.
            if soa is not None and name.is_subdomain(soa.name):
                return _own(soa.name)
            name = name.parent()
        raise NoAnswer(Status.FAILED)

    async def _find_zone(self, apex: Name, patience: Patience) -> Zone:
        try:
            _, response = await self._look_up(apex, RdataType.NS, patience)
        except NoAnswer:
            if not self._fixed:
                raise
            return Zone(apex, (), self._fixed)
        targets = [ns.target for ns in reading.records(response, apex, RdataType.NS) or ()]
        names = tuple(sorted(to_text(target) for target in targets))
        if self._fixed:
            return Zone(apex, names, self._fixed)
        return Zone(apex, names, await self._find_servers(sorted(targets)[:SERVERS_MAX], patience))

    async def _find_servers(self, targets: list[Name], patience: Patience) -> tuple[Server, ...]:
        kinds = [RdataType.A, RdataType.AAAA] if _has_ipv6() else [RdataType.A]
        found = await asyncio.gather(
            *(self._addresses(target, kind, patience) for target in targets for kind in kinds)
        )
        addresses = list(chain.from_iterable(found))[:SERVERS_MAX]
        if not addresses:
            raise NoAnswer(Status.FAILED)
        names = [name for name, _ in addresses]
        return tuple(
            Server(
                name if names.count(name) == 1 else f"{name} ({address})",
                (address, self._port),
                is_authoritative=True,
            )
            for name, address in addresses
        )

    async def _addresses(
        self, target: Name, kind: RdataType, patience: Patience
    ) -> list[tuple[str, str]]:
        try:
            _, response = await self._look_up(target, kind, patience)
        except NoAnswer:
            return []
        end = reading.follow(response, target).end
        found = reading.records(response, end, kind) if end is not None else None
        return [(to_text(target), rdata.address) for rdata in found or ()]

    async def _look_up(
        self, name: Name, rdtype: RdataType, patience: Patience
    ) -> tuple[Server, QueryMessage]:
        return await self._recursors.ask(name, rdtype, patience, checking_disabled=True)


def _own(apex: Name) -> Name:
    """A zone of somebody's own; a registry's is not: there, nobody holds the name. Raises NoAnswer."""
    if apex == dns.name.root or is_registry(to_text(apex)):
        raise NoAnswer(Status.NXDOMAIN)
    return apex


def _has_ipv6() -> bool:
    """Whether this machine has a way to IPv6 servers; connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.connect(("2001:db8::53", 53))
    except OSError:
        return False
    return True
