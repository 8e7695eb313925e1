"""Another address where Cliq keeps the old one: PUT, DELETE, PUT in one approved request.

Each of the three may go well, be refused, stay unclear with or without effect, die in the middle, or
be throttled. Once the removal took effect, nothing may be said or done as if nothing had happened.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from bot.adapters.store import rows, schema
from bot.domain.audit import canonical_body, chain_hash
from bot.domain.change import ChangeRequest, State
from bot.domain.command import Set
from bot.domain.incident import Kind
from bot.domain.mail_config import Patch
from bot.errors import (
    Ambiguous,
    AuthError,
    BudgetSpent,
    NotSent,
    PermissionDenied,
    RateLimited,
    ServerError,
    Tampered,
)
from tests.fakes import MORNING, Killed, config
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, Office

BASE = config()
AS_IF_NOTHING_HAPPENED = {"PENDING", "APPROVED", "EXPIRED", "FAILED", "CANCELLED", "STALE"}
WHOLE_WAY = ["PUT", "DELETE", "PUT"]
LOST_IN_THE_WAY = "the old configuration is removed, and the new one is not set: "


class Way:
    """Takes one change through its steps, and looks at its row after each look of the applier."""

    def __init__(self, office: Office) -> None:
        self.office = office
        office.cliq.keeps_address = True

    async def settle(self, seconds: float = 36) -> State:
        """One look at the rows, by a new process if the old one dies, and then some time."""
        try:
            await self.office.applier.settle()
        except Killed:
            self.office.restart()
        (row,) = await self.office.rows(schema.request)
        removed = [w for w in self.office.cliq.writes if w.method == "DELETE"]
        assert not (removed and row.state in AS_IF_NOTHING_HAPPENED)
        self.office.clock.advance(seconds=seconds)
        return State(row.state)

    async def to_step(self, step: int) -> ChangeRequest:
        """An approved change whose next write is that of `step`."""
        request = await self.office.approved()
        while (await self.office.now(request)).step < step:
            await self.settle()
        return request

    async def to_end(self, request: ChangeRequest) -> ChangeRequest:
        for _ in range(40):
            await self.settle()
            if not (await self.office.now(request)).is_open:
                break
        return await self.office.now(request)

    @property
    def written(self) -> list[str]:
        return [write.method for write in self.office.cliq.writes]


@pytest.fixture
def way(office: Office) -> Way:
    return Way(office)


async def test_it_is_removed_and_created_anew(way: Way):
    request = await way.to_step(1)

    done = await way.to_end(request)

    assert (done.state, done.effect, way.written) == (State.APPLIED, "written", WHOLE_WAY)
    assert done.observed == done.approved_config == way.office.cliq.live
    assert done.observed is not None
    assert done.observed.email_id == "it@acme.example"
    assert done.observed.dkim_host != BASE.dkim_host


async def test_it_is_not_removed_before_the_quiet_time_is_over(way: Way):
    request = await way.to_step(1)
    await way.settle(seconds=34)

    await way.settle(seconds=1)
    assert (await way.office.now(request)).step == 1
    await way.settle(seconds=0)

    assert (await way.office.now(request)).step == 2


async def test_between_two_steps_that_are_confirmed_nothing_is_waited_for(way: Way):
    request = await way.to_step(2)

    states = [await way.settle(seconds=0) for _ in range(2)]

    assert states == [State.UNCERTAIN, State.APPLIED]
    assert (await way.office.now(request)).state is State.APPLIED


async def test_each_claim_makes_one_write_at_most(way: Way):
    request = await way.to_step(1)
    for _ in range(9):
        before = way.office.cliq.sent
        await way.settle()
        assert way.office.cliq.sent - before <= 1

    assert (await way.office.now(request)).state is State.APPLIED


async def test_each_write_follows_a_read_of_what_it_is_written_over(way: Way):
    await way.to_end(await way.to_step(1))

    assert [(w.before, w.last_read) for w in way.office.cliq.writes] == [
        (BASE, BASE),
        (BASE, BASE),
        (None, None),
    ]


async def test_a_new_local_part_and_a_new_domain_are_alike(way: Way):
    request = await way.office.approved(Set(Patch(email_id="it@mail.acme.example"), "x"))

    assert (await way.to_end(request)).state is State.APPLIED
    assert way.written == WHOLE_WAY


@pytest.mark.parametrize("patch", [Patch(name="IT"), Patch(dkim_key_size=2048)])
async def test_what_leaves_the_address_alone_never_removes_anything(way: Way, patch: Patch):
    request = await way.office.approved(Set(patch, "x"))
    way.office.cliq.ignores_writes = True

    assert (await way.to_end(request)).state is State.FAILED
    assert set(way.written) == {"PUT"}


async def test_where_cliq_replaces_the_address_nothing_is_removed(office: Office):
    done = await office.applied()

    assert (done.state, [w.method for w in office.cliq.writes]) == (State.APPLIED, ["PUT"])


NO = PermissionDenied("PUT", status=403)
UNTIL = MORNING + timedelta(minutes=15)
FATES: dict[str, tuple[BaseException, bool]] = {
    "refused": (NO, False),
    "unclear, effect": (Ambiguous("PUT"), True),
    "unclear, no effect": (ServerError("PUT", status=502), False),
    "killed after": (Killed(), True),
    "killed before": (Killed(), False),
    "throttled": (RateLimited("PUT", retry_at=UNTIL, source="zoho"), False),
    "budget spent": (BudgetSpent("PUT", retry_at=UNTIL), False),
    "not sent": (NotSent("PUT"), False),
    "token dead": (AuthError("PUT", status=401), False),
}
BADLY = {(1, "refused"): State.FAILED, (2, "refused"): State.FAILED, (3, "refused"): State.CONFLICT}
TWICE = {(1, "unclear, effect"): 1, (1, "killed after"): 1}
"""Accepted, ignored, and nobody heard of it: that is only known once it was sent again."""


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("fate", FATES)
async def test_whatever_becomes_of_a_step_it_ends_in_force_or_honestly(
    way: Way, step: int, fate: str
):
    request = await way.to_step(step)
    error, after_effect = FATES[fate]
    way.office.cliq.fail_next_write(error, after_effect=after_effect)

    done = await way.to_end(request)

    assert done.state is BADLY.get((step, fate), State.APPLIED)
    if done.state is State.APPLIED:
        assert way.written == ["PUT"] * TWICE.get((step, fate), 0) + WHOLE_WAY
    else:
        assert way.written == WHOLE_WAY[: step - 1]
        assert way.office.cliq.live == (None if step == 3 else BASE)
        assert (done.observed, done.was_read) == (way.office.cliq.live, True)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("error", [NotSent("GET"), Ambiguous("GET"), Killed()], ids=repr)
async def test_a_read_that_fails_before_a_step_puts_it_off(
    way: Way, step: int, error: BaseException
):
    request = await way.to_step(step)
    way.office.cliq.fail_next_reads(error)

    assert (await way.to_end(request)).state is State.APPLIED
    assert way.written == WHOLE_WAY


@pytest.mark.parametrize(
    ("step", "state", "why"),
    [
        (1, State.FAILED, "Cliq did not apply the change, though it was sent 3 times"),
        (2, State.FAILED, "Cliq kept the old address, though its removal was sent 3 times"),
        (
            3,
            State.CONFLICT,
            f"{LOST_IN_THE_WAY}Cliq did not apply the change, though it was sent 3 times",
        ),
    ],
)
async def test_each_step_has_three_sends_of_its_own(way: Way, step: int, state: State, why: str):
    request = await way.to_step(step)
    for _ in range(3):
        way.office.cliq.fail_next_write(Ambiguous("PUT"))

    done = await way.to_end(request)

    assert (done.state, done.end_reason) == (state, why)
    assert way.office.cliq.sent == step - 1 + 3


async def test_what_is_accepted_and_does_not_appear_where_nothing_is_needs_a_person(way: Way):
    request = await way.to_step(3)
    way.office.cliq.ignores_writes = True

    done = await way.to_end(request)

    assert (done.state, done.observed, done.was_read) == (State.CONFLICT, None, True)
    assert way.office.cliq.sent == 5


async def test_its_attempts_say_which_step_they_were_for(way: Way):
    request = await way.to_step(1)
    await way.to_end(request)

    attempts = await way.office.store.attempts(request)

    assert [(a.n, a.step, a.method, a.outcome) for a in attempts] == [
        (1, 1, "PUT", "accepted"),
        (2, 2, "DELETE", "accepted"),
        (3, 3, "PUT", "accepted"),
    ]


@pytest.mark.parametrize("edit", [{"name": "Edited"}, {"email_id": "evil@acme.example"}])
async def test_what_somebody_sets_instead_is_never_overwritten(way: Way, edit: dict[str, str]):
    request = await way.to_step(3)
    way.office.cliq.live = config(**edit)

    done = await way.to_end(request)

    assert (done.state, done.observed, way.written) == (
        State.CONFLICT,
        way.office.cliq.live,
        WHOLE_WAY[:2],
    )
    assert done.end_reason == (
        "the old configuration was removed, and Cliq does not show the new one"
    )


async def test_a_name_that_the_kept_address_came_with_is_not_removed(way: Way):
    request = await way.to_step(1)
    await way.settle()
    way.office.cliq.edit(name="Half applied")

    assert (await way.to_end(request)).state is State.CONFLICT
    assert way.written == ["PUT"]


async def test_the_time_to_apply_ends_it_before_the_removal_and_never_after(way: Way):
    request = await way.to_step(2)
    way.office.clock.advance(hours=2)

    done = await way.to_end(request)

    assert (done.state, way.office.cliq.live) == (State.FAILED, BASE)
    assert done.end_reason == (
        "Cliq kept the old address, and the time for applying it has run out"
    )


@pytest.mark.parametrize("hours", [2, 30])
async def test_a_bot_that_comes_back_late_finishes_what_is_half_done(way: Way, hours: int):
    request = await way.to_step(3)
    way.office.clock.advance(hours=hours)
    await way.office.changes.expire()

    assert (await way.to_end(request)).state is State.APPLIED


async def test_people_are_asked_about_again_before_it_is_removed(way: Way):
    request = await way.to_step(2)
    way.office.directory.change(BOB, is_deleted=True)

    done = await way.to_end(request)

    assert (done.state, way.written) == (State.FAILED, ["PUT"])
    assert done.end_reason == "Cliq kept the old address, and an approver is no longer eligible"


async def test_it_is_not_removed_while_people_cannot_be_checked(way: Way):
    request = await way.to_step(2)
    way.office.directory.is_reachable = False

    assert await way.settle() is State.UNCERTAIN
    assert way.written == ["PUT"]
    way.office.directory.is_reachable = True

    assert (await way.to_end(request)).state is State.APPLIED


@pytest.mark.parametrize("is_reachable", [True, False])
async def test_once_it_is_removed_whoever_has_left_does_not_stop_it(way: Way, is_reachable: bool):
    request = await way.to_step(3)
    way.office.directory.is_reachable = is_reachable
    for person in (ALICE, BOB, CAROL):
        way.office.directory.change(person, is_deleted=True)

    assert (await way.to_end(request)).state is State.APPLIED


async def test_once_it_is_removed_narrower_rules_do_not_stop_it(way: Way):
    request = await way.to_step(3)
    way.office.restart(watch_only=True)

    assert (await way.to_end(request)).state is State.APPLIED


async def test_what_cannot_be_sent_for_a_day_needs_a_person(way: Way):
    request = await way.to_step(3)
    for _ in range(100):
        way.office.cliq.fail_next_write(NotSent("PUT"))
        if await way.settle(seconds=3600) is State.CONFLICT:
            break

    done = await way.office.now(request)
    assert (done.state, done.observed, done.was_read) == (State.CONFLICT, None, True)
    assert done.end_reason == (f"{LOST_IN_THE_WAY}it could not be sent for a day. {NotSent('PUT')}")


async def test_what_cannot_be_read_for_a_day_says_so(way: Way):
    request = await way.to_step(3)
    for _ in range(100):
        way.office.cliq.fail_next_reads(NotSent("GET"))
        if await way.settle(seconds=3600) is State.CONFLICT:
            break

    done = await way.office.now(request)
    assert (done.state, done.was_read) == (State.CONFLICT, False)
    assert done.end_reason == (
        "the old configuration is removed, and whether the new one is set could not be found out "
        "for a day"
    )


async def test_a_key_that_was_made_anew_is_no_drift(way: Way):
    await way.to_end(await way.to_step(1))

    way.office.clock.advance(minutes=15)
    await way.office.watch.check_now()

    assert await way.office.incident(Kind.ALERT) is None


async def test_a_request_of_before_mailcfg_could_delete_does_not(way: Way):
    request = await way.office.changes.propose(ALICE, NEW_ADDRESS)
    await asked_by_the_version_before(way.office, request)
    for person in (BOB, CAROL):
        await way.office.approve(person, request)

    done = await way.to_end(request)

    assert (done.state, set(way.written)) == (State.FAILED, {"PUT"})


async def asked_by_the_version_before(office: Office, request: ChangeRequest) -> None:
    plan: Any = request.plan
    old = replace(request, digest_version=1, plan=replace(plan, may_delete=False))
    columns = {"digest_version": 1, "digest": old.compute_digest()}
    await office.tamper(update(schema.request).values(**columns))
    (first,) = [row async for row in office.store.audit(request.org)]
    entry = replace(first.entry, body=first.entry.body | {"digest": columns["digest"]})
    sealed = chain_hash(first.prev, entry.org, first.seq, canonical_body(entry))
    row = rows.audit_row(entry, first.seq, first.prev, sealed)
    await office.tamper(update(schema.audit).values(row))


@pytest.mark.parametrize("version", [1, 2])
async def test_a_version_that_was_changed_by_hand_is_noticed(way: Way, version: int):
    request = await way.office.changes.propose(ALICE, NEW_ADDRESS)
    if version == 2:
        await asked_by_the_version_before(way.office, request)
    for person in (BOB, CAROL):
        await way.office.approve(person, request)
    await way.office.tamper(update(schema.request).values(digest_version=version))

    assert (await way.to_end(request)).state is State.FAILED
    assert way.office.cliq.sent == 0


async def test_a_step_that_was_set_by_hand_is_no_approval(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.cliq.live = None
    forged = {"state": "UNCERTAIN", "uncertain_since": 1, "step": 3}
    await office.tamper(update(schema.request).values(**forged))

    await office.applier.settle()

    assert (await office.now(request)).state is State.CONFLICT
    assert office.cliq.sent == 0


async def test_a_step_that_there_is_not_cannot_be_read(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.tamper(update(schema.request).values(step=4))

    with pytest.raises(Tampered):
        await office.store.open_request(office.org)
