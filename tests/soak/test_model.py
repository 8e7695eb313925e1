"""The real services of two replicas on one database, walked step by step, played at random.

Hypothesis picks who does what, how far each piece of work gets, who dies, how time passes, and what
becomes of each write; the judge looks on after every step. Every run ends with everything mended:
then whatever is open must come to an end.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import VoteKind
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import Patch
from bot.domain.policy import Actor, Facts, Policy
from bot.errors import Ambiguous, CliqError, NotSent
from bot.ports import FarEnds
from bot.services.audit import verify
from bot.services.serving import Services
from tests.fakes import TEAM, FakeCliq, FakeClock, FakeDirectory, FakeDns, config
from tests.office import ACME, CAROL, ERIN, MALLORY, ORG, SEAL
from tests.soak.judge import Judge
from tests.soak.options import Soak
from tests.soak.stepwise import DoorApi, DoorDirectory, DoorStore, FarEnd, Replica, Walk

ALICE = Actor(TEAM, "U0ALICE", "W0ALICE")
ALICE_AGAIN = Actor(TEAM, "W0ALICE")
BOB = Actor(TEAM, "U0BOB", "W0BOB")
BOB_AGAIN = Actor(TEAM, "W0BOB")
PERSON = {
    "U0ALICE": "Alice",
    "W0ALICE": "Alice",
    "U0BOB": "Bob",
    "W0BOB": "Bob",
    "U0CAROL": "Carol",
    "U0ERIN": "Erin",
    "U0MALLORY": "Mallory",
}
"""Alice and Bob have two ids each, as people in an Enterprise Grid may."""

APPROVERS = ("U0BOB", "W0BOB", "U0CAROL", "W0ALICE")
MORE_APPROVERS = (*APPROVERS, ERIN.user)
POLICY = Policy(approvers=APPROVERS, requesters=("U0ALICE",))

REPLICAS = st.sampled_from([0, 1])
ASKERS = st.sampled_from([ALICE, ALICE, BOB])
CLICKERS = st.sampled_from([BOB, BOB, CAROL, CAROL, BOB_AGAIN, ALICE, ALICE_AGAIN, ERIN, MALLORY])
KINDS = st.sampled_from([VoteKind.APPROVE] * 3 + [VoteKind.REJECT])
WISHES = st.sampled_from(["name", "name", "address", "address", "reset", "accept"])
DOORS = st.sampled_from([1, 1, 2, 3, 4, 5, 6, 8, 10, 99])
SECONDS = st.sampled_from([1, 10, 31, 36, 44, 61, 61, 600, 3600, 86400])
FATES = st.sampled_from(FarEnd.FATES)
STARTS = st.sampled_from(
    [
        *("asked", "asked", "approved", "about to write", "paused before the write"),
        "uncertain",
        *("kept", "removed", "about to set anew"),
    ]
)
KEEPING = ("kept", "removed", "about to set anew")
"""Starts in a world whose Cliq keeps the old address; some others are in such a world too."""

Act = tuple[Any, ...]


def by_weight(*acts: tuple[Any, ...]) -> st.SearchStrategy[Act]:
    """Acts, each given as its weight, its method and what its arguments are drawn from."""
    urn = [(name, arguments) for weight, name, *arguments in acts for _ in range(weight)]
    return st.sampled_from(urn).flatmap(lambda act: st.tuples(st.just(act[0]), *act[1]))


ACTS = by_weight(
    (5, "ask", REPLICAS, ASKERS, WISHES, DOORS),
    (9, "click", REPLICAS, CLICKERS, KINDS, DOORS),
    (3, "click_at_once", CLICKERS, CLICKERS),
    (1, "withdraw", REPLICAS, ASKERS, DOORS),
    (8, "settle", REPLICAS, DOORS),
    (8, "wait_and_settle", REPLICAS, SECONDS),
    (5, "make_a_whole_change", REPLICAS, WISHES),
    (8, "go_on", st.integers(0, 7), DOORS),
    (2, "wait", SECONDS),
    (3, "kill", REPLICAS),
    (6, "decide_on_the_next_write", FATES),
    (3, "let_a_write_land"),
    (1, "break_the_next_read", st.sampled_from([NotSent("GET"), Ambiguous("GET")])),
    (2, "edit_in_the_admin_panel", st.sampled_from(["Evil", "Scott Fisher"])),
    (1, "change_a_standing", st.sampled_from([ALICE, BOB]), st.just(True)),
    (2, "change_a_standing", st.sampled_from([ALICE, BOB]), st.just(False)),
    (2, "find_or_lose_slack", st.sampled_from([False, True, True])),
    (2, "change_the_rules", st.sampled_from([APPROVERS, MORE_APPROVERS, APPROVERS[:2]])),
    (1, "tamper_with_the_target", st.just("Evil")),
)
"""What may happen next. One rule draws them all, since Hypothesis switches whole rules off in a run."""

played: Counter[str] = Counter()


@cache
def template() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "mailcfg.db"
    migrate(f"sqlite+aiosqlite:///{path}")
    return folder, path


class TwoReplicas(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = Path(shutil.copy(template()[1], self.folder.name))
        self.runner = asyncio.Runner()
        self.clock = FakeClock()
        self.far = FarEnd(FakeCliq(config()), self.clock)
        people = (ALICE, ALICE_AGAIN, BOB, BOB_AGAIN, CAROL, ERIN)
        self.people = FakeDirectory(*map(Facts, people), Facts(MALLORY, is_guest=True))
        self.judge = Judge(self.database, self.clock, self.far, PERSON)
        self.policy = POLICY
        self.judge.approvers = APPROVERS
        self.ids, self.names = count(1), count(1)
        self.replicas = [self.new_replica(name) for name in ("A", "B")]
        self.clicks: list[tuple[Walk, str, Actor, VoteKind]] = []
        played["runs"] += 1

    def new_replica(self, name: str) -> Replica:
        store = DoorStore(SqlStore(open_engine(f"sqlite+aiosqlite:///{self.database}")))
        replica = Replica(name, store, self.put_together)
        self.put_together(replica)
        return replica

    def put_together(self, replica: Replica) -> None:
        """Its services, as they are after a start of the process."""
        organisation = replace(ACME, policy=self.policy)
        people, api = DoorDirectory(self.people), FarEnds(DoorApi(self.far, self.clock))
        far = (replica.store, api, FakeDns(), people, self.clock, self.new_id)
        services = Services.of(organisation, *far)
        replica.changes, replica.applier = services.changes, services.applier

    def new_id(self) -> str:
        return f"id-{next(self.ids):04d}"

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(step)

    @initialize(
        start=STARTS,
        wish=st.sampled_from(["name", "address"]),
        keeps_address=st.sampled_from([True, False, False]),
    )
    def begin(self, start: str, wish: str, keeps_address: bool) -> None:
        """From where the dangerous moments are near: few random runs get there by themselves."""
        self.far.cliq.keeps_address = keeps_address or start in KEEPING
        self.ask(0, ALICE, "address" if start in KEEPING else wish, 99)
        self.everything_holds()
        if start == "asked":
            return
        for who in (BOB, CAROL):
            self.click(0, who, VoteKind.APPROVE, 99)
            self.everything_holds()
        if start == "uncertain":
            self.far.fates.append("late")
            self.settle(0, 99)
        if start in KEEPING:
            self.settle(0, 99)
            self.wait(36)
            self.settle(0, 99)
        if start in KEEPING[1:]:
            self.settle(0, 99)
        if start in {"about to write", "paused before the write", "about to set anew"}:
            self.run(self.replicas[0].settle().go_to("write"))
        if start == "paused before the write":
            self.far.fates.append("late")
            self.wait(36)
            self.settle(0, 99)

    @rule(act=ACTS)
    def go_on_with(self, act: Act) -> None:
        name, *arguments = act
        getattr(self, name)(*arguments)

    def ask(self, at: int, who: Actor, wish: str, doors: int) -> None:
        replica = self.replicas[at]
        self.run(replica.begin(replica.changes.propose(who, self.wish(wish))).step(doors))

    def wish(self, kind: str) -> Set | Reset | Accept:
        """What is asked for is new each time, so that every write can be told from the others."""
        match kind:
            case "name":
                return Set(Patch(name=f"Name {next(self.names)}"), "x")
            case "address":
                return Set(Patch(email_id=f"it{next(self.names)}@acme.example"), "x")
            case "reset":
                return Reset("x")
        return Accept("x")

    def click(self, at: int, who: Actor, kind: VoteKind, doors: int) -> None:
        walk = self.begin_click(at, who, kind)
        if walk is not None:
            self.run(walk.step(doors))

    def click_at_once(self, first: Actor, second: Actor) -> None:
        walks = [
            self.begin_click(at, who, VoteKind.APPROVE) for at, who in enumerate((first, second))
        ]
        for _ in range(6):
            for walk in walks:
                if walk is not None:
                    self.run(walk.step(1))

    def begin_click(self, at: int, who: Actor, kind: VoteKind) -> Walk | None:
        request = self.judge.open_request()
        if request is None:
            return None
        if kind is VoteKind.APPROVE:
            self.judge.clicked.setdefault(request["id"], []).append(who)
        replica = self.replicas[at]
        walk = replica.begin(replica.changes.decide(who, request["id"], kind, "because"))
        self.clicks.append((walk, request["id"], who, kind))
        return walk

    def withdraw(self, at: int, who: Actor, doors: int) -> None:
        replica = self.replicas[at]
        self.run(replica.begin(replica.changes.withdraw(who)).step(doors))

    def settle(self, at: int, doors: int) -> None:
        self.run(self.replicas[at].settle().step(doors))

    def wait_and_settle(self, at: int, seconds: int) -> None:
        """Twice: a take-over is one look at the rows, and what follows from it another."""
        self.wait(seconds)
        self.settle(at, 99)
        self.settle(at, 99)
        self.expire(at)

    def make_a_whole_change(self, at: int, wish: str) -> None:
        """As far as it goes: what was left standing may wake up after it."""
        self.wait_and_settle(at, 61)
        self.wait_and_settle(at, 61)
        self.ask(at, ALICE, wish, 99)
        self.everything_holds()
        for who in (BOB, CAROL):
            self.click(at, who, VoteKind.APPROVE, 99)
            self.everything_holds()
        self.settle(at, 99)

    def expire(self, at: int) -> None:
        replica = self.replicas[at]
        self.run(replica.begin(replica.changes.expire()).finish())

    def go_on(self, which: int, doors: int) -> None:
        """With any piece of work that was left standing."""
        walks = [walk for replica in self.replicas for walk in replica.walks if not walk.has_ended]
        if walks:
            self.run(walks[which % len(walks)].step(doors))

    def kill(self, at: int) -> None:
        played["kills"] += 1
        self.run(self.replicas[at].kill())

    def wait(self, seconds: int) -> None:
        self.far.land_until(self.clock.now() + timedelta(seconds=seconds))
        self.clock.advance(seconds=seconds)

    def decide_on_the_next_write(self, fate: str) -> None:
        played["write faults"] += 1
        self.far.fates.append(fate)

    def break_the_next_read(self, error: CliqError) -> None:
        played["read faults"] += 1
        self.far.read_faults.append(error)

    def let_a_write_land(self) -> None:
        self.far.land()

    def edit_in_the_admin_panel(self, name: str) -> None:
        self.far.edit(name)

    def change_a_standing(self, who: Actor, is_guest: bool) -> None:
        self.people.change(who, is_guest=is_guest)

    def find_or_lose_slack(self, is_reachable: bool) -> None:
        self.people.is_reachable = is_reachable

    def change_the_rules(self, approvers: tuple[str, ...]) -> None:
        """Both replicas are restarted with other approvers in their settings."""
        self.policy = replace(POLICY, approvers=approvers)
        self.judge.approvers = approvers
        for replica in self.replicas:
            self.run(replica.kill())

    def tamper_with_the_target(self, name: str) -> None:
        request = self.judge.open_request()
        if request is not None and request["op"] == "set":
            target = json.loads(request["target_json"]) | {"name": name}
            self.judge.tamper(request["id"], json.dumps(target, sort_keys=True))

    @invariant()
    def everything_holds(self) -> None:
        for walk, request_id, who, kind in self.clicks:
            if walk.done is not None and kind is VoteKind.APPROVE:
                self.judge.acknowledged.add((request_id, PERSON[who.user]))
            elif walk.done is not None:
                self.judge.rejected.add(request_id)
        self.clicks = [click for click in self.clicks if not click[0].has_ended]
        self.judge.look()

    def teardown(self) -> None:
        try:
            self.mend_everything()
            self.come_to_the_end()
        finally:
            played.update(row["state"] for row in self.judge.all("SELECT state FROM request"))
            played["writes"] += sum(self.judge.sent.values())
            played["effects"] += sum(self.judge.landed.values())
            played["kept addresses"] += len(self.judge.kept)
            played["removals"] += len(self.judge.removed)
            self.clear_away()

    def mend_everything(self) -> None:
        self.far.fates.clear()
        self.far.read_faults.clear()
        self.people.is_reachable = True
        for who in (ALICE, BOB, CAROL):
            self.people.change(who, is_guest=False)
        for replica in self.replicas:
            self.run(replica.kill())

    def come_to_the_end(self) -> None:
        """With nothing in the way, what is open ends within a day: approved at once, else by time."""
        for seconds in (61, 61, 601, 61, 61, 61, 61, 86400):
            self.wait_and_settle(0, seconds)
            self.everything_holds()
        assert self.judge.open_request() is None, "it never ends"
        if not self.judge.tampered:
            found = self.run(verify(self.replicas[0].store, ORG, SEAL))
            assert found.problem == ""

    def clear_away(self) -> None:
        self.judge.close()
        for replica in self.replicas:
            self.run(replica.kill())
            self.run(replica.store.close())
        self.runner.close()
        self.folder.cleanup()


PARTS = 4
"""The runs are played in so many parts, which test processes can share."""


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_two_replicas_that_may_die_anywhere_keep_every_promise(soak: Soak, part: int):
    played.clear()
    plan = settings(
        max_examples=-(-soak.count("runs") // PARTS),
        stateful_step_count=soak.count("steps"),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(soak.seed + part)(TwoReplicas), settings=plan)
    finally:
        figures = ", ".join(f"{played[what]} {what}" for what in sorted(played))
        name = f"model, part {part + 1} of {PARTS}"
        soak.report(name, f"{soak.count('steps')} steps a run; {figures}")
