"""A migrated store and an office on it, fresh for each test."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from bot.adapters.store.migrate import migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.services.audit import verify
from tests.fakes import FakeClock
from tests.office import Office
from tests.postgres import Postgres, running_server
from tests.soak.options import (  # noqa: F401  # pytest reads options from this file only
    pytest_addoption,
    pytest_configure,
    pytest_configure_node,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests of many steps, whose module says so, belong to the long runs on PostgreSQL."""
    told = getattr(item.getparent(pytest.Module), "obj", None)
    chosen = getattr(item, "callspec", None)
    is_postgres = chosen is not None and chosen.params.get("url") == "postgresql"
    if is_postgres and getattr(told, "IS_LONG_ON_POSTGRESQL", False):
        item.add_marker(pytest.mark.soak)


def database_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database with this version's tables, to be copied."""
    path = tmp_path_factory.mktemp("database") / "mailcfg.db"
    migrate(database_url(path))
    return path


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(migrated, tmp_path / "mailcfg.db"))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server whose first database has this version's tables."""
    with running_server() as server:
        migrate(server.fresh())
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """One contract, every database: an empty one of each kind."""
    if request.param == "sqlite":
        return database_url(request.getfixturevalue("database"))
    server: Postgres = request.getfixturevalue("postgres")
    return server.emptied()


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStore]:
    opened = SqlStore(open_engine(url))
    yield opened
    await opened.close()


@pytest.fixture
async def sqlite_store(database: Path) -> AsyncIterator[SqlStore]:
    opened = SqlStore(open_engine(database_url(database)))
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def office(store: SqlStore, clock: FakeClock) -> AsyncIterator[Office]:
    """Whatever happened there: unless a test has tampered with the rows, the audit holds."""
    opened = Office(store, clock=clock)
    yield opened
    if not opened.was_tampered_with:
        assert (await verify(store, opened.org, opened.seal)).problem == ""
