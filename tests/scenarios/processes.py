"""mailcfg's commands as processes of their own, and their far ends through the control endpoints."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

PATIENCE_SECONDS = 20
OURS = {"PYTHONPATH": str(Path(__file__).parents[2])}
"""The tree that these tests belong to, whatever is installed."""
LAST_LINE = {"slack": "MAILCFG_ALERT_CHANNEL", "cliq": "CLIQ_CONTROL_TOKEN"}
LAST_LINE |= {"dns": "DNS_CONTROL_TOKEN"}

Json = Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(seen: Callable[[], Awaitable[Any]], what: str) -> Any:
    """The first truthy answer of `seen`; processes tell nobody when something changes, so it asks."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (found := await seen()):  # noqa: ASYNC110  (another process sets no event)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise TimeoutError(f"waited in vain for {what}") from None
    return found


class Process:
    """A running `mailcfg …`; `lines` is what it has printed so far, on either stream."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []
        streams = [stream for stream in (process.stdout, process.stderr) if stream]
        self._readers = [asyncio.create_task(self._read(stream)) for stream in streams]

    @classmethod
    async def start(
        cls, *arguments: str, folder: Path, module: str = "bot", **environment: str
    ) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=folder,
            env=OURS | {"PATH": os.environ["PATH"], "HOME": str(folder)} | environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process)

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            self.lines.append(line.decode().rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def says(self, words: str) -> None:
        async def said() -> bool:
            ended = self._process.returncode is not None
            assert not ended or words in self.output, f"it ended: {self.output}"
            return words in self.output

        await until(said, f"{words!r} in {self.output}")

    async def ends(self) -> int:
        """Its exit code, once it has ended by itself."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._process.terminate()
        return await self.ends()

    async def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self._process.returncode is None:
            self._process.kill()
        await self.ends()


async def emulate(kind: str, folder: Path, *options: str) -> tuple[Process, dict[str, str]]:
    """An emulator on a free port, and the settings that it printed."""
    process = await Process.start("emulate", kind, "--port", "0", *options, folder=folder)
    await process.says(LAST_LINE[kind] + "=")
    return process, dict(line.split("=", 1) for line in process.lines)


class Control:
    """One emulator's control endpoint."""

    def __init__(self, http: httpx.AsyncClient, kind: str, values: dict[str, str]) -> None:
        self._http = http
        self._url = values[f"{kind}_CONTROL_URL"]
        self._headers = {"Authorization": f"Bearer {values[f'{kind}_CONTROL_TOKEN']}"}

    async def call(self, method: str, path: str, **body: Json) -> Json:
        answer = await self._http.request(
            method, f"{self._url}/{path}", json=body, headers=self._headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def get(self, path: str, **query: str) -> Json:
        answer = await self._http.get(f"{self._url}/{path}", params=query, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return answer.json()


class SlackPeople:
    """What people do and see, through the emulated Slack's control endpoint."""

    def __init__(self, control: Control) -> None:
        self.control = control

    async def types(self, user: str, text: str) -> None:
        outcome = await self.control.call("POST", "command", user=user, text=text)
        assert outcome["ok"], outcome

    async def clicks(self, user: str, action: str) -> None:
        card = (await self._messages("U0BOB", "C0MAILADMIN", "Waiting for approval"))[-1]
        where = {"channel": card["channel"], "ts": card["ts"]}
        outcome = await self.control.call("POST", "click", user=user, action_id=action, **where)
        assert outcome["ok"], outcome

    async def submits(self, user: str, **values: str) -> None:
        async def view() -> Json:
            return await self.control.get("views", user=user)

        (shown,) = await until(view, f"a form for {user}")
        outcome = await self.control.call(
            "POST", "submit", user=user, view_id=shown["id"], values=values
        )
        assert outcome["ok"], outcome

    async def sees(self, user: str, words: str, channel: str = "C0MAILADMIN") -> str:
        """Wait until this person sees a message with `words`; its text."""

        async def messages() -> list[Json]:
            return await self._messages(user, channel, words)

        found = await until(messages, f"“{words}” before {user} in {channel}")
        return str(found[-1]["plain_text"])

    async def _messages(self, user: str, channel: str, words: str) -> list[Json]:
        seen = await self.control.get("sees", user=user, channel=channel)
        return [message for message in seen if words in message["plain_text"]]
