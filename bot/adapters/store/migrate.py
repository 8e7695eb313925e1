"""Brings a database to this version's tables, with Alembic. Safe to repeat."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from bot.adapters.store.sql import begin_immediately
from bot.errors import DatabaseError

MIGRATIONS = Path(__file__).parent / "migrations"
PROBE = "UPDATE alembic_version SET version_num = version_num WHERE 1 = 0"
"""Needs the right to write, which a database that is current already would not have needed."""


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url` to `revision`, wholly or not at all. Raises DatabaseError."""
    engine = _open(url)
    config = _config()
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.execute(text(PROBE))
    except CommandError as error:
        raise DatabaseError(
            f"The database at {_shown(engine)} was made by another version of mailcfg: {error}. "
            "Run the newer version, or point MAILCFG_DATABASE_URL at another file."
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database at {_shown(engine)} cannot be opened or upgraded: {reason}. "
            "Check MAILCFG_DATABASE_URL, that mailcfg's user may write to the file and to its folder, "
            "and that no other program holds it."
        ) from error
    finally:
        engine.dispose()


def check_is_current(url: str) -> None:
    """Raises DatabaseError unless the database has exactly this version's tables."""
    engine = _open(url)
    try:
        with engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except SQLAlchemyError as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database at {_shown(engine)} cannot be reached: {reason}. "
            "Check MAILCFG_DATABASE_URL."
        ) from error
    finally:
        engine.dispose()
    if found != ScriptDirectory.from_config(_config()).get_current_head():
        raise DatabaseError(
            f"The database at {_shown(engine)} has other tables than this version of mailcfg "
            "needs. Stop every mailcfg that uses it, then run `mailcfg migrate`."
        )


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
    script = ScriptDirectory.from_config(_config())
    if revision == script.get_current_head():
        return Tables.CURRENT
    known = {each.revision for each in script.walk_revisions()}
    return Tables.OLDER if revision in known else Tables.UNKNOWN


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config


def _open(url: str) -> Engine:
    """A plain engine: Alembic is not asynchronous. Raises DatabaseError for what is no address."""
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


def _shown(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
