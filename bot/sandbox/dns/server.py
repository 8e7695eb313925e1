"""One DNS server on loopback, UDP and TCP on one port, with what can be wrong with it.

Two kinds share it: an authority answers from a zone, a resolver asks authorities and keeps what they
said for as long as its TTL allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType
from dns.rrset import RRset

from bot.errors import InputError, PortInUse
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.dns.zone import Reply, Zone

EDNS_PAYLOAD = 1232
"""Bytes of the largest UDP answer (DNS flag day 2020)."""
PLAIN_PAYLOAD = 512
"""The same for clients without EDNS (RFC 1035 section 4.2.1)."""
TCP_PAYLOAD = 65535

SILENT, SERVFAIL, REFUSED, OLD, DNSSEC = "silent", "servfail", "refused", "old", "dnssec"
_RCODES = {SERVFAIL: Rcode.SERVFAIL, REFUSED: Rcode.REFUSED}
_NOTHING_ELSE = dns.rrset.from_text(
    ".", 300, "IN", "SOA", "a.root.example. nobody.root.example. 1 1800 900 604800 300"
)
"""Who asks for a name outside the zone learns that there is none: the emulated world ends here."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question that came in. `rcode` is None where it was left without an answer."""

    server: str
    transport: str
    name: str
    type: str
    recursion_desired: bool
    rcode: str | None


class DnsServer(ABC):
    """A server without knowledge of its own; `FAULTS` can be wrong with it."""

    FAULTS: tuple[str, ...] = (SILENT, SERVFAIL, REFUSED)

    def __init__(self, name: str, noted: Callable[[Query], None]) -> None:
        self.name = name
        self._noted = noted
        self.fault: str | None = None
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.host, self.port = "127.0.0.1", 0

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def suffer(self, fault: str | None) -> None:
        """Have one of FAULTS, or be well again. Raises InputError."""
        if fault is not None and fault not in self.FAULTS:
            known = ", ".join(self.FAULTS)
            raise InputError(
                f"{fault!r} is no fault of {self.name}; it is one of {known}, or null."
            )
        self.fault = fault

    @abstractmethod
    def reply(self, name: Name, rdtype: RdataType, *, checking: bool = True) -> Reply:
        """What this server says when it works; `checking` is whether DNSSEC is validated."""

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 picks one that is free for UDP and TCP. Raises PortInUse."""
        for last_try in (port != 0, False, False, False, True):
            try:
                await self._listen(host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                if last_try:
                    raise PortInUse(host, port) from error
            else:
                return

    async def _listen(self, host: str, port: int) -> None:
        server = await asyncio.start_server(self._serve_tcp, host, port)
        bound: int = server.sockets[0].getsockname()[1]
        try:
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self.respond), local_addr=(host, bound)
            )
        except OSError:
            server.close()
            raise
        self._server, self._udp, self.host, self.port = server, udp, host, bound

    async def close(self) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._server is not None:
            self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while True:
                    await self._answer_tcp(reader, writer)
        finally:
            writer.close()

    async def _answer_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = self.respond(await reader.readexactly(size), "tcp")
        if reply is not None:
            writer.write(len(reply).to_bytes(2, "big") + reply)
            await writer.drain()

    def respond(self, wire: bytes, transport: str) -> bytes | None:
        """The answer to one packet that came over `udp` or `tcp`; None is silence."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return _format_error(wire)
        if query.flags & dns.flags.QR:
            return None
        if self.fault == SILENT:
            self._note(query, transport, None)
            return None
        response = self._response(query)
        self._note(query, transport, response.rcode())
        return _render(response, _limit(query, transport))

    def _response(self, query: Message) -> Message:
        response = dns.message.make_response(query, our_payload=EDNS_PAYLOAD)
        rcode = _RCODES.get(self.fault or "") or _unfit(query)
        if rcode is not None:
            response.set_rcode(rcode)
            return response
        question = response.question[0]
        checking = not query.flags & dns.flags.CD
        self._fill(response, self.reply(question.name, question.rdtype, checking=checking))
        return response

    def _fill(self, response: Message, reply: Reply) -> None:
        response.set_rcode(reply.rcode)
        if reply.is_authoritative:
            response.flags |= dns.flags.AA
        response.answer = list(reply.answer)
        response.authority = list(reply.authority)
        response.additional = list(reply.additional)

    def _note(self, query: Message, transport: str, rcode: Rcode | None) -> None:
        for question in query.question[:1]:
            self._noted(
                Query(
                    self.name,
                    transport,
                    question.name.to_text(omit_final_dot=True),
                    dns.rdatatype.to_text(question.rdtype),
                    bool(query.flags & dns.flags.RD),
                    None if rcode is None else rcode.name,
                )
            )


