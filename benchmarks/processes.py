"""The processes of a run, and what they cost: memory and processor time, as Linux counts them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.people import ALICE, BOB, CAROL, SIGNING_SECRET

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Running:
    """A process that listens at `url`; `pid` is its own."""

    pid: int
    url: str

    def memory(self) -> int:
        """Bytes resident now."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def cpu_seconds(self) -> float:
        """Used so far by its threads; the usual counters have steps of 10 ms, which is too coarse."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@asynccontextmanager
async def launched(
    *words: str, program: str = sys.executable, core: int | None = None, **environment: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`PROGRAM WORDS` with little in its environment; it is killed on leaving."""
    process = await asyncio.create_subprocess_exec(
        *_on_core(core),
        program,
        *words,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def started(
    *words: str, program: str = sys.executable, core: int | None = None, **environment: str
) -> AsyncIterator[Running]:
    """A program that prints its URL as its first line."""
    async with launched(*words, program=program, core=core, **environment) as process:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError(f"{' '.join(words)} ended at its start")
        yield Running(process.pid, url)


def _on_core(core: int | None) -> Sequence[str]:
    return () if core is None else ("taskset", "-c", str(core))


@asynccontextmanager
async def far_end(slow_seconds: float = 0) -> AsyncIterator[Running]:
    async with started("-m", "benchmarks.far_end", str(slow_seconds)) as running:
        yield running


@asynccontextmanager
async def bot(
    far: Running, database_url: str, *, module: str = "benchmarks.run_bot", core: int | None = None
) -> AsyncIterator[Running]:
    """The real bot as `mailcfg run` builds it, in HTTP mode, ready for Slack."""
    settings = bot_settings(far, database_url)
    async with started("-m", module, core=core, **settings) as running:
        yield running


def bot_settings(far: Running, database_url: str, port: int = 0) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": "xoxb-benchmark",
        "SLACK_SIGNING_SECRET": SIGNING_SECRET,
        "SLACK_API_URL": f"{far.url}/api/",
        "ZOHO_CLIENT_ID": "1000.BENCHMARK",
        "ZOHO_CLIENT_SECRET": "benchmark",
        "ZOHO_REFRESH_TOKEN": "1000.benchmark.refresh",
        "ZOHO_ACCOUNTS_URL": far.url,
        "CLIQ_API_URL": far.url,
        "MAILCFG_DATABASE_URL": database_url,
        "MAILCFG_SECRET_KEY": "a key for benchmarks of thirty-two bytes or more",
        "MAILCFG_APPROVERS": f"{BOB},{CAROL}",
        "MAILCFG_REQUESTERS": ALICE,
        "MAILCFG_APPROVAL_CHANNEL": "C0MAILADMIN",
        "MAILCFG_ALERT_CHANNEL": "C0MAILALERTS",
        "MAILCFG_DNS_SERVERS": "127.0.0.1:9",
        "MAILCFG_DNS_AUTHORITATIVE": "127.0.0.1:9",
        "MAILCFG_CHECK_EVERY": "24h",
        "MAILCFG_LOG_LEVEL": "WARNING",
        "MAILCFG_LISTEN": f"127.0.0.1:{port}",
    }


@asynccontextmanager
async def session(connections: int = 200) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as opened:
        yield opened
