"""The contract of a store, held by each store there is."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, select, text, update

from bot.adapters.store import schema
from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.version import check_is_current
from bot.domain import alert, messages
from bot.domain.alert import AlertState, Observation, Parameters
from bot.domain.audit import GENESIS, AuditEntry, canonical_body, chain_hash
from bot.domain.change import Attempt, ChangeRequest, Decision, State, VoteKind
from bot.domain.checklist import Checklist
from bot.domain.findings import Severity
from bot.domain.incident import ChecklistBody, Incident, WatchLine
from bot.domain.last_pass import LastPass
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.messages import Message, MessageKind, Result, Thread
from bot.domain.plan import Plan
from bot.domain.policy import Actor, Facts
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from bot.domain.sender_plans import SENDER, AcceptPlan, ResetPlan, plan_set
from bot.domain.stored import from_milliseconds
from bot.domain.undo import Undoing
from bot.errors import AlreadyOpen, DatabaseError, Tampered
from bot.ports import Backlog, Card, LostRace, Transaction, Waiting, WatchState
from tests.conftest import database_url
from tests.fakes import MORNING, TEAM, config
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, ORG, POLICY, SEAL, Office
from tests.postgres import Postgres

BASE = config()
SOON = MORNING + timedelta(minutes=1)
LATER = MORNING + timedelta(hours=1)
LINE = WatchLine(BASE, 7, True, SOON, LATER, error="ä")
FOLLOWED = ChecklistBody(7, Checklist("opaque", "h", "v", MORNING))
OF_REQUEST = Thread("opaque")
SEEN = Observation("DKIM_MISSING", Severity.CRITICAL)

FORESEEN = replace(
    plan_set(Patch.of(dkim_key_size=2048), BASE),
    preflight=Preflight(
        "acme.example", ("ns1.acme.example",), 0, Dmarc("acme.example", 1, "reject")
    ),
)
UNDOING = Undoing(42, ((45, ("name", "dkim_key_size")),), loses_key=True, drops_cname=True)


def request(request_id: str = "opaque", plan: Plan | None = None, org: str = ORG) -> ChangeRequest:
    bare = ChangeRequest(
        id=request_id,
        org=org,
        number=0,
        plan=plan or plan_set(Patch.of(email_id="it@acme.example", dkim_key_size=2048), BASE),
        policy=POLICY,
        quorum=2,
        requester=Actor(TEAM, ALICE.user, "W0ALICE"),
        requester_evidence=Facts(ALICE).as_dict(),
        reason="Scott has left “for good”\nsince Monday",
        created_at=MORNING,
        expires_at=MORNING + POLICY.approval_deadline,
    )
    return replace(bare, digest=bare.compute_digest())


def vote(on: ChangeRequest, voter: Actor, at: datetime = SOON) -> Decision:
    mac = SEAL.sign(on, voter, VoteKind.APPROVE, at)
    return Decision(voter, VoteKind.APPROVE, at, "", Facts(voter).as_dict(), mac)


async def add(store: SqlStore, new: ChangeRequest) -> ChangeRequest:
    async with store.begin(ORG) as tx:
        return await tx.add_request(new)


async def move(store: SqlStore, old: ChangeRequest, new: ChangeRequest) -> ChangeRequest:
    async with store.begin(ORG) as tx:
        await tx.replace(old, new)
    return new


@pytest.mark.parametrize(
    "plan",
    [
        plan_set(Patch.of(name="IT", email_id="it@acme.example"), None),
        plan_set(Patch.of(dkim_key_size=2048), BASE),
        FORESEEN,
        replace(FORESEEN, preflight=Preflight("acme.example", (), None, None)),
        ResetPlan(BASE),
        ResetPlan(BASE, UNDOING),
        replace(FORESEEN, undoes=UNDOING),
        AcceptPlan(None, BASE),
        AcceptPlan(BASE, None),
        AcceptPlan(None, None),
    ],
)
async def test_a_request_comes_back_as_it_was(store: SqlStore, plan: Plan):
    stored = await add(store, request(plan=plan))

    assert stored == replace(request(plan=plan), number=1)
    assert await store.request(ORG, "opaque") == await store.open_request(ORG) == stored


OF_AN_ORGANISATION: list[Callable[[SqlStore, str], Awaitable[object]]] = [
    lambda store, org: store.request(org, "opaque"),
    lambda store, org: store.subject(org, "opaque"),
    lambda store, org: store.subject(org, "i-1"),
    lambda store, org: store.card(org, "opaque"),
    lambda store, org: store.told(org, "opaque", MessageKind.REMINDER),
    lambda store, org: store.due_cards(org, LATER),
    lambda store, org: store.due_messages(org, LATER),
    lambda store, org: store.open_request(org),
    lambda store, org: store.numbered(org, 1),
    lambda store, org: store.newest(org, 1),
    lambda store, org: store.open_incidents(org, WatchLine),
    lambda store, org: store.backlog(org),
]


@pytest.mark.parametrize("read", OF_AN_ORGANISATION)
async def test_what_is_of_another_organisation_is_as_unknown_as_what_does_not_exist(
    store: SqlStore, read: Callable[[SqlStore, str], Awaitable[object]]
):
    nothing = await read(store, ORG)
    await add(store, request())
    async with store.begin(ORG) as tx:
        await tx.save_incident(Incident("i-1", ORG, "", MORNING, LINE))
        await tx.save_card(Card("opaque", "C1"))
        await tx.tell(Message("a", messages.Reminder(False), OF_REQUEST))

    assert await read(store, ORG) != nothing
    assert await read(store, "another") == nothing


async def test_a_step_of_one_organisation_touches_no_card_or_message_of_another(store: SqlStore):
    shown = Card("opaque", "C1", "1.0", shown_rev=1)
    async with store.begin(ORG) as tx:
        await tx.save_card(shown)
        await tx.tell(Message("a", Result(), OF_REQUEST))
    async with store.begin("another") as tx:
        await tx.save_card(Card("opaque", "C2"))
        await tx.show_again("opaque")
        await tx.finish_message("a", MORNING)
        assert not await tx.claim_card(shown, LATER, LATER)
        assert not await tx.claim_message("a", LATER, LATER)

    assert await store.card(ORG, "opaque") == shown
    assert len(await store.due_messages(ORG, LATER)) == 1


async def test_every_step_of_a_life_comes_back_as_it_was(store: SqlStore):
    current = await add(store, request())

    for step in (
        lambda r: r.approve(vote(r, BOB), SOON, 2),
        lambda r: r.approve(vote(r, CAROL, LATER), LATER, 2),
        lambda r: r.claim(LATER),
        lambda r: r.park(LATER, "Zoho has locked its API"),
        lambda r: r.claim(LATER),
        lambda r: r.mark_sent(),
        lambda r: r.become_uncertain(SOON, LATER, "no answer"),
        lambda r: r.claim(LATER),
        lambda r: r.apply(LATER, config("it@acme.example"), "written"),
    ):
        current = await move(store, current, step(current))
        assert await store.request(ORG, "opaque") == current


async def test_unknown_ids_are_nothing(store: SqlStore):
    assert await store.request(ORG, "made up") is None
    assert await store.subject(ORG, "made up") is None
    assert await store.card(ORG, "made up") is None
    assert await store.open_request(ORG) is None
    assert await store.last_applied(ORG, SENDER) is None
    assert await store.attempts(request("made up")) == []
    assert await store.watch(ORG) == WatchState(ORG)


async def test_an_organisation_has_one_open_request(store: SqlStore):
    await add(store, request("first"))

    with pytest.raises(AlreadyOpen) as caught:
        await add(store, request("second"))

    assert caught.value.number == 1
    assert await store.request(ORG, "second") is None


@pytest.mark.parametrize("state", ["PENDING", "APPROVED", "APPLYING", "UNCERTAIN"])
async def test_each_open_state_is_open(store: SqlStore, office: Office, state: str):
    await add(store, request("first"))
    await office.tamper(update(schema.request).values(state=state))

    with pytest.raises(AlreadyOpen):
        await add(store, request("second"))


async def test_numbers_go_on_within_an_organisation(store: SqlStore):
    first = await add(store, request("first"))
    await move(store, first, first.withdraw(SOON))

    assert (await add(store, request("second"))).number == 2
    assert (await add(store, request("third", org="other"))).number == 1


async def test_who_moves_an_outdated_request_loses(store: SqlStore):
    seen = await add(store, request())
    await move(store, seen, seen.approve(vote(seen, BOB), SOON, 2))

    with pytest.raises(LostRace):
        await move(store, seen, seen.approve(vote(seen, CAROL), SOON, 2))

    current = await store.request(ORG, "opaque")
    assert current is not None
    assert [d.voter for d in current.decisions] == [BOB]


async def test_who_moves_a_request_that_has_ended_loses(store: SqlStore):
    seen = await add(store, request())
    await move(store, seen, seen.withdraw(SOON))

    with pytest.raises(LostRace):
        await move(store, seen, seen.expire(LATER))


async def test_the_loser_of_a_race_leaves_no_trace(store: SqlStore):
    seen = await add(store, request())
    await move(store, seen, seen.approve(vote(seen, BOB), SOON, 2))

    async def come_second() -> None:
        async with store.begin(ORG) as tx:
            await tx.record(AuditEntry(ORG, SOON, "bob", "approved"))
            await tx.tell(Message("key", messages.CannotCheck("no")))
            await tx.replace(seen, seen.withdraw(SOON))

    with pytest.raises(LostRace):
        await come_second()

    assert [row async for row in store.audit(ORG)] == []
    assert await store.due_messages(ORG, LATER) == []


@pytest.mark.parametrize("ends", [(SOON, LATER), (LATER, SOON)], ids=["", "by clocks that differ"])
async def test_the_baseline_is_what_was_applied_last(
    store: SqlStore, ends: tuple[datetime, datetime]
):
    for request_id, at in zip(("first", "second"), ends, strict=True):
        current = await add(store, request(request_id))
        for step in (vote(current, BOB), vote(current, CAROL)):
            current = await move(store, current, current.approve(step, SOON, 2))
        current = await move(store, current, current.claim(LATER))
        await move(store, current, current.apply(at, BASE, "written"))
    withdrawn = await add(store, request("third"))
    await move(store, withdrawn, withdrawn.withdraw(LATER))

    last = await store.last_applied(ORG, SENDER)
    assert last is not None
    assert (last.id, last.observed) == ("second", BASE)


async def test_attempts_come_back_in_order_with_their_outcome(store: SqlStore):
    await add(store, request())
    first = Attempt("opaque", 1, "PUT", MORNING)
    second = Attempt("opaque", 2, "DELETE", SOON, step=2)
    done = replace(first, outcome="refused", status=403, code="no", finished_at=SOON)

    async with store.begin(ORG) as tx:
        await tx.add_attempt(first)
        await tx.add_attempt(second)
        await tx.finish_attempt(done)

    assert await store.attempts(request()) == [done, second]


async def test_an_attempt_belongs_to_a_request(store: SqlStore):
    with pytest.raises(DatabaseError):
        async with store.begin(ORG) as tx:
            await tx.add_attempt(Attempt("made up", 1, "PUT", MORNING))


async def test_an_incident_is_open_until_it_is_resolved(store: SqlStore):
    opened = Incident("i-1", ORG, "", MORNING, LINE)
    async with store.begin(ORG) as tx:
        await tx.save_incident(opened)
    assert await store.open_incident(ORG, WatchLine) == await store.subject(ORG, "i-1") == opened
    assert await store.open_incident(ORG, ChecklistBody) is None

    resolved = replace(opened, resolved_at=LATER, rev=2)
    async with store.begin(ORG) as tx:
        await tx.save_incident(resolved)
    assert await store.open_incident(ORG, WatchLine) is None
    assert await store.subject(ORG, "i-1") == resolved


async def open_incident(store: SqlStore, incident_id: str, key: str, org: str = ORG) -> None:
    async with store.begin(ORG) as tx:
        await tx.save_incident(Incident(incident_id, org, key, MORNING, FOLLOWED))


async def test_a_kind_and_key_have_one_open_incident(store: SqlStore):
    await open_incident(store, "i-1", "a")
    with pytest.raises(DatabaseError):
        await open_incident(store, "i-2", "a")


async def test_incidents_of_several_keys_may_be_open_at_once(store: SqlStore):
    await open_incident(store, "i-1", "a")
    await open_incident(store, "i-2", "b")
    await open_incident(store, "i-3", "a", "another")

    found = await store.open_incidents(ORG, ChecklistBody)
    assert [incident.id for incident in found] == ["i-1", "i-2"]


@pytest.mark.parametrize("reading", [BASE, None])
async def test_what_the_watch_knows_comes_back(store: SqlStore, reading: MailConfig | None):
    after, _ = alert.step(AlertState(), SEEN, MORNING, Parameters())
    last = LastPass(
        SOON, "DKIM in order at 2 of 2 servers", "in order", "acme.example", "no answer"
    )
    known = WatchState(ORG, True, reading, MORNING, "no answer", after, ("a", "b"), last)

    async with store.begin(ORG) as tx:
        await tx.replace_watch(WatchState(ORG), WatchState(ORG))
    async with store.begin(ORG) as tx:
        await tx.replace_watch(WatchState(ORG, rev=1), known)

    assert await store.watch(ORG) == replace(known, rev=2)


@pytest.mark.parametrize("rev", [0, 2])
async def test_what_the_watch_knows_is_replaced_only_by_who_read_it_last(store: SqlStore, rev: int):
    async with store.begin(ORG) as tx:
        await tx.replace_watch(WatchState(ORG), WatchState(ORG))

    with pytest.raises(LostRace):
        async with store.begin(ORG) as tx:
            await tx.replace_watch(WatchState(ORG, rev=rev), WatchState(ORG, last_error="late"))

    assert await store.watch(ORG) == WatchState(ORG, rev=1)


@pytest.mark.parametrize("is_first", [True, False])
async def test_what_our_own_write_left_makes_a_check_lose_its_race(store: SqlStore, is_first: bool):
    before = WatchState(ORG)
    if not is_first:
        async with store.begin(ORG) as tx:
            await tx.replace_watch(before, replace(before, told=("a",)))
        before = await store.watch(ORG)

    async with store.begin(ORG) as tx:
        await tx.save_reading(ORG, BASE, SOON)

    after = await store.watch(ORG)
    assert (after.has_reading, after.reading, after.read_at) == (True, BASE, SOON)
    assert after.told == before.told
    with pytest.raises(LostRace):
        async with store.begin(ORG) as tx:
            await tx.replace_watch(before, before)


async def test_a_card_is_due_while_it_shows_less_than_its_row_has(store: SqlStore):
    current = await add(store, request())
    incident = Incident("i-1", ORG, "watch", MORNING, LINE)
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("opaque", "C1"))
        await tx.save_card(Card("i-1", "C2"))
        await tx.save_incident(incident)
    assert await store.due_cards(ORG, MORNING) == [Card("i-1", "C2"), Card("opaque", "C1")]
    assert await store.subject(ORG, "i-1") == incident
    assert await store.subject(ORG, "opaque") == current

    shown = Card("opaque", "C1", ts="1.0", shown_rev=1)
    async with store.begin(ORG) as tx:
        await tx.save_card(shown)
        await tx.save_card(Card("i-1", "C2", ts="2.0", shown_rev=1))
    assert await store.due_cards(ORG, MORNING) == []

    await move(store, current, current.approve(vote(current, BOB), SOON, 2))
    assert await store.due_cards(ORG, MORNING) == [shown]
    assert await store.card(ORG, "opaque") == shown


async def test_a_card_that_was_put_off_waits(store: SqlStore):
    await add(store, request())
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("opaque", "C1", tries=1), after=SOON)

    assert await store.due_cards(ORG, MORNING) == []
    assert len(await store.due_cards(ORG, SOON)) == 1


async def test_a_card_that_was_shown_is_due_again_when_asked_for(store: SqlStore):
    await add(store, request())
    shown = Card("opaque", "C1", "1.0", 1, mention_at=MORNING, instead_of="C2")
    async with store.begin(ORG) as tx:
        await tx.save_card(shown)
        await tx.save_card(Card("other", "C1", "2.0", 1))
        await tx.show_again("opaque")

    assert await store.due_cards(ORG, MORNING) == [replace(shown, shown_rev=0)]


async def test_a_card_that_somebody_is_showing_is_not_taken_from_them(store: SqlStore):
    await add(store, request())
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("opaque", "C1"))
        await tx.claim_card(Card("opaque", "C1"), MORNING, SOON)
        await tx.show_again("opaque")

    assert await store.due_cards(ORG, MORNING) == []


async def test_the_last_mention_is_the_newest_that_has_come_in_this_organisation(store: SqlStore):
    assert await store.last_mention(ORG, LATER) is None
    ended = await add(store, request())
    await move(store, ended, ended.withdraw(SOON))
    await add(store, request("second"))
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("opaque", "C1", mention_at=MORNING))
        await tx.save_card(Card("second", "C1", mention_at=LATER))

    assert await store.last_mention(ORG, SOON) == MORNING
    assert await store.last_mention(ORG, LATER) == LATER
    assert await store.last_mention("other", LATER) is None


async def test_a_message_can_wait_for_its_time(store: SqlStore):
    async with store.begin(ORG) as tx:
        await tx.tell(Message("a", messages.Mention(), OF_REQUEST), after=SOON)

    assert await store.due_messages(ORG, MORNING) == []
    assert [waiting.message.key for waiting in await store.due_messages(ORG, SOON)] == ["a"]


async def test_what_was_told_about_a_subject_is_known_also_once_it_is_sent(store: SqlStore):
    async with store.begin(ORG) as tx:
        for key, body, subject in (
            ("b", messages.Reminder(False), "opaque"),
            ("a", messages.Reminder(True), "opaque"),
            ("c", messages.Reminder(False), "other"),
            ("d", Result(), "opaque"),
        ):
            await tx.tell(Message(key, body, Thread(subject)))
        await tx.finish_message("b", MORNING)

    assert await store.told(ORG, "opaque", MessageKind.REMINDER) == ("b", "a")


async def test_a_message_is_stored_once_and_sent_in_order(store: SqlStore):
    first = Message("b", messages.Approved("U0BOB", 1, 2), OF_REQUEST)
    second = Message("a", messages.CannotCheck("no"))
    async with store.begin(ORG) as tx:
        await tx.tell(first)
        await tx.tell(second)
        await tx.tell(replace(first, body=messages.Approved("U0BOB", 2, 2)))
    assert await store.due_messages(ORG, MORNING) == [Waiting("b", first), Waiting("a", second)]

    async with store.begin(ORG) as tx:
        await tx.put_off_message("b", SOON, "Slack is out of reach")
        await tx.finish_message("a", MORNING)
    assert await store.due_messages(ORG, MORNING) == []
    assert await store.due_messages(ORG, SOON) == [Waiting("b", first, tries=1)]


async def test_a_message_knows_the_thread_it_goes_in(store: SqlStore):
    asked = Message("a", messages.Approved("U0BOB", 1, 2), OF_REQUEST)
    async with store.begin(ORG) as tx:
        await tx.tell(asked)
        await tx.save_card(Card("opaque", "C1"))
    assert await store.due_messages(ORG, SOON) == [Waiting("a", asked, channel="C1")]

    async with store.begin(ORG) as tx:
        await tx.save_card(Card("opaque", "C1", ts="1.0", shown_rev=1))
    assert await store.due_messages(ORG, SOON) == [Waiting("a", asked, channel="C1", ts="1.0")]


async def test_a_slot_is_taken_once(store: SqlStore):
    async with store.begin(ORG) as tx:
        assert await tx.take_slot("drift", MORNING)
        assert not await tx.take_slot("drift", MORNING)
        assert await tx.take_slot("drift", LATER)
        assert await tx.take_slot("other", MORNING)


async def test_a_signature_is_new_once_in_ten_minutes(store: SqlStore):
    assert await store.remember_signature("a", MORNING)
    assert not await store.remember_signature("a", MORNING + timedelta(minutes=10))
    assert await store.remember_signature("b", MORNING)
    assert await store.remember_signature("a", MORNING + timedelta(minutes=11))


async def test_a_signature_that_comes_many_times_at_once_is_new_to_one(store: SqlStore):
    found = await asyncio.gather(*(store.remember_signature("a", MORNING) for _ in range(20)))

    assert sorted(found) == [False] * 19 + [True]


async def test_old_signatures_are_forgotten_and_others_are_not(store: SqlStore):
    await store.remember_signature("old", MORNING)
    await store.remember_signature("new", MORNING + timedelta(minutes=1))
    await store.forget_signatures(MORNING + timedelta(minutes=11))

    async with store.transaction() as connection:
        kept = (await connection.execute(select(schema.replay.c.digest))).scalars().all()
    assert kept == ["new"]


async def test_whoever_tells_slack_is_woken_by_what_is_due_and_by_nothing_else(store: SqlStore):
    woken: list[str] = []
    store.on_due = lambda: woken.append("due")
    shown = Card("opaque", "C1", ts="1.0", shown_rev=1)

    async def after(work: Callable[[Transaction], Awaitable[object]]) -> int:
        woken.clear()
        async with store.begin(ORG) as tx:
            await work(tx)
        return len(woken)

    asked = await add(store, request())
    assert await after(lambda tx: tx.save_card(Card("opaque", "C1"))) == 1
    assert await after(lambda tx: tx.tell(Message("a", messages.Mention(), OF_REQUEST))) == 1
    assert await after(lambda tx: tx.show_again("opaque")) == 1
    assert await after(lambda tx: tx.replace(asked, asked.withdraw(SOON))) == 1
    living = Incident("i1", ORG, "missing", MORNING, LINE)
    assert await after(lambda tx: tx.save_incident(living)) == 1
    assert await after(lambda tx: tx.save_card(shown)) == 0
    assert await after(lambda tx: tx.claim_message("a", MORNING, SOON)) == 0
    assert await after(lambda tx: tx.finish_message("a", SOON)) == 0


async def test_nobody_is_woken_by_a_rollback(store: SqlStore):
    woken: list[str] = []
    store.on_due = lambda: woken.append("due")

    async def fail() -> None:
        async with store.begin(ORG) as tx:
            await tx.tell(Message("a", messages.CannotCheck("no")))
            raise LostRace

    with pytest.raises(LostRace):
        await fail()

    assert woken == []


async def test_a_failed_step_is_rolled_back_whole(store: SqlStore):
    async def fail_half_way() -> None:
        async with store.begin(ORG) as tx:
            await tx.add_request(request())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_half_way()

    assert await store.request(ORG, "opaque") is None


async def test_a_restart_keeps_everything(url: str):
    before = SqlStore(open_engine(url))
    office = Office(before)
    office.dns.publish_key_of(office.cliq.live)
    done = await office.applied()
    await office.watch.tick()
    pending = await office.changes.propose(ALICE, replace(NEW_ADDRESS, patch=Patch(name="X")))
    messages = await before.due_messages(ORG, office.clock.now())
    await before.close()

    after = SqlStore(open_engine(url))
    assert await after.request(ORG, done.id) == await after.last_applied(ORG, SENDER) == done
    assert await after.open_request(ORG) == pending
    assert (await after.watch(ORG)).reading == office.cliq.live
    assert await after.due_messages(ORG, office.clock.now()) == messages
    assert await after.open_incident(ORG, WatchLine) is not None
    await after.close()


async def test_the_audit_is_a_chain_without_a_gap(office: Office):
    await office.applied()

    previous, rows = GENESIS, await office.audit()
    for seq, row in enumerate(rows, start=1):
        assert (row.seq, row.prev, row.hash) == (seq, previous, sealed(previous, row))
        previous = row.hash
    assert len(rows) == 7


async def test_a_changed_audit_entry_breaks_the_chain(office: Office):
    await office.applied()
    await office.tamper(update(schema.audit).where(schema.audit.c.seq == 2).values(actor="nobody"))

    row = (await office.audit())[1]
    assert row.hash != sealed(row.prev, row)


def sealed(previous: str, row: object) -> str:
    at = from_milliseconds(row.at)  # type: ignore[attr-defined]
    body = json.loads(row.body)  # type: ignore[attr-defined]
    entry = AuditEntry(row.org, at, row.actor, row.kind, row.request_id, body)  # type: ignore[attr-defined]
    return chain_hash(previous, entry.org, row.seq, canonical_body(entry))  # type: ignore[attr-defined]


async def test_each_organisation_has_a_chain_of_its_own(store: SqlStore, office: Office):
    async with store.begin(ORG) as tx:
        await tx.record(AuditEntry("one", MORNING, "a", "x"))
        await tx.record(AuditEntry("two", MORNING, "a", "x"))

    assert [(row.org, row.seq, row.prev) for row in await office.audit()] == [
        ("one", 1, GENESIS),
        ("two", 1, GENESIS),
    ]


@pytest.mark.parametrize("column", ["digest_version", "schema_version"])
@pytest.mark.parametrize("version", [0, 3])
async def test_a_request_of_another_version_is_refused(
    store: SqlStore, office: Office, column: str, version: int
):
    await add(store, request())
    await office.tamper(update(schema.request).values({column: version}))

    with pytest.raises(Tampered) as caught:
        await store.open_request(ORG)

    assert str(caught.value) == (
        "Request #1 was stored by a version of mailcfg unknown to this one."
    )


async def test_a_working_database_can_be_written(store: SqlStore, office: Office):
    assert await store.is_writable()
    await office.tamper(text("DROP TABLE slot"))
    assert not await store.is_writable()


async def test_a_database_that_breaks_says_so(store: SqlStore, office: Office):
    await office.tamper(text("DROP TABLE watch"))

    with pytest.raises(DatabaseError) as caught:
        await store.watch(ORG)

    assert str(caught.value) in {
        "The database does not work: no such table: watch.",
        'The database does not work: relation "watch" does not exist.',
    }


async def test_writes_survive_a_power_cut_on_sqlite(sqlite_store: SqlStore):
    async with sqlite_store._engine.begin() as connection:
        modes = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert modes == ["wal", 2, 1, 5000]


def test_the_migrations_make_the_tables_of_the_schema(migrated: Path):
    engine = create_engine(f"sqlite:///{migrated}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


def test_the_migrated_checks_and_filters_are_those_of_the_schema(migrated: Path, tmp_path: Path):
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    schema.metadata.create_all(fresh)

    assert rules(f"sqlite:///{migrated}") == rules(f"sqlite:///{tmp_path / 'fresh.db'}")


def rules(url: str) -> set[str]:
    """The CHECK clauses and the filtered indexes, as the database keeps them."""
    engine = create_engine(url)
    with engine.connect() as connection:
        made = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
        lines = [line.strip(" ,\t") for (sql,) in made for line in sql.splitlines()]
    engine.dispose()
    return {line for line in lines if "CHECK" in line or " WHERE " in line}


async def test_migrating_twice_is_harmless(database: Path):
    store = SqlStore(open_engine(database_url(database)))
    stored = await add(store, request())
    await store.close()

    migrate(database_url(database))

    again = SqlStore(open_engine(database_url(database)))
    assert await again.request(ORG, "opaque") == stored
    await again.close()


def test_a_database_that_cannot_be_opened_is_named_with_the_cure(tmp_path: Path):
    nowhere = tmp_path / "missing" / "mailcfg.db"

    with pytest.raises(DatabaseError) as caught:
        migrate(database_url(nowhere))

    assert str(caught.value) == (
        f"The database at sqlite:///{nowhere} cannot be opened or upgraded: unable to open "
        "database file. Check MAILCFG_DATABASE_URL, that mailcfg's user may write to the file and to "
        "its folder, and that no other program holds it."
    )


@pytest.mark.parametrize("opens", [migrate, check_is_current])
def test_without_the_driver_it_is_said_what_to_install(
    opens: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(DatabaseError, match=r"install mailcfg with `pip install '\.\[postgres\]'`"):
        opens("postgresql+psycopg://mailcfg@127.0.0.1:1/mailcfg")


def test_a_file_that_is_no_database_is_said(tmp_path: Path):
    (tmp_path / "letter.db").write_text("Dear Sir or Madam, " * 100)

    with pytest.raises(DatabaseError, match="file is not a database"):
        migrate(database_url(tmp_path / "letter.db"))


@pytest.mark.parametrize("url", ["nonsense", "nodb://host/x"])
def test_an_address_that_is_no_database_is_said_without_a_trace(url: str):
    with pytest.raises(DatabaseError) as caught:
        migrate(url)

    assert str(caught.value).startswith("MAILCFG_DATABASE_URL is no database that mailcfg can use")
    assert str(caught.value).endswith(
        "Write it as `sqlite+aiosqlite:///mailcfg.db` or `postgresql+psycopg://user@host/name`."
    )


async def test_a_database_of_a_newer_version_is_left_alone(database: Path):
    store = SqlStore(open_engine(database_url(database)))
    await Office(store).tamper(text("UPDATE alembic_version SET version_num = '9999'"))
    await store.close()

    with pytest.raises(DatabaseError, match="was made by another version of mailcfg"):
        migrate(database_url(database))


VOTER = """
import asyncio, sys
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.version import check_is_current
from bot.domain.policy import Actor
from tests.office import Office

