"""The emulated Zoho on a port: Cliq's API, the accounts server, its OpenAPI document, and control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox import accounts
from bot.sandbox.cliq.api import CliqApi, bearer
from bot.sandbox.cliq.control import CliqControl
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.faults import Target, spoiled
from bot.sandbox.cliq.log import masked
from bot.sandbox.cliq.openapi import DOCUMENT_PATH, openapi_document
from bot.sandbox.cliq.profile import Answer
from bot.sandbox.control import CONTROL_PREFIX, control_app
from bot.sandbox.listening import Listening, listen

AnswerCall = Callable[[web.Request, bytes | None], Awaitable[Answer]]
"""Says what the answer to a request with this body is; None is one too large to be read."""


@dataclass(frozen=True)
class ServedCliq:
    """An emulator that accepts connections; `control_token` None leaves the control endpoint out."""

    emulator: CliqEmulator
    listening: Listening
    control_token: str | None = field(repr=False)

    @property
    def url(self) -> str:
        return self.listening.url

    def dotenv(self) -> list[str]:
        """The settings with which a client finds it, as lines of a `.env` file."""
        mine = self.emulator.state.credentials
        lines = [
            f"CLIQ_API_URL={self.url}",
            f"ZOHO_ACCOUNTS_URL={self.url}",
            f"ZOHO_CLIENT_ID={mine.client_id}",
            f"ZOHO_CLIENT_SECRET={mine.client_secret}",
            f"ZOHO_REFRESH_TOKEN={mine.refresh_token}",
            f"CLIQ_ACCESS_TOKEN={mine.access_token}",
        ]
        if self.control_token is not None:
            lines.append(f"CLIQ_CONTROL_URL={self.url}{CONTROL_PREFIX}")
            lines.append(f"CLIQ_CONTROL_TOKEN={self.control_token}")
        return lines

    async def close(self) -> None:
        await self.listening.close()


async def start(
    emulator: CliqEmulator | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    control_token: str | None = None,
) -> ServedCliq:
    """Serve an emulator, a new one if none is given. Raises PortInUse."""
    emulator = emulator or CliqEmulator()
    app = web.Application(middlewares=[_Front(emulator, control_token is not None).answer])
    if control_token is not None:
        control = control_app(CliqControl(emulator), control_token, only_from_here=True)
        app.add_subapp(CONTROL_PREFIX, control)
    return ServedCliq(emulator, await listen(app, host, port), control_token)


class _Front:
    """Notes and answers every call of a client, spoiled where a fault is planned."""

    def __init__(self, emulator: CliqEmulator, has_control: bool) -> None:
        self._emulator = emulator
        self._state = emulator.state
        self._has_control = has_control
        self._api = CliqApi(emulator.state, emulator.clock, emulator.sender)

    @web.middleware
    async def answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Everything but control calls, so that the router never answers by itself."""
        if self._has_control and request.path.startswith(f"{CONTROL_PREFIX}/"):
            return await handler(request)
        if (request.method, request.path) == ("GET", DOCUMENT_PATH):
            return web.json_response(openapi_document(self._state.switches))
        if request.method == "POST" and request.path in accounts.PATHS:
            return await self._logged(request, Target.TOKEN, self._accounts)
        return await self._logged(request, Target.API, self._api.answer)

    async def _logged(
        self, request: web.Request, target: Target, answer: AnswerCall
    ) -> web.StreamResponse:
        log, wire_log = self._emulator.log, self._emulator.wire_log
        body = await _body(request)
        number, exchange = self._arrived(request, target, body)
        fault = self._emulator.faults.take(lambda each: each.fits(request.method, target))
        response: web.StreamResponse | None
        if fault is None:
            response = (await answer(request, body)).response()
        else:
            log.learnt(number, fault=fault.kind.value)
            act = partial(answer, request, body)
            response = await spoiled(fault, request, act, self._state.switches)
        log.learnt(number, status=response and response.status)
        wire_log.ended(exchange, str(response.status) if response else "no answer")
        return response or web.Response()

    def _arrived(self, request: web.Request, target: Target, body: bytes | None) -> tuple[int, int]:
        """Note a request in both logs; of a body only what the API gets, since tokens travel in
        the other."""
        log, now, token = self._emulator.log, self._emulator.clock.now(), bearer(request)
        owner = self._state.live_token(token, now) if token else None
        number = log.arrived(now, request.method, request.path, token)
        log.learnt(number, user=owner and owner.user)
        if target is Target.API and body:
            log.learnt(number, body=masked(body.decode("utf-8", "replace")))
        seen, callee = log.entry(number), "Cliq" if target is Target.API else "Zoho accounts"
        what, detail = f"{seen.method} {seen.path}", seen.body or ""
        return number, self._emulator.wire_log.began("bot", callee, what, detail=detail)

    async def _accounts(self, request: web.Request, body: bytes | None) -> Answer:
        form = dict(parse_qsl((body or b"").decode("utf-8", "replace")))
        now = self._emulator.clock.now()
        return accounts.answer(self._state, request.path, {**request.query, **form}, now)


async def _body(request: web.Request) -> bytes | None:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None
