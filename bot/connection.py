"""How Slack and the bot come together: Socket Mode or signed HTTP, and when Slack may be called."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import aiohttp
import structlog
from aiohttp import web

from bot.adapters.slack.replays import IsFirst, refuse_replays
from bot.adapters.slack.transport import SocketMode, bolt_app, http_endpoint
from bot.adapters.slack.workspace import SlackFault, Workspace
from bot.settings import Settings

log = structlog.get_logger(__name__)


class Connection:
    """Slack's way to us: Socket Mode where there is an app-level token, else signed HTTP."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        session: aiohttp.ClientSession,
        is_first: IsFirst,
        others_seen: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._session = session
        self._others_seen = others_seen
        self._socket: SocketMode | None = None
        self._is_open = False
        self._is_paused = False
        secret = settings.slack_signing_secret if self.transport == "http" else None
        self.bolt = bolt_app(workspace, settings.slack_bot_token, secret)
        if secret is not None:
            refuse_replays(self.bolt, is_first)

    @property
    def transport(self) -> str:
        return "http" if self._settings.slack_app_token is None else "socket"

    @property
    def is_introduced(self) -> bool:
        """Whether Slack has told us who we are and lets us in, so that it can be called."""
        return self._workspace.identity is not None and not self._is_paused

    async def introduce(self) -> None:
        """Raises SlackFault."""
        await self._workspace.introduce()

    async def open(self) -> None:
        """Let Slack reach us; ends a pause. Raises SlackFault."""
        token = self._settings.slack_app_token
        if token is not None:
            if self._socket is None:
                self._socket = SocketMode(
                    self.bolt, token, self._settings.slack_api_url, self._session, self._greeted
                )
            if not await self._socket.is_connected():
                await self._socket.connect()
        self._is_open, self._is_paused = True, False

    def _greeted(self, others: int) -> None:
        """Beside a bot that works on SQLite there is no other process of ours."""
        self._others_seen(others)
        if others and self._settings.database_url.startswith("sqlite"):
            log.warning(
                "Slack gives part of the clicks to other connections of this app; stop whatever else "
                "uses its app-level token, or make a new token and revoke the old one",
                others=others,
            )

    def pause(self) -> None:
        self._is_paused = True

    async def is_open(self) -> bool:
        is_connected = self._socket is None or await self._socket.is_connected()
        return self._is_open and not self._is_paused and is_connected

    def endpoint(self) -> Callable[[web.Request], Awaitable[web.Response]]:
        secret = self._settings.slack_signing_secret
        assert secret is not None  # the settings see to it: without an app-level token it is needed
        return http_endpoint(self.bolt, secret, lambda: self._is_open and self.is_introduced)

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


def refused(fault: SlackFault) -> str:
    if fault.method == "apps.connections.open":
        return (
            f"SLACK_APP_TOKEN is refused by Slack ({fault.error}): copy an app-level token with the "
            "scope connections:write from your Slack app's page “Basic Information”."
        )
    return (
        f"SLACK_BOT_TOKEN is refused by Slack ({fault.error}): copy the Bot User OAuth Token from "
        "your Slack app's page “OAuth & Permissions”."
    )
