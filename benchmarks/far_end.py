"""Slack and Zoho as cheap as they can be, in a process of their own: `python -m benchmarks.far_end`.

They answer at once (Zoho after `--slow SECONDS`), keep nothing and refuse nothing, so that a run
measures the bot and not its far ends. Ends with whoever started it, when standard input is closed.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import count

from aiohttp import web

from benchmarks.people import TEAM
from bot.sandbox.listening import listen

LIVE = {
    "email_id": "scott@acme.example",
    "name": "Scott Fisher",
    "cname_status": "verified",
    "dkim_status": "verified",
    "dkim_host": "1700000000000._domainkey.acme.example",
    "dkim_value": "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDDmzRmJRQxLEuyYiyMg4suA2Sy",
}
IDENTITY = {"ok": True, "team_id": TEAM, "user_id": "U0MAILCFG", "bot_id": "B0MAILCFG"}


class FarEnd:
    """Both, behind one port. `views` are the form openings, so that people can submit them."""

    def __init__(self, slow_seconds: float) -> None:
        self._slow_seconds = slow_seconds
        self._stamps = count(1)
        self._form = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/api/v2/mailconfigurations/global", self._configuration)
        app.router.add_post("/oauth/v2/token", self._token)
        app.router.add_post("/respond", self._respond)
        app.router.add_get("/form", self._sealed)
        app.router.add_route("*", "/api/{method}", self._slack)
        return app

    async def _configuration(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self._slow_seconds)
        body = {"url": str(request.rel_url), "type": "mail_configuration", "data": LIVE}
        return web.json_response(body)

    async def _token(self, _: web.Request) -> web.Response:
        body = {"access_token": "1000.benchmark.token", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(body)

    async def _respond(self, _: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def _sealed(self, _: web.Request) -> web.Response:
        """The private metadata of the newest form; empty until one was filled."""
        return web.Response(text=self._form)

    async def _slack(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        if method == "users.info":
            return web.json_response({"ok": True, "user": _user(request.query["user"])})
        if method == "auth.test":
            return web.json_response(IDENTITY)
        if method == "views.update":
            self._form = (await request.json())["view"].get("private_metadata", "")
        ts = f"1700000000.{next(self._stamps):06d}"
        body = {"ok": True, "channel": "C0MAILADMIN", "ts": ts, "permalink": "https://a.example/p"}
        return web.json_response(body | {"view": {"id": "V0FORM", "hash": "1.a"}})


def _user(user: str) -> dict[str, object]:
    is_guest = user == "U0MALLORY"
    return {"id": user, "team_id": TEAM, "name": user.lower(), "is_restricted": is_guest}


async def serve(slow_seconds: float) -> None:
    running = await listen(FarEnd(slow_seconds).app(), "127.0.0.1", 0)
    sys.stdout.write(f"{running.url}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)
    await running.close()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
