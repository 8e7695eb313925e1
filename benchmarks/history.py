"""A decision, the pending list and the loops' rounds over a long history, against a short one.

    python -m benchmarks.history [--short 1000] [--long 1000000] [--rounds 200]

Both databases are SQLite files. Their history is one applied request, multiplied with its vote, its
write, its card, its messages and its audit. Rounds alternate between the two; ratios are of medians.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import replace
from pathlib import Path

from benchmarks import table
from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import ChangeRequest
from bot.domain.command import Set
from bot.domain.mail_config import Patch
from tests.office import ALICE, BOB, NEW_ADDRESS, Office

TARGET = 1.5
TARGETED = ("decision", "pending list")
Act = Callable[[], Awaitable[object]]

KEPT = 2
"""Rows of a table, at most, that are multiplied."""
MULTIPLY = {
    "request": {"id": "'r' || copy.n", "no": "copy.n", "ended_at": "kept.ended_at - copy.n"},
    "decision": {"request_id": "'r' || copy.n"},
    "attempt": {"request_id": "'r' || copy.n"},
    "card": {
        "subject": "CASE WHEN kept.subject LIKE 'checklist-%' THEN 'checklist-' ELSE '' END "
        "|| 'r' || copy.n"
    },
    "outbox": {
        "key": "kept.key || copy.n",
        "n": "10 * copy.n + kept.n",
        "subject": "'r' || copy.n",
    },
    "audit": {"seq": "10 * copy.n + kept.seq", "request_id": "'r' || copy.n"},
}
"""For each table, the columns of a copy that differ from the row that it copies."""


class History:
    """One database with `length` requests behind it."""

    def __init__(self, office: Office, file: Path, length: int) -> None:
        self.office = office
        self._file = file
        self._length = length

    async def grow(self) -> None:
        """Live through one change, and multiply it."""
        await self.office.applied(NEW_ADDRESS)
        await _send(self.office)
        await asyncio.to_thread(self._multiply)

    def _multiply(self) -> None:
        with closing(sqlite3.connect(self._file)) as connection:
            for name, changes in MULTIPLY.items():
                self._copy(connection, name, changes)
            connection.commit()
            connection.execute("ANALYZE")  # as an operator may; it must not mislead SQLite
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _copy(self, connection: sqlite3.Connection, name: str, changes: dict[str, str]) -> None:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({name})")]
        copied = ", ".join(changes.get(column, f"kept.{column}") for column in columns)
        connection.execute(
            f"WITH RECURSIVE copy(n) AS (VALUES (2) UNION ALL SELECT n + 1 FROM copy WHERE n < ?), "  # noqa: S608  # our own words
            f"kept AS MATERIALIZED (SELECT * FROM {name} LIMIT {KEPT}) "
            f"INSERT INTO {name} SELECT {copied} FROM copy CROSS JOIN kept",
            (self._length,),
        )

    async def propose(self, n: int) -> ChangeRequest:
        wish = Set(Patch(email_id=f"it{n}@acme.example"), "a new address")
        return await self.office.changes.propose(ALICE, wish)


async def timed(act: Act) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


async def one_round(history: History, n: int) -> dict[str, float]:
    """Seconds of each act, on a request that is proposed and withdrawn in this round."""
    office = history.office
    request = await history.propose(n)
    found = {
        "decision": await timed(lambda: office.approve(BOB, request)),
        "pending list": await timed(lambda: office.look.pending(ALICE)),
        "settle round": await timed(office.applier.settle),
        "due cards": await timed(lambda: office.store.due_cards(office.org, office.clock.now())),
        "due messages": await timed(
            lambda: office.store.due_messages(office.org, office.clock.now())
        ),
        "metrics reading": await timed(lambda: office.store.backlog(office.org)),
        "baseline": await timed(office.changes.baseline),
    }
    found["withdrawal"] = await timed(lambda: office.changes.withdraw(ALICE))
    await _send(office)
    return found


async def _send(office: Office) -> None:
    """As the notifier would, so that nothing piles up."""
    now = office.clock.now()
    for waiting in await office.store.due_messages(office.org, now):
        async with office.store.begin(office.org) as tx:
            await tx.finish_message(waiting.message.key, now)
    for card in await office.store.due_cards(office.org, now):
        shown = await office.store.subject(office.org, card.subject)
        assert shown is not None
        async with office.store.begin(office.org) as tx:
            await tx.save_card(replace(card, ts="1.1", shown_rev=shown.rev))


async def run(short: int, long: int, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """For each act its seconds over the short and over the long history."""
    async with AsyncExitStack() as open_things:
        folder = Path(open_things.enter_context(tempfile.TemporaryDirectory(prefix="mailcfg-")))
        histories = []
        for length in (short, long):
            file = folder / f"{length}.db"
            url = f"sqlite+aiosqlite:///{file}"
            await asyncio.to_thread(migrate, url)
            store = SqlStore(open_engine(url))
            open_things.push_async_callback(store.close)
            histories.append(History(Office(store), file, length))
            await histories[-1].grow()
        return await _alternate(histories, rounds)


async def _alternate(
    histories: list[History], rounds: int
) -> dict[str, tuple[list[float], list[float]]]:
    taken: dict[str, tuple[list[float], list[float]]] = {}
    for n in range(rounds):
        for side in (0, 1) if n % 2 else (1, 0):
            history = histories[side]
            for act, seconds in (await one_round(history, n)).items():
                taken.setdefault(act, ([], []))[side].append(seconds)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--short", type=int, default=1000)
    parser.add_argument("--long", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    taken = asyncio.run(run(given.short, given.long, given.rounds))
    ratios = {act: table.ratio(long, short) for act, (short, long) in taken.items()}
    rows = [
        [act, *(table.ms(table.percentile(s, 50)) for s in taken[act]), f"{ratio:.2f}"]
        for act, ratio in ratios.items()
    ]
    head = ["act", f"{given.short:,} requests", f"{given.long:,} requests", "ratio"]
    sys.stdout.write(table.drawn(head, rows))
    sys.exit(0 if max(ratios[act] for act in TARGETED) <= TARGET else 1)


if __name__ == "__main__":
    main()
