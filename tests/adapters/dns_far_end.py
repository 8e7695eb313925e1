"""DNS servers on loopback, each with its own view of the zones and its own fault.

An authoritative server knows one zone and follows no alias out of it; a resolver knows several and
follows. Both are told apart by nothing but the zones they were given: this is the far end, so it is
built on dnspython alone, beside the code that it tests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.rrset
from dns.message import Message
from dns.name import Name
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from bot.sandbox.dns.zone import Reply, Zone

PAYLOAD = 1232
RCODES = {"servfail": Rcode.SERVFAIL, "refused": Rcode.REFUSED, "formerr": Rcode.FORMERR}
FAULTS = {
    *RCODES,
    "silent",  # no answer at all
    "lossy",  # the first packet of each question is lost
    "truncated",  # nothing fits into UDP; TCP works
    "cut",  # the same, and TCP ends in the middle of the answer
    "garbage",  # bytes that are no message
    "referral",  # points to other servers
    "bogus",  # a resolver to which the signatures do not validate
    "endless",  # every name is an alias to another one
    "other question",  # answers what nobody asked
}


class FarServer:
    """Answers on UDP and TCP, on one port of 127.0.0.1. `questions` counts what came in."""

    def __init__(self, zones: Sequence[Zone], fault: str | None = None) -> None:
        assert fault is None or fault in FAULTS, fault
        self.zones = sorted(zones, key=lambda zone: len(zone.apex), reverse=True)
        self.fault = fault
        self.questions: Counter[str] = Counter()
        self.port = 0
        self._serial = count(1)

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def asked(self) -> int:
        return self.questions.total()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FarServer]:
        tcp, udp = await self._listen(tries=5)
        try:
            yield self
        finally:
            udp.close()
            tcp.close()

    async def _listen(self, tries: int) -> tuple[asyncio.Server, asyncio.BaseTransport]:
        """A port that is free for TCP may be taken for UDP; then another one is tried."""
        loop = asyncio.get_running_loop()
        tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
        self.port = tcp.sockets[0].getsockname()[1]
        try:
            udp, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=self.address
            )
        except OSError:
            tcp.close()
            if tries == 1:
                raise
            return await self._listen(tries - 1)
        return tcp, udp

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            size = int.from_bytes(await reader.readexactly(2), "big")
            reply = self.respond(await reader.readexactly(size), 65535)
            if reply is not None:
                whole = len(reply).to_bytes(2, "big") + reply
                writer.write(whole[:20] if self.fault == "cut" else whole)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def respond(self, wire: bytes, limit: int) -> bytes | None:
        query = dns.message.from_wire(wire)
        question = query.question[0]
        key = f"{question.rdtype.name} {question.name.to_text(omit_final_dot=True)}"
        self.questions[key] += 1
        if self.fault == "silent" or (self.fault == "lossy" and self.questions[key] == 1):
            return None
        if self.fault == "garbage":
            return wire[:2] + b"\x84\x00\x00\x01" + b"\xff" * 9
        response = dns.message.make_response(query)
        self._fill(response, query)
        return self._rendered(response, limit)

    def _rendered(self, response: Message, limit: int) -> bytes:
        try:
            if self.fault in {"truncated", "cut"} and limit == PAYLOAD:
                raise dns.exception.TooBig
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            response.answer, response.authority, response.additional = [], [], []
            response.flags |= dns.flags.TC
            return response.to_wire(max_size=limit)

    def _fill(self, response: Message, query: Message) -> None:
        name, rdtype = query.question[0].name, query.question[0].rdtype
        validates = self.fault == "bogus" and not query.flags & dns.flags.CD
        if self.fault in RCODES or validates:
            response.set_rcode(RCODES.get(self.fault or "", Rcode.SERVFAIL))
            return
        if self.fault == "referral":
            ns = dns.rrset.from_text(self.zones[0].apex, 60, "IN", "NS", "ns.elsewhere.example.")
            response.authority = [ns]
            return
        if self.fault == "endless":
            target = f"a{next(self._serial)}.{self.zones[0].name}."
            response.answer = [dns.rrset.from_text(name, 60, "IN", "CNAME", target)]
            return
        if self.fault == "other question":
            response.question[0].name = self.zones[0].apex
        reply = self._look_up(name, rdtype)
        response.set_rcode(reply.rcode)
        response.answer = list(reply.answer)
        response.authority = list(reply.authority)
        response.additional = list(reply.additional)

    def _look_up(self, name: Name, rdtype: RdataType) -> Reply:
        """The deepest zone that holds the name; aliases into another of the zones are followed."""
        zone = next((zone for zone in self.zones if zone.holds(name)), None)
        if zone is None:
            return Reply(Rcode.REFUSED)
        reply = zone.look_up(name, rdtype)
        last = reply.answer[-1] if reply.answer else None
        if last is None or last.rdtype != RdataType.CNAME or reply.authority:
            return reply
        target = last[0].target
        if zone.holds(target) or not any(other.holds(target) for other in self.zones):
            return reply
        more = self._look_up(target, rdtype)
        return Reply(more.rcode, (*reply.answer, *more.answer), more.authority)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FarServer) -> None:
        self._server = server

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.respond(data, PAYLOAD)
        if reply is not None:
            self._transport.sendto(reply, addr)


def zone_of(
    apex: str,
    txt: Mapping[str, Sequence[str | Sequence[str]]],
    aliases: Mapping[str, str],
    *,
    minimum: int = 300,
    ttl: int = 300,
) -> Zone:
    """A zone with these TXT records and CNAMEs, all names in full."""
    soa = f"ns1.{apex}. hostmaster.{apex}. 1 3600 600 604800 {minimum}"
    zone = Zone(apex, [{"name": apex, "type": "SOA", "values": [soa], "ttl": 86400}])
    for name, values in txt.items():
        if values and name not in aliases:
            zone.put(name, "TXT", values, ttl)
    for name, target in aliases.items():
        zone.put(name, "CNAME", [target], ttl)
    return zone
