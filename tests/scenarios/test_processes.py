"""`mailcfg run` against `mailcfg emulate slack`, `cliq` and `dns`, each a process of its own."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bot.sandbox.cliq import serving as cliq
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.slack import serving as slack
from bot.sandbox.slack.emulator import SlackWorkspace
from tests.scenarios.processes import (
    Control,
    Process,
    SlackPeople,
    emulate,
    free_port,
    until,
)

ALERTS = "C0MAILALERTS"
OURS = {
    "MAILCFG_SECRET_KEY": "canary-of-the-secret-key-with-36-signs",
    "MAILCFG_LOG_LEVEL": "DEBUG",
    "MAILCFG_LOG_FORMAT": "json",
}
SECRET = ("TOKEN", "SECRET", "KEY")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
async def ending() -> AsyncIterator[AsyncExitStack]:
    """Whatever is started is put here, so that it ends with the test."""
    async with AsyncExitStack() as stack:
        yield stack


@dataclass
class Town:
    """Three emulators and the settings of a bot among them."""

    folder: Path
    settings: dict[str, str]
    ending: AsyncExitStack
    people: SlackPeople
    cliq: Control
    dns: Control
    port: int

    async def bot(self, *words: str, module: str = "bot", **changes: str) -> Process:
        listen = {"MAILCFG_LISTEN": f"127.0.0.1:{self.port}"}
        values = self.settings | OURS | listen | changes
        process = await Process.start(*words, folder=self.folder, module=module, **values)
        self.ending.push_async_callback(process.kill)
        await process.says("connected to Slack")
        return process


@pytest.fixture(params=["socket", "http"])
async def town(
    request: pytest.FixtureRequest, tmp_path: Path, http: httpx.AsyncClient, ending: AsyncExitStack
) -> Town:
    port = free_port()
    is_http = request.param == "http"
    to_us = ["--request-url", f"http://127.0.0.1:{port}/slack/events"] if is_http else []
    values: dict[str, str] = {}
    for kind, options in (("slack", to_us), ("cliq", []), ("dns", [])):
        process, printed = await emulate(kind, tmp_path, *options)
        ending.push_async_callback(process.kill)
        values |= printed
    if is_http:
        del values["SLACK_APP_TOKEN"]
    return Town(
        tmp_path,
        values,
        ending,
        SlackPeople(Control(http, "SLACK", values)),
        Control(http, "CLIQ", values),
        Control(http, "DNS", values),
        port,
    )


def a_quiet_minute_passes(town: Town) -> None:
    """For the budget of calls to Zoho, which every bot on this database shares."""
    with closing(sqlite3.connect(town.folder / "mailcfg.db")) as database:
        database.execute("DELETE FROM budget")
        database.commit()


async def writes(town: Town) -> list[str]:
    return [write["method"] for write in (await town.cliq.get("requests"))["writes"]]


async def test_the_whole_job_across_processes_with_a_kill_in_the_middle(
    town: Town, http: httpx.AsyncClient
):
    people = town.people
    first = await town.bot("run")
    await people.types("U0ALICE", "show")
    assert "Address: scott@acme.example" in await people.sees("U0ALICE", "Display name")

    await people.types("U0ALICE", 'reset reason="Back to the system sender"')
    await people.sees("U0BOB", "Waiting for approval: remove the custom sender")
    await people.clicks("U0CAROL", "reject")
    await people.submits("U0CAROL", reason="Customers know this address")
    await people.sees("U0BOB", "Rejected: remove the custom sender")

    await people.types("U0ALICE", 'set email=it@acme.example reason="Scott has left"')
    await people.sees("U0BOB", "Waiting for approval: change sender address")
    await people.clicks("U0BOB", "approve")
    await people.sees("U0BOB", "1 of 2 approvals")
    await first.kill()

    second = await town.bot("run")
    await people.clicks("U0CAROL", "approve")
    await people.sees("U0BOB", "In force: change sender address")
    assert await writes(town) == ["PUT"]
    ready = await http.get(f"http://127.0.0.1:{town.port}/readyz")
    expected = ("database", "slack", "zoho", "checks", "work")
    assert ready.json() == dict.fromkeys(expected, True)
    assert ready.status_code == 200
    assert await second.stop() == 0
    assert '"event": "stopped"' in second.output

    a_quiet_minute_passes(town)
    third = await town.bot(
        "1", module="tests.timed_bot", MAILCFG_CHECK_EVERY="1s", MAILCFG_LEASE="1s"
    )
    assert third.output.count("MAILCFG_LEASE is no longer used: take it out.") == 1
    alert = await people.sees("U0BOB", "The record to publish", ALERTS)
    assert alert.startswith("DKIM record not published yet\n")
    assert "k=rsa; p=" in alert
    await town.cliq.call("PUT", "configuration", name="Accounts Payable")
    await people.sees("U0BOB", "Changed outside approval\n", ALERTS)
    assert await third.stop() == 0

    await nothing_leaked(town, first, second, third)


async def nothing_leaked(town: Town, *bots: Process) -> None:
    """No secret in what the bots printed or in what the control endpoints answer."""
    named = town.settings | OURS
    secrets = [v for k, v in named.items() if any(word in k for word in SECRET)]
    told = [process.output for process in bots]
    for path in ("state", "requests", "interactions", "views", "users"):
        told.append(json.dumps(await town.people.control.get(path)))
    told += [json.dumps(await town.cliq.get(path)) for path in ("state", "requests")]
    told += [json.dumps(await town.dns.get(path)) for path in ("state", "queries")]
    assert len(secrets) >= 8
    assert [secret for secret in secrets for text in told if secret in text] == []


@pytest.fixture
async def zoho(ending: AsyncExitStack) -> dict[str, str]:
    """An emulated Zoho, and the DNS that it looks at, in this process; their settings."""
    dns = DnsEmulator()
    await dns.start()
    ending.push_async_callback(dns.close)
    served = await cliq.start(CliqEmulator(lookup_txt=dns.txt))
    ending.push_async_callback(served.close)
    values = dict(line.split("=", 1) for line in served.dotenv())
    servers = dict(line.split("=", 1) for line in dns.dotenv())
    return values | servers


def settings_of(workspace: SlackWorkspace, port: int) -> dict[str, str]:
    return {
        "SLACK_API_URL": f"http://127.0.0.1:{port}/api/",
        "SLACK_BOT_TOKEN": workspace.state.credentials.bot_token,
        "SLACK_APP_TOKEN": workspace.state.credentials.app_token,
        "MAILCFG_APPROVERS": "U0BOB,U0CAROL",
        "MAILCFG_APPROVAL_CHANNEL": "C0MAILADMIN",
        "MAILCFG_ALERT_CHANNEL": ALERTS,
    }


async def test_slack_out_of_reach_at_the_start_is_waited_for(
    tmp_path: Path, http: httpx.AsyncClient, ending: AsyncExitStack, zoho: dict[str, str]
):
    here, there = free_port(), free_port()
    workspace = SlackWorkspace()
    values = OURS | zoho | settings_of(workspace, there)
    values["MAILCFG_LISTEN"] = f"127.0.0.1:{here}"
    bot = await Process.start("run", folder=tmp_path, **values)
    ending.push_async_callback(bot.kill)

    await bot.says("Slack is out of reach; trying again")
    assert (await http.get(f"http://127.0.0.1:{here}/healthz")).status_code == 200
    not_ready = await http.get(f"http://127.0.0.1:{here}/readyz")
    assert (not_ready.status_code, not_ready.json()["slack"]) == (503, False)

    running = await slack.start(workspace, port=there)
    ending.push_async_callback(running.close)

    async def is_ready() -> bool:
        return (await http.get(f"http://127.0.0.1:{here}/readyz")).status_code == 200

    await until(is_ready, "the bot to be ready")
    assert "connected to Slack" in bot.output
    assert "Traceback" not in bot.output
    assert await bot.stop() == 0


async def test_a_bot_that_never_reached_slack_ends_cleanly(
    tmp_path: Path, ending: AsyncExitStack, zoho: dict[str, str]
):
    workspace = SlackWorkspace()
    values = OURS | zoho | settings_of(workspace, free_port()) | {"MAILCFG_LISTEN": "127.0.0.1:0"}
    bot = await Process.start("run", folder=tmp_path, **values)
    ending.push_async_callback(bot.kill)
    await bot.says("Slack is out of reach")
    assert await bot.stop() == 0
    assert "Traceback" not in bot.output


@pytest.mark.parametrize(
    ("variable", "wrong"), [("SLACK_BOT_TOKEN", "xoxb-wrong"), ("SLACK_APP_TOKEN", "xapp-wrong")]
)
async def test_a_token_that_slack_refuses_ends_it_with_the_cure(
    tmp_path: Path, ending: AsyncExitStack, zoho: dict[str, str], variable: str, wrong: str
):
    running = await slack.start()
    ending.push_async_callback(running.close)
    values = OURS | zoho | settings_of(running.workspace, running.listening.port)
    values |= {"MAILCFG_LISTEN": "127.0.0.1:0", variable: wrong}
    bot = await Process.start("run", folder=tmp_path, **values)
    ending.push_async_callback(bot.kill)
    assert await bot.ends() == 2
    assert f"  {variable} is refused by Slack (invalid_auth): copy" in bot.output
    assert wrong not in bot.output
    assert "Traceback" not in bot.output


async def test_a_port_in_use_is_one_sentence(
    tmp_path: Path, ending: AsyncExitStack, zoho: dict[str, str]
):
    taken = zoho["CLIQ_API_URL"].rpartition(":")[2]
    workspace = SlackWorkspace()
    values = OURS | zoho | settings_of(workspace, free_port())
    values["MAILCFG_LISTEN"] = f"127.0.0.1:{taken}"
    bot = await Process.start("run", folder=tmp_path, **values)
    ending.push_async_callback(bot.kill)
    assert await bot.ends() == 2
    assert bot.lines == [
        f"Port {taken} on 127.0.0.1 is in use. Stop what uses it, or choose another port (0 picks a "
        "free one)."
    ]


async def test_missing_settings_are_named_one_a_line(tmp_path: Path, ending: AsyncExitStack):
    bot = await Process.start("run", folder=tmp_path)
    ending.push_async_callback(bot.kill)
    assert await bot.ends() == 2
    head, *faults, cure = bot.lines
    assert head == "mailcfg cannot start:"
    assert cure == "  There is no .env here; `mailcfg init` writes one."
    assert [fault.split(" is missing. ")[0].strip() for fault in faults] == [
        "SLACK_BOT_TOKEN",
        "ZOHO_CLIENT_ID",
        "ZOHO_CLIENT_SECRET",
        "MAILCFG_SECRET_KEY",
        "MAILCFG_APPROVAL_CHANNEL",
        "MAILCFG_ALERT_CHANNEL",
    ]


async def test_impossible_settings_are_named_with_the_cure(
    tmp_path: Path, ending: AsyncExitStack, zoho: dict[str, str]
):
    workspace = SlackWorkspace()
    values = OURS | zoho | settings_of(workspace, 1)
    values |= {"MAILCFG_SECRET_KEY": "short", "MAILCFG_APPROVERS": "U0BOB"}
    bot = await Process.start("run", folder=tmp_path, **values)
    ending.push_async_callback(bot.kill)
    assert await bot.ends() == 2
    assert bot.lines == [
        "mailcfg cannot start:",
        "  MAILCFG_APPROVERS has 1, but a change can need 2 approvals: add approvers, or lower "
        "MAILCFG_APPROVALS_SENSITIVE.",
        "  MAILCFG_SECRET_KEY is too short: it needs 32 characters or more. `mailcfg init` makes "
        "one.",
    ]
