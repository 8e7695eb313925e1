"""Two and three bots on one database behave as one: people go to any, some are killed, nothing doubles.

A round is six changes. Several people ask and click at once, at bots picked at random; in two rounds
of three bots are killed at any moment and started again. Judged by the rows and by what the far ends
saw.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.sandbox.world import ALICE, BOB, CAROL
from tests.postgres import Postgres
from tests.soak.fleet import ERIN, Bot, Fleet, Row, fleet, until, within
from tests.soak.options import Soak

pytestmark = pytest.mark.soak

CHANGES = 6
OPEN = {"PENDING", "APPROVED", "APPLYING", "UNCERTAIN"}
NO_MOVE = {"intent", "refused", "incident", "status"}
RECORDED = re.compile(r"Your approval of #(\d+) is recorded")
TICKS = 5
APPROVERS = (BOB.id, CAROL.id, ERIN)


@dataclass
class Round:
    """What was done in one round."""

    town: Fleet
    luck: random.Random
    kills: bool
    done: Counter[str] = field(default_factory=Counter)
    wishes: list[str] = field(default_factory=list)

    def anyone(self) -> Bot:
        return self.luck.choice(self.town.bots)

    async def play(self, bots: int) -> None:
        await asyncio.gather(*(self.town.start(f"bot-{n}") for n in range(bots)))
        for number in range(1, CHANGES + 1):
            await self.change(number)

    async def change(self, number: int) -> None:
        """Two ask at once, so that one is too late; then everybody votes at once."""
        is_sensitive = self.luck.random() < 0.5
        wishes = [f"{who}-{number}" for who in ("alice", "bob")]
        self.wishes += wishes
        await until(lambda: self.ask(wishes, is_sensitive), "one of two requests")
        request = await until(self.open, "the request")
        death = asyncio.create_task(self.maybe_kill())
        await until(lambda: self.vote(request["no"]), f"the end of #{request['no']}")
        await death

    async def ask(self, wishes: Sequence[str], is_sensitive: bool) -> Row | None:
        lines = [f'set name={wish} reason="because"' for wish in wishes]
        if is_sensitive:
            lines = [
                f"{line} email={w}@acme.example" for line, w in zip(lines, wishes, strict=True)
            ]
        people = (ALICE.id, BOB.id)
        tasks = [
            self.town.type(self.anyone(), w, line) for w, line in zip(people, lines, strict=True)
        ]
        await asyncio.gather(*tasks)
        return await within(5, self.open)

    async def open(self) -> Row | None:
        """The request that is open, once its card can be clicked on."""
        rows = await self.town.rows("SELECT * FROM request ORDER BY no DESC LIMIT 1")
        if not rows or rows[0]["state"] not in OPEN or not self.town.cards(rows[0]["no"]):
            return None
        return rows[0]

    async def vote(self, number: int) -> bool:
        """Everybody clicks at once, one of them twice; whose click died with a bot clicks again."""
        row = (await self.town.rows("SELECT * FROM request WHERE no = %s", number))[0]
        if row["state"] == "PENDING":
            votes = await self.town.rows("SELECT * FROM decision WHERE request_id = %s", row["id"])
            done = {json.loads(vote["voter_json"])["user"] for vote in votes}
            people = [who for who in APPROVERS if who not in done]
            people.append(self.luck.choice(people))
            self.luck.shuffle(people)
            clicks = [self.town.click(self.anyone(), who, number, "approve") for who in people]
            if self.luck.random() < 1 / 6:
                clicks.append(self.town.click(self.anyone(), ALICE.id, number, "withdraw"))
            await asyncio.gather(*clicks)
            self.done["clicks"] += len(clicks)
        return row["state"] not in OPEN

    async def maybe_kill(self) -> None:
        """Kill one at any moment of what goes on; another takes its place later."""
        if not self.kills or self.luck.random() < 0.4:
            return
        await asyncio.sleep(self.luck.random() * 0.6)
        victim = self.anyone()
        await self.town.kill(victim)
        self.done["kills"] += 1
        await self.town.start(victim.name)

    async def judge(self) -> None:
        """One transition and one effect for each change; nothing lost, stuck or said twice."""
        await until(self.all_is_told, "everything shown and told")
        requests = await self.town.rows("SELECT * FROM request ORDER BY no")
        moves = await self.town.rows("SELECT request_id, kind FROM audit")
        moved = Counter(row["request_id"] for row in moves if row["kind"] not in NO_MOVE)
        written = Counter(self.town.written())
        for request in requests:
            self.done[request["state"]] += 1
            assert request["state"] not in OPEN
            assert moved[request["id"]] == request["rev"]
            name = json.loads(request["target_json"])["name"]
            assert written[name] == (request["state"] == "APPLIED"), f"{name}: {written[name]}"
            doubles = len(self.town.cards(request["no"])) - 1
            assert 0 <= doubles <= self.done["kills"], f"{doubles + 1} cards"
            self.done["double cards"] += doubles
        assert written.total() == self.done["APPLIED"]
        await self.judge_votes()
        code, said = await self.town.mailcfg("audit", "verify")
        assert code == 0, said

    async def judge_votes(self) -> None:
        """Whose approval was acknowledged is counted, and counted once."""
        rows = await self.town.rows(
            "SELECT no, voter_json FROM decision JOIN request ON request.id = request_id"
        )
        counted = [(row["no"], json.loads(row["voter_json"])["user"]) for row in rows]
        assert len(set(counted)) == len(counted)
        for message in self.town.stage.workspace.state.messages.values():
            said = RECORDED.match(self.town.stage.read(message))
            if said is not None:
                assert (int(said[1]), message.ephemeral_to) in counted
                self.done["acknowledged"] += 1

    async def all_is_told(self) -> bool:
        """The outbox is empty but for mentions that are held back for minutes, and every card shows
        its row as it is now."""
        waiting = await self.town.rows(
            "SELECT key FROM outbox WHERE done_at IS NULL AND kind <> 'mention'"
        )
        late = await self.town.rows(
            "SELECT subject FROM card JOIN request ON request.id = subject WHERE shown_rev < rev"
        )
        return not waiting and not late


async def test_replicas_make_one_transition_and_one_effect_of_each_change(
    soak: Soak, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
):
    luck, done = soak.random("replicas"), Counter[str]()
    for number in range(soak.count("rounds")):
        folder, url = tmp_path_factory.mktemp(f"round-{number}"), postgres.emptied()
        async with fleet(url, postgres.dsn("mailcfg_1"), folder) as town:
            played = Round(town, luck, kills=number % 3 != 2)
            await played.play(bots=2 + number % 2)
            await played.judge()
        done += played.done
    figures = ", ".join(f"{done[what]} {what}" for what in sorted(done))
    soak.report("replicas", f"{soak.count('rounds')} rounds of {CHANGES} changes; {figures}")


async def test_each_tick_runs_once(
    soak: Soak, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
):
    """A check every minute of theirs, which is three seconds; each is one read, whoever makes it."""
    url, dsn = postgres.emptied(), postgres.dsn("mailcfg_1")
    folder = tmp_path_factory.mktemp("ticks")
    async with fleet(url, dsn, folder, MAILCFG_CHECK_EVERY="1m") as town:
        await asyncio.gather(*(town.start(name) for name in ("a", "b", "c")))

        async def slots() -> int:
            return len(await town.rows("SELECT * FROM slot WHERE job LIKE 'drift:%%'"))

        async def enough() -> bool:
            return TICKS <= await slots() == town.stage.reads

        await until(enough, f"{TICKS} ticks, each with its read")
        for bot in town.bots:
            bot.process.terminate()
            await bot.process.wait()
        ticks = await slots()
        assert town.stage.reads == ticks
        soak.report("ticks", f"{ticks} ticks of 3 replicas, {town.stage.reads} reads")


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_two_that_were_started_as_usual_are_one_bot(
    transport: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
):
    url, dsn = postgres.emptied(), postgres.dsn("mailcfg_1")
    folder = tmp_path_factory.mktemp(transport)
    async with fleet(url, dsn, folder, transport=transport) as town:
        first, second = [await town.start(name, quick=False) for name in ("a", "b")]
        play = Round(town, random.Random(1), kills=False)
        assert await until(lambda: play.ask(["alice-1", "bob-1"], is_sensitive=True), "a request")
        clicks = [
            town.click(at, who, 1, "approve")
            for at, who in zip((first, second), (CAROL.id, ERIN), strict=True)
        ]
        assert await asyncio.gather(*clicks) == [True, True]
        await until(lambda: play.vote(1), "the end of #1")
        await until(play.all_is_told, "its end told")  # what was claimed waits for its lease to end

        await town.kill(first)
        await until(lambda: play.ask(["alice-2", "bob-2"], is_sensitive=False), "another request")
        await until(lambda: play.vote(2), "the end of #2")

        await play.judge()
        assert (play.done["APPLIED"], play.done["double cards"]) == (2, 0)


async def test_a_second_one_on_a_sqlite_file_is_refused(tmp_path: Path):
    database = tmp_path / "mailcfg.db"
    async with fleet(f"sqlite+aiosqlite:///{database}", "", tmp_path) as town:
        await town.start("first", quick=False)

        refused = await town.mailcfg("run")
        read = await town.mailcfg("audit", "verify")

        assert refused == (
            2,
            f"Another mailcfg already runs on the database {database}. Stop it first, or use "
            "PostgreSQL for several.\n",
        )
        assert read[0] == 0, read[1]
        assert read[1].startswith("The audit of acme holds: ")
