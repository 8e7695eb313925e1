"""The emulated workspace on a port: its Web API, Socket Mode, and the control endpoint."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from aiohttp import web

from bot.sandbox import world
from bot.sandbox.control import CONTROL_PREFIX, control_app
from bot.sandbox.listening import Listening, listen
from bot.sandbox.slack.control import SlackControl
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.web_api import LARGEST_BODY


@dataclass(frozen=True)
class ServedSlack:
    """A workspace that is being served."""

    workspace: SlackWorkspace
    listening: Listening = field(repr=False)
    control_token: str = field(repr=False)

    @property
    def url(self) -> str:
        return self.listening.url

    def dotenv(self) -> list[str]:
        """The settings with which mailcfg works in this workspace, as lines of a dotenv file."""
        credentials = self.workspace.state.credentials
        return [
            f"SLACK_API_URL={self.url}/api/",
            f"SLACK_BOT_TOKEN={credentials.bot_token}",
            f"SLACK_APP_TOKEN={credentials.app_token}",
            f"SLACK_SIGNING_SECRET={credentials.signing_secret}",
            f"SLACK_CONTROL_URL={self.url}{CONTROL_PREFIX}",
            f"SLACK_CONTROL_TOKEN={self.control_token}",
            f"MAILCFG_REQUESTERS={','.join(world.REQUESTERS)}",
            f"MAILCFG_APPROVERS={','.join(world.APPROVERS)}",
            f"MAILCFG_APPROVAL_CHANNEL={world.ADMIN_CHANNEL}",
            f"MAILCFG_ALERT_CHANNEL={world.ALERT_CHANNEL}",
        ]

    async def close(self) -> None:
        await self.listening.close()


async def start(
    workspace: SlackWorkspace | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> ServedSlack:
    """Serve a workspace, a new one if none is given; raises PortInUse."""
    workspace = workspace or SlackWorkspace()
    token = secrets.token_urlsafe(24)
    listening = await listen(_app(workspace, token), host, port)
    workspace.state.origin = listening.url
    return ServedSlack(workspace, listening, token)


def _app(workspace: SlackWorkspace, token: str) -> web.Application:
    app = web.Application(client_max_size=LARGEST_BODY)
    app.add_routes(workspace.web_api.routes())
    app.add_routes([web.get("/link/", workspace.delivery.sockets.serve)])
    app.add_subapp(CONTROL_PREFIX, control_app(SlackControl(workspace), token))

    async def close_delivery(_: web.Application) -> None:
        await workspace.delivery.close()

    app.on_shutdown.append(close_delivery)
    return app
