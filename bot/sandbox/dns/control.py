"""The DNS emulator's control endpoint: its records, faults, cache, and the questions that came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from pydantic import BaseModel, StrictBool

from bot.sandbox.control import Json, control_app
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.dns.zone import DEFAULT_TTL


class Record(BaseModel, extra="forbid"):
    """All records of one name and type; what they may be is the zone's to say."""

    name: str
    type: str = "TXT"
    values: list[Any]
    ttl: Any = DEFAULT_TTL


def dns_control(emulator: DnsEmulator, token: str) -> web.Application:
    return control_app(_Control(emulator).acts(), token)


class _Control:
    def __init__(self, emulator: DnsEmulator) -> None:
        self._dns = emulator

    def acts(self) -> dict[str, Callable[..., Any]]:
        return {
            "GET state": self.state,
            "GET records": self.records,
            "PUT records": self.publish,
            "DELETE records": self.remove,
            "PUT zone": self.replace,
            "PUT fault": self.set_fault,
            "DELETE cache": self.forget_cache,
            "GET queries": self.queries,
            "DELETE queries": self.forget_queries,
        }

    def state(self) -> Json:
        addresses = {name: server.address for name, server in self._dns.servers.items()}
        return self._dns.dump() | {"addresses": addresses}

    def records(self) -> Json:
        return {"records": self._dns.records()}

    def publish(
        self,
        name: str,
        value: Any,
        type: str = "TXT",  # noqa: A002  (the field's own word)
        ttl: Any = DEFAULT_TTL,
        add: StrictBool = False,
    ) -> Json:
        self._dns.publish(name, value, ttl, type, add=add)
        return self.records()

    def remove(self, name: str, type: str = "TXT") -> Json:  # noqa: A002
        return {"removed": self._dns.remove(name, type)}

    def replace(self, records: list[Record]) -> Json:
        self._dns.replace([record.model_dump() for record in records])
        return self.records()

    def set_fault(self, fault: str | None, server: str | None = None) -> Json:
        """For every server, or for one; null heals."""
        if server is None:
            self._dns.break_all(fault)
        else:
            self._dns.break_server(server, fault)
        return {"faults": self._dns.dump()["faults"]}

    def forget_cache(self) -> Json:
        self._dns.resolver.forget()
        return {"cache": "empty"}

    def queries(self) -> Json:
        return {"queries": list(self._dns.queries)}

    def forget_queries(self) -> Json:
        self._dns.queries.clear()
        return self.queries()
