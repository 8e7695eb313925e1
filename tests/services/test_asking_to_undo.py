"""Undo and history, on a real store: an undo is a request like any other."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from bot.adapters.store.sql import SqlStore
from bot.domain.change import State
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import Patch
from bot.domain.sender_plans import ResetPlan
from bot.errors import AlreadyOpen, NoChange, NotAllowed, Refusal, UnknownRequest
from bot.services.audit import verify
from tests.fakes import FakeClock, config
from tests.office import ALICE, BOB, CAROL, ERIN, MALLORY, NEW_ADDRESS, ORG, RENAME, SEAL, Office


async def undone(office: Office, number: int, reason: str | None = None) -> Any:
    """An undo of Alice's that is approved and applied."""
    asked = await office.changes.propose_undo(ALICE, number, reason)
    for person in (BOB, CAROL)[: asked.quorum]:
        await office.approve(person, asked)
    await office.applier.settle()
    return await office.now(asked)


async def test_an_undo_waits_for_approval_and_sets_back_what_was_there(office: Office):
    await office.applied(NEW_ADDRESS)

    asked = await office.changes.propose_undo(ALICE, 1)
    assert (asked.state, asked.number, asked.quorum) == (State.PENDING, 2, 2)
    assert asked.reason == "Undo #1: Scott has left"
    assert office.cliq.live is not None
    assert office.cliq.live.email_id == "it@acme.example"

    await office.approve(BOB, asked)
    await office.approve(CAROL, asked)
    await office.applier.settle()

    assert (await office.now(asked)).state is State.APPLIED
    assert office.cliq.live == config()
    assert (await verify(office.store, ORG, SEAL)).problem == ""


async def test_a_removed_sender_comes_back_and_an_undone_first_one_goes(office: Office):
    await office.applied(Reset("we close"))
    back = await undone(office, 1)
    assert office.cliq.live is not None
    assert office.cliq.live.email_id == "scott@acme.example"

    gone = await undone(office, back.number)
    assert isinstance(gone.plan, ResetPlan)
    assert office.cliq.live is None


async def test_an_undo_names_the_later_request_that_changed_the_same(office: Office):
    await office.applied(RENAME)
    await office.applied(Set(Patch(name="Desk"), "shorter"))

    asked = await office.changes.propose_undo(ALICE, 1)

    assert asked.plan.consequences() == (
        "#2 changed the display name since; this sets back what was there before #1.",
    )
    assert [c.new for c in asked.plan.diff()] == ["Scott Fisher"]


async def test_an_undo_that_was_rejected_is_asked_for_again_as_an_undo(office: Office):
    await office.applied(RENAME)
    asked = await office.changes.propose_undo(ALICE, 1)
    await office.reject(BOB, asked)

    again = await office.changes.propose_again(ALICE, asked.id)

    assert again.plan.undoes == asked.plan.undoes
    assert again.reason == "Again: Undo #1: the old name confuses people"


async def test_the_same_undo_while_it_is_open_is_the_same_request(office: Office):
    await office.applied(RENAME)
    asked = await office.changes.propose_undo(ALICE, 1)

    assert await office.changes.propose_undo(ALICE, 1) == asked
    with pytest.raises(AlreadyOpen):
        await office.changes.propose_undo(BOB, 1)


async def test_what_cannot_be_undone_is_refused_and_audited(office: Office):
    await office.applied(Accept("as found"))
    rejected = await office.changes.propose(ALICE, RENAME)
    await office.reject(BOB, rejected)

    for number, kind in ((1, Refusal), (2, Refusal), (3, UnknownRequest)):
        with pytest.raises(kind):
            await office.changes.propose_undo(ALICE, number)
    assert (await office.audited())[-3:] == ["refused"] * 3
    assert office.cliq.sent == 0


async def test_an_undone_change_cannot_be_undone_once_more(office: Office):
    await office.applied(RENAME)
    await undone(office, 1)

    with pytest.raises(NoChange):
        await office.changes.propose_undo(ALICE, 1)


@pytest.mark.parametrize("nobody", [ERIN, MALLORY])
async def test_who_may_not_ask_may_not_undo(office: Office, nobody: Any):
    await office.applied(RENAME)

    with pytest.raises(NotAllowed):
        await office.changes.propose_undo(nobody, 1)


async def test_the_history_is_the_newest_first_and_no_more_than_asked_for(office: Office):
    first = await office.applied(RENAME)
    second = await undone(office, 1)
    third = await office.changes.propose(ALICE, NEW_ADDRESS)

    assert await office.look.history(ERIN, 2) == [third, second]
    assert await office.look.history(ERIN, 20) == [third, second, first]


async def test_a_story_is_found_by_number_and_by_id_and_ends_in_its_own_head(office: Office):
    request = await office.applied(RENAME)
    with pytest.raises(Refusal):
        await office.approve(CAROL, request)
    await office.changes.propose(ALICE, NEW_ADDRESS)

    told = await office.look.story(ERIN, 1)

    assert told == await office.look.story(ERIN, request.id)
    kinds = [row.entry.kind for row in told.entries]
    assert kinds == [
        "proposed",
        "approved",
        "claimed",
        "intent",
        "accepted",
        "applied",
        "refused",
    ]
    assert told.head is not None
    assert (told.head.seq, told.head.hash) == (6, (await office.audit())[5].hash)


async def test_a_story_of_no_request_says_where_to_look(office: Office):
    with pytest.raises(UnknownRequest) as caught:
        await office.look.story(ERIN, 7)
    assert str(caught.value) == "There is no request #7. `/mailcfg history` lists the newest."


async def test_a_guest_sees_no_history(office: Office):
    request = await office.applied(RENAME)
    for looking in (
        office.look.history(MALLORY, 5),
        office.look.story(MALLORY, 1),
        office.look.story(MALLORY, request.id),
    ):
        with pytest.raises(NotAllowed):
            await looking


async def test_looking_back_costs_the_same_however_much_there_is(
    sqlite_store: SqlStore, clock: FakeClock
):
    """Each of its queries goes through an index and sorts nothing."""
    office, asked = Office(sqlite_store, clock=clock), []
    await office.applied(RENAME)
    engine = sqlite_store._engine

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    await office.look.history(ERIN, 20)
    await office.look.story(ERIN, 1)
    event.remove(engine.sync_engine, "before_cursor_execute", _note)

    selects = [(query, given) for query, given in asked if query.startswith("SELECT")]
    async with engine.begin() as connection:
        for query, given in selects:
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", given)
            steps = [row[-1] for row in plan]
            is_of_votes = "FROM decision" in query
            assert all(s.startswith("SEARCH") or is_of_votes for s in steps), (query, steps)
            assert "SCAN" not in str(steps)
    assert len(selects) == 5
