"""An emulated Slack on loopback, and our connection to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from pydantic import SecretStr

from bot.adapters.slack.workspace import Workspace, web_client
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.slack.emulator import SlackWorkspace, start


@pytest.fixture
async def slack() -> AsyncIterator[SlackWorkspace]:
    running = await start(workspace=SlackWorkspace(clock=AdjustableClock()))
    yield running.workspace
    await running.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def workspace(slack: SlackWorkspace, session: aiohttp.ClientSession) -> Workspace:
    """Our connection, introduced: Slack has said who we are."""
    token = SecretStr(slack.bot_token)
    connected = Workspace(web_client(token, f"{slack.origin}/api/", session), session)
    await connected.introduce()
    return connected
