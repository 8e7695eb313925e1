"""What reaches the bot over HTTP and is not a fresh request of Slack: nothing is executed, nothing
breaks, and the answer is a quiet refusal."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx
import pytest

from tests.scenarios.play import ALICE, BOB, MALLORY, RENAME, Person, Play

SIGNATURE, TIMESTAMP = "X-Slack-Signature", "X-Slack-Request-Timestamp"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Door:
    """The bot's HTTP endpoint, for whoever wants to send something else than Slack does."""

    play: Play
    url: str
    http: httpx.AsyncClient

    async def post(self, body: bytes | str, headers: dict[str, str]) -> int:
        raw = {name.encode(): value.encode() for name, value in (FORM | headers).items()}
        return (await self.http.post(self.url, content=body, headers=raw)).status_code

    def sign(self, body: bytes | str, timestamp: int | None = None) -> dict[str, str]:
        return self.play.slack.delivery.http.sign(body, timestamp)


@pytest.fixture
async def door(empty_play: Play) -> AsyncIterator[Door]:
    bot = await empty_play.start(transport="http")
    async with httpx.AsyncClient() as http:
        yield Door(empty_play, f"http://127.0.0.1:{bot.port}/slack/events", http)


def command(text: str, who: Person = ALICE) -> str:
    return urlencode(
        {
            "command": "/mailcfg",
            "text": text,
            "user_id": who.id,
            "team_id": "T0ACME",
            "channel_id": "C0MAILADMIN",
            "response_url": "https://hooks.slack.com/commands/x",
            "trigger_id": "1.2.3",
        }
    )


ASK = command(RENAME)
CLICK = urlencode({"payload": json.dumps({"type": "block_actions", "user": {"id": BOB.id}})})


def forged(sign: dict[str, str]) -> dict[str, dict[str, str]]:
    """What a stranger, or a broken proxy, may make of genuine headers."""
    signature, timestamp = sign[SIGNATURE], sign[TIMESTAMP]
    signatures = {
        "empty": "",
        "of zeros": "v0=" + "0" * 64,
        "one digit off": signature[:-1] + ("0" if signature[-1] != "0" else "1"),
        "cut": signature[:-1],
        "too long": signature + "0",
        "upper case": signature.upper(),
        "of another version": "v1" + signature[2:],
        "without a version": signature[3:],
        "not ASCII": "v0=ü" + signature[4:],
        "with a line of its own": signature + " extra",
        "twice": f"{signature}, {signature}",
    }
    timestamps = {
        "empty": "",
        "a word": "soon",
        "negative": f"-{timestamp}",
        "with a fraction": f"{timestamp}.0",
        "in hexadecimal": hex(int(timestamp)),
        "huge": "9" * 40,
        "with spaces inside": f"{timestamp[:5]} {timestamp[5:]}",
        "not ASCII": "１７",
        "another one": str(int(timestamp) - 1),
        "zero": "0",
    }
    return (
        {f"signature {name}": sign | {SIGNATURE: value} for name, value in signatures.items()}
        | {f"timestamp {name}": sign | {TIMESTAMP: value} for name, value in timestamps.items()}
        | {
            "no signature": {TIMESTAMP: timestamp},
            "no timestamp": {SIGNATURE: signature},
            "neither": {},
        }
    )


async def nothing_happened(door: Door) -> bool:
    said = door.play.private(ALICE) + door.play.private(BOB)
    return said == [] and door.play.stored("SELECT count(*) FROM request") == [0]


async def test_what_slack_did_not_sign_is_refused_and_leaves_no_trace(door: Door):
    answers = {
        f"{what}, {name}": await door.post(body, headers)
        for what, body in (("a command", ASK), ("a click", CLICK))
        for name, headers in forged(door.sign(body)).items()
    }

    assert len(answers) == 48
    assert {name: status for name, status in answers.items() if status != 401} == {}
    assert await nothing_happened(door)
    assert door.play.stored("SELECT count(*) FROM replay") == [0]


