"""The whole job: a command, one call to the API, one message; how many a second, and how soon.

    python -m benchmarks.job [--rounds 8] [--seconds 5] [--clients 32] [--bolt-js FOLDER]

All clients type `/mailcfg show` at once, and each types again when its message has come. The doors,
each a process, are tried in turns: the bot, a raw aiohttp program, a first app with Bolt for Python,
and Bolt for JavaScript if FOLDER is where `npm install --prefix FOLDER @slack/bolt` was run. The far
end is in this process, which sees a message come. `cores` is the processor time that a door used of
each second: a door far below 1 has waited for this process.

The bot is `benchmarks.unlimited_bot`, since the real one asks Zoho eight times a minute at most.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from aiohttp import web

from benchmarks import job_rivals, processes, table
from benchmarks.far_end import LIVE, FarEnd
from benchmarks.people import BOB, SIGNING_SECRET, Ack, People
from bot.sandbox.listening import listen

OURS, BOLT_JS = "mailcfg", "Bolt for JavaScript"
RAW, TUTORIAL = job_rivals.KINDS
TARGETS = {RAW: 0.5, BOLT_JS: 1.2, TUTORIAL: 30.0}
"""What the bot is to do of each other door's jobs per second, at least."""
BOT = "benchmarks.unlimited_bot"
LATEST_SECONDS = 30
JS = Path(__file__).with_name("job_rival.js")
NO_BOLT_JS = (
    "Bolt for JavaScript is left out: run `npm install --prefix FOLDER @slack/bolt` and name the "
    "folder with --bolt-js FOLDER.\n"
)
Message = tuple[float, str]
"""When it came, by this process's clock, and what it says."""


class Inbox(FarEnd):
    """The far end, and whoever waits there for a message of their own."""

    def __init__(self) -> None:
        super().__init__(slow_seconds=0)
        self._numbers = count()
        self._awaited: dict[str, asyncio.Future[Message]] = {}

    def expect(self) -> tuple[str, asyncio.Future[Message]]:
        """Where a message is to be sent to, and the message."""
        number, coming = str(next(self._numbers)), asyncio.get_running_loop().create_future()
        self._awaited[number] = coming
        return f"/respond?job={number}", coming

    async def _respond(self, request: web.Request) -> web.Response:
        message = (time.perf_counter(), await request.text())
        coming = self._awaited.pop(request.query.get("job", ""), None)
        if coming is not None and not coming.done():
            coming.set_result(message)
        return web.Response(text="ok")


@asynccontextmanager
async def inbox() -> AsyncIterator[tuple[Inbox, processes.Running]]:
    opened = Inbox()
    listening = await listen(opened.app(), "127.0.0.1", 0)
    yield opened, processes.Running(os.getpid(), listening.url)
    await listening.close()


async def one(people: People, inbox: Inbox, text: str) -> Message:
    """Type `text` and wait for its message; the seconds it took, and the message."""
    answer_to, coming = inbox.expect()
    began = time.perf_counter()
    async with asyncio.timeout(LATEST_SECONDS):
        check_taken(await people.types(BOB, text, answer_to))
        came, message = await coming
    return came - began, message


def check_taken(ack: Ack) -> None:
    if ack.status != 200:
        raise RuntimeError(f"refused: {ack.status} {ack.text[:200]}")


async def jobs(people: People, inbox: Inbox, clients: int, seconds: float) -> list[float]:
    """Seconds of each job that was begun in this time."""
    ends = time.perf_counter() + seconds
    taken: list[float] = []

    async def client() -> None:
        while time.perf_counter() < ends:
            took, message = await one(people, inbox, "show")
            if LIVE["email_id"] not in message:
                raise RuntimeError(f"not the sender: {message[:200]}")
            taken.append(took)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())
    return taken


@dataclass
class Measured:
    """Per round: jobs per second, median and p99 of their seconds, processor seconds of one job."""

    rate: list[float] = field(default_factory=list)
    half: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def note(self, taken: list[float], wall_seconds: float, cpu_seconds: float) -> None:
        self.rate.append(len(taken) / wall_seconds)
        self.half.append(median(taken))
        self.p99.append(table.percentile(taken, 99))
        self.cpu.append(cpu_seconds / len(taken))

    def cells(self) -> list[str]:
        rate, cpu = median(self.rate), median(self.cpu)
        times = [table.ms(median(seconds)) for seconds in (self.half, self.p99)]
        return [f"{rate:.0f}", *times, f"{1000 * cpu:.2f} ms", f"{cpu * rate:.2f}"]


COLUMNS = (
    *("program", "jobs per s", "p50", "p99", "CPU of one", "cores"),
    *("mailcfg / it", "target", "met"),
)


def rows(found: dict[str, Measured]) -> list[list[str]]:
    return [[name, *each.cells(), *_judged(name, found)] for name, each in found.items()]


def _judged(name: str, found: dict[str, Measured]) -> list[str]:
    if name not in TARGETS:
        return ["", "", ""]
    ratio = table.ratio(found[OURS].rate, found[name].rate)
    return [f"{ratio:.2f}", f"{TARGETS[name]:.1f}", "yes" if ratio >= TARGETS[name] else "no"]


async def in_turns(
    doors: dict[str, processes.Running],
    inbox: Inbox,
    url: str,
    *,
    rounds: int,
    seconds: float,
    clients: int,
) -> dict[str, Measured]:
    """Rounds of so many seconds at every door, forth and back; the first one only warms up."""
    found = {name: Measured() for name in doors}
    async with processes.session() as session:
        people = {name: People(session, door.url, url) for name, door in doors.items()}
        for n in range(rounds + 1):
            for name in list(doors)[:: -1 if n % 2 else 1]:
                began, cpu = time.perf_counter(), doors[name].cpu_seconds()
                taken = await jobs(people[name], inbox, clients, seconds)
                wall = time.perf_counter() - began
                if n:
                    found[name].note(taken, wall, doors[name].cpu_seconds() - cpu)
    return found


async def run(
    rounds: int, seconds: float, clients: int, bolt_js: Path | None = None
) -> dict[str, Measured]:
    async with AsyncExitStack() as open_things:
        enter = open_things.enter_async_context
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="mailcfg-")))
        opened, far = await enter(inbox())
        database = f"sqlite+aiosqlite:///{folder / 'mailcfg.db'}"
        doors = {OURS: await enter(processes.bot(far, database, module=BOT))}
        for kind in job_rivals.KINDS:
            rival = processes.started("-m", "benchmarks.job_rivals", kind, far.url)
            doors[kind] = await enter(rival)
        if bolt_js is not None:
            words = (str(JS), far.url, str(bolt_js))
            secret = {"SLACK_SIGNING_SECRET": SIGNING_SECRET}
            doors[BOLT_JS] = await enter(processes.started(*words, program="node", **secret))
        return await in_turns(
            doors, opened, far.url, rounds=rounds, seconds=seconds, clients=clients
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--bolt-js", metavar="FOLDER", help="where @slack/bolt was installed")
    given = parser.parse_args()
    bolt_js = given.bolt_js and Path(given.bolt_js).absolute()
    found = asyncio.run(run(given.rounds, given.seconds, given.clients, bolt_js))
    drawn = rows(found)
    sys.stdout.write(table.drawn(COLUMNS, drawn))
    if given.bolt_js is None:
        sys.stdout.write(NO_BOLT_JS)
    sys.exit(0 if all(row[-1] != "no" for row in drawn) else 1)


if __name__ == "__main__":
    main()
