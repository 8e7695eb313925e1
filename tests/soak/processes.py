"""The processes of a crash run: the bot, which dies, and the far ends, which stay and remember.

Whoever starts one ends it, by its own handle.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 60, 25
LINES_KEPT = 60


async def start_python(*words: str, folder: Path, **more: str) -> asyncio.subprocess.Process:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=folder,
        env=clean | {"PYTHONPATH": str(ROOT)} | more,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


class Bot:
    """One life of the bot. `points` are the crash points passed since it was armed last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._connected = asyncio.Event()
        self._armed = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self.points: list[str] = []
        self.said: deque[str] = deque(maxlen=LINES_KEPT)

    @classmethod
    async def started(cls, folder: Path, environment: Mapping[str, str], at: int = 0) -> Bot:
        """Connected to Slack, or dead at its `at`-th point before it came so far."""
        words = ("-m", "tests.soak.crash_bot", str(at))
        bot = cls(await start_python(*words, folder=folder, **environment))
        connected = asyncio.create_task(bot._connected.wait())
        async with asyncio.timeout(START_SECONDS):
            await asyncio.wait({connected, bot._reading}, return_when=asyncio.FIRST_COMPLETED)
        connected.cancel()
        return bot

    @property
    def is_dead(self) -> bool:
        return self._reading.done()

    @property
    def was_killed(self) -> bool:
        return self.is_dead and self._process.returncode == -signal.SIGKILL

    async def arm(self, at: int) -> None:
        """Die at the `at`-th point from now on; 0 lives on."""
        assert self._process.stdin is not None
        self._armed.clear()
        self._process.stdin.write(f"at {at}\n".encode())
        await asyncio.wait_for(self._armed.wait(), START_SECONDS)

    async def stop(self) -> int:
        """What a deployment does; the exit code."""
        if not self.is_dead:
            self._process.terminate()
        async with asyncio.timeout(STOP_SECONDS):
            await self._reading
        return self._process.returncode or 0

    async def kill(self) -> None:
        if not self.is_dead:
            self._process.kill()
        await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            self._hear(raw.decode(errors="replace").rstrip())
        await self._process.wait()

    def _hear(self, line: str) -> None:
        self.said.append(line[:300])
        if line == "armed":
            self.points.clear()
            self._armed.set()
        elif line.startswith("point "):
            self.points.append(line.split(maxsplit=2)[2])
        elif "connected to Slack" in line:
            self._connected.set()


class Control:
    """The control endpoint of one far end."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(base_url=f"{url}/", headers=headers, timeout=30)

    async def __call__(self, verb: str, path: str, **body: Any) -> Any:
        answer = await self.http.request(verb, path, json=body)
        answer.raise_for_status()
        return answer.json()

    async def get(self, path: str, **query: str) -> Any:
        return (await self.http.get(path, params=query)).raise_for_status().json()


class FarEnds:
    """Slack, Zoho and DNS, running; `environment` is how the bot finds them."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.slack = Control(environment["SLACK_CONTROL_URL"], environment["SLACK_CONTROL_TOKEN"])
        self.cliq = Control(environment["CLIQ_CONTROL_URL"], environment["CLIQ_CONTROL_TOKEN"])


@asynccontextmanager
async def far_ends(folder: Path) -> AsyncIterator[FarEnds]:
    process = await start_python("-m", "tests.soak.far_ends", folder=folder)
    try:
        async with asyncio.timeout(START_SECONDS):
            ends = FarEnds(await _dotenv(process))
        yield ends
        await ends.slack.http.aclose()
        await ends.cliq.http.aclose()
    finally:
        process.kill()
        await process.communicate()


async def _dotenv(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout is not None
    values: dict[str, str] = {}
    said: list[str] = []
    async for raw in process.stdout:
        line = raw.decode().strip()
        if not line:
            return values
        said.append(line)
        name, _, value = line.partition("=")
        values[name] = value
    raise AssertionError("the far ends did not start: " + "\n".join(said))
