"""From a process's start to its first acknowledgement, and how much memory it takes, then and later.

    python -m benchmarks.start [--rounds 10] [--requests 100000] [--clients 32]

Each round starts, in turn, a bare Bolt app with one command, `mailcfg run` on a database that is
there, and `mailcfg run` on none, and knocks with a signed command until it is acknowledged. Then one
bot gets as many requests as are asked for, by so many clients at once, each waiting for its answer;
its memory is held against what it was after a warm-up. It is `benchmarks.unlimited_bot`, so that
`show` really reads.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks import job, processes, table
from benchmarks.people import BOB, ERIN, People

BOLT, OURS, NEW = "bare Bolt", "mailcfg", "mailcfg, new database"
START_TARGET, GROWTH_TARGET = 3.0, 1.1
KNOCK_SECONDS = 0.01
SETTLED_SECONDS = 1.0
"""After the first acknowledgement, what is begun at the start is over by then."""
WARM_UP = 2000
UNKNOWN_WORD = "pendign"
WORDS = (
    UNKNOWN_WORD,
    "pending",
    UNKNOWN_WORD,
    "help",
    UNKNOWN_WORD,
    "history",
    UNKNOWN_WORD,
    "show",
)
"""What people type; a mistyped word is answered in the acknowledgement, the rest by a message."""


@dataclass
class Started:
    """Per round: seconds to the first acknowledgement, and bytes resident soon after it."""

    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


async def start(
    session: aiohttp.ClientSession,
    far: processes.Running,
    kind: str,
    database_url: str,
    settled_seconds: float = SETTLED_SECONDS,
) -> tuple[float, int]:
    """Start one and knock until it acknowledges: the seconds that took, and its memory."""
    port = free_port()
    people = People(session, f"http://127.0.0.1:{port}/slack/events", far.url)
    words, environment = _program(kind, far, port, database_url)
    began = time.perf_counter()
    async with processes.launched(*words, **environment) as process:
        async with asyncio.timeout(processes.START_SECONDS):
            await _acknowledged(people)
        took = time.perf_counter() - began
        await asyncio.sleep(settled_seconds)
        return took, processes.Running(process.pid, "").memory()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _program(
    kind: str, far: processes.Running, port: int, database_url: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    if kind == BOLT:
        return ("-m", "benchmarks.rivals", "bolt", far.url, str(port)), {}
    words = ("-m", "bot", "run", "--env-file", "no such file")
    return words, processes.bot_settings(far, database_url, port)


async def _acknowledged(people: People) -> None:
    """Knock until it is: nobody listens at first, and then the bot has yet to reach Slack."""
    while True:
        with suppress(aiohttp.ClientConnectionError):
            if (await people.types(ERIN, UNKNOWN_WORD)).status == 200:
                return
        await asyncio.sleep(KNOCK_SECONDS)


async def starts(
    folder: Path, rounds: int, settled_seconds: float = SETTLED_SECONDS
) -> dict[str, Started]:
    """Every kind once in each round; a first one of the bot makes the database that is there."""
    found = {kind: Started() for kind in (BOLT, OURS, NEW)}
    async with processes.far_end() as far, processes.session() as session:
        await start(session, far, OURS, _sqlite(folder / "there.db"), settled_seconds)
        for n in range(rounds):
            files = {BOLT: "none", OURS: "there.db", NEW: f"new{n}.db"}
            for kind, file in files.items():
                url = _sqlite(folder / file)
                seconds, memory = await start(session, far, kind, url, settled_seconds)
                found[kind].seconds.append(seconds)
                found[kind].memory.append(memory)
    return found


def _sqlite(file: Path) -> str:
    return f"sqlite+aiosqlite:///{file}"


@dataclass(frozen=True)
class Grown:
    """Bytes resident after the warm-up, and after `requests` more."""

    requests: int
    before: int
    after: int


async def growth(folder: Path, requests: int, clients: int, warm_up: int = WARM_UP) -> Grown:
    async with AsyncExitStack() as open_things:
        enter = open_things.enter_async_context
        inbox, far = await enter(job.inbox())
        bot = await enter(processes.bot(far, _sqlite(folder / "grown.db"), module=job.BOT))
        people = People(await enter(processes.session()), bot.url, far.url)
        await ask(people, inbox, warm_up, clients)
        before = bot.memory()
        await ask(people, inbox, requests, clients)
        return Grown(requests, before, bot.memory())


async def ask(people: People, inbox: job.Inbox, requests: int, clients: int) -> None:
    left = deque(islice(cycle(WORDS), requests))

    async def client() -> None:
        while left:
            word = left.popleft()
            if word == UNKNOWN_WORD:
                job.check_taken(await people.types(BOB, word))
            else:
                await job.one(people, inbox, word)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())


COLUMNS = ("what", "ours", "held against", "ratio", "target", "met")


def rows(started: dict[str, Started], grown: Grown | None) -> list[list[str]]:
    bolt, ours, new = (started[kind] for kind in (BOLT, OURS, NEW))
    bare = median(bolt.seconds)
    found = [
        _row("start to first ack / bare Bolt", table.ms, median(ours.seconds), bare, START_TARGET),
        _row("the same, new database", table.ms, median(new.seconds), bare, START_TARGET),
        _row("resident after start / bare Bolt", mib, median(ours.memory), median(bolt.memory)),
    ]
    if grown is not None:
        what = f"resident after {grown.requests:,} more requests"
        found.append(_row(what, mib, grown.after, grown.before, GROWTH_TARGET))
    return found


def _row(
    what: str,
    shown: Callable[[float], str],
    ours: float,
    theirs: float,
    target: float | None = None,
) -> list[str]:
    ratio = ours / theirs
    judged = ["", ""] if target is None else [f"{target:.2f}", "yes" if ratio <= target else "no"]
    return [what, shown(ours), shown(theirs), f"{ratio:.2f}", *judged]


def mib(count: float) -> str:
    return f"{count / 2**20:.1f} MiB"


async def run(rounds: int, requests: int, clients: int) -> list[list[str]]:
    """The whole measurement; no requests are sent for the memory's growth if they are 0."""
    with tempfile.TemporaryDirectory(prefix="mailcfg-") as folder:
        started = await starts(Path(folder), rounds)
        grown = await growth(Path(folder), requests, clients) if requests else None
    return rows(started, grown)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=32)
    given = parser.parse_args()
    found = asyncio.run(run(given.rounds, given.requests, given.clients))
    sys.stdout.write(table.drawn(COLUMNS, found))
    sys.exit(0 if all(row[-1] != "no" for row in found) else 1)


if __name__ == "__main__":
    main()
