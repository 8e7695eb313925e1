"""A replica is stopped while it applies a change, and wakes up after others have gone on: no revert.

The first change stops in the hands of replica A; B takes it over when its lease has ended, and
applies a second one. Then A wakes up, and must settle a third one by itself, so that it has come past
whatever it was about to do.
"""

from __future__ import annotations

from collections import Counter
from itertools import cycle, islice

import pytest

from bot.sandbox.world import ALICE, BOB
from tests.postgres import Postgres
from tests.soak.fleet import Bot, Fleet, fleet, until, within
from tests.soak.options import Soak
from tests.soak.quick_bot import PLACES

pytestmark = pytest.mark.soak


async def test_whoever_wakes_up_too_late_reverts_nothing(
    soak: Soak, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
):
    """Each place in turn, beginning with the most dangerous one."""
    reverts: list[list[str]] = []
    stops: Counter[str] = Counter()
    for run, place in enumerate(islice(cycle(PLACES), soak.count("zombies"))):
        url, dsn = postgres.emptied(), postgres.dsn("mailcfg_1")
        async with fleet(url, dsn, tmp_path_factory.mktemp(f"zombie-{run}")) as town:
            written = await one_run(town, place)
        stops[place] += 1
        if written != ["First", "Second", "Third"]:
            reverts.append([place, *written])
    places = ", ".join(f"{count} {place}" for place, count in stops.items())
    soak.report("zombies", f"{stops.total()} stopped ({places}), {len(reverts)} reverts")
    assert reverts == []


async def one_run(town: Fleet, place: str) -> list[str]:
    first = await town.start("a", place)
    await ask_and_approve(town, first, "First")
    await first.stopped()
    second = await town.start("b")
    await in_force(town, "First")
    await ask_and_approve(town, second, "Second")
    await in_force(town, "Second")
    first.go_on()
    await town.kill(second)
    await ask_and_approve(town, first, "Third")
    await in_force(town, "Third")
    return town.written()


async def ask_and_approve(town: Fleet, at: Bot, name: str) -> None:
    number = await until(lambda: ask(town, at, name), f"a request for {name}")
    await until(lambda: approve(town, at, number), f"the approval of {name}")


async def ask(town: Fleet, at: Bot, name: str) -> int | None:
    """Ask, again if nothing came of it: the same wish is the same request."""
    await town.type(at, ALICE.id, f'set name={name} reason="because"')

    async def posted() -> int | None:
        found = await town.request_for(name)
        return found["no"] if found and town.cards(found["no"]) else None

    return await within(5, posted)


async def approve(town: Fleet, at: Bot, number: int) -> bool:
    await town.click(at, BOB.id, number, "approve")
    found = await town.rows("SELECT state FROM request WHERE no = %s", number)
    return found[0]["state"] != "PENDING"


async def in_force(town: Fleet, name: str) -> None:
    async def applied() -> bool:
        found = await town.request_for(name)
        return found is not None and found["state"] == "APPLIED"

    await until(applied, f"{name} in force")
