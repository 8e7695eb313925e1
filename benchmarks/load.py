"""50 interactions a second for a minute, against the real bot on each database.

    python -m benchmarks.load [--seconds 60] [--rate 50] [--database sqlite|postgresql|both]

People act on schedule, however slow the bot is. Since an organisation has one open request at a time,
they play the same short scene again and again: one asks in the form, others look, vote, vote twice,
vote without a right to, and it is rejected or withdrawn. Afterwards everything that the bot said was
done is looked up in the database. Passing: the rate is kept, nothing acknowledged later than 2.5 s, nothing lost, p99
of what is committed at most 500 ms, memory at most a tenth more than after the warm-up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from benchmarks import processes, table
from benchmarks.people import ALICE, BOB, CAROL, ERIN, MALLORY, Ack, People
from benchmarks.rows import Database, PostgresServer, SqliteFile, open_request

WARM_UP_SECONDS = 10
STEPS = 10
"""Interactions in a scene."""
RATE_KEPT = 0.95
"""The share of the rate that must be reached; behind by more, the bot is too slow for it."""
LATEST_SECONDS, P99_SECONDS, GROWTH_PERCENT = 2.5, 0.5, 10.0
COMMITTING = frozenset({"submit set", "submit reject", "approve", "withdraw"})
Act = Coroutine[Any, Any, Ack]


@dataclass
class Promises:
    """What the bot said was done, by request number."""

    proposed: set[int] = field(default_factory=set)
    approved: set[int] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    withdrawn: set[int] = field(default_factory=set)

    def lost(self, database: Database) -> int:
        """How many of them the database does not hold."""
        states = dict(database.rows("SELECT no, state FROM request"))
        joined = "FROM decision JOIN request ON request.id = decision.request_id"
        votes = set(database.rows(f"SELECT no, verdict {joined}"))  # our own words
        kept = [
            *(no in states for no in self.proposed),
            *((no, "approve") in votes for no in self.approved),
            *((no, "reject") in votes for no in self.rejected),
            *(states.get(no) == "REJECTED" for no in self.rejected),
            *(states.get(no) == "CANCELLED" for no in self.withdrawn),
        ]
        return kept.count(False)


class Scene:
    """One request from the asking to its end, in ten interactions; each waits for its time."""

    def __init__(self, people: People, database: Database, form: str, promises: Promises) -> None:
        self._people = people
        self._database = database
        self._form = form
        self.promises = promises
        self.acks: list[Ack] = []
        self._aside: set[asyncio.Task[Ack]] = set()

    async def play(self, n: int, starts: Iterator[float]) -> None:
        await _until(next(starts))
        asked = await self._note(
            self._people.submits(
                ALICE,
                "set",
                self._form,
                name=f"Acme {n}",
                email_id=f"it{n}@acme.example",
                reason="x",
            )
        )
        waiting = open_request(self._database)
        if waiting is None or "is posted for approval" not in asked.text:
            raise RuntimeError(f"no request was made: {asked.status} {asked.text[:300]}")
        request, number = waiting
        self.promises.proposed.add(number)
        await self._vote(request, starts)
        self.promises.approved.add(number)
        await self._end(n, request, number, starts)

    async def _vote(self, request: str, starts: Iterator[float]) -> None:
        """Bob's vote counts; whoever else acts meanwhile does not wait for it, nor it for them."""
        for act in (
            self._people.types(ERIN, "pending"),
            self._people.clicks(MALLORY, "approve", request),
            self._people.clicks(ALICE, "approve", request),
        ):
            await _until(next(starts))
            self._meanwhile(act)
        await _until(next(starts))
        await self._note(self._people.clicks(BOB, "approve", request))
        for act in (
            self._people.clicks(BOB, "approve", request),
            self._people.types(ERIN, "help"),
            self._people.types(CAROL, "withdraw"),
            self._people.types(ERIN, "pendign"),
        ):
            await _until(next(starts))
            self._meanwhile(act)

    async def _end(self, n: int, request: str, number: int, starts: Iterator[float]) -> None:
        await _until(next(starts))
        if n % 2:
            carried = json.dumps({"request": request})
            await self._note(self._people.submits(CAROL, "reject", carried, reason="not now"))
            self.promises.rejected.add(number)
        else:
            told = await self._note(self._people.types(ALICE, "withdraw"))
            if f"Request #{number} is withdrawn" in json.loads(told.text)["text"]:
                self.promises.withdrawn.add(number)

    def _meanwhile(self, act: Act) -> None:
        task = asyncio.create_task(self._note(act))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    async def _note(self, act: Act) -> Ack:
        ack = await act
        self.acks.append(ack)
        return ack

    async def ended(self) -> None:
        if self._aside:
            await asyncio.wait(self._aside)


