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
from typing import Any
from urllib.parse import quote

from sqlalchemy import (
    ColumnElement,
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
from bot.domain.change import Attempt, ChangeRequest, State
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import MailConfig
from bot.errors import AlreadyOpen, DatabaseError, Tampered
from bot.ports import (
    AuditEntry,
    AuditHead,
    AuditRow,
    Backlog,
    Card,
    LostRace,
    Message,
    Transaction,
    WatchState,
)
from bot.services.audit import GENESIS, canonical_body, chain_hash

PAGE = 500
"""Rows read at once where a table is read whole."""
REMEMBERED_FOR = timedelta(minutes=10)
"""How long signatures are kept; a request is refused for its age after five minutes."""
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
    engine = create_async_engine(url, pool_size=1, max_overflow=0, pool_timeout=10)
    begin_immediately(engine.sync_engine)
    return engine


def end_when_idle(engine: Engine) -> None:
    """Have PostgreSQL roll back what a process that stands still has begun.

    Otherwise one that is suspended in a transaction would keep the others from its rows for as long
    as it sleeps. In each transaction anew, since behind a pooler there is no session of our own.
    """

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
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
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


class SqlStore:
    """`ports.Store` on one database.

    After each commit `on_move` is called for every request that it moved, then `on_commit`.
    """

    def __init__(self, engine: AsyncEngine, on_commit: Callable[[], None] = lambda: None) -> None:
        self._engine = engine
        self.on_commit = on_commit
        self.on_move: Callable[[ChangeRequest, ChangeRequest], None] = lambda _old, _new: None

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        async with self.transaction() as connection:
            transaction = SqlTransaction(connection)
            yield transaction
        for old, new in transaction.moves:
            self.on_move(old, new)
        self.on_commit()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A bare transaction, whose commit wakes nobody. Raises DatabaseError."""
        try:
            async with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise _translated(error) from error

    async def request(self, request_id: str) -> ChangeRequest | None:
        return await self._one_request(_requests.where(schema.request.c.id == request_id))

    async def open_request(self, org: str) -> ChangeRequest | None:
        return await self._one_request(_requests.where(schema.request.c.org == org, schema.IS_OPEN))

    async def last_applied(self, org: str) -> ChangeRequest | None:
        table = schema.request.c
        newest = _requests.where(table.org == org, table.state == State.APPLIED.value)
        return await self._one_request(newest.order_by(table.ended_at.desc(), table.no.desc()))

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

    async def newest(self, org: str, count: int) -> list[ChangeRequest]:
        return await self._newest(_requests.where(schema.request.c.org == org), count)

    async def numbered(self, org: str, number: int) -> ChangeRequest | None:
        table = schema.request.c
        return await self._one_request(_requests.where(table.org == org, table.no == number))

    async def applied_after(self, request: ChangeRequest, most: int) -> list[ChangeRequest]:
        table = schema.request.c
        applied = _requests.where(table.org == request.org, table.state == State.APPLIED.value)
        return await self._newest(applied.where(table.no > request.number), most)

    async def _newest(self, query: Select[Any], count: int) -> list[ChangeRequest]:
        found = await self._all(query.order_by(schema.request.c.no.desc()).limit(count))
        table = schema.decision.c
        ids = [row["id"] for row in found]
        votes = await self._all(
            select(schema.decision).where(table.request_id.in_(ids)).order_by(*_vote_order)
        )
        return [
            rows.request_from(row, [vote for vote in votes if vote["request_id"] == row["id"]])
            for row in found
        ]

    async def requests(self, org: str) -> AsyncIterator[ChangeRequest]:
        table = schema.request.c
        before = 2**31 - 1
        while True:
            older = _requests.where(table.org == org, table.no < before)
            request = await self._one_request(older.order_by(table.no.desc()))
            if request is None:
                return
            before = request.number
            yield request

    async def attempts(self, request_id: str) -> list[Attempt]:
        table = schema.attempt.c
        found = await self._all(
            select(schema.attempt).where(table.request_id == request_id).order_by(table.n)
        )
        return [rows.attempt_from(row) for row in found]

    async def watch(self, org: str) -> WatchState:
        found = await self._all(select(schema.watch).where(schema.watch.c.org == org))
        return rows.watch_from(found[0]) if found else WatchState(org)

    async def open_incident(self, org: str, kind: Kind) -> Incident | None:
        found = await self.open_incidents(org, kind)
        return found[0] if found else None

    async def open_incidents(self, org: str, kind: Kind) -> list[Incident]:
        table = schema.incident.c
        found = await self._all(
            select(schema.incident)
            .where(table.org == org, table.kind == kind.value, table.resolved_at.is_(None))
            .order_by(table.opened_at, table.id)
        )
        return [rows.incident_from(row) for row in found]

    async def due_cards(self, now: datetime) -> list[tuple[Card, ChangeRequest | Incident]]:
        found = await self._all(_due_cards, now=rows.stamp(now))
        due = [(rows.card_from(row), await self._readable(row["subject"])) for row in found]
        return [(card, subject) for card, subject in due if subject is not None]

    async def _readable(self, subject: str) -> ChangeRequest | Incident | None:
        """None also for a damaged row: its card must not keep the others from being shown."""
        try:
            return await self.subject(subject)
        except Tampered:
            return None

    async def due_messages(self, now: datetime) -> list[tuple[Message, int]]:
        found = await self._all(_due_messages, now=rows.stamp(now))
        return [(rows.message_from(row), row["tries"]) for row in found]

    async def told(self, subject: str, kind: str) -> tuple[str, ...]:
        table = schema.outbox.c
        about = select(table.key).where(table.subject == subject, table.kind == kind)
        return tuple(row["key"] for row in await self._all(about.order_by(table.n)))

    async def last_mention(self, org: str, now: datetime) -> datetime | None:
        found = await self._all(_last_mention, org=org, now=rows.stamp(now))
        return rows.time(found[0]["at"])

    async def card(self, subject: str) -> Card | None:
        found = await self._all(select(schema.card).where(schema.card.c.subject == subject))
        return rows.card_from(found[0]) if found else None

    async def subject(self, subject: str) -> ChangeRequest | Incident | None:
        found = await self._all(select(schema.incident).where(schema.incident.c.id == subject))
        return rows.incident_from(found[0]) if found else await self.request(subject)

    async def time(self) -> datetime:
        """The database's own clock. On SQLite it is this machine's."""
        is_sqlite = self._engine.dialect.name == "sqlite"
        asked = "SELECT julianday('now')" if is_sqlite else "SELECT clock_timestamp()"
        async with self._engine.begin() as connection:
            told = (await connection.execute(text(asked))).scalar_one()
        return datetime.now(UTC) if is_sqlite else told.astimezone(UTC)

    async def release(self) -> None:
        """Take from everybody what they had claimed; for the one process that holds the database.

        Whoever claimed it before is dead, so nobody need wait for a lease to end.
        """
        waiting = schema.outbox.c.done_at.is_(None)
        applying = schema.request.c.state == State.APPLYING.value
        async with self._engine.begin() as connection:
            await connection.execute(update(schema.card).values(after=0))
            await connection.execute(update(schema.outbox).where(waiting).values(after=0))
            await connection.execute(update(schema.request).where(applying).values(lease_until=0))
            await connection.execute(update(schema.oauth_token).values(owner="", until=None))

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

    async def _one_request(self, query: Select[Any]) -> ChangeRequest | None:
        try:
            async with self._engine.begin() as connection:
                row = (await connection.execute(query.limit(1))).mappings().first()
                if row is None:
                    return None
                votes = await connection.execute(_votes, {"request_id": row["id"]})
                return rows.request_from(row, votes.mappings().all())
        except SQLAlchemyError as error:
            raise _translated(error) from error

    async def _all(self, query: Executable, **values: Any) -> Sequence[Any]:
        try:
            async with self._engine.begin() as connection:
                found: Sequence[Any] = (await connection.execute(query, values)).mappings().all()
                return found
        except SQLAlchemyError as error:
            raise _translated(error) from error


class SqlTransaction:
    """`ports.Transaction` on one connection that is inside a transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.moves: list[tuple[ChangeRequest, ChangeRequest]] = []

    async def add_request(self, new: ChangeRequest) -> ChangeRequest:
        table = schema.request.c
        highest = select(func.max(table.no)).where(table.org == new.org)
        number = ((await self._connection.execute(highest)).scalar() or 0) + 1
        numbered = replace(new, number=number)
        try:
            async with self._connection.begin_nested():
                await self._connection.execute(insert(schema.request), rows.request_row(numbered))
        except IntegrityError as error:
            raise AlreadyOpen(await self._open_number(new.org)) from error
        return numbered

    async def _open_number(self, org: str) -> int:
        table = schema.request.c
        found = select(table.no).where(table.org == org, schema.IS_OPEN)
        number: int = (await self._connection.execute(found)).scalar_one()
        return number

    async def replace(self, old: ChangeRequest, new: ChangeRequest) -> None:
        table = schema.request.c
        move = (
            update(schema.request)
            .where(table.id == old.id, table.rev == old.rev, table.state == old.state.value)
            .values(rows.moving_row(new))
        )
        if (await self._connection.execute(move)).rowcount != 1:
            raise LostRace
        for decision in new.decisions[len(old.decisions) :]:
            await self._connection.execute(
                insert(schema.decision), rows.decision_row(new.id, decision)
            )
        await self._make_card_due(new.id, new.rev)
        self.moves.append((old, new))

    async def _make_card_due(self, subject: str, rev: int) -> None:
        await self._connection.execute(_card_is_due, {"of": subject, "due_rev": rev})

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
        await self._connection.execute(
            insert(schema.audit), rows.audit_row(entry, seq, previous, sealed)
        )
        return AuditHead(seq, sealed)

    async def tell(self, message: Message, *, after: datetime | None = None) -> None:
        n = ((await self._connection.execute(_last_message)).scalar() or 0) + 1
        await self._connection.execute(
            self._insert(schema.outbox).on_conflict_do_nothing(),
            rows.message_row(message, n, after),
        )

    async def save_incident(self, incident: Incident) -> None:
        await self._upsert(schema.incident, rows.incident_row(incident), "id")
        await self._make_card_due(incident.id, incident.rev)

    async def replace_watch(self, old: WatchState, new: WatchState) -> None:
        table, row = schema.watch, rows.watch_row(replace(new, rev=old.rev + 1))
        if old.rev == 0:
            first = self._insert(table).on_conflict_do_nothing().returning(table.c.org)
            is_written = (await self._connection.execute(first, row)).first() is not None
        else:
            same = update(table).where(table.c.org == old.org, table.c.rev == old.rev)
            is_written = (await self._connection.execute(same.values(row))).rowcount == 1
        if not is_written:
            raise LostRace

    async def save_reading(self, org: str, live: MailConfig | None, at: datetime) -> None:
        await self._connection.execute(
            self._insert(schema.watch).on_conflict_do_nothing(),
            rows.watch_row(WatchState(org, rev=1)),
        )
        table = schema.watch.c
        written = rows.reading_row(org, live, at) | {"rev": table.rev + 1}
        await self._connection.execute(update(schema.watch).where(table.org == org).values(written))

    async def save_card(self, card: Card, *, after: datetime | None = None) -> None:
        await self._upsert(schema.card, rows.card_row(card, after), "subject")

    async def show_again(self, subject: str) -> None:
        same = update(schema.card).where(schema.card.c.subject == subject)
        await self._connection.execute(same.values(shown_rev=0))

    async def claim_card(self, card: Card, now: datetime, until: datetime) -> bool:
        table = schema.card.c
        mine = update(schema.card).where(
            table.subject == card.subject,
            table.shown_rev == card.shown_rev,
            table.ts == card.ts,
            table.after <= rows.stamp(now),
        )
        claimed = await self._connection.execute(mine.values(after=rows.stamp(until)))
        return claimed.rowcount == 1

    async def claim_message(self, key: str, now: datetime, until: datetime) -> bool:
        table = schema.outbox.c
        mine = update(schema.outbox).where(
            table.key == key, table.done_at.is_(None), table.after <= rows.stamp(now)
        )
        claimed = await self._connection.execute(mine.values(after=rows.stamp(until)))
        return claimed.rowcount == 1

    async def take_slot(self, job: str, slot: datetime) -> bool:
        new = self._insert(schema.slot).on_conflict_do_nothing().returning(schema.slot.c.job)
        row = {"job": job, "slot_utc": rows.stamp(slot)}
        return (await self._connection.execute(new, row)).first() is not None

    async def remember_signature(self, digest: str, now: datetime) -> bool:
        table = schema.replay
        await self._connection.execute(
            delete(table).where(table.c.at < rows.stamp(now - REMEMBERED_FOR))
        )
        new = self._insert(table).on_conflict_do_nothing().returning(table.c.digest)
        row = {"digest": digest, "at": rows.stamp(now)}
        return (await self._connection.execute(new, row)).first() is not None

    async def finish_message(self, key: str, now: datetime) -> None:
        await self._change_message(key, done_at=rows.stamp(now), last_error="")

    async def put_off_message(self, key: str, after: datetime, error: str) -> None:
        table = schema.outbox.c
        await self._change_message(
            key, after=rows.stamp(after), tries=table.tries + 1, last_error=error
        )

    async def _change_message(self, key: str, **values: Any) -> None:
        await self._connection.execute(
            update(schema.outbox).where(schema.outbox.c.key == key).values(values)
        )

    def _insert(self, table: Table) -> Any:
        """INSERT with ON CONFLICT, which both databases spell alike and SQLAlchemy does not."""
        dialect = postgresql if self._connection.dialect.name == "postgresql" else sqlite
        return dialect.insert(table)

    async def _upsert(self, table: Any, row: dict[str, Any], key: str) -> None:
        statement = self._insert(table).values(row)
        rest = {name: value for name, value in row.items() if name != key}
        await self._connection.execute(
            statement.on_conflict_do_update(index_elements=[key], set_=rest)
        )


def _counted(what: str, word: ColumnElement[Any]) -> Select[Any]:
    return select(literal(what).label("what"), word.label("word"), func.count().label("n"))


def _translated(error: SQLAlchemyError) -> DatabaseError:
    reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
    return DatabaseError(f"The database does not work: {reason}.")


_requests = select(schema.request)
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
_last_message = select(func.max(schema.outbox.c.n))
_due_messages = (
    select(schema.outbox)
    .where(schema.outbox.c.done_at.is_(None), schema.outbox.c.after <= bindparam("now"))
    .order_by(schema.outbox.c.n)
)
_last_mention = (
    select(func.max(schema.card.c.mention_at).label("at"))
    .join(schema.request, schema.request.c.id == schema.card.c.subject)
    .where(schema.request.c.org == bindparam("org"), schema.card.c.mention_at <= bindparam("now"))
)
_due_cards = (
    select(schema.card)
    .where(schema.card.c.after <= bindparam("now"), schema.IS_DUE)
    .order_by(schema.card.c.ts, schema.card.c.subject)
)
_card_is_due = update(schema.card).where(schema.card.c.subject == bindparam("of"))
_waiting = schema.outbox.c.done_at.is_(None)
_oldest_waiting = select(schema.outbox.c.key).where(_waiting).order_by(schema.outbox.c.n).limit(1)
_backlog = union_all(
    _counted("request", schema.request.c.state)
    .where(schema.request.c.org == bindparam("org"), schema.IS_OPEN)
    .group_by(schema.request.c.state),
    _counted("message", _oldest_waiting.scalar_subquery())
    .select_from(schema.outbox)
    .where(_waiting),
    _counted("card", literal("")).select_from(schema.card).where(schema.IS_DUE),
)
