"""A play for one test: the emulated stage, the real bot on it over the real wires, and its people.

Everything is waited for by its condition. Only the clock's position is arranged: a minute after a
check was due, so that none comes up by itself during a test.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bot import settings
from bot.adapters.cliq.client import Tries
from bot.app import App, build
from bot.domain.timing import Timing
from bot.sandbox import world
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.run import TIMING
from bot.sandbox.slack.records import Message, View
from bot.sandbox.stage import CHECK_EVERY, Stage
from bot.sandbox.world import ALICE, BOB, CAROL, MALLORY, Person

ERIN = Person("U0ERIN", "erin", "Erin Doe")
OSCAR = Person("U0OSCAR", "oscar", "Oscar Other")
ROBOT = Person("U0ROBOT", "robot", "Robot", ("is_bot",))
GONE = Person("U0GONE", "gone", "Gone Ghost", ("deleted",))

ADMIN, ALERTS = world.ADMIN_CHANNEL, world.ALERT_CHANNEL
SCOTT = {
    "name": "Scott Fisher",
    "email_id": "scott@acme.example",
    "cname_status": "verified",
    "dkim_key_size": 1024,
}
SECRET_KEY = "a key for tests with more than thirty-two characters"
PLACEHOLDERS = {"", "Checking…", "Reading the live configuration…"}
ENDS = ("In force", "Failed", "Needs a person")
REFERENCE = re.compile(r" \(ref [0-9a-f]{6}\)\Z")

RENAME = 'set name="Acme Support" reason="Nobody knows Scott"'
MOVE = 'set email=it@acme.example reason="Scott has left"'


def a_minute_after_a_check() -> timedelta:
    """How far to move a clock that shows real time."""
    seconds = int(CHECK_EVERY.total_seconds())
    return timedelta(seconds=(60 - datetime.now(UTC).timestamp()) % seconds)


class Play:
    """One test's world. `bot` is None while it is stopped."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage = stage
        self.slack = stage.workspace
        self.cliq = stage.cliq
        self.folder = folder
        self.bot: App | None = None
        self._running = AsyncExitStack()
        for person, team in ((ERIN, world.TEAM_ID), (OSCAR, "T0OTHER"), (ROBOT, world.TEAM_ID)):
            self.welcome(person, team)
        self.welcome(GONE, world.TEAM_ID)

    def welcome(self, person: Person, team: str) -> None:
        flags = dict.fromkeys(person.flags, True)
        self.slack.add_user(person.id, person.real_name, team_id=team, **flags)
        for channel in (ADMIN, ALERTS):
            self.slack.join(person.id, channel)

    @property
    def database(self) -> Path:
        return self.folder / "mailcfg.db"

    def environment(self) -> dict[str, str]:
        return self.stage.bot_environment() | {
            "MAILCFG_LISTEN": "127.0.0.1:0",
            "MAILCFG_DATABASE_URL": f"sqlite+aiosqlite:///{self.database}",
            "MAILCFG_SECRET_KEY": SECRET_KEY,
        }

    async def start(
        self, *, transport: str = "socket", timing: Timing = TIMING, **changes: str
    ) -> App:
        """Start the bot and wait for its first check."""
        values = self.environment() | changes
        if transport == "http":
            del values["SLACK_APP_TOKEN"]
        built = await build(settings.from_values(values), self.stage.clock, timing)
        self.bot = await self._running.enter_async_context(built)
        if transport == "http":
            self.slack.delivery.request_url = f"http://127.0.0.1:{self.bot.port}/slack/events"
        self.stage.clock.on_move(self._wake)
        await self.bot.connected()
        await self.until(lambda: self.stage.card("Watching", ALERTS), "the watch line")
        return self.bot

    def _wake(self) -> None:
        if self.bot is not None:
            self.bot.wake()

    async def stop(self) -> None:
        self.bot = None
        await self._running.aclose()

    async def until(self, seen: Callable[[], Any], what: str) -> Any:
        return await self.stage.until(seen, what)

    def be_impatient(self, seconds: float = 0.1) -> None:
        """Let the bot's calls to Cliq time out soon, and repeat reads without a pause."""
        assert self.bot is not None
        self.bot.served.api._tries = Tries(seconds, sleep=_at_once)

    def spoil(self, kind: FaultKind, method: str = "GET", **more: Any) -> None:
        """Let the next calls of `method` to Cliq go wrong."""
        self.cliq.faults.plan(Fault(kind, method=method, path=Target.API, **more))

    def private(self, who: Person) -> list[str]:
        """What only this person sees, in both channels, oldest first, without the placeholders."""
        seen = [m for c in (ADMIN, ALERTS) for m in self.slack.sees(who.id, c) if m.ephemeral_to]
        texts = [self.stage.read(m) for m in sorted(seen, key=lambda m: m.ts)]
        return [text for text in texts if text not in PLACEHOLDERS]

    async def hears(self, who: Person, act: Awaitable[Any]) -> str:
        """Do something, and wait for the private answer to it; a reference to the log is cut off."""
        before = len(self.private(who))
        outcome = await act
        assert outcome.ok, outcome.failure
        answer = await self.until(
            lambda: (self.private(who)[before:] or [None])[0], f"an answer to {who.real_name}"
        )
        return REFERENCE.sub("", answer)

    async def types(self, who: Person, text: str) -> str:
        """Type a command; the answer."""
        is_stale = bool({"is_bot", "deleted"} & set(who.flags))
        return await self.hears(who, self.slack.command(who.id, text, stale=is_stale))

    async def clicks(self, who: Person, action: str, card: Message | None = None) -> str:
        """Click a button of the newest card; the answer."""
        shown = card or self.card()
        is_stale = bool({"is_bot", "deleted"} & set(who.flags))
        click = self.slack.click(who.id, shown.channel, shown.ts, action, stale=is_stale)
        return await self.hears(who, click)

    async def opens(self, who: Person, action: str, card: Message | None = None) -> View:
        """Click a button that opens a form; the form."""
        shown = card or self.card()
        await self.slack.click(who.id, shown.channel, shown.ts, action)
        return await self.until(lambda: self.slack.open_view(who.id), f"a form for {who.name}")

    async def asks_in_form(self, who: Person) -> View:
        """Type `set` alone; the form once it is filled."""
        await self.slack.command(who.id, "set")

        def filled() -> View | None:
            view = self.slack.open_view(who.id)
            return view if view and "Reading" not in self.slack.plain_text(view) else None

        return await self.until(filled, f"the form for {who.name}")

    async def asks(self, text: str = MOVE, who: Person = ALICE) -> Message:
        """Ask for a change; its card."""
        answer = await self.types(who, text)
        assert "is posted" in answer, answer
        return self.card("Waiting for approval")

    async def approved(self, text: str = MOVE) -> Message:
        """Ask, and have Bob and Carol approve; the card, whatever it says then."""
        card = await self.asks(text)
        await self.agreed(card)
        return card

    async def agreed(self, card: Message) -> None:
        """Bob and, where it takes two, Carol approve."""
        for person in (BOB, CAROL) if "of 2 approvals" in self.stage.read(card) else (BOB,):
            await self.clicks(person, "approve", card)

    async def ends(self, card: Message, span: timedelta) -> str:
        """What this card says at its end; `span` passes whenever it says when it looks next."""

        def resting() -> str | None:
            shown = self.text(card)
            return shown if shown.startswith(ENDS) or "next look" in shown else None

        for _ in range(10):
            shown = str(await self.until(resting, "the card to stand still"))
            if shown.startswith(ENDS):
                return shown
            self.passes(span)
            await self.until(partial(self._says_else, card, shown), "the card to go on")
        raise AssertionError(f"it never ends: {shown}")

    def _says_else(self, card: Message, than: str) -> bool:
        return self.text(card) != than

    def text(self, card: Message) -> str:
        """What this very card says now."""
        shown = next(m for m in self.slack.sees(BOB.id, card.channel) if m.ts == card.ts)
        return self.stage.read(shown)

    def card(self, words: str = "#") -> Message:
        """The newest request card that says `words`."""
        found = self.stage.card(words)
        assert found is not None, f"no card says {words!r}: {self.texts(ADMIN)}"
        return found

    async def shows(self, words: str, channel: str = ADMIN) -> str:
        """Wait for a public message that says `words`; its whole text."""
        found = await self.until(
            lambda: self.stage.card(words, channel), f"“{words}” in {self.texts(channel)}"
        )
        return self.stage.read(found)

    async def says(self, card: Message, words: str) -> str:
        """Wait until this very card says `words`; its whole text."""

        def said() -> str | None:
            return self.text(card) if words in self.text(card) else None

        return str(await self.until(said, f"the card to say “{words}”: {self.texts(card.channel)}"))

    def texts(self, channel: str) -> list[str]:
        return [self.stage.read(m) for m in self.slack.sees(BOB.id, channel) if not m.ephemeral_to]

    def thread(self, card: Message) -> list[str]:
        return [self.stage.read(line) for line in self.stage.thread(card)]

    def passes(self, span: timedelta = CHECK_EVERY) -> None:
        """Let time pass."""
        self.stage.clock.advance(span)

    def stored(self, query: str) -> list[Any]:
        """What the database holds at this very moment; one value a row."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return [row[0] for row in database.execute(query)]

    def puts(self) -> int:
        return sum(1 for request in self.cliq.log.all() if request.method == "PUT")


def head_cut_off(line: str) -> str:
    """A line of a thread without the audit's head, which is another one each time."""
    return line.partition("\nAudit head ")[0]


async def _at_once(_: float) -> None:
    return None


__all__ = [
    "ALICE",
    "BOB",
    "CAROL",
    "ERIN",
    "GONE",
    "MALLORY",
    "OSCAR",
    "ROBOT",
    "Person",
    "Play",
    "head_cut_off",
]
