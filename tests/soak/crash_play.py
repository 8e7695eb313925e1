"""One change of the sender, lived through to its end by people, while the bot dies and comes back.

The people know Slack only: they type, click, and look at the card. What happened is judged by the
far ends: the writes that Zoho carried out, and the messages that Slack shows.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, delete, update

from bot.adapters.store import schema
from bot.sandbox.world import ADMIN_CHANNEL, ALICE, BOB, CAROL
from tests.soak.crash_bot import TIMING
from tests.soak.processes import Bot, FarEnds, start_python

QUICK = {
    "MAILCFG_LISTEN": "127.0.0.1:0",
    "MAILCFG_SECRET_KEY": "a key of thirty-two bytes or more",
    "MAILCFG_ORG": "acme",
    "MAILCFG_LOG_FORMAT": "json",
}
RECOVERY = TIMING.lease.total_seconds() + 5.0
"""Seconds from the restart to the end; each write that was open adds its quiet time."""
STUCK = 60.0
ZOHO_PAUSE = 660
"""Seconds by which Zoho's clock is moved, so that the limits on calls are never reached."""
PASS_EVERY = 3.0
"""Here the three writes of a kept address, and what is read between them, come within seconds."""
LOOK_EVERY = 0.05

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
    """A change that people ask for: over which configuration, in which words, and what it makes.

    `{n}` is the number of the change. `after` None is no custom sender. `writes` is how many must take
    effect: Cliq may accept another address and keep the old one, which is then removed first.
    """

    name: str
    before: Mapping[str, str]
    line: str
    method: str
    quorum: int
    after: Mapping[str, str] | None
    writes: int = 1

    @property
    def is_kept(self) -> bool:
        return self.writes > 1


WISHES = (
    Wish("rename", SCOTT, 'set name="Acme {n}" reason=clearer', "PUT", 1, {"name": "Acme {n}"}),
    Wish(
        "address",
        SCOTT,
        "set email=it{n}@mail.acme.example reason=moved",
        "PUT",
        2,
        {"email_id": "it{n}@mail.acme.example", "name": "Scott Fisher"},
    ),
    Wish(
        "kept",
        SCOTT,
        "set email=it{n}@acme.example reason=moved",
        "PUT",
        2,
        {"email_id": "it{n}@acme.example", "name": "Scott Fisher"},
        writes=2,
    ),
    Wish("reset", SCOTT, "reset reason=gone", "DELETE", 2, None),
    Wish(
        "first",
        {},
        'set name="Acme {n}" email=it{n}@acme.example cname=verified reason=ours',
        "PUT",
        2,
        {"email_id": "it{n}@acme.example", "name": "Acme {n}"},
    ),
)

OUTCOMES: dict[str, dict[str, Any]] = {
    "ok": {},
    "timeout before": {"fault": "timeout_before_effect"},
    "timeout after": {"fault": "timeout_after_effect"},
    "reset after": {"fault": "reset_after_effect"},
    "late": {"fault": "delay", "seconds": TIMING.call_timeout.total_seconds() + 0.3},
    "truncated": {"fault": "truncated"},
    "html": {"fault": "html"},
    "redirect": {"fault": "redirect"},
    "500": {"fault": "status", "code": 500},
    "503": {"fault": "status", "code": 503},
    "401": {"fault": "status", "code": 401},
    "403": {"fault": "status", "code": 403},
}
"""What Zoho does with the first write."""


@dataclass(frozen=True)
class Plan:
    """A wish, what Zoho does with it, and when the bot dies: 0 is never.

    `kill_at` counts from the asking on, `kill_again_at` from the restart.
    """

    wish: Wish
    outcome: str
    kill_at: int
    kill_again_at: int = 0

    def __str__(self) -> str:
        return (
            f"{self.wish.name}, {self.outcome}, killed at {self.kill_at}, "
            f"again at {self.kill_again_at}"
        )


class Violated(AssertionError):
    """A promise was broken; the sentence says which."""


@dataclass
class Result:
    """How one change went. `kills` are the points at which the bot died."""

    kills: list[str] = field(default_factory=list)
    end: str = ""
    recovery: float = 0.0


