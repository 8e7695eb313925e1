"""An upgrade finds requests in every state and leaves each where it can go on; so does going back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table

from bot.adapters.store import rows
from bot.adapters.store.migrate import _config, migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.version import check_is_current, plain_engine, revisions
from bot.domain.alert import AlertState
from bot.domain.audit import GENESIS, AuditEntry, canonical_body, chain_hash
from bot.domain.change import Attempt, ChangeRequest, Decision, State, VoteKind
from bot.domain.incident import AlertBody, Incident, WatchLine
from bot.domain.last_pass import LastPass
from bot.domain.mail_config import Patch
from bot.domain.messages import Approved, CannotCheck, Message, MessageKind, Thread
from bot.domain.policy import Facts
from bot.domain.sender_plans import plan_set
from bot.domain.stored import EPOCH
from bot.ports import Card
from bot.services.audit import verify
from tests.conftest import database_url
from tests.fakes import MORNING, FakeClock, config
from tests.office import ALICE, BOB, POLICY, RENAME, SEAL, Office
from tests.postgres import Postgres

FIRST = "0001"
BASE = config()
TARGET = config(name="Acme Support")
SOON = MORNING + timedelta(minutes=1)
LATER = MORNING + timedelta(minutes=2)
OPEN = [State.PENDING, State.APPROVED, State.APPLYING, State.UNCERTAIN]


def request(org: str) -> ChangeRequest:
    bare = ChangeRequest(
        id=f"id-{org}",
        org=org,
        number=1,
        plan=replace(plan_set(Patch.of(name="Acme Support"), BASE), may_delete=False),
        policy=POLICY,
        quorum=1,
        requester=ALICE,
        requester_evidence=Facts(ALICE).as_dict(),
        reason="the old name confuses people",
        created_at=MORNING,
        expires_at=MORNING + POLICY.approval_deadline,
        digest_version=1,
    )
    return replace(bare, digest=bare.compute_digest())


def vote(on: ChangeRequest, kind: VoteKind) -> Decision:
    return Decision(
        BOB, kind, SOON, "no" * (kind is VoteKind.REJECT), {}, SEAL.sign(on, BOB, kind, SOON)
    )


def in_state(state: State) -> ChangeRequest:
    """One that came there in the usual way, in an organisation of its own."""
    pending = request(state.lower())
    approved = pending.approve(vote(pending, VoteKind.APPROVE), SOON, 1)
    applying = approved.claim(SOON)
    ways = {
        State.PENDING: pending,
        State.APPROVED: approved,
        State.APPLYING: applying,
        State.UNCERTAIN: applying.become_uncertain(SOON, SOON, "no answer"),
        State.APPLIED: applying.apply(SOON, TARGET, "written"),
        State.REJECTED: pending.reject(vote(pending, VoteKind.REJECT), SOON),
        State.CANCELLED: pending.withdraw(SOON),
        State.EXPIRED: pending.expire(SOON),
        State.STALE: applying.go_stale(SOON, TARGET),
        State.FAILED: applying.fail(SOON, "refused", BASE),
        State.CONFLICT: applying.conflict(SOON, "neither", TARGET),
    }
    return ways[state]


STATES = {state: in_state(state) for state in State}


def upgraded(state: State) -> ChangeRequest:
    """As it was; whoever was applying it has been stopped, so it may be taken over at once."""
    before = STATES[state]
    return replace(before, lease_until=EPOCH) if state is State.APPLYING else before


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes an empty database, and gives its address."""
    if request.param == "sqlite":
        return lambda: database_url(tmp_path_factory.mktemp("first") / "mailcfg.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.fresh


@pytest.fixture
def first_version(new_database: Callable[[], str]) -> str:
    """A database as the first version left it, with a request in each state."""
    return left_by_the_first_version(new_database())


@pytest.fixture(scope="module")
def upgraded_once(new_database: Callable[[], str]) -> str:
    """One for all tests that keep to the request of their own state."""
    url = left_by_the_first_version(new_database())
    migrate(url)
    return url


def left_by_the_first_version(url: str) -> str:
    migrate(url, FIRST)
    fill(url)
    return url


def fill(url: str) -> None:
    with connected(url) as connection:
        for state, asked in STATES.items():
            insert(connection, "request", rows.request_row(asked))
            for decision in asked.decisions:
                insert(connection, "decision", rows.decision_row(asked.id, decision))
            insert(connection, "card", rows.card_row("", Card(asked.id, "C1", "1.0", 1), None))
            message = Message(f"said:{asked.id}", Approved("U0BOB", 1, 2), Thread(asked.id))
            insert(connection, "outbox", rows.message_row("", message) | {"n": len(state)})
            audit(connection, asked)
            if state in {State.UNCERTAIN, State.APPLIED, State.CONFLICT}:
                insert(connection, "attempt", rows.attempt_row(Attempt(asked.id, 1, "PUT", SOON)))


def audit(connection: Connection, asked: ChangeRequest) -> None:
    """What the first version wrote down of it."""
    told: list[tuple[str, str, dict[str, Any]]] = [
        ("proposed", ALICE.principal, {"digest": asked.digest, "operation": "set"}),
        *((VOTED_AS[d.kind], BOB.principal, {"reason": d.reason}) for d in asked.decisions),
    ]
    if asked.state in ENDED_AS:
        told.append((ENDED_AS[asked.state], "mailcfg", {"why": asked.end_reason}))
    previous = GENESIS
    for seq, (kind, actor, body) in enumerate(told, start=1):
        entry = AuditEntry(asked.org, SOON, actor, kind, asked.id, body)
        sealed = chain_hash(previous, asked.org, seq, canonical_body(entry))
        insert(connection, "audit", rows.audit_row(entry, seq, previous, sealed))
        previous = sealed


ENDED_AS = {
    State.APPLIED: "applied",
    State.CANCELLED: "withdrawn",
    State.EXPIRED: "expired",
    State.STALE: "stale",
    State.FAILED: "failed",
    State.CONFLICT: "conflict",
}
"""The audit's words; a rejection is its vote."""
VOTED_AS = {VoteKind.APPROVE: "approved", VoteKind.REJECT: "rejected"}


def insert(connection: Connection, table: str, row: dict[str, Any]) -> None:
    """Into a table as it is, which may lack columns that today's has."""
    there = Table(table, MetaData(), autoload_with=connection)
    known = {name: value for name, value in row.items() if name in there.columns}
    connection.execute(there.insert(), known)


def everything(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, each with its columns."""
    with connected(url) as connection:
        found = MetaData()
        found.reflect(connection)
        return {
            name: [
                tuple(table.columns.keys()),
                *sorted(connection.execute(table.select()), key=str),
            ]
            for name, table in found.tables.items()
        }


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = plain_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def downgrade(url: str) -> None:
    config = _config()
    with connected(url) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, FIRST)


@pytest.fixture
async def store(upgraded_once: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore(open_engine(upgraded_once))
    yield opened
    await opened.close()


def test_there_is_one_in_every_state():
    assert {asked.state for asked in STATES.values()} == set(State)


@pytest.mark.parametrize("state", State)
async def test_an_upgrade_leaves_each_request_as_it_was(store: SqlStore, state: State):
    assert await store.request(STATES[state].org, STATES[state].id) == upgraded(state)


@pytest.mark.parametrize("state", State)
async def test_what_is_stored_is_still_what_was_approved(store: SqlStore, state: State):
    assert (await verify(store, STATES[state].org, SEAL)).problem == ""


@pytest.mark.parametrize("state", OPEN)
async def test_what_was_open_comes_to_its_end(store: SqlStore, state: State):
    office = Office(store, clock=FakeClock(LATER), org=STATES[state].org)
    if state is State.PENDING:
        await office.approve(BOB, STATES[state])

    for _ in range(3):
        await office.applier.settle()
        office.clock.advance(seconds=31)

    assert (await office.now(STATES[state])).state is State.APPLIED
    assert [write.method for write in office.cliq.writes] == ["PUT"]


@pytest.mark.parametrize("state", sorted(set(State) - set(OPEN)))
async def test_what_had_ended_makes_room_for_the_next_request(store: SqlStore, state: State):
    office = Office(store, clock=FakeClock(LATER), org=STATES[state].org)

    assert (await office.changes.propose(ALICE, RENAME)).number == 2


@pytest.mark.parametrize("state", State)
async def test_what_is_told_of_a_request_belongs_to_its_organisation(store: SqlStore, state: State):
    asked = STATES[state]
    card = await store.card(asked.org, asked.id)

    assert card == Card(asked.id, "C1", "1.0", 1)
    assert f"said:{asked.id}" in await store.told(asked.org, asked.id, MessageKind.APPROVED)


async def test_what_is_told_of_nothing_belongs_to_the_only_organisation(
    new_database: Callable[[], str],
):
    url = new_database()
    migrate(url, "0010")
    with connected(url) as connection:
        insert(connection, "request", rows.request_row(STATES[State.FAILED]))
        message = rows.message_row("", Message("status:1", CannotCheck("DNS")))
        insert(connection, "outbox", message | {"n": 1})

    migrate(url)

    store = SqlStore(open_engine(url))
    (waiting,) = await store.due_messages(STATES[State.FAILED].org, SOON)
    assert waiting.message.key == "status:1"
    await store.close()


ALERTS = [
    ("outside", "C1", None),
    ("record", "C2", None),
    ("record", "C3", 5),
    ("watch", "C4", None),
]
"""Living messages of the first version: kind, id, when resolved."""
FIRST_FACTS = (
    '{"checked_at":1772442000000,"is_drifted":false,"live":null,"next_at":1772442900000,"number":1,'
    '"publication":"right"}'
)
"""What a line of the watch said; an alert's need not be readable, since it is over."""


async def test_an_alert_of_an_earlier_version_says_that_it_is_over(new_database: Callable[[], str]):
    url = new_database()
    migrate(url, FIRST)
    with connected(url) as connection:
        for kind, name, resolved_at in ALERTS:
            times = {"opened_at": 1, "resolved_at": resolved_at}
            row = {"id": name, "org": "acme", "kind": kind, "key": "x", "rev": 3} | times
            row["facts_json"] = FIRST_FACTS
            insert(connection, "incident", row)
        known = {"org": "acme", "has_reading": True, "reading_json": "null", "last_error": ""}
        insert(connection, "watch", known | {"publication": "right", "checked_at": 7, "read_at": 6})

    migrate(url)

    store = SqlStore(open_engine(url))
    shown = [await store.subject("acme", name) for _, name, _ in ALERTS]
    assert [s.rev for s in shown if isinstance(s, Incident)] == [4, 4, 4, 3]
    assert await store.open_incident("acme", AlertBody) is None
    assert (await store.open_incident("acme", WatchLine)) == shown[3]
    assert (await store.watch("acme")).read_at == EPOCH + timedelta(milliseconds=6)
    assert (await store.watch("acme")).alert == AlertState()
    assert (await store.watch("acme")).last_pass == LastPass()
    await store.close()
    downgrade(url)
    migrate(url)
    check_is_current(url)


def test_up_and_down_again_leaves_everything_as_it_was(first_version: str):
    before = everything(first_version)

    migrate(first_version)
    check_is_current(first_version)
    downgrade(first_version)

    assert everything(first_version) == before


async def test_down_and_up_again_is_an_upgrade_like_the_first(first_version: str):
    migrate(first_version)
    downgrade(first_version)
    migrate(first_version)

    store = SqlStore(open_engine(first_version))
    for state in State:
        assert await store.request(STATES[state].org, STATES[state].id) == upgraded(state)
    await store.close()


def test_the_names_of_the_files_are_what_alembic_knows():
    script = ScriptDirectory.from_config(_config())

    assert revisions() == [each.revision for each in script.walk_revisions()][::-1]
    assert revisions()[-1] == script.get_current_head()


STARTS = """
import asyncio, sys
from contextlib import AsyncExitStack
from bot.storage import open_store

async def start():
    async with AsyncExitStack() as opening:
        await open_store(sys.argv[1], opening)

asyncio.run(start())
print("alembic" in sys.modules)
"""


@pytest.mark.parametrize("is_new", [True, False])
def test_a_start_on_current_tables_does_without_alembic(
    tmp_path: Path, database: Path, is_new: bool
):
    url = f"sqlite+aiosqlite:///{tmp_path / 'new.db' if is_new else database}"
    done = subprocess.run(
        [sys.executable, "-c", STARTS, url], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(is_new)
