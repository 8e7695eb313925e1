"""The page's HTTP server: its files, the socket of each open page, and what people do there.

It listens before the world is ready, so that a port in use is said at once; until then pages wait.
"""

from __future__ import annotations

import asyncio
import json
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from aiohttp import web

from bot.sandbox.control import REFUSALS, Call, as_text, methods_of, refused, typed
from bot.sandbox.page.checklist import Checklist
from bot.sandbox.page.doings import Bot, PeopleDoings, WorldDoings
from bot.sandbox.page.guard import add_headers, page_guard
from bot.sandbox.page.journal import Journal
from bot.sandbox.page.live import Live
from bot.sandbox.page.screens import Screens
from bot.sandbox.stage import Stage

LARGEST_BODY = 256 * 1024
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}


class PageServer:
    """Serve `app`; give it a stage and a bot with `show` once these are there."""

    def __init__(self, token: str | None, usage_hint: str) -> None:
        self._usage_hint = usage_hint
        self._files = _static_files()
        self._doings: dict[str, Call] = {}
        self._live: asyncio.Future[Live] = asyncio.get_running_loop().create_future()
        self.app = web.Application(middlewares=[page_guard(token)], client_max_size=LARGEST_BODY)
        self.app.add_routes(
            [
                web.get("/", self._front),
                web.get("/static/{name}", self._file),
                web.get("/live", self._socket),
                web.post("/do/{doing}", self._do),
            ]
        )
        self.app.on_response_prepare.append(add_headers)
        self.app.on_shutdown.append(self._close)

    def show(self, stage: Stage, bot: Bot) -> None:
        """Raise the curtain: what happened before is not news, and is not on the checklist."""
        journal = Journal(stage.workspace)
        screens = Screens(stage.workspace, journal, self._usage_hint)
        checklist = Checklist(stage, journal)
        for doings in (PeopleDoings(stage, screens, checklist), WorldDoings(stage, bot)):
            self._doings |= {name: typed(act) for name, act in methods_of(doings)}
        self._live.set_result(Live(stage, bot, screens, checklist))

    async def _close(self, _: web.Application) -> None:
        if self._live.done():
            await self._live.result().close()

    async def _front(self, _: web.Request) -> web.Response:
        return self._answer("index.html")

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._files:
            raise web.HTTPNotFound
        return self._answer(name)

    def _answer(self, name: str) -> web.Response:
        kind = CONTENT_TYPES[PurePosixPath(name).suffix]
        return web.Response(body=self._files[name], content_type=kind, charset="utf-8")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        live = await asyncio.shield(self._live)
        return await live.serve(request)

    async def _do(self, request: web.Request) -> web.Response:
        doing = self._doings.get(request.match_info["doing"])
        if doing is None:
            return refused("There is nothing like that to do here.", 404)
        try:
            answer = await doing(await _object(request))
        except REFUSALS as refusal:
            return refused(str(refusal), 409)
        finally:
            self._live.result().happened()
        return web.json_response(text=as_text(answer or {"ok": True}))


def _static_files() -> dict[str, bytes]:
    """The files of the page by name; what is not among them is not served."""
    folder = files("bot.sandbox.page").joinpath("static")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


async def _object(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; raises ValueError."""
    if request.content_type != "application/json":
        raise ValueError("The body must be JSON.")
    try:
        given = json.loads(await request.text())
    except ValueError as error:
        raise ValueError("The body is not JSON.") from error
    if not isinstance(given, dict):
        raise ValueError("The body must be a JSON object.")
    return given
