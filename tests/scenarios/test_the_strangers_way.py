"""The way of somebody who has only the README: emulators by hand, init, connect, doctor, run.

Each command is a process of its own, in the words of the README's "From nothing to a running bot".
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.scenarios.processes import Control, Process, SlackPeople, emulate, free_port

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECRET = ("TOKEN", "SECRET", "KEY")


class Stranger:
    """Somebody with a folder, a few terminals and the README."""

    def __init__(self, folder: Path, ending: AsyncExitStack) -> None:
        self.folder = folder
        self._ending = ending
        self.printed: dict[str, str] = {}
        self.screens: list[Process] = []

    async def emulates(self, kind: str) -> None:
        process, printed = await emulate(kind, self.folder)
        self._ending.push_async_callback(process.kill)
        self.printed |= printed

    async def starts(self, *words: str) -> Process:
        process = await Process.start(*words, folder=self.folder)
        self._ending.push_async_callback(process.kill)
        self.screens.append(process)
        return process

    async def runs(self, *words: str) -> tuple[int, str]:
        """The exit code and the screen of a command that ends by itself."""
        process = await self.starts(*words)
        return await process.ends(), process.output

    def fills_in(self, *variables: str, **own: str) -> None:
        """Put what the emulators printed, and own choices, into the `.env` that init has written."""
        file = self.folder / ".env"
        text = file.read_text(encoding="utf-8")
        for name, value in {**{v: self.printed[v] for v in variables}, **own}.items():
            text, count = re.subn(rf"^(# )?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
            assert count == 1, name
        file.write_text(text, encoding="utf-8")

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
    assert (await stranger.runs("init"))[0] == 0

    port = free_port()
    stranger.fills_in(
        *("SLACK_API_URL", "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN"),
        *("CLIQ_API_URL", "ZOHO_ACCOUNTS_URL", "ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET"),
        *("MAILCFG_DNS_SERVERS", "MAILCFG_DNS_AUTHORITATIVE"),
        *("MAILCFG_APPROVAL_CHANNEL", "MAILCFG_ALERT_CHANNEL"),
        MAILCFG_APPROVERS="U0ALICE,U0BOB,U0CAROL",
        MAILCFG_LISTEN=f"127.0.0.1:{port}",
    )
    code, screen = await stranger.runs("doctor")
    assert code == 2
    assert "✗ zoho.token              ZOHO_REFRESH_TOKEN is missing, and none is stored" in screen

    async with httpx.AsyncClient() as http:
        grant = await Control(http, "CLIQ", stranger.printed).call("POST", "codes")
        assert (await stranger.runs("connect", "--code", grant["code"]))[0] == 0

        code, screen = await stranger.runs("doctor")
        assert (code, screen.splitlines()[-1]) == (0, "All ✓: this deployment is ready to run.")
        assert {line[0] for line in screen.splitlines()[:-2]} == {"✓"}

        bot = await stranger.starts("run")
        await bot.says("connected to Slack")
        people = SlackPeople(Control(http, "SLACK", stranger.printed))
        await people.types("U0ALICE", "show")
        assert "Address: scott@acme.example" in await people.sees("U0ALICE", "Display name")

    code, screen = await stranger.runs("doctor")
    assert (code, screen.splitlines()[-1]) == (0, "All ✓: this deployment is ready to run.")
    assert await bot.stop() == 0
    screens = "\n".join(each.output for each in stranger.screens)
    assert len(stranger.secrets()) == 4
    assert [secret for secret in stranger.secrets() if secret in screens] == []


@pytest.mark.parametrize(
    "line",
    [
        "mailcfg emulate slack",
        "mailcfg emulate cliq",
        "mailcfg emulate dns",
        "mailcfg init",
        "mailcfg connect --code",
        "mailcfg doctor",
        "mailcfg run",
    ],
)
def test_the_readme_shows_this_way(line: str):
    way = README.partition("### Try it by hand")[2].partition("\n## ")[0]
    assert line in way
    assert "MAILCFG_APPROVERS=U0ALICE,U0BOB,U0CAROL" in way