class Authority(DnsServer):
    """Answers from the zone as it is; `old` is from the zone as it was when the fault began."""

    FAULTS = (SILENT, SERVFAIL, REFUSED, OLD)

    def __init__(self, name: str, noted: Callable[[Query], None], zone: Callable[[], Zone]) -> None:
        super().__init__(name, noted)
        self._zone = zone
        self._was: Zone | None = None

    def suffer(self, fault: str | None) -> None:
        super().suffer(fault)
        if fault != OLD:
            self._was = None
        elif self._was is None:
            self.fall_behind(self._zone().records())

    @property
    def behind(self) -> list[dict[str, object]] | None:
        """The records that an `old` server still serves; None while it serves today's."""
        return None if self._was is None else self._was.records()

    def fall_behind(self, records: list[dict[str, object]]) -> None:
        self._was = Zone(self._zone().name, records)

    def reply(self, name: Name, rdtype: RdataType, *, checking: bool = True) -> Reply:
        return (self._was or self._zone()).look_up(name, rdtype)


@dataclass(frozen=True, slots=True)
class _Kept:
    """A reply in a cache, and until when it may be given."""

    reply: Reply
    until: datetime


class Resolver(DnsServer):
    """Asks the authorities, one after the other, and keeps what the first one says.

    `dnssec` is a zone whose signatures do not validate: a failure, unless checking is disabled
    (the CD bit, RFC 4035 section 3.2.2).
    """

    FAULTS = (SILENT, SERVFAIL, REFUSED, DNSSEC)

    def __init__(
        self,
        name: str,
        noted: Callable[[Query], None],
        authorities: Iterable[Authority],
        clock: AdjustableClock,
    ) -> None:
        super().__init__(name, noted)
        self._authorities = tuple(authorities)
        self._clock = clock
        self._cache: dict[tuple[Name, RdataType], _Kept] = {}

    def forget(self) -> None:
        """What was kept is gone, as after a restart."""
        self._cache.clear()

    def reply(self, name: Name, rdtype: RdataType, *, checking: bool = True) -> Reply:
        if checking and self.fault == DNSSEC:
            return Reply(Rcode.SERVFAIL, is_authoritative=False)
        now, kept = self._clock.now(), self._cache.get((name, rdtype))
        if kept is not None and now < kept.until:
            return _aged(kept.reply, math.ceil((kept.until - now).total_seconds()))
        reply = self._ask(name, rdtype)
        if reply.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
            until = now + timedelta(seconds=_lifetime(reply))
            self._cache[name, rdtype] = _Kept(reply, until)
        return reply

    def _ask(self, name: Name, rdtype: RdataType) -> Reply:
        for authority in self._authorities:
            if authority.fault in {None, OLD}:
                reply = authority.reply(name, rdtype)
                if reply.rcode == Rcode.REFUSED:
                    return Reply(Rcode.NXDOMAIN, (), (_NOTHING_ELSE,), is_authoritative=False)
                return Reply(reply.rcode, reply.answer, reply.authority, reply.additional, False)
        return Reply(Rcode.SERVFAIL, is_authoritative=False)

    def _fill(self, response: Message, reply: Reply) -> None:
        super()._fill(response, reply)
        response.flags |= dns.flags.RA


def _lifetime(reply: Reply) -> int:
    """Seconds; of a negative answer its SOA says them (RFC 2308 section 5)."""
    return min((rrset.ttl for rrset in (*reply.answer, *reply.authority)), default=0)


def _aged(reply: Reply, left: int) -> Reply:
    def aged(rrsets: Iterable[RRset]) -> tuple[RRset, ...]:
        return tuple(
            dns.rrset.from_rdata_list(rrset.name, min(rrset.ttl, left), list(rrset))
            for rrset in rrsets
        )

    return Reply(reply.rcode, aged(reply.answer), aged(reply.authority), (), False)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, respond: Callable[[bytes, str], bytes | None]) -> None:
        self._respond = respond

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: asyncio's own datagram transport is no subclass of it in Python 3.11.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._respond(data, "udp")
        if reply is not None:
            self._transport.sendto(reply, addr)


def _unfit(query: Message) -> Rcode | None:
    """The code for a message that is well formed but no question for this server."""
    if query.opcode() != dns.opcode.QUERY:
        return Rcode.NOTIMP
    if query.edns > 0:
        return Rcode.BADVERS
    if len(query.question) != 1:
        return Rcode.FORMERR
    question = query.question[0]
    if question.rdclass != dns.rdataclass.IN or question.rdtype in {RdataType.AXFR, RdataType.IXFR}:
        return Rcode.REFUSED
    return None


def _format_error(wire: bytes) -> bytes | None:
    """FORMERR as a bare header; silence towards what is no query, so that no two servers chat."""
    if len(wire) < 12 or wire[2] & 0x80:
        return None
    return wire[:2] + bytes([0x80 | wire[2] & 0x79, Rcode.FORMERR]) + bytes(8)


def _limit(query: Message, transport: str) -> int:
    if transport == "tcp":
        return TCP_PAYLOAD
    if query.edns < 0:
        return PLAIN_PAYLOAD
    return max(PLAIN_PAYLOAD, min(query.payload, EDNS_PAYLOAD))


def _render(response: Message, limit: int) -> bytes:
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        response.answer, response.authority, response.additional = [], [], []
        response.flags |= dns.flags.TC
        return response.to_wire(max_size=limit)
