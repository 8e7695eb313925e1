"""The emulated DNS seen as its first name server, for tests that need no second one."""

from __future__ import annotations

from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.dns.server import Authority


class NameServer(DnsEmulator):
    """One authoritative server and its zone."""

    @property
    def first(self) -> Authority:
        return self.authorities[0]

    @property
    def host(self) -> str:
        return self.first.host

    @property
    def port(self) -> int:
        return self.first.port

    @property
    def address(self) -> str:
        return self.first.address

    def respond(self, wire: bytes, transport: str) -> bytes | None:
        return self.first.respond(wire, transport)
