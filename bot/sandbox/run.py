"""Starts the stage and the real bot on it; the only file of the sandbox that knows the bot."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from bot import settings
from bot.app import App, build
from bot.domain.timing import Timing
from bot.errors import OperatorError
from bot.sandbox.bot_thread import BotThread
from bot.sandbox.listening import listen
from bot.sandbox.page.server import PageServer
from bot.sandbox.seed import LIVED, live_in
from bot.sandbox.stage import STATE_FILE, Stage, open_stage
from bot.sandbox.tour import WIDTH, Tour

KEY_FILE = "secret.key"
TIMING = Timing(pace=timedelta(milliseconds=10), commit_budget=timedelta(seconds=2.5))
"""The emulated Slack has no limit, and a machine that plays every part may be slow."""


async def serve(
    *,
    host: str,
    port: int,
    data: Path | None,
    transport: str,
    token: str | None,
    usage_hint: str,
    opened: Callable[[str], object] | None,
    say: Callable[[str], object],
) -> None:
    """Keep a sandbox with its page running until cancelled. Raises PortInUse.

    `say` gets the address last, alone; then `opened`, if given, gets it as well. With a `token` the
    page is for those who have it. `usage_hint` is what Slack shows in an empty command.
    """
    page = PageServer(token, usage_hint)
    async with AsyncExitStack() as open_things:
        where = await listen(page.app, host, port)
        open_things.push_async_callback(where.close)
        say("Starting: the world begins three weeks ago …")
        world = await open_things.enter_async_context(_world(data))
        bot = BotThread(lambda: running_bot(world.stage, world.folder, transport))
        open_things.push_async_callback(bot.kill)
        await bot.start()
        await world.settle_in()
        page.show(world.stage, bot)
        say("The sandbox runs; Ctrl-C ends it. Open this address in a browser:")
        address = where.url if token is None else f"{where.url}/?token={token}"
        say(address)
        if opened is not None:
            opened(address)
        await asyncio.Event().wait()


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
    async with _world(data) as world, running_bot(world.stage, world.folder, transport):
        await world.settle_in()
        yield world.stage


@dataclass(frozen=True)
class _World:
    """A stage and the folder where the bot keeps its database."""

    stage: Stage
    folder: Path
    is_new: bool
    is_kept: bool

    async def settle_in(self) -> None:
        if self.is_new:
            await live_in(self.stage)
        if self.is_kept:
            await asyncio.to_thread(self.stage.save, self.folder)


@asynccontextmanager
async def _world(data: Path | None) -> AsyncIterator[_World]:
    """The world as it was left in `data`, else a new one; on leaving it is saved there."""
    async with AsyncExitStack() as open_things:
        folder = data
        if folder is None:
            folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="mailcfg-")))
        folder.mkdir(parents=True, exist_ok=True)
        is_new = not (folder / STATE_FILE).exists()
        if is_new:  # a database without its world is of a start that was cut off
            _forget_database(folder)
        stage = await open_stage(folder, started=-LIVED)
        open_things.push_async_callback(stage.close)
        if data is not None:
            open_things.callback(stage.save, folder)
        yield _World(stage, folder, is_new, is_kept=data is not None)


def _forget_database(folder: Path) -> None:
    for file in folder.glob("mailcfg.db*"):
        file.unlink()


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
    found = settings.from_values(environment)
    async with await build(found, stage.clock, TIMING) as app:
        if transport == "http":
            stage.workspace.delivery.request_url = f"http://127.0.0.1:{app.port}/slack/events"
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(app.wake)

        stage.clock.on_move(wake)
        try:
            await app.connected()
            yield app
        finally:
            stage.clock.forget(wake)


def _secret_key(file: Path) -> str:
    if not file.exists():
        file.write_text(secrets.token_urlsafe(36), encoding="utf-8")
        file.chmod(0o600)
    return file.read_text(encoding="utf-8")