@pytest.mark.parametrize("seconds", [-86_400, -301, 301, 86_400])
async def test_a_signature_is_good_for_five_minutes_either_way(door: Door, seconds: int):
    at = int(time.time()) + seconds

    assert await door.post(ASK, door.sign(ASK, at)) == 401
    assert await nothing_happened(door)


async def test_bytes_that_are_no_text_are_refused(door: Door):
    assert await door.post(b"\xff\xfe", door.sign(b"\xff\xfe")) == 401
    assert await nothing_happened(door)


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_bytes_that_are_not_packed_as_they_say_are_refused(door: Door, packing: str):
    assert await door.post(ASK, door.sign(ASK) | {"Content-Encoding": packing}) == 401
    assert await nothing_happened(door)


@pytest.mark.parametrize("body", ["payload=%7Bnot", '{"enterprise":7}', "[" * 10_000])
async def test_what_strangers_send_is_not_even_read(door: Door, body: str):
    assert await door.post(body, door.sign("another body")) == 401
    assert await nothing_happened(door)


async def test_a_body_that_was_changed_on_the_way_is_refused(door: Door):
    assert await door.post(ASK.replace("Support", "Fraud"), door.sign(ASK)) == 401
    assert await nothing_happened(door)


SIGNED_NONSENSE = {
    "nothing": b"",
    "no form": b"{}",
    "a payload that is no JSON": b"payload=%7Bnot",
    "a payload that is a list": b"payload=%5B%5D",
    "a payload that is a number": b"payload=7",
    "a payload without a type": b"payload=%7B%7D",
    "a click without an action": CLICK.encode(),
    "a click by nobody": urlencode(
        {"payload": '{"type":"block_actions","actions":[{"action_id":"approve","value":"x"}]}'}
    ).encode(),
    "a command by nobody": b"command=%2Fmailcfg&text=show",
    "a command of nothing": b"command=%00",
    "a form that is none": b'payload={"type":"view_submission","user":{"id":"U0ALICE"}}',
    "a command of another name": b"command=%2Fother&user_id=U0ALICE&team_id=T0ACME",
    "an enterprise that is a number": b'{"enterprise":7}',
    "authorizations that are a number": b'{"authorizations":7}',
    "ten thousand brackets": b"payload=" + b"[" * 10_000,
}


@pytest.mark.parametrize("nonsense", SIGNED_NONSENSE)
async def test_signed_nonsense_is_no_fault_of_ours(
    door: Door, nonsense: str, caplog: pytest.LogCaptureFixture
):
    body = SIGNED_NONSENSE[nonsense]

    assert await door.post(body, door.sign(body)) < 500
    assert await nothing_happened(door)
    assert "Traceback" not in caplog.text


async def test_slacks_ssl_check_needs_no_signature_and_runs_nothing(door: Door):
    assert await door.post("ssl_check=1&token=x", door.sign("ssl_check=1&token=x")) == 200
    assert await nothing_happened(door)


async def test_a_command_that_is_sent_again_is_answered_and_not_executed(door: Door):
    signed = door.sign(ASK)

    assert await door.post(ASK, signed) == 200
    await door.play.until(lambda: door.play.stored("SELECT id FROM request"), "the request")
    await door.play.types(ALICE, "withdraw")
    assert [await door.post(ASK, signed) for _ in range(3)] == [200, 200, 200]

    assert door.play.stored("SELECT no FROM request") == [1]


async def test_of_copies_that_come_at_once_one_is_executed(door: Door):
    body = command(RENAME, MALLORY)
    signed = door.sign(body)

    assert await asyncio.gather(*[door.post(body, signed) for _ in range(5)]) == [200] * 5
    await door.play.stop()

    assert door.play.stored("SELECT kind FROM audit WHERE kind = 'refused'") == ["refused"]
