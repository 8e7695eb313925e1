"""People at the other end of the bot's HTTP endpoint: signed requests, timed one by one."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import urlencode

import aiohttp

TEAM = "T0ACME"
SIGNING_SECRET = "0123456789abcdef0123456789abcdef"  # noqa: S105  # of no real app
ALICE, BOB, CAROL, ERIN, MALLORY = "U0ALICE", "U0BOB", "U0CAROL", "U0ERIN", "U0MALLORY"


@dataclass(frozen=True, slots=True)
class Ack:
    """How one interaction was acknowledged, and after how many seconds."""

    what: str
    status: int
    text: str
    seconds: float


def signed(body: bytes) -> dict[str, str]:
    """Headers as Slack sends them (docs.slack.dev/authentication/verifying-requests-from-slack)."""
    now = str(int(time.time()))
    digest = hmac.new(SIGNING_SECRET.encode(), b"v0:%b:%b" % (now.encode(), body), hashlib.sha256)
    return {
        "X-Slack-Request-Timestamp": now,
        "X-Slack-Signature": f"v0={digest.hexdigest()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }


class People:
    """Sends what people do to one endpoint. No two bodies are alike, as with Slack."""

    def __init__(self, session: aiohttp.ClientSession, url: str, far_end: str) -> None:
        self._session = session
        self._url = url
        self._far_end = far_end
        self._serial = count(time.time_ns())

    async def types(self, user: str, text: str, answer_to: str = "/respond") -> Ack:
        """A slash command; whatever is answered later goes to `answer_to` at the far end."""
        form = {
            "command": "/mailcfg",
            "text": text,
            "team_id": TEAM,
            "user_id": user,
            "channel_id": "C0MAILADMIN",
            "api_app_id": "A0MAILCFG",
            "response_url": self._far_end + answer_to,
            "trigger_id": self._trigger(),
        }
        return await self._send(text.partition(" ")[0], form)

    async def clicks(self, user: str, action: str, value: str) -> Ack:
        button = {"action_id": action, "value": value, "type": "button", "block_id": "decide"}
        where = {"type": "message", "channel_id": "C0MAILADMIN", "message_ts": "1700000000.000001"}
        payload = self._payload(user, "block_actions") | {
            "container": where,
            "channel": {"id": "C0MAILADMIN"},
            "actions": [button],
            "response_url": f"{self._far_end}/respond",
        }
        return await self._send(action, {"payload": json.dumps(payload)})

    async def submits(self, user: str, callback: str, metadata: str, **typed: str) -> Ack:
        state = {
            name: {name: {"type": "plain_text_input", "value": v}} for name, v in typed.items()
        }
        view = {
            "id": "V0FORM",
            "type": "modal",
            "callback_id": callback,
            "private_metadata": metadata,
            "state": {"values": state},
        }
        payload = self._payload(user, "view_submission") | {"view": view, "response_urls": []}
        return await self._send(f"submit {callback}", {"payload": json.dumps(payload)})

    def _payload(self, user: str, kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            "user": {"id": user, "team_id": TEAM},
            "team": {"id": TEAM},
            "api_app_id": "A0MAILCFG",
            "trigger_id": self._trigger(),
            "enterprise": None,
            "is_enterprise_install": False,
        }

    def _trigger(self) -> str:
        return f"{next(self._serial)}.1.benchmark"

    async def _send(self, what: str, form: dict[str, str]) -> Ack:
        body = urlencode(form).encode()
        began = time.perf_counter()
        async with self._session.post(self._url, data=body, headers=signed(body)) as answer:
            text = await answer.text()
        return Ack(what, answer.status, text, time.perf_counter() - began)
