"""What Slack shows of the app itself and of its channels, for whoever examines a deployment.

Nothing is posted, joined or connected. `apps.connections.open` only hands out an address, which
nobody opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import aiohttp
from pydantic import SecretStr

from bot.adapters.slack.workspace import Workspace, call, identity_in, response_to, web_client


@dataclass(frozen=True, slots=True)
class Introduction:
    """What came with `auth.test`: whose app this is, what it may do, and what time it is at Slack.

    `scopes`, and `date` as its header has it, are None where the answer does not say them, as behind
    some proxies.
    """

    team: str
    bot: str
    scopes: frozenset[str] | None
    date: str | None


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """What `conversations.info` says (docs.slack.dev/reference/objects/conversation-object).

    `is_shared_outside`: with another company, now or once an invitation is accepted.
    """

    name: str
    is_member: bool
    is_archived: bool
    is_shared_outside: bool


async def introduction(workspace: Workspace) -> Introduction:
    """Ask who we are, and have the workspace remember it. Raises SlackFault."""
    response = await response_to(workspace.client, "auth.test")
    told: Any = response.data
    workspace.identity = identity_in(told)
    headers = {str(name).lower(): str(value) for name, value in response.headers.items()}
    granted = headers.get("x-oauth-scopes")
    return Introduction(
        team=f"{told.get('team', '')} ({told['team_id']})".strip(),
        bot=str(told.get("user", "")),
        scopes=None if granted is None else frozenset(granted.replace(",", " ").split()),
        date=headers.get("date"),
    )


async def channel_facts(workspace: Workspace, channel: str) -> ChannelFacts:
    """Raises SlackFault."""
    method = "conversations.info"
    answer = await call(workspace.client, method, params={"channel": channel}, http_verb="GET")
    told = answer["channel"]
    outside = ("is_ext_shared", "is_pending_ext_shared")
    return ChannelFacts(
        name=str(told.get("name", "")),
        is_member=bool(told.get("is_member")),
        is_archived=bool(told.get("is_archived")),
        is_shared_outside=any(told.get(flag) for flag in outside),
    )


async def try_app_token(token: SecretStr, base_url: str, session: aiohttp.ClientSession) -> None:
    """Whether Slack would let this token connect over Socket Mode. Raises SlackFault."""
    await call(web_client(token, base_url, session), "apps.connections.open")
