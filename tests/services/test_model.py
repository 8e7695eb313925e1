"""The real services, played at random: people, the clock, the API, deaths; judged from outside.

Hypothesis picks the steps, each step runs to its end on one event loop. What is checked is worked
out here from what people did, never asked of the code under test.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bot.adapters.store import schema
from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.change import ChangeRequest, State, VoteKind
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.policy import Actor
from bot.domain.sender_plans import SetPlan
from bot.errors import (
    Ambiguous,
    MailcfgError,
    NotSent,
    PermissionDenied,
    ServerError,
)
from tests.fakes import Killed, Write
from tests.office import ALICE, BOB, CAROL, ERIN, MALLORY, NEW_ADDRESS, POLICY, RENAME, Office

ACTORS = st.sampled_from([ALICE, BOB, BOB, CAROL, CAROL, ERIN, MALLORY])
VOTES = st.sampled_from([VoteKind.APPROVE, VoteKind.APPROVE, VoteKind.APPROVE, VoteKind.REJECT])
ASKING = st.sampled_from([ALICE, ALICE, BOB])
EDITS = st.sampled_from([None, None, None, "Evil"])
NAMES = st.sampled_from(["Scott Fisher", "Acme Support", "Evil"])
WISHES = st.sampled_from(
    [NEW_ADDRESS, RENAME, Set(Patch(dkim_key_size=2048), "x"), Reset("x"), Accept("x")]
)
FAULTS = st.sampled_from(
    [
        None,
        (Ambiguous("PUT"), True),
        (ServerError("PUT"), False),
        (NotSent("PUT"), False),
        (PermissionDenied("PUT"), False),
        (Killed(), True),
        (Killed(), False),
    ]
)
"""What the next write comes to, and whether it takes effect all the same."""
READ_FAULTS = st.sampled_from([NotSent("GET"), Ambiguous("GET"), Killed()])
VOTERS = st.sampled_from(
    [
        (BOB, CAROL),
        (CAROL, BOB),
        (ERIN, BOB, CAROL),
        (MALLORY, CAROL, ALICE, BOB),
        (BOB, BOB),
        (CAROL,),
    ]
)
SECONDS = st.sampled_from([30, 30, 30, 30, 1, 60, 600, 3600, 86400])
OPEN = ["PENDING", "APPROVED", "APPLYING", "UNCERTAIN"]


@dataclass(frozen=True)
class Course:
    """How one change goes, from the wish to what came of it."""

    asking: Actor
    wish: Set | Reset | Accept
    voters: tuple[Actor, ...]
    edit: str | None
    leaves: Actor | None
    fault: tuple[BaseException, bool] | None
    seconds: int


COURSES = st.builds(
    Course,
    asking=ASKING,
    wish=WISHES,
    voters=VOTERS,
    edit=EDITS,
    leaves=st.sampled_from([None, None, None, ALICE, BOB, CAROL]),
    fault=FAULTS,
    seconds=SECONDS,
)


@cache
def template() -> tuple[tempfile.TemporaryDirectory[str], Path]:
    folder = tempfile.TemporaryDirectory()
    path = Path(folder.name) / "mailcfg.db"
    migrate(f"sqlite+aiosqlite:///{path}")
    return folder, path


class OfficeModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        path = shutil.copy(template()[1], self.folder.name)
        self.runner = asyncio.Runner()
        self.office = Office(SqlStore(open_engine(f"sqlite+aiosqlite:///{path}")))
        self.yes: dict[str, set[str]] = {}
        self.no: set[str] = set()
        self.unfit: set[str] = set()
        self.removed: set[str] = set()
        self.ended: dict[str, ChangeRequest] = {}

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        """To its end, or to where it is refused or dies."""
        with suppress(MailcfgError, Killed):
            return self.runner.run(step)

    @initialize(course=COURSES, keeps_address=st.booleans())
    def begin_with_a_change(self, course: Course, keeps_address: bool) -> None:
        self.office.cliq.keeps_address = keeps_address
        self.live_through_a_change(course)

    @rule(course=COURSES)
    def live_through_a_change(self, course: Course) -> None:
        """The usual course in one step, so that what needs a long run-up is reached often."""
        self.make_room()
        self.propose(course.asking, course.wish)
        for voter in course.voters:
            self.decide(voter, VoteKind.APPROVE)
        if course.edit is not None:
            self.edit_in_the_admin_panel(course.edit)
        if course.leaves is not None:
            self.change_a_standing(course.leaves, is_guest=True)
        self.break_the_next_write(course.fault)
        self.settle()
        self.wait_and_settle(course.seconds)
        if course.leaves is not None:
            self.change_a_standing(course.leaves, is_guest=False)

    def make_room(self) -> None:
        request = self.open_request()
        if request is not None:
            self.withdraw(request.requester)

    @rule(actor=ACTORS, wish=WISHES)
    def propose(self, actor: Actor, wish: Set | Reset | Accept) -> None:
        self.run(self.office.changes.propose(actor, wish))

    @rule(actor=ACTORS, kind=VOTES)
    def decide(self, actor: Actor, kind: VoteKind) -> None:
        request = self.open_request()
        if request is None:
            return
        done = self.run(self.office.changes.decide(actor, request.id, kind, "because"))
        if done is not None and kind is VoteKind.APPROVE:
            self.yes.setdefault(request.id, set()).add(actor.user)
        elif done is not None:
            self.no.add(request.id)

    @rule(first=ACTORS, second=ACTORS)
    def decide_at_once(self, first: Actor, second: Actor) -> None:
        request = self.open_request()
        if request is not None:
            self.run(self.both(request.id, first, second))

    async def both(self, request_id: str, first: Actor, second: Actor) -> None:
        decide = self.office.changes.decide
        clicks = [decide(who, request_id, VoteKind.APPROVE) for who in (first, second)]
        done = await asyncio.gather(*clicks, return_exceptions=True)
        for who, result in zip((first, second), done, strict=True):
            if isinstance(result, ChangeRequest):
                self.yes.setdefault(request_id, set()).add(who.user)

    @rule(actor=ACTORS)
    def withdraw(self, actor: Actor) -> None:
        self.run(self.office.changes.withdraw(actor))

    @rule()
    def settle(self) -> None:
        request, before = self.open_request(), len(self.office.cliq.writes)
        self.run(self.office.applier.settle())
        for write in self.office.cliq.writes[before:]:
            assert request is not None
            self.check_write(request, write)

    @rule(seconds=SECONDS)
    def wait_and_settle(self, seconds: int) -> None:
        self.office.clock.advance(seconds=seconds)
        self.settle()
        self.run(self.office.changes.expire())

    @rule()
    def check_for_drift(self) -> None:
        self.run(self.office.watch.check_now())

    @rule(fault=FAULTS)
    def break_the_next_write(self, fault: tuple[BaseException, bool] | None) -> None:
        if fault is not None:
            self.office.cliq.fail_next_write(fault[0], after_effect=fault[1])

    @rule(error=READ_FAULTS)
    def break_the_next_read(self, error: BaseException) -> None:
        self.office.cliq.fail_next_reads(error)

    @rule(name=NAMES)
    def edit_in_the_admin_panel(self, name: str) -> None:
        if self.office.cliq.live is not None:
            self.office.cliq.edit(name=name)

    @rule(
        who=st.sampled_from([ALICE, BOB, CAROL]),
        is_guest=st.sampled_from([True, False, False, False]),
    )
    def change_a_standing(self, who: Actor, is_guest: bool) -> None:
        self.office.directory.change(who, is_guest=is_guest)
        self.unfit = self.unfit | {who.user} if is_guest else self.unfit - {who.user}

    @rule()
    def settle_while_slack_is_out_of_reach(self) -> None:
        self.office.directory.is_reachable = False
        self.settle()
        self.office.directory.is_reachable = True

    @rule()
    def restart(self) -> None:
        self.office.restart()

    @invariant()
    def the_rows_hold_what_is_promised(self) -> None:
        rows = self.rows()
        self.check_at_most_one_is_open(rows)
        self.check_ends_stay(rows)
        self.check_what_was_removed_is_never_as_before(rows)
        self.check_each_person_is_counted_once(self.runner.run(self.office.rows(schema.decision)))

    def check_at_most_one_is_open(self, rows: list[Any]) -> None:
        assert [row.state in OPEN for row in rows].count(True) <= 1
        assert sorted(row.no for row in rows) == list(range(1, len(rows) + 1))

    def check_ends_stay(self, rows: list[Any]) -> None:
        for row in rows:
            if row.state not in OPEN:
                assert self.ended.setdefault(row.id, row) == row

    def check_what_was_removed_is_never_as_before(self, rows: list[Any]) -> None:
        states = {row.state for row in rows if row.id in self.removed}
        assert states <= {"APPLYING", "UNCERTAIN", "APPLIED", "CONFLICT"}

    def check_each_person_is_counted_once(self, votes: list[Any]) -> None:
        people = {(vote.request_id, Actor(**json.loads(vote.voter_json)).user) for vote in votes}
        assert len(people) == len(votes)

    def check_write(self, request: ChangeRequest, write: Write) -> None:
        """A write is backed by enough people, and by a read that showed what it was approved for."""
        assert request.id not in self.no
        assert write.last_read == write.before
        if request.id in self.removed:
            assert len(self.yes[request.id] & {BOB.user, CAROL.user}) >= POLICY.approvals_sensitive
            assert write.before is None
            return
        self.check_is_still_wanted(request, write)
        if write.method == "DELETE" and isinstance(request.plan, SetPlan):
            self.removed.add(request.id)

    def check_is_still_wanted(self, request: ChangeRequest, write: Write) -> None:
        """Asked until the old sender is removed: from then on finishing is safer than stopping."""
        assert self.office.directory.is_reachable
        backers = (self.yes[request.id] & {BOB.user, CAROL.user}) - self.unfit
        backers -= {request.requester.user}
        assert len(backers) >= self.needed(request, write)
        assert request.requester.user not in self.unfit
        assert without_status(write.before) == without_status(request.plan.base)

    def needed(self, request: ChangeRequest, write: Write) -> int:
        before = request.plan.base and request.plan.base.email_id
        is_sensitive = write.wanted is None or write.wanted.email_id != before
        return POLICY.approvals_sensitive if is_sensitive else POLICY.approvals

    def open_request(self) -> ChangeRequest | None:
        found: ChangeRequest | None = self.runner.run(self.office.changes.pending())
        return found

    def rows(self) -> list[Any]:
        found: list[Any] = self.runner.run(self.office.rows(schema.request))
        return found

    def teardown(self) -> None:
        self.check_that_what_was_written_was_meant_to_be()
        self.runner.run(self.office.store.close())
        self.runner.close()
        self.folder.cleanup()

    def check_that_what_was_written_was_meant_to_be(self) -> None:
        """An intent and no more: a bot that died before it sent, and an administrator who then made
        the same change by hand, look just like a write whose answer was lost."""
        written = {r.id for r in self.rows() if (r.state, r.effect) == (State.APPLIED, "written")}
        attempts = self.runner.run(self.office.rows(schema.attempt))
        assert written <= {a.request_id for a in attempts if a.outcome != "not_sent"}


def without_status(config: MailConfig | None) -> MailConfig | None:
    return config and replace(config, dkim_status="")


OfficeModel.TestCase.settings = settings(
    max_examples=40,  # the soak run plays thousands
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestOffice = OfficeModel.TestCase
