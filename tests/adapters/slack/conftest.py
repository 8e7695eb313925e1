"""An emulated Slack on loopback, and our connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr

from bot.adapters.slack.workspace import Workspace, web_client
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.serving import start


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorkspace]:
    running = await start(SlackWorkspace())
    yield running.workspace
    await running.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def workspace(slack: SlackWorkspace, session: aiohttp.ClientSession) -> Workspace:
    """Our connection, introduced: Slack has said who we are."""
    token = SecretStr(slack.state.credentials.bot_token)
    connected = Workspace(web_client(token, f"{slack.state.origin}/api/", session), session)
    await connected.introduce()
    return connected
