"""The way of somebody who has only the documents: emulators by hand, init, connect, doctor, run.

Each command is a process of its own. Where `.env` is filled in, the page's own lines are run, word
for word, in a shell.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.scenarios.processes import OURS, Control, Process, SlackPeople, emulate

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "emulators.md").read_text(encoding="utf-8")
WAY = PAGE.partition("## Try it by hand")[2].partition("\n## ")[0]
EMULATORS, SETTINGS, *_ = [block.strip() for block in WAY.split("```")[1::2]]
SECRET = ("TOKEN", "SECRET", "KEY")


class Stranger:
    """Somebody with a folder, a few terminals and the documents."""

    def __init__(self, folder: Path, ending: AsyncExitStack) -> None:
        self.folder = folder
        self._ending = ending
        self.printed: dict[str, str] = {}
        self.screens: list[Process] = []

    async def emulates(self, kind: str) -> None:
        """As `mailcfg emulate KIND | tee KIND.env` leaves it."""
        process, printed = await emulate(kind, self.folder)
        self._ending.push_async_callback(process.kill)
        self.printed |= printed
        (self.folder / f"{kind}.env").write_text("\n".join(process.lines) + "\n", encoding="utf-8")

    async def starts(self, *words: str, **environment: str) -> Process:
        process = await Process.start(*words, folder=self.folder, **environment)
        self._ending.push_async_callback(process.kill)
        self.screens.append(process)
        return process

    async def runs(self, *words: str) -> tuple[int, str]:
        """The exit code and the screen of a command that ends by itself."""
        process = await self.starts(*words)
        return await process.ends(), process.output

    async def types(self, lines: str) -> tuple[int, str]:
        """The last exit code and the screen of these lines in a shell that finds `mailcfg`."""
        command = self.folder / "bin" / "mailcfg"
        command.parent.mkdir(exist_ok=True)
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m bot "$@"\n', encoding="utf-8")
        command.chmod(0o700)
        shell = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            lines,
            cwd=self.folder,
            env=OURS | {"PATH": f"{command.parent}:{os.environ['PATH']}", "HOME": str(self.folder)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        screen = (await shell.communicate())[0].decode()
        assert shell.returncode is not None
        return shell.returncode, screen

    def secrets(self) -> list[str]:
        text = (self.folder / ".env").read_text(encoding="utf-8")
        set_ones = re.findall(r"^([A-Z_]+)=(.+)$", text, flags=re.MULTILINE)
        return [value for name, value in set_ones if name.endswith(SECRET)]


@pytest.fixture
async def stranger(tmp_path: Path) -> AsyncIterator[Stranger]:
    async with AsyncExitStack() as ending:
        yield Stranger(tmp_path, ending)


async def test_with_the_readme_alone_a_stranger_reaches_a_running_bot(stranger: Stranger):
    for kind in ("slack", "cliq", "dns"):
        await stranger.emulates(kind)
    code, screen = await stranger.types(SETTINGS)
    assert code == 2
    assert "✗ zoho.token              ZOHO_REFRESH_TOKEN is missing, and none is stored" in screen

    async with httpx.AsyncClient() as http:
        grant = await Control(http, "CLIQ", stranger.printed).call("POST", "codes")
        assert (await stranger.runs("connect", "--code", grant["code"]))[0] == 0

        code, screen = await stranger.runs("doctor")
        assert (code, screen.splitlines()[-1]) == (0, "All ✓: this deployment is ready to run.")
        assert {line[0] for line in screen.splitlines()[:-2]} == {"✓"}

        bot = await stranger.starts("run", MAILCFG_LISTEN="127.0.0.1:0")
        await bot.says("connected to Slack")
        people = SlackPeople(Control(http, "SLACK", stranger.printed))
        await people.types("U0ALICE", "show")
        assert "Address: scott@acme.example" in await people.sees("U0ALICE", "Display name")

    code, screen = await stranger.runs("doctor")
    assert (code, screen.splitlines()[-1]) == (0, "All ✓: this deployment is ready to run.")
    assert await bot.stop() == 0
    screens = "\n".join(each.output for each in stranger.screens)
    assert len(stranger.secrets()) == 9
    assert [secret for secret in stranger.secrets() if secret in screens] == []


def test_the_readme_starts_the_emulators_as_this_test_does():
    assert EMULATORS.splitlines() == [
        f"mailcfg emulate {kind} | tee {kind}.env" for kind in ("slack", "cliq", "dns")
    ]


@pytest.mark.parametrize(
    "line", ["mailcfg init", "mailcfg connect --code", "mailcfg doctor", "mailcfg run"]
)
def test_the_readme_shows_this_way(line: str):
    assert line in WAY
    assert "MAILCFG_APPROVERS=U0ALICE,U0BOB,U0CAROL" in WAY
