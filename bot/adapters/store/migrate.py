"""Brings a database to this version's tables, with Alembic. Safe to repeat."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bot.adapters.store.version import MIGRATIONS, PROBE, plain_engine, shown
from bot.errors import DatabaseError


def migrate(url: str, revision: str = "head") -> None:
    """Upgrade the database at `url` to `revision`, wholly or not at all. Raises DatabaseError."""
    engine = plain_engine(url)
    config = _config()
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.execute(text(PROBE))
    except CommandError as error:
        raise DatabaseError(
            f"The database at {shown(engine)} was made by another version of mailcfg: {error}. "
            "Run the newer version, or point MAILCFG_DATABASE_URL at another file."
        ) from error
    except (SQLAlchemyError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise DatabaseError(
            f"The database at {shown(engine)} cannot be opened or upgraded: {reason}. "
            "Check MAILCFG_DATABASE_URL, that mailcfg's user may write to the file and to its folder, "
            "and that no other program holds it."
        ) from error
    finally:
        engine.dispose()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
