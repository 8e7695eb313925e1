"""Which version of our tables a database has.

Apart from the migrations themselves, since a bot whose tables are current needs no Alembic, which is
slow to import.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from bot.adapters.store.sql import begin_immediately
from bot.errors import DatabaseError

MIGRATIONS = Path(__file__).parent / "migrations"
PROBE = "UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"
"""Needs the right to write, which a database that is current already would not have needed."""


class Tables(Enum):
    """What a database's tables are to this version of mailcfg."""

    MISSING = "not there yet"
    OLDER = "of an older version"
    CURRENT = "current"
    UNKNOWN = "of a version that this one does not know"


def tables_at(revision: str | None) -> Tables:
    """What a database is whose last migration was `revision`."""
    if revision is None:
        return Tables.MISSING
    known = revisions()
    if revision == known[-1]:
        return Tables.CURRENT
    return Tables.OLDER if revision in known else Tables.UNKNOWN


def revisions() -> list[str]:
    """This version's migrations, oldest first: each file's name begins with its revision."""
    return sorted(file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*.py"))


def revision_of(connection: Connection) -> str | None:
    """The last migration that was made, as Alembic has noted it."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    noted = connection.execute(text("SELECT version_num FROM alembic_version"))
    return noted.scalar()


def is_usable(url: str) -> bool:
    """Whether its tables are current and can be written; why not is for `migrate` to tell.

    Raises DatabaseError for what is no address.
    """
    engine = plain_engine(url)
    try:
        with engine.connect() as connection:
            if tables_at(revision_of(connection)) is not Tables.CURRENT:
                return False
            connection.execute(text(PROBE))
            return True
    except SQLAlchemyError:
        return False
    finally:
        engine.dispose()


def check_is_current(url: str) -> None:
    """Raises DatabaseError unless the database has exactly this version's tables."""
    engine = plain_engine(url)
    try:
        with engine.connect() as connection:
            found = revision_of(connection)
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database at {shown(engine)} cannot be reached: {reason}. "
            "Check MAILCFG_DATABASE_URL."
        ) from error
    finally:
        engine.dispose()
    if tables_at(found) is not Tables.CURRENT:
        raise DatabaseError(
            f"The database at {shown(engine)} has other tables than this version of mailcfg "
            "needs. Stop every mailcfg that uses it, then run `mailcfg migrate`."
        )


def plain_engine(url: str) -> Engine:
    """One that is not asynchronous, as Alembic is not. Raises DatabaseError for what is no address."""
    try:
        parsed = make_url(url)
        engine = create_engine(parsed.set(drivername=parsed.drivername.removesuffix("+aiosqlite")))
    except ImportError as error:
        raise DatabaseError(
            f"MAILCFG_DATABASE_URL needs what is not installed: {error}. For PostgreSQL install "
            "mailcfg with `pip install '.[postgres]'`."
        ) from error
    except SQLAlchemyError as error:
        raise DatabaseError(
            f"MAILCFG_DATABASE_URL is no database that mailcfg can use: {error}. Write it as "
            "`sqlite+aiosqlite:///mailcfg.db` or `postgresql+psycopg://user@host/name`."
        ) from error
    if engine.dialect.name == "sqlite":
        begin_immediately(engine)
    return engine


def shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
