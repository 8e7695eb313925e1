"""The control endpoints of all three emulators: who gets in, and what is said to bad input."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from bot.errors import PortInUse
from bot.sandbox.cliq import serving as cliq
from bot.sandbox.control import as_text
from bot.sandbox.dns import serving as dns
from bot.sandbox.slack import serving as slack

pytestmark = pytest.mark.asyncio(loop_scope="module")
ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "emulators.md").read_text(encoding="utf-8")
ADMIN = "C0MAILADMIN"
CLICK = {"user": "U0BOB", "channel": ADMIN, "ts": "1.0", "action_id": "go"}
FAULT = {"method": "*", "kind": "dropped"}
FORM = {"user": "U0BOB", "view_id": "V1"}
RECORD = {"name": "a.acme.example"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ends() -> AsyncIterator[dict[str, str]]:
    """Every emulator's settings, by the name of the emulator and of the setting."""
    served = [await cliq.start(control_token="ct"), await dns.start(), await slack.start()]
    yield dict(line.split("=", 1) for each in served for line in each.dotenv())
    for each in served:
        await each.close()


async def test_the_dotenv_lines_name_everything_that_a_client_needs(ends: dict[str, str]) -> None:
    assert list(ends) == [
        *("CLIQ_API_URL", "ZOHO_ACCOUNTS_URL", "ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET"),
        *("ZOHO_REFRESH_TOKEN", "CLIQ_ACCESS_TOKEN", "CLIQ_CONTROL_URL", "CLIQ_CONTROL_TOKEN"),
        *("MAILCFG_DNS_SERVERS", "MAILCFG_DNS_AUTHORITATIVE"),
        *("DNS_CONTROL_URL", "DNS_CONTROL_TOKEN", "SLACK_API_URL", "SLACK_BOT_TOKEN"),
        *("SLACK_APP_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_CONTROL_URL", "SLACK_CONTROL_TOKEN"),
        *("MAILCFG_REQUESTERS", "MAILCFG_APPROVERS"),
        *("MAILCFG_APPROVAL_CHANNEL", "MAILCFG_ALERT_CHANNEL"),
    ]
    assert ends["SLACK_API_URL"] == ends["SLACK_CONTROL_URL"].replace("__control", "api/")
    assert len(ends["MAILCFG_DNS_AUTHORITATIVE"].split(",")) == 2
    assert ends["MAILCFG_APPROVERS"] == "U0BOB,U0CAROL"


@pytest.mark.parametrize("serving", [cliq, dns, slack])
async def test_a_taken_port_is_named(ends: dict[str, str], serving: Any) -> None:
    taken = int(ends["CLIQ_API_URL"].rpartition(":")[2])
    with pytest.raises(PortInUse, match=f"Port {taken} on 127.0.0.1 is in use"):
        await serving.start(port=taken)


async def control(ends: dict[str, str], end: str, method: str, path: str, **more: Any) -> Any:
    headers = {"Authorization": f"Bearer {ends[f'{end}_CONTROL_TOKEN']}"} | more.pop("headers", {})
    url = f"{ends[f'{end}_CONTROL_URL']}/{path}"
    async with httpx.AsyncClient() as http:
        return await http.request(method, url, headers=headers, **more)


@pytest.mark.parametrize("end", ["CLIQ", "DNS", "SLACK"])
@pytest.mark.parametrize("token", ["", "Bearer wrong", "Bearer \xff"])
async def test_without_its_token_nothing_is_told_or_done(
    ends: dict[str, str], end: str, token: str
) -> None:
    headers = {"Authorization": token.encode("latin-1")}
    answers = [await control(ends, end, "GET", path, headers=headers) for path in ("state", "no")]

    assert [answer.status_code for answer in answers] == [401, 401]


