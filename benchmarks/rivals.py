"""What the bot is held against, each in a process of its own: `python -m benchmarks.rivals KIND URL [PORT]`.

`floor` is a bare aiohttp endpoint that only checks the signature; `bolt` a Bolt app with one command
and default options; `bolt-same` the same app with the options that the bot uses. URL is the far end.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import sys
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.typedefs import Handler
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from benchmarks.people import SIGNING_SECRET, TEAM
from bot.sandbox.listening import listen

KINDS = ("floor", "bolt", "bolt-same")
TOKEN = "xoxb-benchmark"  # noqa: S105  # of no real app


async def floor(request: web.Request) -> web.Response:
    return web.Response(text="hello") if await is_slacks(request) else web.Response(status=401)


async def is_slacks(request: web.Request) -> bool:
    stamp = request.headers["X-Slack-Request-Timestamp"]
    base = b"v0:%b:%b" % (stamp.encode(), await request.read())
    digest = hmac.new(SIGNING_SECRET.encode(), base, hashlib.sha256).hexdigest()
    return hmac.compare_digest(f"v0={digest}", request.headers["X-Slack-Signature"])


def bolt(far_end: str) -> AsyncApp:
    client = AsyncWebClient(TOKEN, base_url=f"{far_end}/api/")
    return AsyncApp(client=client, signing_secret=SIGNING_SECRET)


def bolt_same(far_end: str, session: aiohttp.ClientSession) -> AsyncApp:
    async def authorize(**_: Any) -> AuthorizeResult:
        return AuthorizeResult(
            enterprise_id=None, team_id=TEAM, bot_user_id="U0MAILCFG", bot_token=TOKEN
        )

    client = AsyncWebClient(base_url=f"{far_end}/api/", session=session, retry_handlers=[])
    return AsyncApp(
        client=client,
        authorize=authorize,
        process_before_response=True,
        signing_secret=SIGNING_SECRET,
    )


async def serve(kind: str, far_end: str, port: int) -> None:
    async with aiohttp.ClientSession() as session:
        handler: Handler = floor
        if kind != "floor":
            app = bolt(far_end) if kind == "bolt" else bolt_same(far_end, session)

            @app.command("/mailcfg")
            async def hello(ack: Any) -> None:
                await ack(text="hello", response_type="ephemeral")

            handler = of_bolt(app)
        await serve_at(handler, port)


def of_bolt(app: AsyncApp) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = await app.async_dispatch(await to_bolt_request(request))
        return await to_aiohttp_response(answer)

    return handler


async def serve_at(handler: Handler, port: int = 0) -> None:
    """Print the address, and serve until standard input is closed."""
    site = web.Application()
    site.router.add_post("/slack/events", handler)
    running = await listen(site, "127.0.0.1", port)
    sys.stdout.write(f"{running.url}/slack/events\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 0))
