"""Starts the stage and the real bot on it; the only file of the sandbox that knows the bot."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiohttp import web
from rich.console import Console

from bot import settings
from bot.app import App, build
from bot.errors import OperatorError
from bot.sandbox.page import front_page
from bot.sandbox.seed import LIVED, live_in
from bot.sandbox.stage import STATE_FILE, Stage, open_stage
from bot.sandbox.tour import WIDTH, Tour
from bot.sandbox.wire import listen

KEY_FILE = "secret.key"


async def serve(
    *, host: str, port: int, data: Path | None, transport: str, say: Callable[[str], object]
) -> None:
    """Keep a sandbox running until cancelled; `say` gets its address. Raises PortInUse."""
    stages: list[Stage] = []

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_page_of(stages), content_type="text/html")

    app = web.Application()
    app.router.add_get("/", page)
    where = await listen(app, host, port)
    async with AsyncExitStack() as open_things:
        open_things.push_async_callback(where.close)
        say("Starting: the world begins three weeks ago …")
        stages.append(await open_things.enter_async_context(sandbox(transport, data)))
        say(f"The sandbox runs at {where.url} (Ctrl-C ends it)")
        await asyncio.Event().wait()


def _page_of(stages: list[Stage]) -> str:
    if not stages:
        return "<!doctype html><title>mailcfg sandbox</title><p>Starting; reload in a moment."
    stage = stages[0]
    return front_page(
        stage.slack.url, stage.workspace.control_token, stage.cliq_at.url, stage.dns.address
    )


async def play_tour(*, transport: str, skip: str | None = None, svg: Path | None = None) -> int:
    """Play the tour in the terminal; the exit code: 0 if every check held."""
    wide = None if os.isatty(1) and svg is None else WIDTH
    console = Console(width=wide, record=svg is not None, highlight=False)
    async with sandbox(transport) as stage:
        tour = Tour(stage, console, skip)
        if skip is not None and skip not in tour.step_ids:
            raise OperatorError(f"`{skip}` is no step. There are {', '.join(tour.step_ids)}.")
        held = await tour.play()
    if svg is not None:
        _draw(console, svg)
    return 0 if held else 1


def _draw(console: Console, file: Path) -> None:
    """The recorded transcript as SVG, without the fonts that rich would load from another host."""
    drawing = console.export_svg(title="mailcfg sandbox --tour", unique_id="tour")
    file.write_text(re.sub(r"@font-face {.*?}\n", "", drawing, flags=re.DOTALL), encoding="utf-8")


@asynccontextmanager
async def sandbox(transport: str, data: Path | None = None) -> AsyncIterator[Stage]:
    """A lived-in stage with the bot running on it."""
    async with AsyncExitStack() as open_things:
        folder = data
        if folder is None:
            folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="mailcfg-")))
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not (folder / STATE_FILE).exists()
        stage = await open_stage(folder, started=-LIVED)
        open_things.push_async_callback(stage.close)
        if data is not None:
            open_things.callback(stage.save, folder)
        await open_things.enter_async_context(running_bot(stage, folder, transport))
        if is_new:
            await live_in(stage)
        yield stage


@asynccontextmanager
async def running_bot(stage: Stage, folder: Path, transport: str = "socket") -> AsyncIterator[App]:
    """The bot on this stage, connected; it is stopped on leaving, and can be started again."""
    environment = stage.bot_environment() | {
        "MAILCFG_LISTEN": "127.0.0.1:0",
        "MAILCFG_DATABASE_URL": f"sqlite+aiosqlite:///{folder / 'mailcfg.db'}",
        "MAILCFG_SECRET_KEY": _secret_key(folder / KEY_FILE),
    }
    if transport == "http":
        del environment["SLACK_APP_TOKEN"]
    async with await build(settings.from_values(environment), clock=stage.clock) as app:
        if transport == "http":
            stage.workspace.request_url = f"http://127.0.0.1:{app.port}/slack/events"
        stage.clock.on_move(app.wake)
        await app.connected()
        yield app


def _secret_key(file: Path) -> str:
    if not file.exists():
        file.write_text(secrets.token_urlsafe(36), encoding="utf-8")
        file.chmod(0o600)
    return file.read_text(encoding="utf-8")
