"""The store on SQLAlchemy Core: every statement, and the transaction that carries them.

A move is one UPDATE that names the revision it was decided on, so the loser of a race changes
nothing and is told by LostRace. One connection serves everything on SQLite: its write transactions
start with `BEGIN IMMEDIATE` and survive power loss (WAL with `synchronous=FULL`). On PostgreSQL any
number of processes share the database; READ COMMITTED is enough, since every move names its revision.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Select,
    Table,
    and_,
    bindparam,
    delete,
    event,
    func,
    insert,
    literal,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot.adapters.store import rows, schema
from bot.adapters.store.embedded import connect
from bot.domain.audit import GENESIS, AuditEntry, AuditHead, AuditRow, canonical_body, chain_hash
from bot.domain.change import Attempt, ChangeRequest, State
from bot.domain.incident import Incident, Living, Says
from bot.domain.mail_config import MailConfig
from bot.domain.messages import Message, MessageKind
from bot.domain.plan import Operations
from bot.domain.sender_plans import OPERATIONS
from bot.domain.stored import from_stamp, stamp
from bot.errors import AlreadyOpen, DatabaseError
from bot.ports import Backlog, Card, LostRace, Transaction, Waiting, WatchState

PAGE = 500
"""Rows read at once where a table is read whole."""
REMEMBERED_FOR = timedelta(minutes=10)
"""How long signatures are kept; a request is refused for its age after five minutes."""
AUTOCOMMIT = "mailcfg_autocommit"
"""The option of a connection on which nothing is begun: each statement is a whole."""
IDLE_SECONDS = 5
"""How long a transaction may stand still; far longer than any of ours does, and within a lease."""


def open_engine(url: str, *, read_only: bool = False) -> AsyncEngine:
    """The engine for `sqlite+aiosqlite:///…` or `postgresql+psycopg://…`; nothing is connected yet.

    `read_only` leaves a SQLite file alone, so that it can be read beside a running bot.
    """
    if url.startswith("sqlite") and read_only:
        file = url.partition(":///")[2]
        return create_async_engine(f"sqlite+aiosqlite:///file:{quote(file)}?mode=ro&uri=true")
    if not url.startswith("sqlite"):
        engine = create_async_engine(url, pool_size=5, max_overflow=5, pool_pre_ping=True)
        end_when_idle(engine.sync_engine)
        return engine
    database = Path(url.partition(":///")[2])
    engine = create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=10, async_creator=lambda: connect(database)
    )
    begin_immediately(engine.sync_engine)
    return engine


def end_when_idle(engine: Engine) -> None:
    """Have PostgreSQL roll back what a process that stands still has begun.

    Otherwise one that is suspended in a transaction would keep the others from its rows for as long
    as it sleeps. In each transaction anew, since behind a pooler there is no session of our own.
    """

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if _is_autocommit(connection):
            return
        limit = f"{IDLE_SECONDS}s"
        connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{limit}'")


def begin_immediately(engine: Engine) -> None:
    """Set SQLite's pragmas, and have each transaction take the right to write from the start."""

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # or sqlite3 would open deferred transactions by itself
        for pragma in ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _is_autocommit(connection):
            connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_autocommit(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(AUTOCOMMIT))


def _autocommit(engine: AsyncEngine) -> AsyncEngine:
    """The same connections without transactions, for reads and for a write of one statement.

    To begin and end a transaction costs more than most statements, and nothing is lost without one.
    On SQLite, whoever holds the one connection is alone; on PostgreSQL each statement sees what is
    committed when it starts, in a transaction (READ COMMITTED) or not.
    """
    options: dict[str, Any] = {AUTOCOMMIT: True}
    if engine.dialect.name == "postgresql":
        options["isolation_level"] = "AUTOCOMMIT"
    return engine.execution_options(**options)