class Company:
    """One database, its far ends, and the bot on them; many changes, one after the other."""

    def __init__(self, folder: Path, ends: FarEnds, database_url: str) -> None:
        self._folder = folder
        self.ends = ends
        self.environment = ends.environment | QUICK | {"MAILCFG_DATABASE_URL": database_url}
        self._database = create_engine(database_url.replace("+aiosqlite", ""))
        self.bot: Bot | None = None
        self.changes = 0

    async def living_bot(self, at: int = 0) -> Bot:
        """The bot, started anew if it is dead."""
        if self.bot is None or self.bot.is_dead:
            self.bot = await Bot.started(self._folder, self.environment, at)
        return self.bot

    async def stop_bot(self) -> None:
        """Stop it as a deployment does."""
        if self.bot is not None and not self.bot.is_dead:
            code = await self.bot.stop()
            if code != 0:
                raise Violated(f"the bot ended with exit code {code}: {self.bot.said}")

    async def pass_minutes(self) -> None:
        """Nothing limits the next calls: neither Zoho nor the bot's own count of them."""
        await self.ends.cliq("POST", "clock", advance_seconds=ZOHO_PAUSE)
        with self._database.begin() as connection:
            connection.execute(delete(schema.budget))
            connection.execute(update(schema.oauth_token).values(refreshes_json="[]"))

    async def close(self) -> None:
        self._database.dispose()
        if self.bot is not None:
            await self.bot.kill()

    async def live(self, plan: Plan) -> Result:
        """One change from the asking to the end. Raises Violated."""
        self.changes += 1
        change = Change(self, plan, self.changes)
        try:
            return await change.live()
        except Violated as error:
            raise Violated(f"{plan}: {error}\n{change.story()}") from error

    async def verify_audit(self) -> None:
        """Raises Violated if `mailcfg audit verify` finds anything."""
        words = ("-m", "bot", "audit", "verify")
        process = await start_python(*words, folder=self._folder, **self.environment)
        said, _ = await process.communicate()
        if process.returncode != 0:
            raise Violated(said.decode())


