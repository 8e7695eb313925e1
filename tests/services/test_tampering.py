"""Whoever changes the database behind the bot's back is found out, and nothing is sent for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import Table, delete, insert, select, update

from bot.adapters.store import schema
from bot.adapters.store.sql import SqlStore
from bot.domain.audit import GENESIS, AuditHead, canonical_body, chain_hash, noted_head
from bot.domain.change import State
from bot.errors import Tampered
from bot.services.audit import verify
from tests.fakes import FakeClock
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, ORG, RENAME, SEAL, Office

AUDIT, REQUEST, DECISION = schema.audit, schema.request, schema.decision
DAY = 86_400_000


@pytest.fixture
def office(sqlite_store: SqlStore, clock: FakeClock) -> Office:
    return Office(sqlite_store, clock=clock)


async def problem(office: Office, noted: AuditHead | None = None) -> str:
    """What verification says, in either of its two ways."""
    try:
        return (await verify(office.store, ORG, SEAL, noted)).problem
    except Tampered as error:
        return str(error)


async def tamper_freely(office: Office, statement: Any) -> None:
    """The same where keys point to keys: whoever holds the database can switch that off."""
    async with office.store._engine.connect() as connection:
        raw = (await connection.get_raw_connection()).driver_connection
        assert raw is not None
        await connection.rollback()
        await raw.execute("PRAGMA foreign_keys=OFF")
    await office.tamper(statement)


async def is_noticed_and_not_sent(office: Office) -> bool:
    """Verification names it, and the request that stood approved is not applied."""
    named = await problem(office)
    try:
        await office.applier.settle()
    except Tampered:
        return bool(named) and office.cliq.sent == 0
    states = {row.state for row in await office.rows(REQUEST)}
    return bool(named) and office.cliq.sent == 0 and State.APPLIED not in states


async def approved(office: Office) -> None:
    """One request with two votes, which would be sent at the next look."""
    await office.approved(NEW_ADDRESS)
    assert await problem(office) == ""


def spoilt(value: Any) -> list[Any]:
    """A value with a byte flipped: at its beginning, in its middle, at its end."""
    if isinstance(value, int):
        return [value + 1, value - 1, value + DAY]
    places = sorted({0, len(value) // 2, max(len(value) - 2, 0)})
    return [value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] for at in places]


SEALED = {
    REQUEST: [
        *("id", "org", "no", "op", "base_json", "target_json", "policy_json", "quorum", "digest"),
        *("digest_version", "requester_json", "reason", "created_at", "expires_at"),
    ],
    DECISION: [
        "request_id",
        "principal",
        "voter_json",
        "verdict",
        "reason",
        "evidence_json",
        "at",
        "mac",
    ],
    AUDIT: ["org", "seq", "at", "actor", "kind", "request_id", "body", "prev", "hash"],
}
"""Every column of these three tables that is written once."""
WHERE = {REQUEST: None, DECISION: DECISION.c.principal == BOB.principal, AUDIT: AUDIT.c.seq == 2}
FLIPS = [
    (table, column, n) for table, columns in SEALED.items() for column in columns for n in range(3)
]


@pytest.mark.parametrize(
    ("table", "column", "n"), FLIPS, ids=[f"{t.name}.{c}-{n}" for t, c, n in FLIPS]
)
async def test_a_flipped_byte_is_noticed_and_nothing_is_sent(
    office: Office, table: Table, column: str, n: int
):
    await approved(office)
    where = WHERE[table]
    row = await one(office, table)
    values = spoilt(getattr(row, column) or "x")
    value = row.seq + 7 + n if column == "seq" else values[min(n, len(values) - 1)]
    change = update(table).values({column: value})
    await tamper_freely(office, change if where is None else change.where(where))

    assert await is_noticed_and_not_sent(office)


async def one(office: Office, table: Table) -> Any:
    where = WHERE[table]
    query = select(table) if where is None else select(table).where(where)
    async with office.store._engine.begin() as connection:
        return (await connection.execute(query)).one()


DEADLINES = {
    "time for approvals": {"expires_at": 10**13},
    "time for approvals, and its beginning": {"expires_at": 10**13, "created_at": 10**13 - DAY},
    "time to apply": {"apply_by": 10**13},
    "time to apply, without an end": {"apply_by": None},
}


@pytest.mark.parametrize("change", DEADLINES.values(), ids=DEADLINES.keys())
async def test_a_deadline_put_off_by_hand_lets_no_stale_approval_through(
    office: Office, change: dict[str, Any]
):
    await approved(office)
    office.clock.advance(hours=2)
    await office.tamper(update(REQUEST).values({"apply_by": 10**13} | change))

    assert await is_noticed_and_not_sent(office)


async def test_a_vote_after_a_deadline_put_off_by_hand_does_not_count(office: Office):
    request = await office.changes.propose(ALICE, RENAME)
    office.clock.advance(hours=25)
    await office.tamper(update(REQUEST).values(expires_at=10**13))
    await office.approve(BOB, request)

    assert await is_noticed_and_not_sent(office)


async def drop_a_vote(office: Office) -> None:
    await office.tamper(delete(DECISION).where(DECISION.c.principal == BOB.principal))


async def invent_a_vote(office: Office) -> None:
    bob = await one(office, DECISION)
    forged = bob._asdict() | {"principal": "T0ACME:U0ERIN"}
    forged["voter_json"] = bob.voter_json.replace("U0BOB", "U0ERIN")
    await office.tamper(insert(DECISION).values(forged))


async def swap_two_votes(office: Office) -> None:
    rows = await office.rows(DECISION)
    for row, other in zip(rows, reversed(rows), strict=True):
        theirs = {"mac": other.mac, "at": other.at + 1}
        await office.tamper(
            update(DECISION).where(DECISION.c.principal == row.principal).values(theirs)
        )


def drop_entry(seq: int) -> Callable[[Office], Any]:
    return lambda office: office.tamper(delete(AUDIT).where(AUDIT.c.seq == seq))


def swap_entries(one: int, other: int) -> Callable[[Office], Any]:
    async def swap(office: Office) -> None:
        for old, new in ((one, 99), (other, one), (99, other)):
            await office.tamper(update(AUDIT).where(AUDIT.c.seq == old).values(seq=new))

    return swap


async def insert_an_entry(office: Office) -> None:
    last = (await office.audit())[-1]
    forged = last._asdict() | {"seq": last.seq + 1, "prev": last.hash}
    await office.tamper(insert(AUDIT).values(forged))


async def add_a_vote_to_the_audit(office: Office) -> None:
    """With a right hash: the chain holds, and tells of a vote that nobody cast."""
    last = (await office.audit())[-1]
    (newest,) = [row async for row in office.store.audit(ORG, last.seq - 1)]
    async with office.store.begin(office.org) as tx:
        await tx.record(newest.entry)


async def forget_the_request(office: Office) -> None:
    for table in (DECISION, REQUEST):
        await office.tamper(delete(table))


FORGERIES: dict[str, Callable[[Office], Any]] = {
    "a vote is deleted": drop_a_vote,
    "a vote is invented": invent_a_vote,
    "two votes change places": swap_two_votes,
    **{f"entry {n} of the audit is deleted": drop_entry(n) for n in (1, 2, 3)},
    **{
        f"entries {a} and {b} change places": swap_entries(a, b)
        for a, b in ((1, 2), (2, 3), (1, 3))
    },
    "an entry is added that seals nothing": insert_an_entry,
    "a vote is added to the audit": add_a_vote_to_the_audit,
    "the request is deleted": forget_the_request,
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_deleted_inserted_or_moved_row_is_noticed(
    office: Office, forge: Callable[[Office], Any]
):
    await approved(office)
    await forge(office)

    assert await problem(office)
    with suppress(Tampered):
        await office.applier.settle()
    assert office.cliq.sent == 0


@pytest.mark.parametrize("also_the_vote", [True, False])
async def test_a_rejection_that_was_taken_out_by_hand_stays_one(
    office: Office, also_the_vote: bool
):
    request = await office.approved(RENAME)
    await office.reject(CAROL, request)
    if also_the_vote:
        await office.tamper(delete(DECISION).where(DECISION.c.verdict == "reject"))
    await office.tamper(update(REQUEST).values(state="APPROVED", ended_at=None))

    assert await is_noticed_and_not_sent(office)


STATES = [state for state in State if state is not State.APPLIED]


@pytest.mark.parametrize("state", STATES)
async def test_the_state_of_an_ended_request_cannot_be_rewritten(office: Office, state: State):
    await office.applied(RENAME)
    await office.tamper(update(REQUEST).values(state=state.value))
    assert await problem(office)


async def test_what_counts_as_approved_cannot_be_rewritten(office: Office):
    await office.applied(NEW_ADDRESS)
    row = (await office.rows(REQUEST))[0]
    forged = row.observed_json.replace("1700000000000", "1700000000001")
    await office.tamper(update(REQUEST).values(observed_json=forged))
    assert (await problem(office)).startswith(
        "Request #1 or its votes are not what the audit tells"
    )


async def test_an_earlier_approval_cannot_be_made_the_last_one_by_its_time(office: Office):
    first = await office.applied(RENAME)
    last = await office.applied(NEW_ADDRESS)
    await office.tamper(update(REQUEST).where(REQUEST.c.id == first.id).values(ended_at=10**13))

    baseline = await office.changes.baseline()

    assert baseline is not None
    assert baseline.config == last.approved_config


async def test_a_chain_that_was_cut_off_is_noticed_with_a_head_that_was_noted(office: Office):
    head = await head_of(office)
    await office.tamper(delete(AUDIT).where(AUDIT.c.seq == head.seq))
    for table in (schema.attempt, DECISION, REQUEST):
        await office.tamper(delete(table))

    assert (await problem(office, noted_head(head.short))).startswith(
        f"The audit ends at entry {head.seq - 1}, before the noted head {head.short}"
    )


async def test_a_chain_that_was_written_anew_is_noticed_with_a_head_that_was_noted(office: Office):
    head = await head_of(office)
    await write_anew(office)

    assert await problem(office) == ""
    assert await problem(office, head) == (
        f"Entry {head.seq} is not the one whose head was noted: the audit was written anew."
    )


async def test_a_head_that_was_noted_is_found_in_a_longer_chain(office: Office):
    head = await head_of(office)
    await office.changes.propose(ALICE, NEW_ADDRESS)

    assert await problem(office, head) == ""
    assert await problem(office, noted_head(head.short.upper())) == ""


async def head_of(office: Office) -> AuditHead:
    await office.applied(RENAME)
    head = await office.store.audit_head(ORG)
    assert head is not None
    return head


async def write_anew(office: Office) -> None:
    """Another time for the first entry, and every hash made right again."""
    previous = GENESIS
    await office.tamper(update(AUDIT).where(AUDIT.c.seq == 1).values(at=AUDIT.c.at + 1))
    entries = [row async for row in office.store.audit(ORG)]
    for row in entries:
        sealed = chain_hash(previous, ORG, row.seq, canonical_body(row.entry))
        change = update(AUDIT).where(AUDIT.c.seq == row.seq)
        await office.tamper(change.values(prev=previous, hash=sealed))
        previous = sealed


def unreadable() -> Iterator[dict[str, Any]]:
    yield {"policy_json": "{}"}
    yield {"target_json": "{"}
    yield {"digest_version": 9}


@pytest.mark.parametrize("damage", list(unreadable()))
async def test_the_watch_goes_on_beside_a_request_that_cannot_be_read(
    office: Office, damage: dict[str, Any]
):
    await office.approved(RENAME)
    await office.tamper(update(REQUEST).values(damage))

    await office.watch.check_now()

    assert (await office.store.watch(ORG)).read_at == office.clock.now()


async def test_a_request_that_cannot_be_read_is_told_once(office: Office):
    await office.approved(RENAME)
    await office.tamper(update(REQUEST).values(policy_json="{}"))

    for _ in range(2):
        for _ in range(2):
            with pytest.raises(Tampered) as caught:
                await office.changes.expire()
            await office.changes.tell_unreadable(caught.value)
        office.restart()

    assert (await office.messages()).count("unreadable") == 1