class SqlStore:
    """`ports.Store` on one database, which can read the requests of these `operations`.

    After a commit `on_move` is called for every request that it moved, and `on_due` if a card or a
    message became due. Whoever is woken by every commit does most of its work for nothing.
    """

    def __init__(self, engine: AsyncEngine, operations: Operations = OPERATIONS) -> None:
        self._engine = engine
        self._operations = operations
        self._single = _autocommit(engine)
        self.on_due: Callable[[], None] = lambda: None
        self.on_move: Callable[[ChangeRequest, ChangeRequest], None] = lambda _old, _new: None

    @property
    def is_embedded(self) -> bool:
        """Whether the database is a file that this process has for itself."""
        return self._engine.dialect.name == "sqlite"

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def begin(self, org: str) -> AsyncIterator[Transaction]:
        async with self.transaction() as connection:
            transaction = SqlTransaction(connection, org)
            yield transaction
        for old, new in transaction.moves:
            self.on_move(old, new)
        if transaction.is_due:
            self.on_due()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A bare transaction, whose commit wakes nobody. Raises DatabaseError."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _translated(error) from error

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[AsyncConnection]:
        """A connection on which each statement is a whole of its own. Raises DatabaseError."""
        try:
            async with self._single.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _translated(error) from error

    async def request(self, org: str, request_id: str) -> ChangeRequest | None:
        return await self._one_request(_by_id, org=org, id=request_id)

    async def open_request(self, org: str) -> ChangeRequest | None:
        return await self._one_request(_the_open_one(self._engine.dialect.name), org=org)

    async def last_applied(self, org: str, subject: str) -> ChangeRequest | None:
        return await self._one_request(_last_applied, org=org, ops=self._ops(subject))

    def _ops(self, subject: str) -> list[str]:
        return [word for word, each in self._operations.items() if each.subject == subject]

    async def audit(self, org: str, after: int = 0) -> AsyncIterator[AuditRow]:
        table = schema.audit.c
        while True:
            page = select(schema.audit).where(table.org == org, table.seq > after)
            found = await self._all(page.order_by(table.seq).limit(PAGE))
            for row in found:
                after = row["seq"]
                yield rows.audit_from(row)
            if len(found) < PAGE:
                return

    async def audit_of(self, request: ChangeRequest) -> list[AuditRow]:
        table = schema.audit.c
        mine = select(schema.audit).where(table.org == request.org, table.request_id == request.id)
        return [rows.audit_from(row) for row in await self._all(mine.order_by(table.seq))]

    async def audit_head(self, org: str) -> AuditHead | None:
        found = await self._all(_audit_head, org=org)
        return AuditHead(found[0]["seq"], found[0]["hash"]) if found else None

    async def newest(self, org: str, count: int, subject: str | None = None) -> list[ChangeRequest]:
        mine = select(schema.request).where(schema.request.c.org == org)
        if subject is not None:
            mine = mine.where(schema.request.c.op.in_(self._ops(subject)))
        return await self._newest(mine, count)

    async def numbered(self, org: str, number: int) -> ChangeRequest | None:
        return await self._one_request(_by_number, org=org, no=number)

    async def applied_after(self, request: ChangeRequest, most: int) -> list[ChangeRequest]:
        table = schema.request.c
        applied = select(schema.request).where(
            table.org == request.org,
            table.state == State.APPLIED.value,
            table.op.in_(self._ops(request.plan.subject)),
        )
        return await self._newest(applied.where(table.no > request.number), most)

    async def _newest(self, query: Select[Any], count: int) -> list[ChangeRequest]:
        found = await self._all(query.order_by(schema.request.c.no.desc()).limit(count))
        table = schema.decision.c
        ids = [row["id"] for row in found]
        votes = await self._all(
            select(schema.decision).where(table.request_id.in_(ids)).order_by(*_vote_order)
        )
        return [
            self._request(row, [vote for vote in votes if vote["request_id"] == row["id"]])
            for row in found
        ]

    async def requests(self, org: str) -> AsyncIterator[ChangeRequest]:
        before = 2**31 - 1
        while True:
            request = await self._one_request(_next_older, org=org, before=before)
            if request is None:
                return
            before = request.number
            yield request

    async def attempts(self, request: ChangeRequest) -> list[Attempt]:
        found = await self._all(_attempts, request_id=request.id)
        return [rows.attempt_from(row) for row in found]

    async def watch(self, org: str) -> WatchState:
        found = await self._all(_watch, org=org)
        return rows.watch_from(found[0]) if found else WatchState(org)

    async def open_incident(self, org: str, body: type[Says]) -> Incident[Says] | None:
        return next(iter(await self.open_incidents(org, body)), None)

    async def open_incidents(self, org: str, body: type[Says]) -> list[Incident[Says]]:
        found = await self._all(_open_incident, org=org, kind=body.kind.value)
        return sorted(map(rows.incident_from, found), key=lambda row: (row.opened_at, row.id))

    async def due_cards(self, org: str, now: datetime) -> list[Card]:
        found = await self._all(_due_cards, org=org, now=stamp(now))
        return [rows.card_from(row) for row in found]

    async def due_messages(self, org: str, now: datetime) -> list[Waiting]:
        found = await self._all(_due_messages, org=org, now=stamp(now))
        return [rows.waiting_from(row) for row in found]

    async def told(self, org: str, subject: str, kind: MessageKind) -> tuple[str, ...]:
        found = await self._all(_told, org=org, subject=subject, kind=kind.value)
        return tuple(row["key"] for row in found)

    async def last_mention(self, org: str, now: datetime) -> datetime | None:
        found = await self._all(_last_mention, org=org, now=stamp(now))
        return from_stamp(found[0]["at"]) if found else None

    async def card(self, org: str, subject: str) -> Card | None:
        found = await self._all(_card, org=org, subject=subject)
        return rows.card_from(found[0]) if found else None

    async def subject(self, org: str, subject: str) -> ChangeRequest | Incident[Living] | None:
        request = await self.request(org, subject)
        if request is not None:
            return request
        found = await self._all(_incident, org=org, id=subject)
        return rows.incident_from(found[0]) if found else None

    async def time(self) -> datetime:
        """The database's own clock. On SQLite it is this machine's."""
        asked = "SELECT julianday('now')" if self.is_embedded else "SELECT clock_timestamp()"
        async with self._engine.begin() as connection:
            told = (await connection.execute(text(asked))).scalar_one()
        return datetime.now(UTC) if self.is_embedded else told.astimezone(UTC)

    async def other_organisation(self, org: str) -> str | None:
        """One that has requests here beside `org`, if there is any."""
        (found,) = await self._all(_first_and_last_organisation)
        return next((other for other in found.values() if other not in {None, org}), None)

    async def release(self) -> None:
        """Take from everybody what they had claimed; for the one process that holds the database.

        Whoever claimed it before is dead, so nobody need wait for a lease to end. A mention waits for
        a time of its own, which a restart does not bring nearer.
        """
        waiting = and_(
            schema.outbox.c.done_at.is_(None), schema.outbox.c.kind != MessageKind.MENTION.value
        )
        applying = schema.request.c.state == State.APPLYING.value
        async with self._engine.begin() as connection:
            await connection.execute(update(schema.card).values(after=0))
            await connection.execute(update(schema.outbox).where(waiting).values(after=0))
            await connection.execute(update(schema.request).where(applying).values(lease_until=0))
            await connection.execute(update(schema.oauth_token).values(owner="", until=None))

    async def remember_signature(self, digest: str, now: datetime) -> bool:
        new = _unless_remembered(self._engine.dialect.name)
        too_old = stamp(now - REMEMBERED_FOR)
        return bool(await self._all(new, digest=digest, at=stamp(now), too_old=too_old))

    async def forget_signatures(self, now: datetime) -> None:
        async with self.statement() as connection:
            await connection.execute(_old_signatures, {"too_old": stamp(now - REMEMBERED_FOR)})

    async def backlog(self, org: str) -> Backlog:
        return rows.backlog_from(await self._all(_backlog, org=org))

    async def is_writable(self) -> bool:
        """Whether a write transaction can be opened; nothing is stored."""
        try:
            async with self._engine.begin() as connection:
                await connection.execute(text("UPDATE slot SET job = job WHERE 1 = 0"))
        except (SQLAlchemyError, OSError):
            return False
        return True

    async def _one_request(self, query: Select[Any], **values: Any) -> ChangeRequest | None:
        async with self.statement() as connection:
            row = (await connection.execute(query, values)).mappings().first()
            if row is None:
                return None
            votes = await connection.execute(_votes, {"request_id": row["id"]})
            return self._request(row, votes.mappings().all())

    def _request(self, row: Any, votes: Sequence[Any]) -> ChangeRequest:
        return rows.request_from(row, votes, self._operations)

    async def _all(self, query: Executable, **values: Any) -> Sequence[Any]:
        async with self.statement() as connection:
            found: Sequence[Any] = (await connection.execute(query, values)).mappings().all()
            return found


