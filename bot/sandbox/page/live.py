"""The open pages: each has one socket, and is sent what changed for the people it shows.

A socket and not server-sent events, because a browser allows six of those to one address, and here
every tab has one.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from bot.sandbox.cliq.config import envelope
from bot.sandbox.cliq.profile import PROFILES, meanings
from bot.sandbox.cliq.state import ADMIN
from bot.sandbox.page.checklist import Checklist
from bot.sandbox.page.doings import Bot
from bot.sandbox.page.screens import Screens
from bot.sandbox.slack.records import Json
from bot.sandbox.stage import Stage

log = structlog.get_logger(__name__)

GATHER_SECONDS = 0.02
"""Changes come in bursts; a page is told of one burst at once."""
HEARTBEAT_SECONDS = 20.0


@dataclass(eq=False)
class Page:
    """One open page: whom it shows, and what it knows. `screens` is by person, None: nothing."""

    socket: web.WebSocketResponse
    screens: dict[str, int | None] = field(default_factory=dict)
    shows_world: bool = False
    wire: int = 0
    sent: dict[str, str] = field(default_factory=dict)
    is_due: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, wish: Json) -> None:
        """What the page says it shows now; whom it shows anew is sent whole."""
        users = [user for user in wish.get("watch", []) if isinstance(user, str)]
        self.screens = {user: self.screens.get(user) for user in users}
        self.shows_world = bool(wish.get("world"))
        self.is_due.set()

    def unsent(self, parts: Json) -> Json:
        """Those parts that are not as this page was sent them last."""
        fresh: Json = {}
        for name, part in parts.items():
            written = json.dumps(part)
            if self.sent.get(name) != written:
                self.sent[name] = written
                fresh[name] = part
        return fresh


class Live:
    """Tells every open page of every change."""

    def __init__(self, stage: Stage, bot: Bot, screens: Screens, checklist: Checklist) -> None:
        self._stage = stage
        self._bot = bot
        self._screens = screens
        self._checklist = checklist
        self._pages: set[Page] = set()
        stage.workspace.changes.on_change(self.happened)
        stage.dns.on_change(self.happened)
        stage.wire_log.on_change(self.happened)

    def happened(self) -> None:
        """Something changed; from the event loop's thread only."""
        for page in self._pages:
            page.is_due.set()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS)
        await socket.prepare(request)
        page = Page(socket)
        self._pages.add(page)
        telling = asyncio.create_task(self._tell(page))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    with suppress(ValueError, AttributeError, TypeError):
                        page.take(json.loads(message.data))
        finally:
            telling.cancel()
            self._pages.discard(page)
        return socket

    async def close(self) -> None:
        for page in tuple(self._pages):
            await page.socket.close()

    async def _tell(self, page: Page) -> None:
        """Send what is new for as long as there is somebody; a page that is cut off comes back."""
        try:
            while True:
                await page.is_due.wait()
                await asyncio.sleep(GATHER_SECONDS)
                page.is_due.clear()
                news = self._news(page)
                if news:
                    now = self._stage.clock.now().timestamp() * 1000
                    await page.socket.send_json({"people": {}, **news, "now": now})
        except ConnectionError:
            return
        except Exception:  # the outermost handler: nobody waits for this task
            log.exception("page not told")
            await page.socket.close()

    def _news(self, page: Page) -> Json:
        """What this page does not know yet; empty if it knows everything."""
        cast = self._screens.cast()
        parts: dict[str, Any] = {
            "cast": cast,
            "checklist": self._checklist.look(),
            "bot_runs": self._bot.is_running,
            "clock": self._stage.clock.offset.total_seconds(),
        }
        people = self._people(page, {person["id"] for person in cast["people"]})
        wire = self._wire(page) if page.shows_world else []
        if page.shows_world:
            parts |= self._world()
        news = page.unsent(parts)
        return news | ({"people": people} if people else {}) | ({"wire": wire} if wire else {})

    def _people(self, page: Page, known: set[str]) -> Json:
        """The screens on which something is new to this page."""
        screens: Json = {}
        for user in page.screens.keys() & known:
            screen, page.screens[user] = self._screens.screen(user, page.screens[user])
            around = {name: screen[name] for name in ("channels", "read", "view")}
            is_new = bool(page.unsent({user: around}))
            if is_new or screen["whole"] or screen["messages"] or screen["gone"]:
                screens[user] = screen
        return screens

    def _world(self) -> Json:
        cliq, clock = self._stage.cliq, self._stage.clock
        locked = cliq.state.throttle.user_locks.get(cliq.state.users[ADMIN].id)
        return {
            "api": envelope(cliq.state.configuration()),
            "zone": self._stage.dns.records(),
            "servers": [
                {"name": server.name, "faults": server.FAULTS, "fault": server.fault}
                for server in self._stage.dns.servers.values()
            ],
            "faults": [asdict(fault) for fault in cliq.faults.planned],
            "cliq": {
                "profile": cliq.state.profile,
                "profiles": list(PROFILES),
                "switches": [
                    {"name": name, "meaning": meaning, "on": getattr(cliq.state.switches, name)}
                    for name, meaning in meanings().items()
                ],
            },
            "locked_until": locked.isoformat() if locked and locked > clock.now() else None,
        }

    def _wire(self, page: Page) -> list[Json]:
        news = self._stage.wire_log.changed_since(page.wire)
        page.wire = self._stage.wire_log.revision
        return [asdict(each) | {"at": each.at.timestamp() * 1000} for each in news]
