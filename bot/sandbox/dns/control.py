"""The DNS emulator's control endpoint: its records, faults, cache, and the questions that came in."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, StrictBool

from bot.sandbox.control import Json
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.dns.zone import DEFAULT_TTL


class Record(BaseModel, extra="forbid"):
    """All records of one name and type; what they may be is the zone's to say."""

    name: str
    type: str = "TXT"
    values: list[Any]
    ttl: Any = DEFAULT_TTL


class DnsControl:
    def __init__(self, emulator: DnsEmulator) -> None:
        self._dns = emulator

    def get_state(self) -> Json:
        addresses = {name: server.address for name, server in self._dns.servers.items()}
        return self._dns.dump() | {"addresses": addresses}

    def get_records(self) -> Json:
        return {"records": self._dns.records()}

    def put_records(
        self,
        name: str,
        value: Any,
        type: str = "TXT",  # noqa: A002  (the field's own word)
        ttl: Any = DEFAULT_TTL,
        add: StrictBool = False,
    ) -> Json:
        self._dns.publish(name, value, ttl, type, add=add)
        return self.get_records()

    def delete_records(self, name: str, type: str = "TXT") -> Json:  # noqa: A002
        return {"removed": self._dns.remove(name, type)}

    def put_zone(self, records: list[Record]) -> Json:
        self._dns.replace([record.model_dump() for record in records])
        return self.get_records()

    def put_fault(self, fault: str | None, server: str | None = None) -> Json:
        """For every server, or for one; null heals."""
        if server is None:
            self._dns.break_all(fault)
        else:
            self._dns.break_server(server, fault)
        return {"faults": self._dns.dump()["faults"]}

    def delete_cache(self) -> Json:
        self._dns.resolver.forget()
        return {"cache": "empty"}

    def get_queries(self) -> Json:
        return {"queries": list(self._dns.queries)}

    def delete_queries(self) -> Json:
        self._dns.queries.clear()
        return self.get_queries()
