"""A real PostgreSQL server for the tests, on loopback, gone when they are done."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from bot.adapters.store import schema
from bot.adapters.store.migrate import migrate

HOW = "PostgreSQL's server programs are not installed: `apt-get install postgresql` enables this."


@dataclass
class Postgres:
    """A running server. `fresh()` makes an empty database and gives its URL."""

    port: int
    made: int = 0

    def fresh(self) -> str:
        self.made += 1
        name = f"mailcfg_{self.made}"
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def emptied(self, name: str = "mailcfg_1") -> str:
        """A database with its tables, and nothing in them: quicker than a new one.

        Few rows are deleted faster than tables are truncated, which makes new files of them.
        """
        emptied = [f"DELETE FROM {table.name}" for table in reversed(schema.metadata.sorted_tables)]
        with psycopg.connect(self.dsn(name), autocommit=True) as connection:
            try:
                connection.execute("; ".join(emptied))
            except psycopg.errors.UndefinedTable:  # a test has dropped one
                connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
                migrate(self.url(name))
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{name}"

    def dsn(self, name: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=postgres dbname={name}"


def programs() -> Path | None:
    """Where initdb and its like are, or None."""
    if shutil.which("pg_config") is None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        return found[-1] if found else None
    told = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True, check=True)
    folder = Path(told.stdout.strip())
    return folder if (folder / "initdb").exists() else None


@contextmanager
def running_server() -> Iterator[Postgres]:
    """A server on a free port; skips without its programs, but under CI=true fails.

    Its folder is outside of pytest's, which each run that begins closes to everybody but root.
    """
    where = programs()
    if where is None:
        if os.environ.get("CI") == "true":
            pytest.fail(HOW)
        pytest.skip(HOW)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="mailcfg-postgres-") as folder:
        as_owner = _as_owner(folder)
        data = f"{folder}/data"
        _run([*as_owner, str(where / "initdb"), "-D", data, "-A", "trust", "-U", "postgres"])
        options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off -c max_connections=50"
        control = [*as_owner, str(where / "pg_ctl"), "-D", data, "-w"]
        _run([*control, "-o", options, "-l", f"{folder}/log", "start"])
        try:
            yield Postgres(port)
        finally:
            _run([*control, "-m", "immediate", "stop"])


def _as_owner(folder: str) -> list[str]:
    """initdb refuses to run as root, so root hands the folder to the user postgres."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "postgres")
    return ["runuser", "-u", "postgres", "--"]


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
