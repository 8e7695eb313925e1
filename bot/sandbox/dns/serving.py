"""The emulated DNS as a whole: its servers, and their control endpoint on a port of its own."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from aiohttp import web

from bot.sandbox.control import CONTROL_PREFIX, control_app
from bot.sandbox.dns.control import DnsControl
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.listening import Listening, listen


@dataclass(frozen=True)
class ServedDns:
    """The DNS servers and their control endpoint, all listening."""

    emulator: DnsEmulator
    control: Listening
    control_token: str = field(repr=False)

    def dotenv(self) -> list[str]:
        """The settings that point mailcfg at this server."""
        return [
            *self.emulator.dotenv(),
            f"DNS_CONTROL_URL={self.control.url}{CONTROL_PREFIX}",
            f"DNS_CONTROL_TOKEN={self.control_token}",
        ]

    async def close(self) -> None:
        await self.control.close()
        await self.emulator.close()


async def start(
    emulator: DnsEmulator | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> ServedDns:
    """Start an emulator, a new one if none is given, and its control endpoint. Raises PortInUse."""
    emulator = emulator or DnsEmulator()
    token = secrets.token_urlsafe(24)
    app = web.Application()
    app.add_subapp(CONTROL_PREFIX, control_app(DnsControl(emulator), token))
    await emulator.start(host, port)
    try:
        control = await listen(app, host, 0)
    except BaseException:
        await emulator.close()
        raise
    return ServedDns(emulator, control, token)
