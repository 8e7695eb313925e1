"""One change of the sender on a stage where something goes wrong; time passes by moving the clock.

The real bot runs in this process against the emulators. People persist: whoever got no card asks
again, whoever sees a card that waits approves. What happened is read off the emulators only.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot import settings
from bot.app import App, build
from bot.domain.change import Seal
from bot.errors import SettingsError
from bot.sandbox import run as sandbox
from bot.sandbox.cliq.log import LoggedRequest
from bot.sandbox.slack.records import Message, PersonCannot
from bot.sandbox.stage import Stage, open_stage
from bot.sandbox.world import ADMIN_CHANNEL, ALICE, BOB, CAROL
from bot.services.audit import verify
from tests.conftest import database_url

KEY = "a key of thirty-two bytes or more"
QUICK = {
    "MAILCFG_LISTEN": "127.0.0.1:0",
    "MAILCFG_SECRET_KEY": KEY,
}
TIMING = replace(sandbox.TIMING, call_timeout=timedelta(seconds=0.3), give_up=timedelta(hours=2))
STEP = timedelta(minutes=5)
STEPS_MAX = 60
STILL_SECONDS = 0.2
"""How long nothing must go over the wires before time is moved on."""
PAUSE_SECONDS_MAX = 2.0
"""Longer than the client pauses before it repeats a read."""
SILENCE_WITHIN = 60
AT_WORK = ("Approved", "Being applied", "Sent, checking", "Old configuration removed")
LOOK_EVERY = 0.02
LOCK = timedelta(minutes=10)
SCOTT = {"email_id": "scott@acme.example", "name": "Scott Fisher", "cname_status": "verified"}
ENDS = (
    "In force",
    "Failed",
    "Needs a person",
    "Out of date",
    "Expired",
    "Withdrawn",
    "Cancelled",
    "Rejected",
)


@dataclass(frozen=True)
class Wish:
    """What people ask for. A `line` of `set` alone opens the form, and `typed` is what goes in it.
    `is_kept`: Cliq accepts the new address and keeps the old one."""

    line: str
    quorum: int
    method: str
    after: dict[str, str] | None
    typed: dict[str, str] | None = None
    is_kept: bool = False


RENAME = Wish('set name="Acme Support" reason=clearer', 1, "PUT", {"name": "Acme Support"})
IN_A_FORM = Wish("set", 1, "PUT", {"name": "Acme Desk"}, {"name": "Acme Desk", "reason": "clearer"})
MOVE = Wish(
    "set email=it@mail.acme.example reason=moved", 2, "PUT", {"email_id": "it@mail.acme.example"}
)
KEPT = replace(MOVE, is_kept=True)
RESET = Wish("reset reason=gone", 2, "DELETE", None)

Strike = Callable[[Stage], None]
"""Lets something go wrong from now on."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong, and when it is prepared: before the bot starts, before the question, before
    the last approval, or while the bot waits after it (at the first step of the clock)."""

    start: Strike | None = None
    ask: Strike | None = None
    approve: Strike | None = None
    wait: Strike | None = None
    locked_by: int = 429
    """The status with which Zoho says that it has locked us out."""

    def begin(self, phase: str, stage: Stage) -> None:
        strike = getattr(self, phase)
        if strike is not None:
            strike(stage)


@dataclass(frozen=True)
class Ending:
    """What the emulators show at the end: the card's word, the writes, and what is live.

    `strikes_left` has one number for each planned fault that still waits for its call.
    """

    word: str
    writes: int
    live: dict[str, str] | None
    strikes_left: tuple[int, ...]
    problems: tuple[str, ...]


async def play(migrated: Path, folder: Path, wish: Wish, trouble: Trouble) -> Ending:
    """Live through one change to its end, or to where nothing moves any more."""
    database = _copied(migrated, folder)
    stage = await open_stage()
    try:
        stage.cliq.edit(**SCOTT, dkim_key_size=1024)
        stage.cliq.set_profile(switches={"sticky_email": wish.is_kept})
        trouble.begin("start", stage)
        async with running_bot(stage, database) as app:
            return await Play(stage, app, wish, trouble).live()
    finally:
        await stage.close()


def _copied(migrated: Path, folder: Path) -> Path:
    folder.mkdir()
    return Path(shutil.copy(migrated, folder / "mailcfg.db"))


@asynccontextmanager
async def running_bot(stage: Stage, database: Path) -> AsyncIterator[App]:
    """Connected; whoever runs it starts it again if Slack has refused its token."""
    environment = stage.bot_environment() | QUICK
    environment["MAILCFG_DATABASE_URL"] = database_url(database)
    found = settings.from_values(environment)
    for _ in range(5):
        async with await build(found, stage.clock, TIMING) as app:
            stage.clock.on_move(app.wake)
            try:
                await app.connected()
            except SettingsError:
                stage.clock.forget(app.wake)
                continue
            yield app
            return
    raise AssertionError("Slack refuses the token for ever")


class Play:
    """People, the clock, and a witness of what the card says when."""

    def __init__(self, stage: Stage, app: App, wish: Wish, trouble: Trouble) -> None:
        self._stage = stage
        self._app = app
        self._wish = wish
        self._trouble = trouble
        self._begun: set[str] = set()
        self._approved: set[str] = set()
        self._requests_when_in_force: int | None = None
        self._is_early = False
        stage.workspace.changes.on_change(self._witness)

    async def live(self) -> Ending:
        await self._stillness()
        for _ in range(STEPS_MAX):
            await self._people_act()
            await self._stillness()
            if self._word() and self._is_told():
                break
            if self._approved:
                self._begin("wait")
            self._stage.clock.advance(STEP)
            await self._stillness()
        problems = [problem async for problem in self._problems()]
        cliq = self._stage.cliq
        left = [fault.next for fault in cliq.faults.planned]
        left += [fault.times for fault in self._stage.workspace.faults.planned]
        word, writes = self._word(), len(cliq.writes())
        return Ending(word, writes, cliq.configuration, tuple(left), tuple(problems))

    def _begin(self, phase: str) -> None:
        if phase not in self._begun:
            self._begun.add(phase)
            self._trouble.begin(phase, self._stage)

    async def _people_act(self) -> None:
        card = self._card()
        if card is None:
            self._begin("ask")
            await self._ask()
            await self._stillness()
            card = self._card()
        if card is not None and "Waiting for approval" in _headline(card):
            await self._approve(card)

    async def _ask(self) -> None:
        workspace = self._stage.workspace
        await workspace.command(ALICE.id, self._wish.line)
        if self._wish.typed is None:
            return
        await self._stillness()
        view = workspace.open_view(ALICE.id)
        if view is not None and view.callback_id == "set":
            await workspace.submit(ALICE.id, view.id, self._wish.typed)

    async def _approve(self, card: Message) -> None:
        """One after the other; whoever may have failed tries again at the next step."""
        for person in (BOB.id, CAROL.id)[: self._wish.quorum]:
            if person not in self._approved and self._stage.cliq.writes():
                self._is_early = True
            if len(self._approved | {person}) == self._wish.quorum:
                self._begin("approve")
            self._approved.add(person)
            try:
                await self._stage.workspace.click(person, card.channel, card.ts, "approve")
            except PersonCannot:
                return
            await self._stillness()

    async def _stillness(self) -> None:
        """Wait until the bot has done for now what it can do without time passing.

        Nothing goes over the wires and every call is answered; while the card says that it is at
        work, it may only be pausing before it repeats a call.
        """
        await self._silence(STILL_SECONDS)
        card = self._card()
        if card is not None and _headline(card).startswith(AT_WORK):
            await self._silence(PAUSE_SECONDS_MAX)

    async def _silence(self, seconds: float) -> None:
        log = self._stage.wire_log
        began = since = time.monotonic()
        seen = log.revision
        while time.monotonic() - since < seconds:
            assert time.monotonic() - began < SILENCE_WITHIN, "it never comes to rest"
            await asyncio.sleep(LOOK_EVERY)
            is_busy = any(each.outcome is None for each in log.changed_since(0))
            if is_busy or log.revision != seen:
                seen, since = log.revision, time.monotonic()

    def _card(self) -> Message | None:
        """The newest card of a request."""
        messages = self._stage.workspace.state.messages.values()
        cards = [m for m in messages if _is_card(m)]
        return cards[-1] if cards else None

    def _word(self) -> str:
        card = self._card()
        said = "" if card is None else _headline(card)
        return next((end for end in ENDS if said.startswith(end)), "")

    def _is_told(self) -> bool:
        card = self._card()
        assert card is not None
        lines = [self._stage.read(line) for line in self._stage.thread(card)]
        return any(self._word().lower() in line.lower() for line in lines)

    def _witness(self) -> None:
        if self._requests_when_in_force is None and self._word() == "In force":
            self._requests_when_in_force = len(self._stage.cliq.log.all())

    async def _problems(self) -> AsyncIterator[str]:
        """What must never be, whatever went wrong."""
        requests = self._stage.cliq.log.all()
        if self._is_early:
            yield "written before the last approval"
        if self._word() and not self._is_told():
            yield "the thread does not have the result"
        if self._requests_when_in_force is not None:
            known = requests[: self._requests_when_in_force]
            if not _ends_in_a_good_read(known):
                yield "said to be in force without having been read back"
        for call in calls_while_locked(requests, self._trouble.locked_by):
            yield f"called while locked: {call.method} at {call.at}"
        problem = (await verify(self._app.deployment.store, "acme", Seal((KEY.encode(),)))).problem
        if problem:
            yield problem


def _is_card(message: Message) -> bool:
    is_post = message.channel == ADMIN_CHANNEL and not message.ephemeral_to
    return is_post and not message.is_reply and bool(message.blocks)


def _headline(card: Message) -> str:
    first: dict[str, Any] = card.blocks[0]
    return str(first.get("text", {}).get("text", ""))


def _ends_in_a_good_read(requests: list[LoggedRequest]) -> bool:
    """Whether the last write was followed by a read that was answered as it should be."""
    calls = [r for r in requests if r.method in {"GET", "PUT", "DELETE"}]
    after_write: list[LoggedRequest] = []
    for call in calls:
        after_write = [] if call.method in {"PUT", "DELETE"} else [*after_write, call]
    return any(r.status == 200 and r.fault in {None, "delay"} for r in after_write)


def calls_while_locked(requests: list[LoggedRequest], locked_by: int) -> list[LoggedRequest]:
    """Whatever was sent to Zoho within ten minutes of a throttled answer."""
    locks = [r.at for r in requests if r.status == locked_by]
    return [r for r in requests if any(_is_within(r.at, lock) for lock in locks)]


def _is_within(at: datetime, lock: datetime) -> bool:
    return lock < at < lock + LOCK
