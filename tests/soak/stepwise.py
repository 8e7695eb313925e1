"""Two replicas that are walked step by step: each stands still before whatever it does outside itself.

A `Walk` is one piece of a replica's work: a click, or one look of the applier at the rows. Between
two doors it runs undisturbed; at a door it can be left standing, while the clock moves and others go
on, or be killed. `FarEnd` is the one Cliq behind all replicas: what is sent may be lost, refused, or
take effect late.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.adapters.store.sql import SqlStore
from bot.domain.change import ChangeRequest
from bot.domain.mail_config import MailConfig, Wanted
from bot.domain.policy import Actor, Facts
from bot.errors import (
    Ambiguous,
    CliqError,
    DatabaseError,
    MailcfgError,
    NotSent,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from bot.ports import Purpose, Transaction
from tests.fakes import FakeCliq, FakeClock, FakeDirectory, Killed

IN_HAND: ContextVar[Walk | None] = ContextVar("walk in hand", default=None)
LATEST_EFFECT = timedelta(seconds=30)
"""A call's time-out and the quiet time: the longest that a write may take to have its effect."""


@dataclass
class Seen:
    """What a piece of work has looked at so far, for the judge."""

    request_id: str = ""
    live: MailConfig | None = None
    edits: int = -1
    fit: dict[str, bool] = field(default_factory=dict)


class Walk:
    """Work that goes on only when it is told to. `done` is its result, None if it was refused or died."""

    def __init__(self, replica: Replica, work: Coroutine[Any, Any, Any]) -> None:
        self.replica = replica
        self.seen = Seen()
        self.done: Any = None
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._arrived = asyncio.Event()
        self._held: asyncio.Future[None] | None = None
        self._place = ""

    @property
    def has_ended(self) -> bool:
        return self._task is not None and self._task.done()

    async def step(self, doors: int) -> None:
        """Go on through so many doors, or to the end."""
        for _ in range(doors):
            if not self.has_ended:
                await self._on()

    async def finish(self) -> None:
        while not self.has_ended:
            await self._on()

    async def go_to(self, place: str) -> None:
        """Stand still before this, or end without it."""
        while not self.has_ended and self._place != place:
            await self._on()

    async def kill(self) -> None:
        """Die at this door; nothing that is written for errors sees it."""
        if self._held is None:
            self._work.close()
        elif not self.has_ended:
            self._held.set_exception(Killed())
            assert self._task is not None
            await self._task

    async def wait_at_door(self, place: str) -> None:
        self._place = place
        self._held = asyncio.get_running_loop().create_future()
        self._arrived.set()
        await self._held

    async def _on(self) -> None:
        self._arrived.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        else:
            assert self._held is not None
            self._held.set_result(None)
        arrived = asyncio.create_task(self._arrived.wait())
        await asyncio.wait({self._task, arrived}, return_when=asyncio.FIRST_COMPLETED)
        arrived.cancel()
        if self._task.done():
            self._task.result()  # a bug of ours, or the judge's verdict, ends the run

    async def _run(self) -> None:
        IN_HAND.set(self)
        try:
            self.done = await self._work
            await door("answer")  # what is committed is not yet acknowledged
        except DatabaseError:
            raise  # never an answer: the database is well
        except (MailcfgError, Killed):
            self.done = None


async def door(place: str) -> None:
    """Where a walk can be left standing; whoever is not on a walk passes."""
    walk = IN_HAND.get()
    if walk is not None:
        await walk.wait_at_door(place)


def seen() -> Seen:
    walk = IN_HAND.get()
    return walk.seen if walk is not None else Seen()


class DoorStore:
    """A replica's store, with a door before each transaction."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @asynccontextmanager
    async def begin(self, org: str) -> AsyncIterator[Transaction]:
        await door("transaction")
        async with self._store.begin(org) as tx:
            yield tx

    async def open_request(self, org: str) -> ChangeRequest | None:
        found = await self._store.open_request(org)
        seen().request_id = found.id if found is not None else ""
        return found


class DoorDirectory:
    """A replica's way to ask Slack about people; it notes who was fit when they were looked up."""

    def __init__(self, directory: FakeDirectory) -> None:
        self._directory = directory

    async def look_up(
        self, actor: Actor, groups: Sequence[str] = (), *, afresh: bool = False
    ) -> Facts:
        await door("look up")
        facts = await self._directory.look_up(actor, groups, afresh=afresh)
        seen().fit[actor.user] = not facts.is_guest
        return facts

    async def named(self, entry: str) -> tuple[Actor, ...]:
        return await self._directory.named(entry)


