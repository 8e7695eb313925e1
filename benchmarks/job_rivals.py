"""Other programs that do the whole job: `python -m benchmarks.job_rivals KIND URL`.

Each answers `/mailcfg show` with the sender that one GET at the API gives, in a message to the
response_url. `raw` is aiohttp alone and does no more than that and check the signature; `tutorial`
is Bolt for Python as a first app has it: default options, and an HTTP client for each call. URL is
the far end. Bolt for JavaScript does the same in `job_rival.js`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.parse import parse_qs

import aiohttp
import httpx
from aiohttp import web
from aiohttp.typedefs import Handler
from slack_bolt.async_app import AsyncApp

from benchmarks.rivals import bolt, is_slacks, of_bolt, serve_at

KINDS = ("raw", "tutorial")
PATH = "/api/v2/mailconfigurations/global"
AUTHORIZATION = {"Authorization": "Zoho-oauthtoken 1000.benchmark.token"}


def raw(far_end: str, session: aiohttp.ClientSession) -> Handler:
    begun: set[asyncio.Task[None]] = set()

    async def show(response_url: str) -> None:
        async with session.get(far_end + PATH, headers=AUTHORIZATION) as answer:
            live = (await answer.json())["data"]
        said = {"text": f"{live['name']} <{live['email_id']}>", "response_type": "ephemeral"}
        async with session.post(response_url, json=said) as answer:
            answer.raise_for_status()

    async def command(request: web.Request) -> web.StreamResponse:
        if not await is_slacks(request):
            return web.Response(status=401)
        form = parse_qs(await request.text())
        task = asyncio.create_task(show(form["response_url"][0]))
        begun.add(task)
        task.add_done_callback(begun.discard)
        return web.json_response({"text": "Reading…", "response_type": "ephemeral"})

    return command


def tutorial(far_end: str) -> AsyncApp:
    app = bolt(far_end)

    @app.command("/mailcfg")
    async def show(ack: Any, respond: Any) -> None:
        await ack("Reading…")
        async with httpx.AsyncClient() as client:
            answer = await client.get(far_end + PATH, headers=AUTHORIZATION)
        live = answer.json()["data"]
        await respond(f"{live['name']} <{live['email_id']}>")

    return app


async def serve(kind: str, far_end: str) -> None:
    async with aiohttp.ClientSession() as session:
        handler = raw(far_end, session) if kind == "raw" else of_bolt(tutorial(far_end))
        await serve_at(handler)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2]))
