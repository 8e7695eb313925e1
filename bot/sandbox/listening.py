"""What the emulators' HTTP servers share: listening, and the guard before a control endpoint."""

from __future__ import annotations

import errno
import hmac
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.errors import PortInUse

CONTROL_PREFIX = "/__control"


@dataclass(frozen=True)
class Listening:
    """A server that accepts connections. `port` is the real one, also when 0 was asked for."""

    host: str
    port: int
    runner: web.AppRunner

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def close(self) -> None:
        await self.runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listening:
    """Serve `app`; raises PortInUse."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        raise
    bound: int = runner.addresses[0][1]
    return Listening(host, bound, runner)


def control_guard(token: str) -> Any:
    """A middleware: every path under `/__control` needs `Authorization: Bearer <token>`, else 401."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(CONTROL_PREFIX) and not _is_bearer(request, token):
            return web.json_response({"error": "control token missing or wrong"}, status=401)
        return await handler(request)

    return guard


def _is_bearer(request: web.Request, token: str) -> bool:
    given = request.headers.get("Authorization", "").encode("utf-8", "replace")
    return hmac.compare_digest(given, f"Bearer {token}".encode())


async def control_body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a control call; an empty body is `{}`. Raises HTTPBadRequest."""
    sent = await request.read()
    try:
        body = json.loads(sent) if sent.strip() else {}
    except (ValueError, RecursionError) as error:
        raise bad_control(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise bad_control("the body must be a JSON object")
    return body


def bad_control(problem: str) -> web.HTTPBadRequest:
    """A 400 for the control endpoint, which says what was wrong."""
    return web.HTTPBadRequest(text=json.dumps({"error": problem}), content_type="application/json")
