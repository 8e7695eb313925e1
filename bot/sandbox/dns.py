"""A real DNS server on loopback, UDP and TCP on one port, with one zone that can be edited.

It plays two parts at once: the authoritative server of its zone, and a resolver that knows nothing
but this zone. It can fall silent or fail on request. Its records are `dns_zone`'s, its control
endpoint is `dns_control`'s.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rdataclass
import dns.rdatatype
from dns.message import Message
from dns.rcode import Rcode
from dns.rdatatype import RdataType

from bot.errors import InputError, PortInUse
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.dns_zone import DEFAULT_TTL, Value, Zone
from bot.sandbox.wire_log import WireLog

EDNS_PAYLOAD = 1232
"""Bytes of the largest UDP answer (DNS flag day 2020)."""
PLAIN_PAYLOAD = 512
"""The same for clients without EDNS (RFC 1035 section 4.2.1)."""
TCP_PAYLOAD = 65535
QUERIES_KEPT = 1000

FAULTS: Mapping[str, Rcode | None] = {
    "silent": None,
    "servfail": Rcode.SERVFAIL,
    "refused": Rcode.REFUSED,
}
"""What can be wrong with the server, and the code it then answers; None is no answer at all."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question that came in. `rcode` is None where it was left without an answer."""

    transport: str
    name: str
    type: str
    recursion_desired: bool
    rcode: str | None


class DnsEmulator:
    """The server and its zone. Whoever shows the zone can ask to be told of changes."""

    def __init__(self, zone: str = "acme.example", *, wire_log: WireLog | None = None) -> None:
        self._zone = Zone(zone)
        self._wire_log = wire_log or WireLog(AdjustableClock())
        self._fault: str | None = None
        self._listeners: list[Callable[[], None]] = []
        self._server: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.queries: deque[Query] = deque(maxlen=QUERIES_KEPT)
        self.host, self.port = "127.0.0.1", 0
        self._seed()

    def _seed(self) -> None:
        apex = self._zone.name
        self.publish(apex, "v=spf1 include:zohomail.example -all")
        self.publish(f"_dmarc.{apex}", f"v=DMARC1; p=none; rua=mailto:dmarc@{apex}")

    @property
    def zone(self) -> str:
        """The apex, without final dot."""
        return self._zone.name

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def publish(
        self,
        name: str,
        value: Value,
        ttl: int = DEFAULT_TTL,
        type: str = "TXT",  # noqa: A002  (the field's own word)
        *,
        add: bool = False,
    ) -> None:
        """Make `value` the only record of that full name and type, or with `add` one more of them.

        A TXT value is one text of any length, split into strings of 255 bytes, or the list of its
        strings. Raises InputError.
        """
        self._zone.put(name, type, [value], ttl, add=add)
        self._changed()

    def remove(self, name: str, type: str = "TXT") -> bool:  # noqa: A002
        """Take away all records of that name and type; whether there were any. Raises InputError."""
        removed = self._zone.remove(name, type)
        self._changed()
        return removed

    def records(self) -> list[dict[str, Any]]:
        """Every record as `{"name", "type", "ttl", "values"}`; a value is text or a list of strings."""
        return self._zone.records()

    def replace(self, records: list[dict[str, Any]]) -> None:
        """Put these in the place of all records; SOA and NS come back if they are left out.

        Raises InputError, and then nothing has changed.
        """
        self._zone = Zone(self._zone.name, records)
        self._changed()

    def txt(self, name: str) -> list[str]:
        """The TXT values at a name as a receiver would join them; [] if there are none."""
        return self._zone.txt(name)

    @property
    def fault(self) -> str | None:
        """One of FAULTS, or None while the server works."""
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        if fault is not None and fault not in FAULTS:
            raise InputError(f"{fault!r} is no fault; it is one of {', '.join(FAULTS)}, or null.")
        self._fault = fault
        self._changed()

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON values, for `load`."""
        return {"zone": self.zone, "records": self.records(), "fault": self.fault}

    def load(self, state: Mapping[str, Any]) -> None:
        """Raises InputError, and then nothing has changed."""
        self._zone = Zone(state["zone"], state["records"])
        self.fault = state["fault"]

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
        rcode = FAULTS[self._fault] if self._fault else _unfit(query)
        is_silent = self._fault == "silent"
        response = dns.message.make_response(query, our_payload=EDNS_PAYLOAD)
        if rcode is None and not is_silent:
            self._fill(response)
        elif rcode is not None:
            response.set_rcode(rcode)
        self._note(query, transport, None if is_silent else response.rcode())
        return None if is_silent else _render(response, _limit(query, transport))

    def _fill(self, response: Message) -> None:
        question = response.question[0]
        reply = self._zone.look_up(question.name, question.rdtype)
        response.set_rcode(reply.rcode)
        if reply.is_authoritative:
            response.flags |= dns.flags.AA
        if response.flags & dns.flags.RD:
            response.flags |= dns.flags.RA
        response.answer = list(reply.answer)
        response.authority = list(reply.authority)
        response.additional = list(reply.additional)

    def _note(self, query: Message, transport: str, rcode: Rcode | None) -> None:
        for question in query.question[:1]:
            seen = Query(
                transport,
                question.name.to_text(omit_final_dot=True),
                dns.rdatatype.to_text(question.rdtype),
                bool(query.flags & dns.flags.RD),
                None if rcode is None else rcode.name,
            )
            self.queries.append(seen)
            self._wire_log.began(
                "bot", "DNS", f"{seen.type} {seen.name}", outcome=seen.rcode or "no answer"
            )


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