async def main(url, user, request_id):
    store = SqlStore(open_engine(url))
    office = Office(store)
    request = await store.request(office.org, request_id)
    print("ready", flush=True)
    sys.stdin.readline()
    await office.approve(Actor("T0ACME", user), request)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def start_voter(url: str, voter: Actor, request_id: str) -> asyncio.subprocess.Process:
    arguments = (url, voter.user, request_id)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        VOTER,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )


async def test_two_processes_that_vote_at_once_both_count(
    url: str, store: SqlStore, office: Office
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    voters = [await start_voter(url, who, request.id) for who in (BOB, CAROL)]
    for voter in voters:
        assert voter.stdout is not None
        assert await voter.stdout.readline() == b"ready\n"

    ended = await asyncio.gather(*(voter.communicate(b"go\n") for voter in voters))

    assert [errors for _, errors in ended] == [b"", b""]
    done = await office.now(request)
    assert {d.voter for d in done.decisions} == {BOB, CAROL}
    assert (done.state, done.rev) == (State.APPROVED, 3)


async def test_a_process_that_stands_still_does_not_hold_the_others(postgres: Postgres):
    """PostgreSQL ends its transaction, which loses nothing: it was not committed."""
    store = SqlStore(open_engine(postgres.emptied()))
    async with store._engine.begin() as connection:
        limit = await connection.execute(text("SHOW idle_in_transaction_session_timeout"))
        assert limit.scalar_one() == "5s"
    await store.close()


async def test_the_only_process_need_not_wait_for_what_a_dead_one_had_claimed(
    store: SqlStore, office: Office
):
    claimed = (await office.approved()).claim(office.clock.now() + timedelta(minutes=1))
    await move(store, await store.open_request(ORG), claimed)  # type: ignore[arg-type]
    now = office.clock.now()
    due = await store.due_cards(ORG, now)
    async with store.begin(ORG) as tx:
        assert await tx.claim_card(due[0], now, now + timedelta(minutes=1))
    assert await store.due_cards(ORG, now) == []

    await store.release()

    assert len(await store.due_cards(ORG, now)) == 1
    assert (await office.now(claimed)).is_orphaned(now)


async def test_the_backlog_counts_the_rows_of_one_organisation(store: SqlStore):
    assert await store.backlog(ORG) == Backlog({}, 0, None, 0)
    ended = await add(store, request("ended"))
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("ended", "C1", shown_rev=1), after=LATER)
    await move(store, ended, ended.withdraw(SOON))
    waiting = await add(store, request("waiting"))
    await add(store, request("elsewhere", org="another"))
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("waiting", "C1", shown_rev=waiting.rev))
        for key in ("sent", "oldest", "newer"):
            await tx.tell(Message(key, Result(), OF_REQUEST))
        await tx.finish_message("sent", SOON)
        await tx.put_off_message("oldest", LATER, "ratelimited")

    assert await store.backlog(ORG) == Backlog(
        requests={"PENDING": 1},
        messages=2,
        oldest_message="oldest",
        cards_due=1,
    )


async def test_a_card_is_due_from_each_move_until_it_shows_it(store: SqlStore):
    living = Incident("i1", ORG, "missing", MORNING, LINE)
    asked = await add(store, request())
    async with store.begin(ORG) as tx:
        await tx.save_incident(living)
        await tx.save_card(Card("i1", "C1"))
        await tx.save_card(Card("opaque", "C1"))

    async def due() -> list[str]:
        return sorted(card.subject for card in await store.due_cards(ORG, MORNING))

    assert await due() == ["i1", "opaque"]
    async with store.begin(ORG) as tx:
        await tx.save_card(Card("i1", "C1", "1.1", living.rev))
        await tx.save_card(Card("opaque", "C1", "1.2", asked.rev))
    assert await due() == []
    async with store.begin(ORG) as tx:
        await tx.save_incident(replace(living, rev=living.rev + 1))
    assert await due() == ["i1"]
    await move(store, asked, asked.withdraw(SOON))
    assert await due() == ["i1", "opaque"]