@dataclass(frozen=True)
class Sent:
    """A write that left a replica. `over` is what its sender had read, `latest` when it takes effect
    at last, if it does."""

    walk: Walk
    method: str
    wanted: Wanted | None
    over: MailConfig | None
    latest: datetime


class FarEnd:
    """Cliq, as all replicas see it. `on_send` and `on_land` are the judge's."""

    FATES = ("done", "lost", "late", "late", "refused", "not sent", "throttled", "broken")

    def __init__(self, cliq: FakeCliq, clock: FakeClock) -> None:
        self.cliq = cliq
        self.edits = 0
        self.fates: deque[str] = deque()
        self.read_faults: deque[CliqError] = deque()
        self.under_way: deque[Sent] = deque()
        self.on_send: Callable[[Sent], None] = lambda sent: None
        self.on_land: Callable[[Sent], None] = lambda sent: None
        self._clock = clock

    def edit(self, name: str) -> None:
        """Somebody changes the name in the admin panel."""
        if self.cliq.live is not None:
            self.cliq.edit(name=name)
            self.edits += 1

    def keeps(self, sent: Sent) -> bool:
        """Whether this write of another address would be accepted and ignored."""
        live, wanted = self.cliq.live, sent.wanted
        is_other = live is not None and wanted is not None and wanted.email_id != live.email_id
        return self.cliq.keeps_address and is_other

    def read(self) -> MailConfig | None:
        if self.read_faults:
            raise self.read_faults.popleft()
        now = seen()
        now.live, now.edits = self.cliq.live, self.edits
        return self.cliq.live

    def take(self, sent: Sent) -> None:
        """What becomes of a write; raises what its sender learns."""
        fate = self.fates.popleft() if self.fates else "well"
        if fate == "not sent":
            raise NotSent(sent.method)
        self.on_send(sent)
        if fate in {"well", "done"}:
            self._land(sent)
        elif fate == "late":
            self.under_way.append(sent)
        error = self._answer(fate, sent.method)
        if error is not None:
            raise error

    def _answer(self, fate: str, method: str) -> CliqError | None:
        """`broken` is a server error, which says nothing about the effect; here it has none."""
        match fate:
            case "done" | "lost" | "late":
                return Ambiguous(method)
            case "refused":
                return PermissionDenied(method)
            case "throttled":
                until = self._clock.now() + timedelta(minutes=10)
                return RateLimited(method, status=429, retry_at=until, source="status")
            case "broken":
                return ServerError(method)
        return None

    def land(self) -> None:
        """The oldest write that is still under way takes effect."""
        if self.under_way:
            self._land(self.under_way.popleft())

    def land_until(self, until: datetime) -> None:
        while self.under_way and self.under_way[0].latest <= until:
            self.land()

    def _land(self, sent: Sent) -> None:
        self.on_land(sent)
        self.cliq.live = self.cliq._after_put(sent.wanted) if sent.wanted else None


class DoorApi:
    """A replica's way to Cliq. It keeps the port's promise about `send_by`, as the client does."""

    def __init__(self, far: FarEnd, clock: FakeClock) -> None:
        self._far = far
        self._clock = clock

    async def read(self, purpose: Purpose) -> MailConfig | None:
        await door("read")
        return self._far.read()

    async def write(self, wanted: Wanted, *, send_by: float) -> None:
        await self._send("PUT", wanted, send_by)

    async def remove(self, *, send_by: float) -> None:
        await self._send("DELETE", None, send_by)

    async def _send(self, method: str, wanted: Wanted | None, send_by: float) -> None:
        await door("write")
        if self._clock.elapsed() > send_by:
            raise NotSent(method)
        walk = IN_HAND.get()
        assert walk is not None
        latest = self._clock.now() + LATEST_EFFECT
        self._far.take(Sent(walk, method, wanted, walk.seen.live, latest))


@dataclass
class Replica:
    """One process: its services, and the work that it has in hand."""

    name: str
    store: DoorStore
    start: Callable[[Replica], None]
    changes: Any = None
    applier: Any = None
    walks: list[Walk] = field(default_factory=list)
    settling: Walk | None = None

    def begin(self, work: Coroutine[Any, Any, Any]) -> Walk:
        walk = Walk(self, work)
        self.walks.append(walk)
        return walk

    def settle(self) -> Walk:
        """The applier's next look at the rows; one at a time, like the loop that it is."""
        if self.settling is None or self.settling.has_ended:
            self.settling = self.begin(self.applier.settle())
        return self.settling

    async def kill(self) -> None:
        """Everything in hand dies, and the process is started anew."""
        for walk in self.walks:
            await walk.kill()
        self.walks.clear()
        self.settling = None
        self.start(self)
