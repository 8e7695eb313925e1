"""A served Cliq emulator with a client beside it, for the tests of the emulator."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.keys import KeyPool
from bot.sandbox.cliq.serving import start
from bot.sandbox.clock import AdjustableClock

PATH = "/api/v2/mailconfigurations/global"
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
CONTROL_TOKEN = "control-token"
WHOLE = {"name": "IT", "email_id": "it@acme.example", "cname_status": "verified"}


class StandingClock(AdjustableClock):
    """A clock that only moves when it is told to."""

    def now(self) -> datetime:
        return START + self.offset


@cache
def keys() -> KeyPool:
    """Keys made once for all tests: three of each size, in turn."""
    return KeyPool([generate_private_key(65537, bits) for bits in (1024, 2048) * 3])


def bits(data: dict[str, str]) -> int:
    """Size of the key that an answer publishes."""
    der = base64.b64decode(data["dkim_value"].removeprefix("k=rsa; p="), validate=True)
    key = load_der_public_key(der)
    assert isinstance(key, RSAPublicKey)
    assert key.public_numbers().e == 65537
    return key.key_size


@dataclass
class Zoho:
    """The emulator, and calls to it as the admin unless another token is given."""

    emulator: CliqEmulator
    http: httpx.AsyncClient

    async def call(
        self, method: str, path: str = PATH, *, token: str | None = None, **options: Any
    ) -> httpx.Response:
        token = token or self.emulator.state.credentials.access_token
        headers = {"Authorization": f"Bearer {token}"} | options.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **options)

    async def get(self, **options: Any) -> httpx.Response:
        return await self.call("GET", **options)

    async def put(self, body: Any, **options: Any) -> httpx.Response:
        return await self.call("PUT", json=body, **options)

    async def delete(self, **options: Any) -> httpx.Response:
        return await self.call("DELETE", **options)

    async def data(self) -> dict[str, str]:
        data: dict[str, str] = (await self.get()).json()["data"]
        return data

    async def control(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {CONTROL_TOKEN}"}
        return await self.http.request(method, f"/__control/{path}", headers=headers, json=body)

    async def tokens(self, **parameters: str) -> httpx.Response:
        """A token request with the admin's client; the refresh grant unless said otherwise."""
        mine = self.emulator.state.credentials
        form = {
            "grant_type": "refresh_token",
            "refresh_token": mine.refresh_token,
            "client_id": mine.client_id,
            "client_secret": mine.client_secret,
        }
        return await self.http.post("/oauth/v2/token", data=form | parameters)

    def switch(self, **switches: bool) -> None:
        self.emulator.set_profile(switches=switches)

    def advance(self, seconds: float) -> None:
        self.emulator.clock.advance(timedelta(seconds=seconds))


@asynccontextmanager
async def served_zoho(**options: Any) -> AsyncIterator[Zoho]:
    """An emulator on a free port, with a standing clock, ready keys and the control endpoint on."""
    control_token = options.pop("control_token", CONTROL_TOKEN)
    emulator = CliqEmulator(**{"clock": StandingClock(), "keys": keys()} | options)
    served = await start(emulator, control_token=control_token)
    async with httpx.AsyncClient(base_url=served.url, timeout=5) as http:
        yield Zoho(served.emulator, http)
    await served.close()