@pytest.mark.parametrize("end", ["CLIQ", "DNS", "SLACK"])
async def test_unknown_calls_are_told_the_known_ones_which_are_documented(
    ends: dict[str, str], end: str
) -> None:
    unknown = await control(ends, end, "GET", "nowhere")
    wrong = await control(ends, end, "PATCH", "state")

    assert (unknown.status_code, wrong.status_code) == (404, 405)
    asked, _, known = wrong.json()["error"].partition("; there are ")
    assert asked == "there is no PATCH /__control/state"
    assert [call for call in known.split(", ") if f"`{call}`" not in DOCUMENT] == []


@pytest.mark.parametrize("content", [b"\xff{}", b"[" * 100_000, b"{", b"[]"])
async def test_a_body_that_is_no_json_object_is_answered_in_a_sentence(
    ends: dict[str, str], content: bytes
) -> None:
    answer = await control(ends, "CLIQ", "POST", "clock", content=content)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(
        ("the body is not JSON: ", "the body must be a JSON object")
    )


async def test_a_body_is_read_as_utf_8_whatever_charset_is_said(ends: dict[str, str]) -> None:
    headers = {"Content-Type": "text/x; charset=klingon"}
    answer = await control(ends, "CLIQ", "POST", "clock", content=b"{}", headers=headers)

    assert answer.json()["error"].startswith("give either `advance_seconds`")