class SqlTransaction:
    """`ports.Transaction` on one connection that is inside a transaction."""

    def __init__(self, connection: AsyncConnection, org: str) -> None:
        self._connection = connection
        self._org = org
        self.moves: list[tuple[ChangeRequest, ChangeRequest]] = []
        self.is_due = False

    async def add_request(self, new: ChangeRequest) -> ChangeRequest:
        highest = await self._connection.execute(_highest_number, {"org": new.org})
        number = (highest.scalar() or 0) + 1
        numbered = replace(new, number=number)
        try:
            async with self._connection.begin_nested():
                await self._connection.execute(insert(schema.request), rows.request_row(numbered))
        except IntegrityError as error:
            raise AlreadyOpen(await self._open_number(new.org)) from error
        return numbered

    async def _open_number(self, org: str) -> int:
        found = await self._connection.execute(_the_open_one(self._dialect), {"org": org})
        number: int = found.mappings().one()["no"]
        return number

    async def replace(self, old: ChangeRequest, new: ChangeRequest) -> None:
        was = {"of": old.id, "old_rev": old.rev, "old_state": old.state.value}
        if (await self._connection.execute(_move, was | rows.moving_row(new))).rowcount != 1:
            raise LostRace
        for decision in new.decisions[len(old.decisions) :]:
            await self._connection.execute(_new_vote, rows.decision_row(new.id, decision))
        await self._make_card_due(new.id, new.rev)
        self.moves.append((old, new))

    async def _make_card_due(self, subject: str, rev: int) -> None:
        self.is_due = True
        await self._change_card(subject, due_rev=rev)

    async def hold(self, request: ChangeRequest) -> None:
        table = schema.request.c
        same = update(schema.request).where(table.id == request.id, table.rev == request.rev)
        if (await self._connection.execute(same.values(rev=table.rev))).rowcount != 1:
            raise LostRace

    async def add_attempt(self, attempt: Attempt) -> None:
        await self._connection.execute(insert(schema.attempt), rows.attempt_row(attempt))

    async def finish_attempt(self, attempt: Attempt) -> None:
        table = schema.attempt.c
        same = and_(table.request_id == attempt.request_id, table.n == attempt.n)
        await self._connection.execute(
            update(schema.attempt).where(same).values(rows.attempt_row(attempt))
        )

    async def record(self, entry: AuditEntry) -> AuditHead:
        if self._connection.dialect.name == "postgresql":
            # Entries of one organisation are chained, so they are written one after the other.
            await self._connection.execute(_lock_chain, {"org": entry.org})
        head = (await self._connection.execute(_audit_head, {"org": entry.org})).first()
        seq, previous = (head.seq + 1, head.hash) if head else (1, GENESIS)
        sealed = chain_hash(previous, entry.org, seq, canonical_body(entry))
        await self._connection.execute(_new_entry, rows.audit_row(entry, seq, previous, sealed))
        return AuditHead(seq, sealed)

    async def tell(self, message: Message, *, after: datetime | None = None) -> None:
        self.is_due = True
        await self._connection.execute(
            _unless_there(self._dialect, schema.outbox), rows.message_row(self._org, message, after)
        )

    async def save_incident(self, incident: Incident[Says]) -> None:
        await self._upsert(schema.incident, rows.incident_row(incident), "id")
        await self._make_card_due(incident.id, incident.rev)

    async def replace_watch(self, old: WatchState, new: WatchState) -> None:
        table, row = schema.watch, rows.watch_row(replace(new, rev=old.rev + 1))
        if old.rev == 0:
            first = _unless_there(self._dialect, table, table.c.org)
            is_written = (await self._connection.execute(first, row)).first() is not None
        else:
            same = update(table).where(table.c.org == old.org, table.c.rev == old.rev)
            is_written = (await self._connection.execute(same.values(row))).rowcount == 1
        if not is_written:
            raise LostRace

    async def save_reading(self, org: str, live: MailConfig | None, at: datetime) -> None:
        await self._connection.execute(
            _unless_there(self._dialect, schema.watch), rows.watch_row(WatchState(org, rev=1))
        )
        table = schema.watch.c
        written = rows.reading_row(org, live, at) | {"rev": table.rev + 1}
        await self._connection.execute(update(schema.watch).where(table.org == org).values(written))

    async def save_card(self, card: Card, *, after: datetime | None = None) -> None:
        self.is_due |= not card.shown_rev
        await self._upsert(schema.card, rows.card_row(self._org, card, after), "subject")

    async def show_again(self, subject: str) -> None:
        self.is_due = True
        await self._change_card(subject, shown_rev=0)

    async def _change_card(self, subject: str, **rev: int) -> None:
        await self._connection.execute(_change_card, {"of": subject, "by": self._org} | rev)

    async def claim_card(self, card: Card, now: datetime, until: datetime) -> bool:
        mine = {"of": card.subject, "shown": card.shown_rev, "at": card.ts, "now": stamp(now)}
        mine |= {"by": self._org, "after": stamp(until)}
        claimed = await self._connection.execute(_claim_card, mine)
        return claimed.rowcount == 1

    async def claim_message(self, key: str, now: datetime, until: datetime) -> bool:
        mine = {"of": key, "by": self._org, "now": stamp(now), "after": stamp(until)}
        return (await self._connection.execute(_claim_message, mine)).rowcount == 1

    async def take_slot(self, job: str, slot: datetime) -> bool:
        new = _unless_there(self._dialect, schema.slot, schema.slot.c.job)
        row = {"job": job, "slot_utc": stamp(slot)}
        return (await self._connection.execute(new, row)).first() is not None

    async def finish_message(self, key: str, now: datetime) -> None:
        done = {"of": key, "by": self._org, "done_at": stamp(now), "last_error": ""}
        await self._connection.execute(_change_message, done)

    async def put_off_message(self, key: str, after: datetime, error: str) -> None:
        later = {"of": key, "by": self._org, "after": stamp(after), "last_error": error}
        await self._connection.execute(_put_off_message, later)

    @property
    def _dialect(self) -> str:
        return self._connection.dialect.name

    async def _upsert(self, table: Table, row: dict[str, Any], key: str) -> None:
        await self._connection.execute(_put(self._dialect, table, key, tuple(row)), row)


