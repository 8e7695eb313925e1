"""Several bots on one database, with the far ends in this process; people go to any of them.

What is looked at afterwards is the database, with a connection of its own, and what the far ends saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
from psycopg.rows import dict_row

from bot.sandbox import world
from bot.sandbox.slack.records import Message, PersonCannot
from bot.sandbox.stage import Stage, open_stage
from tests.soak.processes import ROOT

ERIN = "U0ERIN"
SECRET_KEY = "a secret key for the soak tests only"
SPEED = 20
SETTINGS = {
    "MAILCFG_SECRET_KEY": SECRET_KEY,
    "MAILCFG_LISTEN": "127.0.0.1:0",
    "MAILCFG_LOG_FORMAT": "json",
    "MAILCFG_CHECK_EVERY": "2h",
}

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.05
Found = TypeVar("Found")
Row = dict[str, Any]


async def until(look: Callable[[], Awaitable[Found | None]], what: str) -> Found:
    """Look again and again until there is something."""
    found = await within(WAIT_SECONDS, look)
    assert found, f"never came: {what}"
    return found


async def within(seconds: float, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
    """What was there in that time, or nothing: whoever gets nothing tries again."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        found = await look()
        if found:
            return found
        await asyncio.sleep(POLL_SECONDS)
    return None


@dataclass
class Bot:
    """One process. Its log is a file, since a stopped process must not fill a pipe."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    port: int = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def listening(self) -> None:
        self.port = await until(self._find_port, f"{self.name} listens")

    async def ready(self) -> None:
        await until(self._is_ready, f"{self.name} is connected to Slack")

    async def stopped(self) -> None:
        await until(self._is_stopped, f"{self.name} has stopped itself")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    def lines(self) -> list[dict[str, Any]]:
        found = []
        for line in self.log.read_text(encoding="utf-8").splitlines():
            if line.startswith("{"):
                found.append(json.loads(line))
        return found

    async def _find_port(self) -> int | None:
        assert self.process.returncode is None, self.log.read_text(encoding="utf-8")[-2000:]
        return next((line["port"] for line in self.lines() if line["event"] == "listening"), None)

    async def _is_ready(self) -> bool:
        async with httpx.AsyncClient() as http:
            try:
                answer = await http.get(f"{self.address}/readyz", timeout=5)
            except httpx.HTTPError:
                return False
        return bool(answer.json()["slack"])

    async def _is_stopped(self) -> bool:
        return state_of(self.process.pid) == "T"


def state_of(pid: int) -> str:
    """One letter, as in proc(5): T is stopped."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]


@dataclass
class Fleet:
    """The far ends, the database, and the bots on it."""

    stage: Stage
    url: str
    dsn: str
    folder: Path
    environment: dict[str, str]
    bots: list[Bot] = field(default_factory=list)
    everyone: list[Bot] = field(default_factory=list)
    since: float = field(default_factory=time.time)

    async def start(self, name: str, place: str = "", *, quick: bool = True) -> Bot:
        """A bot that listens and is connected; one with a place will stop itself there."""
        log = self.folder / f"{len(self.everyone)}-{name}.log"
        words = ("tests.soak.quick_bot", str(SPEED if quick else 0), str(self.since), place)
        bot = Bot(name, await self._process(words, log), log)
        self.everyone.append(bot)
        await bot.listening()
        await bot.ready()
        self.bots.append(bot)
        return bot

    async def _process(self, words: Sequence[str], log: Path) -> asyncio.subprocess.Process:
        clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with log.open("wb") as out:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *words),
                cwd=self.folder,
                env=clean | {"PYTHONPATH": str(ROOT)} | self.environment,
                stdout=out,
                stderr=out,
            )

    async def kill(self, bot: Bot) -> None:
        self.bots.remove(bot)
        await bot.kill()

    async def rows(self, query: str, *values: Any) -> list[Row]:
        connection = await psycopg.AsyncConnection.connect(self.dsn, row_factory=dict_row)
        async with connection:
            return await (await connection.execute(query, values)).fetchall()

    async def request_for(self, name: str) -> Row | None:
        """The request that asks for this display name."""
        rows = await self.rows("SELECT * FROM request WHERE op = 'set' ORDER BY no")
        return next((r for r in rows if json.loads(r["target_json"])["name"] == name), None)

    def cards(self, number: int) -> list[Message]:
        """The cards of a request that are in the channel, seen by everybody."""
        seen = self.stage.workspace.sees(world.BOB.id, world.ADMIN_CHANNEL)
        public = [message for message in seen if not message.ephemeral_to]
        return [message for message in public if f"#{number} " in f"{self.stage.read(message)} "]

    async def type(self, at: Bot, user: str, line: str) -> bool:
        """Type a command that reaches this bot; whether it was acknowledged."""
        self._go_to(at)
        return (await self.stage.workspace.command(user, line)).ok

    async def click(self, at: Bot, user: str, number: int, action: str) -> bool:
        """Click on the newest card of a request, so that this bot hears of it; whether it was
        acknowledged. Where the button is gone already, nothing is clicked."""
        card = self.cards(number)[-1]
        self._go_to(at)
        try:
            outcome = await self.stage.workspace.click(user, card.channel, card.ts, action)
        except PersonCannot:
            return False
        return outcome.ok

    def _go_to(self, bot: Bot) -> None:
        """Over Socket Mode it is Slack that picks the bot."""
        if "SLACK_APP_TOKEN" not in self.environment:
            self.stage.workspace.delivery.request_url = f"{bot.address}/slack/events"

    async def mailcfg(self, *words: str) -> tuple[int, str]:
        """Run a command to its end; its exit code and all that it said."""
        log = self.folder / f"{len(self.everyone)}-{'-'.join(words)}.out"
        process = await self._process(("bot", *words), log)
        code = await process.wait()
        return code, log.read_text(encoding="utf-8")

    def written(self) -> list[str]:
        """The display names that took effect, in order."""
        return [str((write.body or {}).get("name")) for write in self.stage.cliq.writes()]


@asynccontextmanager
async def fleet(
    url: str, dsn: str, folder: Path, *, transport: str = "http", **more: str
) -> AsyncIterator[Fleet]:
    """Far ends on a real clock, and no bot yet; every process that was started is ended."""
    stage = await open_stage()
    stage.cliq.set_profile(switches={"throttle": False})  # its minute is a real one
    stage.cliq.edit(email_id="scott@acme.example", name="Scott Fisher", cname_status="verified")
    stage.workspace.add_user(ERIN, "Erin Park")
    stage.workspace.join(ERIN, world.ADMIN_CHANNEL)
    approvers = {"MAILCFG_APPROVERS": ",".join((*world.APPROVERS, ERIN))}
    values = stage.bot_environment() | SETTINGS | approvers | {"MAILCFG_DATABASE_URL": url} | more
    if transport == "http":
        del values["SLACK_APP_TOKEN"]
    found = Fleet(stage, url, dsn, folder, values)
    try:
        yield found
    finally:
        for bot in found.everyone:
            await bot.kill()
        await stage.close()
