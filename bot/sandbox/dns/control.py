"""The DNS emulator's control endpoint over HTTP, and the emulator started as a whole.

A thin skin over `DnsEmulator`: it checks what came in and says in a sentence what was wrong.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.errors import InputError
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.dns.zone import DEFAULT_TTL
from bot.sandbox.listening import (
    CONTROL_PREFIX,
    Listening,
    bad_control,
    control_body,
    control_guard,
    listen,
)


@dataclass(frozen=True)
class RunningDns:
    """The DNS servers and their control endpoint, all listening."""

    emulator: DnsEmulator
    control: Listening
    control_token: str

    def dotenv(self) -> list[str]:
        """The settings that point mailcfg at this server."""
        return [
            *self.emulator.dotenv(),
            f"DNS_CONTROL_URL={self.control.url}{CONTROL_PREFIX}",
            f"DNS_CONTROL_TOKEN={self.control_token}",
        ]

    async def close(self) -> None:
        await self.control.close()
        await self.emulator.close()


async def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    control_port: int = 0,
    control_token: str | None = None,
    zone: str = "acme.example",
) -> RunningDns:
    """Start them all. Raises PortInUse, or InputError if `zone` is no name."""
    emulator = DnsEmulator(zone)
    token = control_token or secrets.token_urlsafe(24)
    await emulator.start(host, port)
    try:
        control = await listen(control_app(emulator, token), host, control_port)
    except BaseException:
        await emulator.close()
        raise
    return RunningDns(emulator, control, token)


def control_app(emulator: DnsEmulator, token: str) -> web.Application:
    """The control endpoint alone, to be served with `listening.listen`."""
    control = _Control(emulator)
    app = web.Application(middlewares=[control_guard(token), _sentences])
    app.add_routes(
        [
            web.get(f"{CONTROL_PREFIX}/state", control.state),
            web.get(f"{CONTROL_PREFIX}/records", control.records),
            web.put(f"{CONTROL_PREFIX}/records", control.publish),
            web.delete(f"{CONTROL_PREFIX}/records", control.remove),
            web.put(f"{CONTROL_PREFIX}/zone", control.replace),
            web.put(f"{CONTROL_PREFIX}/fault", control.set_fault),
            web.delete(f"{CONTROL_PREFIX}/cache", control.forget_cache),
            web.get(f"{CONTROL_PREFIX}/queries", control.queries),
            web.delete(f"{CONTROL_PREFIX}/queries", control.forget_queries),
        ]
    )
    return app


@web.middleware
async def _sentences(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except InputError as error:
        raise bad_control(str(error)) from error


class _Control:
    def __init__(self, emulator: DnsEmulator) -> None:
        self._dns = emulator

    async def state(self, request: web.Request) -> web.Response:
        addresses = {name: server.address for name, server in self._dns.servers.items()}
        return web.json_response(self._dns.dump() | {"addresses": addresses})

    async def records(self, request: web.Request) -> web.Response:
        return web.json_response({"records": self._dns.records()})

    async def publish(self, request: web.Request) -> web.Response:
        body = await control_body(request)
        record = _record(body, "value")
        add = body.get("add", False)
        if not isinstance(add, bool):
            raise bad_control('"add" must be true or false')
        self._dns.publish(
            record["name"], record["value"], record["ttl"], type=record["type"], add=add
        )
        return await self.records(request)

    async def remove(self, request: web.Request) -> web.Response:
        body = await control_body(request)
        removed = self._dns.remove(_need(body, "name", _is_text), _type(body))
        return web.json_response({"removed": removed})

    async def replace(self, request: web.Request) -> web.Response:
        body = await control_body(request)
        self._dns.replace([_record(r, "values") for r in _need(body, "records", _is_list)])
        return await self.records(request)

    async def set_fault(self, request: web.Request) -> web.Response:
        """`{"fault": "silent"}` for every server, with `"server"` for that one; null heals."""
        body = await control_body(request)
        fault = _need(body, "fault", lambda value: value is None or _is_text(value))
        if "server" in body:
            self._dns.break_server(_need(body, "server", _is_text), fault)
        else:
            self._dns.break_all(fault)
        return web.json_response({"faults": self._dns.dump()["faults"]})

    async def forget_cache(self, request: web.Request) -> web.Response:
        self._dns.forget_cache()
        return web.json_response({"cache": "empty"})

    async def queries(self, request: web.Request) -> web.Response:
        return web.json_response({"queries": [asdict(query) for query in self._dns.queries]})

    async def forget_queries(self, request: web.Request) -> web.Response:
        self._dns.queries.clear()
        return web.json_response({"queries": []})


_WANTED = {
    "name": "a text",
    "type": "a text, such as TXT",
    "value": "a text, or the list of a TXT record's strings",
    "values": "a list of values; each is a text, or the list of a TXT record's strings",
    "records": "a list of records",
    "fault": "a text, or null",
    "server": "a text, such as ns1",
}


def _record(body: Any, content: str) -> dict[str, Any]:
    """A record out of a body, complete; `content` is "value" or "values"."""
    if not isinstance(body, dict):
        raise bad_control("each record must be a JSON object")
    is_fit = _is_value if content == "value" else _is_values
    return {
        "name": _need(body, "name", _is_text),
        "type": _type(body),
        content: _need(body, content, is_fit),
        "ttl": body.get("ttl", DEFAULT_TTL),
    }


def _type(body: Mapping[str, Any]) -> str:
    return str(_need({"type": "TXT", **body}, "type", _is_text))


def _need(body: Mapping[str, Any], key: str, is_fit: Callable[[Any], bool]) -> Any:
    if key not in body or not is_fit(body[key]):
        raise bad_control(f'"{key}" must be {_WANTED[key]}')
    return body[key]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_value(value: Any) -> bool:
    return _is_text(value) or (_is_list(value) and all(map(_is_text, value)))


def _is_values(value: Any) -> bool:
    return _is_list(value) and all(map(_is_value, value))