def _counted(what: str, word: ColumnElement[Any]) -> Select[Any]:
    return select(literal(what).label("what"), word.label("word"), func.count().label("n"))


def _translated(error: SQLAlchemyError) -> DatabaseError:
    reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
    return DatabaseError(f"The database does not work: {reason}.")


def _insert(dialect: str, table: Table) -> Any:
    """INSERT with ON CONFLICT, which both databases spell alike and SQLAlchemy does not."""
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)


@cache
def _unless_there(dialect: str, table: Table, *returning: Column[Any]) -> Any:
    new = _insert(dialect, table)
    if table is schema.outbox:
        new = new.values(n=_next_message.scalar_subquery())
    new = new.on_conflict_do_nothing()
    return new.returning(*returning) if returning else new


@cache
def _unless_remembered(dialect: str) -> Any:
    """Gives the digest if it is new, or was remembered so long ago that it may be forgotten."""
    table = schema.replay
    new = _insert(dialect, table)
    is_forgotten = table.c.at < bindparam("too_old")
    same = new.on_conflict_do_update(
        index_elements=["digest"], set_={"at": new.excluded.at}, where=is_forgotten
    )
    return same.returning(table.c.digest)


@cache
def _put(dialect: str, table: Table, key: str, columns: tuple[str, ...]) -> Any:
    new = _insert(dialect, table)
    rest = {name: new.excluded[name] for name in columns if name != key}
    is_ours = table.c.org == new.excluded.org
    return new.on_conflict_do_update(index_elements=[key], set_=rest, where=is_ours)


