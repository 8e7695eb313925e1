"""What the sandbox's HTTP servers share: listening on a port, and letting it go."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from aiohttp import web

from bot.errors import PortInUse


@dataclass(frozen=True)
class Listening:
    """A server that accepts connections. `port` is the real one, also when 0 was asked for."""

    host: str
    port: int
    runner: web.AppRunner

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    async def close(self) -> None:
        await self.runner.cleanup()


async def listen(app: web.Application, host: str, port: int) -> Listening:
    """Serve `app`; raises PortInUse."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
    except OSError as error:
        await runner.cleanup()
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(host, port) from error
        raise
    bound: int = runner.addresses[0][1]
    return Listening(host, bound, runner)
