"""Brings a database to this version's tables, with Alembic. Safe to repeat."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import SQLAlchemyError

from bot.adapters.store.version import MIGRATIONS, plain_engine, shown
from bot.errors import DatabaseError


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url` to `revision`, wholly or not at all. Raises DatabaseError."""
    try:
        engine = plain_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise DatabaseError(
            f"MAILCFG_DATABASE_URL is no database that mailcfg can use: {error}. Write it as "
            "`sqlite+aiosqlite:///mailcfg.db` or `postgresql+psycopg://user@host/name`."
        ) from error
    config = _config()
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    except CommandError as error:
        raise DatabaseError(
            f"The database at {shown(engine)} was made by another version of mailcfg: {error}. "
            "Run the newer version, or point MAILCFG_DATABASE_URL at another file."
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database at {shown(engine)} cannot be opened or upgraded: {reason}. "
            "Check MAILCFG_DATABASE_URL and the folder's permissions."
        ) from error
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
