"""The bot is killed (`kill -9`) before and after every commit and every call in the life of a change.

Real processes, both databases. Whatever died when: the change happens once or honestly not at all,
nothing is written without its approvals, the thread has the result, and the audit holds.
"""

from __future__ import annotations

import asyncio
import random
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.adapters.store.migrate import migrate
from tests.conftest import database_url
from tests.postgres import Postgres
from tests.soak.crash_play import OUTCOMES, WISHES, Company, Plan, Result, Violated, Wish
from tests.soak.options import Soak
from tests.soak.processes import far_ends

pytestmark = pytest.mark.soak

DATABASES = ("sqlite", "postgresql")
CHANGES_EACH = 25
"""Changes that one company lives through before another one with a fresh database is founded."""
LIKELY_POINTS = 75
"""About as many points as a change has, for drawing one at random."""
BEYOND = 3
"""A sweep ends once so many kills in a row came too late; how many points there are varies a little."""
WORKERS = 4
VIOLATIONS_MAX = 3
"""A company in which a promise was broken is left; after so many there is nothing more to learn."""


@dataclass
class Tally:
    """What was done, and what went wrong."""

    changes: int = 0
    kills: int = 0
    second_kills: int = 0
    audits: int = 0
    slowest: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)
    places: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def add(self, result: Result) -> None:
        self.changes += 1
        self.kills += len(result.kills)
        self.second_kills += len(result.kills) > 1
        self.ends[result.end] += 1
        self.places.update(result.kills)
        if result.kills:
            self.slowest = max(self.slowest, result.recovery)

    def __str__(self) -> str:
        ends = ", ".join(f"{count} {end}" for end, count in self.ends.most_common())
        return (
            f"{self.kills} kills at {len(self.places)} places ({self.second_kills} of them again "
            f"during recovery) over {self.changes} changes ({ends}), slowest recovery "
            f"{self.slowest:.1f} s, {self.audits} audits verified, "
            f"{len(self.violations)} violations"
        )


class Founder:
    """Founds companies on one kind of database."""

    def __init__(self, kind: str, folder: Path, empty: Path, postgres: Postgres) -> None:
        self._kind = kind
        self._folder = folder
        self._empty = empty
        self._postgres = postgres
        self._founded = 0
        self._migrating = asyncio.Lock()

    @asynccontextmanager
    async def company(self) -> AsyncIterator[Company]:
        self._founded += 1
        folder = self._folder / f"{self._kind}-{self._founded}"
        folder.mkdir()
        url = await self._database(folder)
        async with far_ends(folder) as ends:
            company = Company(folder, ends, url)
            try:
                yield company
            finally:
                await company.close()

    async def _database(self, folder: Path) -> str:
        if self._kind == "sqlite":
            return database_url(Path(shutil.copy(self._empty, folder / "mailcfg.db")))
        url = self._postgres.fresh()
        async with self._migrating:  # Alembic keeps the migration in hand in a global
            await asyncio.to_thread(migrate, url)
        return url


class Series:
    """Plans, one after the other; told how each one went, since that decides when it is enough."""

    def __init__(self, plans: Iterator[Plan]) -> None:
        self._plans = plans
        self.is_done = False

    def next(self) -> Plan | None:
        plan = None if self.is_done else next(self._plans, None)
        self.is_done = plan is None
        return plan

    def learn(self, tally: Tally, result: Result) -> None: ...


class Sweep(Series):
    """Every point of one wish, from the first to the last."""

    def __init__(self, wish: Wish, dice: random.Random) -> None:
        super().__init__(self._each(wish, dice))
        self._too_late = 0

    def _each(self, wish: Wish, dice: random.Random) -> Iterator[Plan]:
        point = 0
        while self._too_late < BEYOND:
            point += 1
            yield Plan(wish, dice.choice(list(OUTCOMES)), point, _again(dice))

    def learn(self, tally: Tally, result: Result) -> None:
        self._too_late = 0 if result.kills else self._too_late + 1


class Draws(Series):
    """Any wish, any point, until there were enough kills."""

    def __init__(self, kills: int, dice: random.Random) -> None:
        super().__init__(self._each(dice))
        self._kills = kills

    def _each(self, dice: random.Random) -> Iterator[Plan]:
        while True:
            outcome = dice.choice(list(OUTCOMES))
            point = dice.randint(1, LIKELY_POINTS)
            yield Plan(dice.choice(WISHES), outcome, point, _again(dice))

    def learn(self, tally: Tally, result: Result) -> None:
        self.is_done = tally.kills >= self._kills


def _again(dice: random.Random) -> int:
    """The point at which a recovering bot dies as well; mostly none."""
    return dice.randint(1, 30) if dice.random() < 0.25 else 0


async def lived(founder: Founder, series: Series, tally: Tally) -> None:
    while not series.is_done and len(tally.violations) < VIOLATIONS_MAX:
        async with founder.company() as company:
            try:
                await _live_here(company, series, tally)
            except Violated as error:
                tally.violations.append(str(error))


async def _live_here(company: Company, series: Series, tally: Tally) -> None:
    for _ in range(CHANGES_EACH):
        plan = series.next()
        if plan is None:
            break
        result = await company.live(plan)
        tally.add(result)
        series.learn(tally, result)
    await company.stop_bot()
    await company.verify_audit()
    tally.audits += 1


async def test_whenever_the_bot_dies_a_change_happens_once_or_honestly_not_at_all(
    soak: Soak, migrated: Path, postgres: Postgres, tmp_path: Path
) -> None:
    tallies = {kind: Tally() for kind in DATABASES}
    workers = asyncio.Semaphore(WORKERS)

    async def work(kind: str, series: Series) -> None:
        async with workers:
            await lived(founders[kind], series, tallies[kind])

    founders = {kind: Founder(kind, tmp_path, migrated, postgres) for kind in DATABASES}
    async with asyncio.TaskGroup() as all_work:
        for kind, series in _all_series(soak):
            all_work.create_task(work(kind, series))

    for kind, tally in tallies.items():
        soak.report(f"crashes on {kind}", str(tally))
    broken = [line for tally in tallies.values() for line in tally.violations]
    assert not broken, "\n\n".join(broken)


def _all_series(soak: Soak) -> list[tuple[str, Series]]:
    kills = soak.count("kills")
    if kills:
        return [(kind, Draws(kills, soak.random(f"crashes {kind}"))) for kind in DATABASES]
    wishes = [(kind, wish) for wish in WISHES for kind in DATABASES]
    return [(kind, Sweep(wish, soak.random(f"{kind} {wish.name}"))) for kind, wish in wishes]