class Change:
    """The people's part of one change, and the judgement over it."""

    def __init__(self, company: Company, plan: Plan, number: int) -> None:
        self._company = company
        self._slack = company.ends.slack
        self._cliq = company.ends.cliq
        self._plan = plan
        self._number = number
        self._result = Result()
        self._asked_in_life = 0
        self._life = 0
        self._last_act = time.monotonic()
        self._acts: dict[str, asyncio.Task[Any]] = {}
        self._approved_by: set[str] = set()
        self._clicked: set[str] = set()
        self._writes_before = 0
        self._sent_before = 0
        self._newest_before = ""
        self._said: list[str] = []

    async def live(self) -> Result:
        await self._prepare()
        bot = await self._company.living_bot()
        await bot.arm(self._plan.kill_at)
        began = passed = time.monotonic()
        while not await self._is_over():
            if time.monotonic() - began > STUCK:
                raise Violated(f"stuck; people see {await self._screen()}")
            if time.monotonic() - passed > PASS_EVERY:
                await self._company.pass_minutes()
                passed = time.monotonic()
            await asyncio.sleep(LOOK_EVERY)
        self._result.recovery = time.monotonic() - self._last_act
        await self._judge()
        await self._rest()
        return self._result

    def story(self) -> str:
        """What is to be known about a run that went wrong."""
        said = self._company.bot.said if self._company.bot else []
        return "\n".join([f"kills: {self._result.kills}", *self._said, *said])

    async def _prepare(self) -> None:
        await self._company.pass_minutes()
        await self._cliq("DELETE", "faults")
        switches = {"sticky_email": self._plan.wish.is_kept}
        await self._cliq("PUT", "profile", switches=switches)
        await self._cliq("PUT", "configuration")
        await self._cliq("PUT", "configuration", **self._plan.wish.before)
        fault = OUTCOMES[self._plan.outcome]
        if fault:
            await self._cliq("POST", "faults", method=self._plan.wish.method, **fault)
        seen = await self._cliq.get("requests")
        self._writes_before = len(seen["writes"])
        self._sent_before = _sent(seen["requests"])
        cards = await self._cards()
        self._newest_before = cards[-1]["ts"] if cards else ""

    async def _rest(self) -> None:
        await asyncio.gather(*self._acts.values(), return_exceptions=True)

    async def _is_over(self) -> bool:
        await self._revive()
        card = await self._newest_card()
        if card is None:
            self._ask()
            return False
        headline = card["plain_text"].splitlines()[0]
        if "Waiting for approval" in headline:
            await self._approve(card)
        self._result.end = next((end for end in ENDS if headline.startswith(end)), "")
        return bool(self._result.end) and await self._is_told(card)

    async def _revive(self) -> None:
        bot = self._company.bot
        assert bot is not None
        if not bot.is_dead:
            return
        if not bot.was_killed:
            raise Violated("the bot ended by itself")
        self._said += [*bot.said, "-- killed --"]
        self._result.kills.append(bot.points[-1])
        again = self._plan.kill_again_at if self._life == 0 else 0
        self._life += 1
        await self._company.living_bot(again)
        self._last_act = time.monotonic()

    def _ask(self) -> None:
        """Type the command, once in each life of the bot."""
        if self._asked_in_life <= self._life:
            self._asked_in_life = self._life + 1
            self._act("ask", "command", user=ALICE.id, text=self._of_this(self._plan.wish.line))

    async def _approve(self, card: dict[str, Any]) -> None:
        """Whoever's click was acknowledged does not click again: it must not get lost."""
        for person in (BOB.id, CAROL.id)[: self._plan.wish.quorum]:
            done = self._acts.get(person)
            if person in self._approved_by or (done is not None and not done.done()):
                continue
            if done is not None and not done.exception() and done.result()["ok"]:
                self._approved_by.add(person)
                continue
            self._clicked.add(person)
            if len(self._clicked) < self._plan.wish.quorum and await self._has_written():
                raise Violated("written before the approvals were there")
            where = {"channel": card["channel"], "ts": card["ts"]}
            self._act(person, "click", user=person, action_id="approve", **where)

    def _act(self, name: str, what: str, **how: Any) -> None:
        self._last_act = time.monotonic()
        self._acts[name] = asyncio.create_task(self._slack("POST", what, **how))

    async def _has_written(self) -> bool:
        return len(await self._writes()) > self._writes_before

    async def _writes(self) -> list[dict[str, Any]]:
        writes: list[dict[str, Any]] = (await self._cliq.get("requests"))["writes"]
        return writes

    async def _cards(self, thread: str = "") -> list[dict[str, Any]]:
        query = {"thread_ts": thread} if thread else {}
        seen = await self._slack.get("sees", user=BOB.id, channel=ADMIN_CHANNEL, **query)
        return [message for message in seen if not message["is_ephemeral"]]

    async def _screen(self) -> list[str]:
        seen = await self._slack.get("sees", user=ALICE.id, channel=ADMIN_CHANNEL)
        return [message["plain_text"] for message in seen[-3:]]

    async def _newest_card(self) -> dict[str, Any] | None:
        cards = [card for card in await self._cards() if card["ts"] > self._newest_before]
        return cards[-1] if cards else None

    async def _is_told(self, card: dict[str, Any]) -> bool:
        """Whether the thread has the result."""
        lines = (await self._cards(thread=card["ts"]))[1:]
        return any(self._result.end in line["plain_text"] for line in lines)

    def _of_this(self, text: str) -> str:
        return text.replace("{n}", str(self._number))

    async def _judge(self) -> None:
        """What Zoho and Slack show must fit together. Raises Violated."""
        seen = await self._cliq.get("requests")
        writes = seen["writes"][self._writes_before :]
        live = (await self._cliq.get("state"))["organisations"]["acme"]["configuration"]
        if len(writes) > self._plan.wish.writes:
            raise Violated(f"written {len(writes)} times")
        if self._result.end == "In force":
            self._judge_in_force(writes, live, seen["requests"])
        elif self._result.end != "Failed" or self._plan.outcome != "403":
            raise Violated(f"it ended as {self._result.end}")
        elif writes or not _shows(live, self._plan.wish.before or None):
            raise Violated("said to have failed, but it was written")
        self._judge_recovery(seen["requests"])

    def _judge_in_force(self, writes: list[Any], live: Any, requests: list[Any]) -> None:
        after = self._plan.wish.after
        wanted = None if after is None else {k: self._of_this(v) for k, v in after.items()}
        if len(writes) != self._plan.wish.writes or not _shows(live, wanted):
            raise Violated(f"said to be in force, but after {len(writes)} writes there is {live}")
        if len(self._clicked) < self._plan.wish.quorum:
            raise Violated("in force without the approvals")
        last = max(r["number"] for r in requests if r["method"] in {"PUT", "DELETE"})
        is_read = any(r["number"] > last and _is_good_read(r) for r in requests)
        if not is_read:
            raise Violated("said to be in force without having been read back")

    def _judge_recovery(self, requests: list[Any]) -> None:
        sent = _sent(requests) - self._sent_before
        unclear = TIMING.call_timeout + TIMING.quiet + TIMING.margin
        allowed = RECOVERY + sent * unclear.total_seconds()
        if self._life and self._result.recovery > allowed:
            took = f"{self._result.recovery:.1f} s of {allowed:.1f} s"
            raise Violated(f"recovery took {took}")


def _sent(requests: list[dict[str, Any]]) -> int:
    return sum(1 for request in requests if request["method"] in {"PUT", "DELETE"})


def _is_good_read(request: dict[str, Any]) -> bool:
    return request["method"] == "GET" and request["status"] == 200 and not request["fault"]


def _shows(live: Mapping[str, str] | None, wanted: Mapping[str, str] | None) -> bool:
    if live is None or wanted is None:
        return live is None and wanted is None
    return all(live[name] == value for name, value in wanted.items())
