"""Processes that call Zoho through one database: each is `python -m tests.callers`.

Told `15 LOOK` on standard input, it makes so many calls at once and answers with how each ended, as
JSON; told `token`, it gets a token; told `advance 600`, its time goes on. It ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import SecretStr

from bot.adapters.cliq.accounts import Credentials
from bot.adapters.cliq.client import CliqClient, Tries, new_http_client
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import Budget
from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.shared import shared_budget, shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.ports import Purpose
from bot.sandbox.clock import AdjustableClock

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 60
ORG = "default"
KEY = "canary-of-the-secret-key-with-36-signs"


class Worker:
    """The client of one process, put together as `app` does."""

    def __init__(self, store: SqlStore, http: httpx.AsyncClient, environment: dict[str, str]):
        self.time = AdjustableClock()
        self.clock = DatabaseClock(self.time, store)
        credentials = Credentials(
            environment["ZOHO_CLIENT_ID"],
            SecretStr(environment["ZOHO_CLIENT_SECRET"]),
            SecretStr(environment["ZOHO_REFRESH_TOKEN"]),
        )
        self.auth = ZohoAuth(
            environment["ZOHO_ACCOUNTS_URL"],
            credentials,
            http,
            self.clock,
            shared=shared_token(store, ORG, Vault([KEY.encode()])),
        )
        self.cliq = CliqClient(
            environment["CLIQ_API_URL"],
            self.auth,
            http=http,
            clock=self.clock,
            budget=Budget(self.clock, shared_budget(store, ORG)),
            tries=Tries(repeats=False),
        )

    async def obey(self, order: str) -> dict[str, int]:
        match order.split():
            case ["token"]:
                return await _counted(self.auth.token())
            case ["advance", seconds]:
                self.time.advance(timedelta(seconds=float(seconds)))
                return {}
            case [number, purpose]:
                reads = (self.cliq.read(Purpose[purpose]) for _ in range(int(number)))
                return await _counted(*reads)
        raise ValueError(order)


async def _counted(*work: Awaitable[object]) -> dict[str, int]:
    outcomes = await asyncio.gather(*work, return_exceptions=True)
    kinds = (type(o).__name__ if isinstance(o, BaseException) else "served" for o in outcomes)
    return dict(Counter(kinds))


async def serve() -> None:
    environment = dict(os.environ)
    store = SqlStore(open_engine(environment["MAILCFG_DATABASE_URL"]))
    async with new_http_client(environment["CLIQ_API_URL"]) as http:
        worker = Worker(store, http, environment)
        await worker.clock.synchronise()
        print("{}", flush=True)
        while order := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await worker.obey(order)), flush=True)
    await store.close()


class Caller:
    """One of them, from outside; `said` is everything that it has ever printed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said = ""

    async def answer(self) -> dict[str, int]:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for line in self._process.stdout:
                self.said += line.decode()
                if line.startswith(b"{"):
                    return dict(json.loads(line))
        raise AssertionError(f"a caller has ended: {self.said}")

    async def told(self, order: str) -> dict[str, int]:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{order}\n".encode())
        return await self.answer()

    async def end(self) -> None:
        said, _ = await self._process.communicate(b"")  # closes its input
        self.said += said.decode()


class Callers:
    """Several of them at once."""

    def __init__(self, each: list[Caller]) -> None:
        self.each = each

    async def told(self, order: str) -> Counter[str]:
        """How all that they did at once has ended."""
        answers = await asyncio.gather(*(caller.told(order) for caller in self.each))
        return sum((Counter(answer) for answer in answers), Counter())

    @property
    def said(self) -> str:
        return "".join(caller.said for caller in self.each)


@asynccontextmanager
async def callers(number: int, url: str, dotenv: list[str]) -> AsyncIterator[Callers]:
    """So many processes on the database at `url` that find Zoho as an emulator's lines say."""
    zoho = dict(line.split("=", 1) for line in dotenv)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    environment |= zoho | {"MAILCFG_DATABASE_URL": url}
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    pipes["stderr"] = asyncio.subprocess.STDOUT
    running = [
        Caller(
            await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.callers", env=environment, cwd=ROOT, **pipes
            )
        )
        for _ in range(number)
    ]
    try:
        await asyncio.gather(*(caller.answer() for caller in running))
        yield Callers(running)
    finally:
        await asyncio.gather(*(caller.end() for caller in running))


if __name__ == "__main__":
    asyncio.run(serve())
