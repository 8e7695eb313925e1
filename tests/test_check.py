"""`mailcfg check` as its user meets it: real processes, real DNS on loopback, no Slack, no database."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.cliq.throttle import Budget
from bot.adapters.store.migrate import migrate
from bot.adapters.store.shared import shared_budget
from bot.adapters.store.sql import SqlStore, open_engine
from bot.clock import SystemClock
from bot.sandbox.cliq import serving as cliq
from bot.sandbox.cliq.emulator import CliqEmulator
from tests.adapters.dkim_scene import OWN, RESOLVERS, Scene
from tests.fakes import dkim_value

ROOT = Path(__file__).parents[1]
HOST = "1772443051421._domainkey.acme.example"
LIVE = {
    "email_id": "it@acme.example",
    "name": "Acme IT",
    "dkim_host": HOST,
    "dkim_value": dkim_value(2048),
    "dkim_status": "verified",
    "cname_status": "verified",
}


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


async def mailcfg(
    *words: str, stdin: str = "", cwd: Path, environment: dict[str, str] | None = None
) -> Done:
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "bot", *words),
        cwd=cwd,
        env=clean | {"PYTHONPATH": str(ROOT)} | (environment or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return Done(process.returncode, out.decode(), err.decode())


async def checked(
    case: dict[str, Any], *words: str, tmp_path: Path, live: Any = None, command: str = "check"
) -> Done:
    """The command against the servers of a scene."""
    scene = Scene(case)
    async with AsyncExitStack() as stack:
        for server in scene.servers.values():
            await stack.enter_async_context(server.running())
        given = [
            f"--{kind}=127.0.0.1:{scene.servers[name].port}"
            for kind, names in (("authoritative", OWN), ("resolver", RESOLVERS))
            for name in names
        ]
        shown = json.dumps(LIVE if live is None else live)
        return await mailcfg(command, "--live", "-", *given, *words, stdin=shown, cwd=tmp_path)


async def test_a_right_record_is_in_order_and_ends_with_0(tmp_path: Path):
    done = await checked({}, tmp_path=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "DKIM of it@acme.example is in order: both authoritative servers and both resolvers hold "
        "Zoho's key.\n"
    )


async def test_a_missing_record_ends_with_1_and_is_printed_in_three_forms(tmp_path: Path):
    done = await checked({"zone": {"{host}": []}}, tmp_path=tmp_path)
    value = LIVE["dkim_value"]
    assert done.code == 1
    assert f"No TXT record at {HOST}. Zoho still says verified" in done.out
    assert "\n    1772443051421._domainkey\n" in done.out
    assert f"\n    {value}\n" in done.out
    assert f'\n    "{value[:255]}" "{value[255:]}"\n' in done.out


async def test_json_has_state_primary_findings_and_record(tmp_path: Path):
    case = {"zone": {"{host}": [], "_dmarc.{from}": ["v=DMARC1; p=reject"]}}
    done = await checked(case, "--format", "json", tmp_path=tmp_path)
    assert done.json["state"] == "broken"
    assert done.json["primary"] == "DKIM_MISSING"
    assert [f["id"] for f in done.json["findings"]] == [
        "DKIM_MISSING",
        "STATUS_STALE",
        "DMARC_AT_RISK",
    ]
    assert {tuple(f) for f in done.json["findings"]} == {
        ("id", "severity", "sentence", "fix", "evidence")
    }
    value = LIVE["dkim_value"]
    assert done.json["record"] == {
        "name": HOST,
        "relative_name": "1772443051421._domainkey",
        "value": value,
        "split": f'"{value[:255]}" "{value[255:]}"',
    }


async def test_diagnose_is_the_same_command(tmp_path: Path):
    done = await checked({}, "--format", "json", tmp_path=tmp_path, command="diagnose")
    assert (done.code, done.json["state"], done.json["primary"]) == (0, "ok", None)


async def test_what_only_informs_ends_with_0(tmp_path: Path):
    live = LIVE | {"dkim_value": dkim_value(1024)}
    done = await checked({"api": {"key": "1024/0"}}, tmp_path=tmp_path, live=live)
    assert done.code == 0
    assert "KEY_WEAK (info)\nZoho signs with a 1024-bit key." in done.out


async def test_what_cannot_be_checked_ends_with_2(tmp_path: Path):
    refused = {name: {"fault": "refused"} for name in (*OWN, *RESOLVERS)}
    done = await checked(refused, "--format", "json", tmp_path=tmp_path)
    assert (done.code, done.json["state"], done.json["primary"]) == (2, "unknown", "DNS_UNKNOWN")


async def test_no_custom_sender_is_not_applicable(tmp_path: Path):
    done = await checked({}, "--format", "json", tmp_path=tmp_path, live={"x": None, "data": {}})
    assert (done.code, done.json["state"], done.json["record"]) == (0, "not_applicable", None)


async def test_waiting_for_days_is_a_warning(tmp_path: Path):
    live = LIVE | {"dkim_status": "not_verified"}
    short = await checked({}, "--not-verified-hours", "71.9", tmp_path=tmp_path, live=live)
    long = await checked({}, "--not-verified-hours", "72", tmp_path=tmp_path, live=live)
    assert (short.code, long.code) == (0, 1)
    assert "VERIFY_PENDING (info)" in short.out
    assert "VERIFY_PENDING (warning)" in long.out


async def test_a_change_outside_approval_comes_first_and_its_record_is_not_to_be_published(
    tmp_path: Path,
):
    (tmp_path / "approved.json").write_text(
        json.dumps(LIVE | {"dkim_host": f"1._domainkey.{'acme.example'}", "name": "Acme"})
    )
    done = await checked({"zone": {"{host}": []}}, "--approved", "approved.json", tmp_path=tmp_path)
    assert done.code == 1
    assert done.out.startswith("Changed outside approval\nZoho issued a new DKIM key")
    assert "The display name is Acme IT, approved is Acme." in done.out
    assert (
        "\nDo not publish until accepted\nName, relative to the zone acme.example, type TXT, TTL 3600:\n"
        in done.out
    )
    assert "The record to publish" not in done.out


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "bad.json is no JSON; it should hold the API's `data` object."),
        ("[1]", "bad.json holds no JSON object; it should be the API's `data` object."),
        ('{"name": "x"}', "bad.json has no email_id, which is the sender's address."),
        ('{"email_id": "a@b.c", "dkim_host": 5}', "bad.json: dkim_host should be text."),
        ("\udcff", "bad.json is no JSON; it should hold the API's `data` object."),
    ],
)
async def test_a_bad_file_is_one_sentence_and_3(content: str, sentence: str, tmp_path: Path):
    (tmp_path / "bad.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    done = await mailcfg("check", "--live", "bad.json", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (3, "", f"{sentence}\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--live", "none.json"), "none.json cannot be read: No such file or directory."),
        (("--format", "xml"), "`xml` is no format: it is text or json."),
        (("--resolver", "dns.example"), "`dns.example` is no server; write it like 192.0.2.53"),
        (("--not-verified-hours", "inf"), "inf is no number of hours."),
        (("--not-verified-hours", "-1"), "Invalid value for '--not-verified-hours'"),
        (("--wrong",), "No such option: --wrong"),
        ((), "ZOHO_CLIENT_ID is missing."),
    ],
)
async def test_wrong_usage_is_3(words: tuple[str, ...], sentence: str, tmp_path: Path):
    done = await mailcfg("check", *words, cwd=tmp_path)
    assert done.code == 3
    assert sentence in done.err
    assert "Traceback" not in done.err


@pytest.fixture
async def api() -> AsyncIterator[cliq.ServedCliq]:
    running = await cliq.start(CliqEmulator(configured=False))
    yield running
    await running.close()


async def test_without_live_the_api_is_asked_once(tmp_path: Path, api: cliq.ServedCliq):
    settings = dict(line.partition("=")[::2] for line in api.dotenv())
    done = await mailcfg("check", "--format", "json", cwd=tmp_path, environment=settings)
    assert (done.code, done.json["state"]) == (0, "not_applicable")
    assert [request.method for request in api.emulator.log.all()] == ["POST", "GET"]


async def test_beside_a_bot_its_call_and_its_token_are_counted_with_the_bots(
    tmp_path: Path, api: cliq.ServedCliq
):
    url = f"sqlite+aiosqlite:///{tmp_path / 'mailcfg.db'}"
    migrate(url)
    settings = dict(line.partition("=")[::2] for line in api.dotenv()) | {
        "MAILCFG_DATABASE_URL": url,
        "MAILCFG_SECRET_KEY": "a key for tests with more than thirty-two characters",
    }

    for _ in range(2):
        assert (await mailcfg("check", cwd=tmp_path, environment=settings)).code == 0

    assert [request.method for request in api.emulator.log.all()] == ["POST", "GET", "GET"]
    store = SqlStore(open_engine(url))
    standing = await Budget(SystemClock(), shared_budget(store, "default")).standing()
    await store.close()
    assert standing.used == 2


async def test_beside_a_bot_a_token_that_died_is_renewed_as_the_bot_would(
    tmp_path: Path, api: cliq.ServedCliq
):
    url = f"sqlite+aiosqlite:///{tmp_path / 'mailcfg.db'}"
    migrate(url)
    settings = dict(line.partition("=")[::2] for line in api.dotenv()) | {
        "MAILCFG_DATABASE_URL": url,
        "MAILCFG_SECRET_KEY": "a key for tests with more than thirty-two characters",
    }
    await mailcfg("check", cwd=tmp_path, environment=settings)
    api.emulator.state.access_tokens.clear()

    done = await mailcfg("check", cwd=tmp_path, environment=settings)

    assert (done.code, done.err) == (0, "")
    asked = [(request.method, request.status) for request in api.emulator.log.all()]
    assert asked[2:] == [("GET", 401), ("POST", 200), ("GET", 200)]


async def test_an_api_that_cannot_be_reached_is_3(tmp_path: Path, api: cliq.ServedCliq):
    settings = dict(line.partition("=")[::2] for line in api.dotenv())
    await api.close()
    done = await mailcfg("check", cwd=tmp_path, environment=settings)
    assert done.code == 3
    assert done.err.count("\n") == 1


def test_with_live_neither_slack_nor_the_database_nor_the_client_is_loaded(tmp_path: Path):
    (tmp_path / "live.json").write_text("{}")
    unwanted = ["slack_bolt", "slack_sdk", "sqlalchemy", "aiohttp", "httpx", "bot.app"]
    script = (
        "import sys; sys.argv = ['mailcfg', 'check', '--live', 'live.json']\n"
        "from bot.__main__ import main\n"
        "try: main()\n"
        f"except SystemExit: print([m for m in {unwanted!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