@cache
def _the_open_one(dialect: str) -> Select[Any]:
    """On SQLite tied to its index: after an ANALYZE it takes a table whose rows are nearly all of
    one organisation for one where no index helps, and reads the whole history."""
    if dialect != "sqlite":
        return _one.where(_request.org == bindparam("org"), schema.IS_OPEN)
    tied = f"SELECT id FROM request INDEXED BY one_open WHERE org = :org AND {schema.IS_OPEN}"  # noqa: S608  # our own words
    return _one.where(_request.id.in_(text(tied).columns(_request.id)))


# Statements are built once, for most of what one costs is its building. Values that an UPDATE looks
# for are named otherwise than its columns, since what is named like a column is what it sets.

_request = schema.request.c
_one = select(schema.request).limit(1)
_by_id = _one.where(_request.org == bindparam("org"), _request.id == bindparam("id"))
_by_number = _one.where(_request.org == bindparam("org"), _request.no == bindparam("no"))
# By number, which is the order of their ends too, since one is open at a time. When they ended is
# told by clocks, which may be set back, and sealed by nothing.
_last_applied = _one.where(
    _request.org == bindparam("org"),
    _request.state == State.APPLIED.value,
    _request.op.in_(bindparam("ops", expanding=True)),
).order_by(_request.no.desc())
_first_and_last_organisation = select(
    select(func.min(_request.org)).scalar_subquery().label("first"),
    select(func.max(_request.org)).scalar_subquery().label("last"),
)
_next_older = _one.where(
    _request.org == bindparam("org"), _request.no < bindparam("before")
).order_by(_request.no.desc())
_highest_number = select(func.max(_request.no)).where(_request.org == bindparam("org"))
_move = update(schema.request).where(
    _request.id == bindparam("of"),
    _request.rev == bindparam("old_rev"),
    _request.state == bindparam("old_state"),
)
_new_vote = insert(schema.decision)
_attempts = (
    select(schema.attempt)
    .where(schema.attempt.c.request_id == bindparam("request_id"))
    .order_by(schema.attempt.c.n)
)
_watch = select(schema.watch).where(schema.watch.c.org == bindparam("org"))
_incident = select(schema.incident).where(
    schema.incident.c.org == bindparam("org"), schema.incident.c.id == bindparam("id")
)
_open_incident = select(schema.incident).where(
    schema.incident.c.org == bindparam("org"),
    schema.incident.c.kind == bindparam("kind"),
    schema.incident.c.resolved_at.is_(None),
)
_new_entry = insert(schema.audit)
_vote_order = (schema.decision.c.at, schema.decision.c.principal)
_votes = (
    select(schema.decision)
    .where(schema.decision.c.request_id == bindparam("request_id"))
    .order_by(*_vote_order)
)
_audit_head = (
    select(schema.audit.c.seq, schema.audit.c.hash)
    .where(schema.audit.c.org == bindparam("org"))
    .order_by(schema.audit.c.seq.desc())
    .limit(1)
)
_lock_chain = text("SELECT pg_advisory_xact_lock(hashtextextended(:org, 0))")
_outbox = schema.outbox.c
_next_message = select(func.coalesce(func.max(_outbox.n), 0) + 1)
_its_card = and_(_outbox.org == schema.card.c.org, _outbox.subject == schema.card.c.subject)
_due_messages = (
    select(schema.outbox, schema.card.c.channel, schema.card.c.ts)
    .join_from(schema.outbox, schema.card, _its_card, isouter=True)
    .where(_outbox.org == bindparam("org"), schema.IS_WAITING, _outbox.after <= bindparam("now"))
    .order_by(_outbox.n)
)
_told = (
    select(_outbox.key)
    .where(
        _outbox.org == bindparam("org"),
        _outbox.subject == bindparam("subject"),
        _outbox.kind == bindparam("kind"),
    )
    .order_by(_outbox.n)
)
_change_message = update(schema.outbox).where(
    _outbox.org == bindparam("by"), _outbox.key == bindparam("of")
)
_put_off_message = _change_message.values(tries=_outbox.tries + 1)
_claim_message = _change_message.where(_outbox.done_at.is_(None), _outbox.after <= bindparam("now"))
_old_signatures = delete(schema.replay).where(schema.replay.c.at < bindparam("too_old"))
_card = select(schema.card).where(
    schema.card.c.org == bindparam("org"), schema.card.c.subject == bindparam("subject")
)
# No request is mentioned before an older one, so the first that is found is the last mention.
_last_mention = (
    select(schema.card.c.mention_at.label("at"))
    .join_from(schema.request, schema.card, _request.id == schema.card.c.subject)
    .where(_request.org == bindparam("org"), schema.card.c.mention_at <= bindparam("now"))
    .order_by(_request.no.desc())
    .limit(1)
)
_due_cards = (
    select(schema.card)
    .where(
        schema.card.c.org == bindparam("org"),
        schema.card.c.after <= bindparam("now"),
        schema.IS_DUE,
    )
    .order_by(schema.card.c.ts, schema.card.c.subject)
)
_change_card = update(schema.card).where(
    schema.card.c.org == bindparam("by"), schema.card.c.subject == bindparam("of")
)
_claim_card = _change_card.where(
    schema.card.c.shown_rev == bindparam("shown"),
    schema.card.c.ts == bindparam("at"),
    schema.card.c.after <= bindparam("now"),
)
_is_waiting = and_(_outbox.org == bindparam("org"), schema.IS_WAITING)
_oldest_waiting = select(_outbox.key).where(_is_waiting).order_by(_outbox.n).limit(1)
_backlog = union_all(
    _counted("request", schema.request.c.state)
    .where(schema.request.c.org == bindparam("org"), schema.IS_OPEN)
    .group_by(schema.request.c.state),
    _counted("message", _oldest_waiting.scalar_subquery())
    .select_from(schema.outbox)
    .where(_is_waiting),
    _counted("card", literal(""))
    .select_from(schema.card)
    .where(schema.card.c.org == bindparam("org"), schema.IS_DUE),
)
