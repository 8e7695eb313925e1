"""Private answers go to Slack's own address for them, and nowhere else."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bot.adapters.slack.workspace import SlackFault, Workspace, web_client


async def test_an_answer_is_not_sent_on_to_another_place(session: aiohttp.ClientSession):
    heard: list[str] = []

    async def hear(request: web.Request) -> web.Response:
        heard.append(await request.text())
        return web.Response()

    async def send_away(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("/another/place")

    far_end = web.Application()
    far_end.router.add_post("/hook", send_away)
    far_end.router.add_post("/another/place", hear)
    async with TestServer(far_end) as server:
        client = web_client(SecretStr("xoxb-1"), str(server.make_url("/api/")), session)
        with pytest.raises(SlackFault, match="HTTP 307"):
            await Workspace(client, session).respond(str(server.make_url("/hook")), text="private")

    assert heard == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://[",
        "http://hooks.slack.com/x",
        "https://hooks.slack.com.evil.example/x",
        "https://hooks.slack.com@evil.example/x",
        "https://evil.example/hooks.slack.com",
        "//hooks.slack.com/x",
    ],
)
async def test_an_address_that_is_not_slacks_is_refused(workspace: Workspace, url: str):
    with pytest.raises(SlackFault, match="not an address of Slack"):
        await workspace.respond(url, text="private")
