"""The emulated DNS: one editable zone, its two authoritative servers, and a resolver with a cache.

Each is a real server on a port of its own, and each can be silent, lame, old or broken while the
others work. The servers are `server`'s, the records `zone`'s; `serving` starts it as a whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from bot.errors import InputError
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.dns.server import Authority, DnsServer, Query, Resolver
from bot.sandbox.dns.zone import DEFAULT_TTL, Value, Zone
from bot.sandbox.exchanges import WireLog

QUERIES_KEPT = 1000
AUTHORITIES = ("ns1", "ns2")
RESOLVER = "resolver"


class DnsEmulator:
    """The zone and its servers. Whoever shows them can ask to be told of changes."""

    def __init__(
        self,
        zone: str = "acme.example",
        *,
        clock: AdjustableClock | None = None,
        wire_log: WireLog | None = None,
    ) -> None:
        self._zone = Zone(zone)
        clock = clock or AdjustableClock()
        self._wire_log = wire_log or WireLog(clock)
        self._listeners: list[Callable[[], None]] = []
        self.queries: deque[Query] = deque(maxlen=QUERIES_KEPT)
        self.authorities = tuple(
            Authority(name, self._note, lambda: self._zone) for name in AUTHORITIES
        )
        self.resolver = Resolver(RESOLVER, self._note, self.authorities, clock)
        self.servers: dict[str, DnsServer] = {
            server.name: server for server in (*self.authorities, self.resolver)
        }
        self._seed()

    def _seed(self) -> None:
        apex = self._zone.name
        self.publish(apex, "v=spf1 include:zohomail.example -all")
        self.publish(f"_dmarc.{apex}", f"v=DMARC1; p=none; rua=mailto:dmarc@{apex}")

    @property
    def zone(self) -> str:
        """The apex, without final dot."""
        return self._zone.name

    def dotenv(self) -> list[str]:
        """The settings that point mailcfg at these servers."""
        authoritative = ",".join(server.address for server in self.authorities)
        return [
            f"MAILCFG_DNS_SERVERS={self.resolver.address}",
            f"MAILCFG_DNS_AUTHORITATIVE={authoritative}",
        ]

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

    def break_server(self, name: str, fault: str | None) -> None:
        """Let one server have a fault, one of its FAULTS, or none. Raises InputError."""
        if name not in self.servers:
            raise InputError(f"{name!r} is no server; there are {', '.join(self.servers)}.")
        self.servers[name].suffer(fault)
        self._changed()

    def break_all(self, fault: str | None) -> None:
        """The same for all of them. Raises InputError, and then nothing has changed."""
        if fault is not None and any(fault not in s.FAULTS for s in self.servers.values()):
            raise InputError(f"{fault!r} is no fault that all servers can have; name one of them.")
        for name in self.servers:
            self.break_server(name, fault)

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener()

    def dump(self) -> dict[str, Any]:
        """The whole state as JSON values, for `load`; caches are not part of it."""
        return {
            "zone": self.zone,
            "records": self.records(),
            "faults": {name: server.fault for name, server in self.servers.items()},
            "behind": {server.name: server.behind for server in self.authorities},
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Raises InputError, and then nothing has changed."""
        self._zone = Zone(state["zone"], state["records"])
        for name, fault in state["faults"].items():
            self.break_server(name, fault)
        for server in self.authorities:
            if (records := state["behind"][server.name]) is not None:
                server.fall_behind(records)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, on `port` and those after it, or on free ones for 0. Raises PortInUse."""
        for place, server in enumerate(self.servers.values()):
            try:
                await server.start(host, port and port + place)
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        for server in self.servers.values():
            await server.close()

    def _note(self, seen: Query) -> None:
        self.queries.append(seen)
        self._wire_log.began(
            "bot",
            f"DNS {seen.server}",
            f"{seen.type} {seen.name}",
            outcome=seen.rcode or "no answer",
        )
