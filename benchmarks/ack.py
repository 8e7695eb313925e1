"""How soon Slack gets its answer, and what one costs.

    python -m benchmarks.ack [--rounds 30] [--each 40] [--clicks 60] [--burst 100]

One client sends a command that is answered in the acknowledgement to the bot and, in turns, to a bare
endpoint that only checks the signature, to Bolt with default options and to Bolt with the bot's
options. Then approve clicks, each committed with SQLite's `synchronous=FULL`, against the same
file system's fdatasync; then a burst of commands on one core while the API is slow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks import processes, rivals, table
from benchmarks.load import form_of
from benchmarks.people import ALICE, BOB, ERIN, Ack, People
from benchmarks.rows import SqliteFile, open_request

FLOOR, BOLT, SAME, OURS = *rivals.KINDS, "mailcfg"
SLOW_API_SECONDS = 5.0
PAUSE_SECONDS = 0.3
"""Between the asking and the click: people read the card first, and the bot is quiet by then."""
UNKNOWN_WORD = "pendign"


@dataclass
class Measured:
    """Per round: the median acknowledgement, and the processor time of one; in seconds."""

    ack: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


async def commands(
    doors: dict[str, processes.Running], people: dict[str, People], rounds: int, each: int
) -> dict[str, Measured]:
    """Rounds of `each` commands to every door, one after the other; the first one only warms up."""
    found = {name: Measured() for name in doors}
    for n in range(rounds + 1):
        for name, door in doors.items():
            before = door.cpu_seconds()
            acks = [await people[name].types(ERIN, UNKNOWN_WORD) for _ in range(each)]
            if n:
                found[name].ack.append(median(_seconds(acks)))
                found[name].cpu.append((door.cpu_seconds() - before) / each)
    return found


def _seconds(acks: list[Ack]) -> list[float]:
    bad = [ack for ack in acks if ack.status != 200]
    if bad:
        raise RuntimeError(f"refused: {bad[0].status} {bad[0].text[:200]}")
    return [ack.seconds for ack in acks]


async def clicks(people: People, database: SqliteFile, form: str, count: int) -> list[float]:
    """Seconds until an approval is committed and acknowledged, each on a request of its own."""
    found = []
    for n in range(count):
        name, address = f"Acme {n}", f"it{n}@acme.example"
        await people.submits(ALICE, "set", form, name=name, email_id=address, reason="x")
        await asyncio.sleep(PAUSE_SECONDS)
        waiting = open_request(database)
        if waiting is None:
            raise RuntimeError("no request was made")
        found += _seconds([await people.clicks(BOB, "approve", waiting[0])])
        await people.types(ALICE, "withdraw")
        await asyncio.sleep(PAUSE_SECONDS)
    return found


def fdatasync_seconds(folder: Path, count: int) -> list[float]:
    """What it costs to make one page of 4 KiB durable here."""
    found = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(count):
            file.write(os.urandom(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(time.perf_counter() - began)
    return found


async def burst(session: aiohttp.ClientSession, folder: Path, count: int) -> list[float]:
    """Acknowledgements of as many commands at once, on one core, while the API takes its time."""
    async with (
        processes.far_end(SLOW_API_SECONDS) as far,
        processes.bot(far, f"sqlite+aiosqlite:///{folder / 'burst.db'}", core=0) as door,
    ):
        people = People(session, door.url, far.url)
        _seconds(await _at_once(people, UNKNOWN_WORD, count))  # opens the connections
        return _seconds(await _at_once(people, "show", count))


async def _at_once(people: People, text: str, count: int) -> list[Ack]:
    return list(await asyncio.gather(*(people.types(BOB, text) for _ in range(count))))


@dataclass(frozen=True)
class Results:
    """Seconds everywhere."""

    commands: dict[str, Measured]
    clicks: list[float]
    fdatasync: list[float]
    burst: list[float]

    def rows(self) -> list[list[str]]:
        ours, floor = self.commands[OURS], self.commands[FLOOR]
        ack, click = median(ours.ack), median(self.clicks)
        allowed = ack + 3 * median(self.fdatasync)
        rows = [
            _row("ack p50 / bare endpoint", ours.ack, floor.ack, 3),
            _judged("click committed / ack + 3 fdatasync", click, allowed, 1),
        ]
        if BOLT in self.commands:
            bolt = self.commands[BOLT].ack
            rows.append(_row("ack p50 / Bolt, default options", ours.ack, bolt, 1 / 25))
        if SAME in self.commands:
            same = self.commands[SAME].cpu
            rows.append(_row("CPU of one / Bolt, same options", ours.cpu, same, 1.2))
        if self.burst:
            what = f"burst of {len(self.burst)}: last ack / 150 ms"
            rows.append(_judged(what, max(self.burst), 0.150, 1))
        return rows


def _row(what: str, ours: list[float], theirs: list[float], target: float) -> list[str]:
    return _judged(what, median(ours), median(theirs), target)


def _judged(what: str, ours: float, theirs: float, target: float) -> list[str]:
    ratio = ours / theirs if theirs else float("inf")
    met = "yes" if ratio <= target else "no"
    return [what, _fine(ours), _fine(theirs), f"{ratio:.3f}", f"{target:.3f}", met]


def _fine(seconds: float) -> str:
    return f"{1000 * seconds:.2f} ms"


async def run(
    rounds: int, each: int, click_count: int, burst_count: int, kinds: Sequence[str] = rivals.KINDS
) -> Results:
    """The whole measurement; no burst is made of none."""
    async with AsyncExitStack() as open_things:
        enter = open_things.enter_async_context
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="mailcfg-")))
        far = await enter(processes.far_end())
        session = await enter(processes.session())
        doors = {
            kind: await enter(processes.started("-m", "benchmarks.rivals", kind, far.url))
            for kind in kinds
        }
        file = folder / "mailcfg.db"
        doors[OURS] = await enter(processes.bot(far, f"sqlite+aiosqlite:///{file}"))
        people = {name: People(session, door.url, far.url) for name, door in doors.items()}
        measured = await commands(doors, people, rounds, each)
        with closing(SqliteFile(str(file))) as database:
            form = await form_of(people[OURS], session, far.url)
            clicked = await clicks(people[OURS], database, form, click_count)
        synced = await asyncio.to_thread(fdatasync_seconds, folder, click_count)
        together = await burst(session, folder, burst_count) if burst_count else []
        return Results(measured, clicked, synced, together)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--each", type=int, default=40)
    parser.add_argument("--clicks", type=int, default=60)
    parser.add_argument("--burst", type=int, default=100)
    given = parser.parse_args()
    results = asyncio.run(run(given.rounds, given.each, given.clicks, given.burst))
    rows = results.rows()
    head = ["what", "ours", "held against", "ratio", "target", "met"]
    sys.stdout.write(table.drawn(head, rows))
    sys.exit(0 if all(row[-1] == "yes" for row in rows) else 1)


if __name__ == "__main__":
    main()