async def _until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.perf_counter()))


@dataclass(frozen=True)
class Result:
    """One database's run; seconds, and percent."""

    database: str
    acks: list[Ack]
    rate: float
    took: float
    lost: int
    growth: float
    cores: float

    @property
    def is_good(self) -> bool:
        return (
            self.lost == 0
            and len(self.acks) / self.took >= RATE_KEPT * self.rate
            and all(ack.status == 200 for ack in self.acks)
            and self.latest <= LATEST_SECONDS
            and self.committed(99) <= P99_SECONDS
            and self.growth <= GROWTH_PERCENT
        )

    @property
    def latest(self) -> float:
        return max(ack.seconds for ack in self.acks)

    def committed(self, percent: float) -> float:
        seconds = [ack.seconds for ack in self.acks if ack.what in COMMITTING]
        return table.percentile(seconds, percent)

    def cells(self) -> list[str]:
        return [
            self.database,
            str(len(self.acks)),
            f"{len(self.acks) / self.took:.1f}",
            table.ms(self.committed(50)),
            table.ms(self.committed(99)),
            table.ms(self.latest),
            str(sum(ack.status != 200 for ack in self.acks)),
            str(self.lost),
            f"{self.growth:+.1f} %",
            f"{self.cores:.2f}",
            "yes" if self.is_good else "no",
        ]


COLUMNS = ["database", "acks", "per s", "commit+ack p50", "p99", "latest ack", "not 200", "lost"]
COLUMNS += ["memory", "cores", "passes"]


async def measure(kind: str, seconds: float, rate: float, warm_up: float) -> Result:
    """One run on a new database of this kind."""
    async with AsyncExitStack() as open_things:
        url, database_at = open_things.enter_context(_new_database(kind))
        far = await open_things.enter_async_context(processes.far_end())
        bot = await open_things.enter_async_context(processes.bot(far, url))
        session = await open_things.enter_async_context(processes.session())
        database = database_at()
        open_things.callback(database.close)
        people = People(session, bot.url, far.url)
        scene = Scene(people, database, await form_of(people, session, far.url), Promises())
        await play(scene, 0, warm_up, rate)
        scene.acks.clear()
        before, cpu, began = bot.memory(), bot.cpu_seconds(), time.perf_counter()
        await play(scene, 1_000_000, seconds, rate)
        took = time.perf_counter() - began
        return Result(
            kind,
            scene.acks,
            rate,
            took,
            lost=scene.promises.lost(database),
            growth=100 * (bot.memory() / before - 1),
            cores=(bot.cpu_seconds() - cpu) / took,
        )


async def play(scene: Scene, first: int, seconds: float, rate: float) -> None:
    """Scene after scene, as many as the time holds; none begins before the one before has ended.

    Each interaction keeps its own time, so what a slow answer has put off is made up for at once.
    """
    began = time.perf_counter()
    for turn in range(math.ceil(seconds * rate / STEPS)):
        starts = [began + (turn * STEPS + step) / rate for step in range(STEPS)]
        await scene.play(first + turn, iter(starts))
    await scene.ended()


async def form_of(people: People, session: aiohttp.ClientSession, far_end: str) -> str:
    """Alice opens the form; what it carries lets her ask for ten minutes."""
    await people.types(ALICE, "set")
    for _ in range(100):
        async with session.get(f"{far_end}/form") as answer:
            if sealed := await answer.text():
                return sealed
        await asyncio.sleep(0.05)
    raise RuntimeError("the form was never filled")


@contextmanager
def _new_database(kind: str) -> Iterator[tuple[str, Callable[[], Database]]]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="mailcfg-load-") as folder:
            file = f"{folder}/mailcfg.db"
            yield f"sqlite+aiosqlite:///{file}", lambda: SqliteFile(file)
        return
    from bot.adapters.store.migrate import migrate
    from tests.postgres import running_server

    with running_server() as server:
        url = server.fresh()
        migrate(url)
        name = url.rpartition("/")[2]
        yield url, lambda: PostgresServer(server.dsn(name))


async def run(kinds: list[str], seconds: float, rate: float, warm_up: float) -> list[Result]:
    return [await measure(kind, seconds, rate, warm_up) for kind in kinds]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_SECONDS)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    given = parser.parse_args()
    kinds = ["sqlite", "postgresql"] if given.database == "both" else [given.database]
    results = asyncio.run(run(kinds, given.seconds, given.rate, given.warm_up))
    sys.stdout.write(table.drawn(COLUMNS, [result.cells() for result in results]))
    sys.exit(0 if all(result.is_good for result in results) else 1)


if __name__ == "__main__":
    main()