BAD_CALLS: list[tuple[str, str, Any, str]] = [
    ("CLIQ PUT", "profile", {"profile": "real"}, "there is no profile 'real'"),
    ("CLIQ PUT", "profile", {"switches": {"sticky": True}}, "there is no switch 'sticky'"),
    ("CLIQ PUT", "profile", {"switches": {"throttle": "no"}}, "`switches.throttle`: input should"),
    ("CLIQ PUT", "profile", {"switch": {}}, "there is no `switch` to say here"),
    ("CLIQ POST", "lock", {"user": "eve", "locked": True}, "no user 'eve'; there are admin,"),
    ("CLIQ POST", "lock", {"user": "admin"}, "`locked` is missing"),
    ("CLIQ POST", "clock", {"advance_seconds": -1}, "the clock only moves forwards"),
    ("CLIQ POST", "clock", {"advance_seconds": 1e300}, "the clock moves at most a hundred years"),
    ("CLIQ POST", "clock", {"advance_seconds": float("nan")}, "`advance_seconds`: input should be"),
    ("CLIQ POST", "clock", {"set": "yesterday"}, "`set`: input should be a valid datetime"),
    ("CLIQ POST", "tokens", {"user": "eve"}, "there is no user 'eve'"),
    ("CLIQ DELETE", "tokens", {"token": "1000.x.y"}, "there is no such token"),
    ("CLIQ PUT", "users/eve", {"active": True}, "there is no user 'eve'"),
    ("CLIQ PUT", "users/admin", {"role": "boss"}, "`role`: input should be 'member'"),
    ("CLIQ PUT", "configuration", {"email": "a@b.example"}, "there is no field 'email'"),
    ("CLIQ PUT", "configuration", {"email_id": "nowhere"}, "email_id cannot be 'nowhere'"),
    ("CLIQ PUT", "configuration", {"self": 1}, "there is no field 'self'"),
    ("CLIQ PUT", "zone", {"records": [{"values": []}]}, "`records.0.name` is missing"),
    ("CLIQ POST", "faults", {"fault": "fire"}, "`fault`: input should be 'status'"),
    ("CLIQ POST", "faults", {"fault": "html", "next": 0}, "`next`: input should be greater"),
    ("CLIQ POST", "faults", {"fault": "delay", "seconds": -1}, "`seconds`: input should be gr"),
    ("CLIQ POST", "faults", {"fault": "status", "code": 99}, "`code`: input should be greater"),
    ("DNS PUT", "records", {}, "`name` is missing; `value` is missing"),
    ("DNS PUT", "records", RECORD | {"value": [1]}, "The value of a TXT record is a text, or"),
    ("DNS PUT", "records", {"name": "a.b", "value": "x"}, "is not in the zone acme.example"),
    ("DNS PUT", "records", RECORD | {"value": "x", "ttl": "1"}, "The TTL is a whole number"),
    ("DNS PUT", "records", RECORD | {"value": "x", "add": 1}, "`add`: input should be a valid"),
    ("DNS DELETE", "records", {"name": "acme.example", "type": "SOA"}, "cannot be removed"),
    ("DNS PUT", "zone", {"records": [5]}, "`records.0`: input should be a valid dictionary"),
    ("DNS PUT", "zone", {"records": [RECORD | {"values": "x"}]}, "`records.0.values`: input"),
    ("DNS PUT", "zone", {"records": [RECORD | {"value": "x"}]}, "no `records.0.value` to say"),
    ("DNS PUT", "fault", {"fault": "old"}, "'old' is no fault that all servers can have"),
    ("DNS PUT", "fault", {"fault": "gone", "server": "ns1"}, "silent, servfail, refused, old, or"),
    ("DNS PUT", "fault", {"fault": None, "server": "ns3"}, "there are ns1, ns2, resolver."),
    ("DNS PUT", "fault", {}, "`fault` is missing"),
    ("SLACK POST", "command", {}, "`user` is missing"),
    ("SLACK POST", "command", {"user": "U0NO"}, "There is nobody with the id `U0NO`."),
    ("SLACK POST", "command", {"user": "U0BOB", "word": 1}, "there is no `word` to say here"),
    ("SLACK POST", "click", CLICK, "Bob Ito sees no message 1.0 in C0MAILADMIN."),
    ("SLACK POST", "submit", FORM, "`U0BOB` does not have the form `V1` in front of them."),
    ("SLACK POST", "submit", FORM | {"values": 7}, "`values`: input should be a valid dictionary"),
    ("SLACK POST", "users", {"id": "U0BOB", "real_name": "Bob"}, "There is already somebody"),
    ("SLACK PUT", "users/U0NO", {"flags": {}}, "There is nobody with the id `U0NO`."),
    ("SLACK PUT", "usergroups/S0NO", {"users": []}, "There is no usergroup `S0NO`."),
    ("SLACK PUT", "usergroups/S0MAILAPPROVERS", {"users": ["U0NO"]}, "ids of people who exist"),
    ("SLACK PUT", f"channels/{ADMIN}", {}, "name one of is_archived, "),
    ("SLACK PUT", f"channels/{ADMIN}", {"members": ["U0NO"]}, "ids of people who exist"),
    ("SLACK PUT", f"channels/{ADMIN}", {"is_archived": "yes"}, "`is_archived`: input should be"),
    ("SLACK PUT", "channels/C0NO", {"is_archived": True}, "There is no channel `C0NO`."),
    ("SLACK POST", "faults", {"method": "*", "kind": "boom"}, "`kind`: input should be 'rate"),
    ("SLACK POST", "faults", FAULT | {"times": 0}, "`times`: input should be greater"),
    ("SLACK POST", "faults", FAULT | {"times": True}, "`times`: input should be a valid integer"),
    ("SLACK POST", "faults", FAULT | {"skip": -1}, "`skip`: input should be greater"),
    ("SLACK POST", "clock", {}, "give either `advance_seconds`, a number, or `set`, a time"),
    ("SLACK POST", "clock", {"set": "2099-01-01T00:00:00"}, "`set`: input should have timezone"),
    ("SLACK PUT", "request_url", {"request_url": "slack"}, "`request_url`: string should match"),
    ("SLACK PUT", "scopes", {"scopes": "chat:write"}, "`scopes`: input should be a valid list"),
]


@pytest.mark.parametrize(("call", "path", "body", "problem"), BAD_CALLS)
async def test_bad_input_is_answered_in_a_sentence(
    ends: dict[str, str], call: str, path: str, body: Any, problem: str
) -> None:
    answer = await control(ends, *call.split(), path, content=as_text(body))

    assert answer.status_code == 400
    assert problem in answer.json()["error"]
