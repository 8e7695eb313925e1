"""The two ways in which Slack reaches us, for one Bolt app: Socket Mode and signed HTTP."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
from aiohttp import web
from pydantic import SecretStr
from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request
from slack_bolt.adapter.socket_mode.async_internals import (
    run_async_bolt_app,
    send_async_response,
)
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.signature import SignatureVerifier
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.adapters.slack.workspace import SILENT, Workspace, call, part, web_client

# Bolt logs bodies that it cannot read at INFO, and warns of choices that are meant.
BOLT = logging.getLogger("bot.adapters.slack.bolt")
BOLT.setLevel(logging.ERROR)

BODY_MAX = 1 << 20
PING_SECONDS = 10.0
CONNECT_SECONDS = 8.0
"""For one attempt; shorter than PING_SECONDS, so that the SDK makes no second one in it."""
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")


def bolt_app(
    workspace: Workspace, bot_token: SecretStr, signing_secret: SecretStr | None
) -> AsyncApp:
    """The Bolt app, with no listener yet.

    `process_before_response` makes the answer leave when the listener returns, without Bolt's
    polling; `authorize` answers from what Slack said at start, without a call for each request.
    """

    async def authorize(**_: Any) -> AuthorizeResult:
        us = workspace.identity
        assert us is not None
        return AuthorizeResult(
            enterprise_id=us.enterprise,
            team_id=us.team,
            bot_user_id=us.bot_user,
            bot_id=us.bot,
            bot_token=bot_token.get_secret_value(),
        )

    return AsyncApp(
        client=workspace.client,
        authorize=authorize,
        process_before_response=True,
        signing_secret=signing_secret.get_secret_value() if signing_secret else None,
        request_verification_enabled=signing_secret is not None,
        logger=BOLT,
    )


class PersistentSocket(SocketModeClient):
    """The SDK's client, which asks for a fresh address after each failed attempt.

    An address carries a ticket for one connection; the SDK would try a spent one for ever.
    """

    async def connect(self) -> None:
        while not self.closed:
            try:
                # After a failure the SDK pauses for a ping interval; that is where we take over.
                async with asyncio.timeout(CONNECT_SECONDS):
                    await super().connect()  # type: ignore[no-untyped-call]
            except TimeoutError:
                self.wss_uri = None
            else:
                return


class SocketMode:
    """A Socket Mode connection that reconnects by itself.

    It has a client of its own with the app-level token, so that no bot token opens connections.
    `on_hello` is told how many other connections the app has: Slack gives each click to one of all,
    also to one whose program is gone (github.com/slackapi/bolt-js/issues/2225).
    """

    def __init__(
        self,
        app: AsyncApp,
        app_token: SecretStr,
        base_url: str,
        session: aiohttp.ClientSession,
        on_hello: Callable[[int], None],
    ) -> None:
        self._web_client = web_client(app_token, base_url, session)
        self._app = app
        self._client = PersistentSocket(
            app_token.get_secret_value(),
            logger=SILENT,
            web_client=self._web_client,
            ping_interval=PING_SECONDS,
        )
        self._client.proxy = self._web_client.proxy  # None for this machine itself
        self._client.socket_mode_request_listeners.append(self._handle)  # type: ignore[arg-type]
        self._client.message_listeners.append(self._hear)
        self._on_hello = on_hello

    async def connect(self) -> None:
        """Raises SlackFault."""
        # The SDK's client would ask for the address itself, and repeat even a refused token for ever.
        method = "apps.connections.open"
        self._client.wss_uri = part(method, await call(self._web_client, method), "url")
        await self._client.connect()

    async def _hear(self, _client: Any, message: dict[str, Any], _raw: str | None) -> None:
        if message.get("type") == "hello":
            # The SDK closes its old connection before it opens another, so one of them is ours.
            self._on_hello(max(0, int(message.get("num_connections", 0)) - 1))

    async def _handle(self, client: SocketModeClient, request: SocketModeRequest) -> None:
        began = time.time()
        answer = await run_async_bolt_app(self._app, request)
        await send_async_response(client, request, answer, began)

    async def is_connected(self) -> bool:
        return bool(await self._client.is_connected())

    async def close(self) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]


def http_endpoint(
    app: AsyncApp, signing_secret: SecretStr, is_ready: Callable[[], bool]
) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Slack's signed requests; what is malformed is refused quietly before Bolt sees it."""
    verifier = SignatureVerifier(signing_secret.get_secret_value())

    async def answer(request: web.Request) -> web.Response:
        if not is_ready():
            return web.Response(status=503, text="mailcfg is not connected to Slack yet")
        if not await _is_signed(request, verifier):
            return web.Response(status=401, text="not signed by Slack")
        try:
            asked = await to_bolt_request(request)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return web.Response(status=400, text="no request of Slack")
        return await to_aiohttp_response(await app.async_dispatch(asked))

    return answer


async def _is_signed(request: web.Request, verifier: SignatureVerifier) -> bool:
    """Bolt would parse the body of strangers before it looks at the signature, raise on headers
    that are none, and on bytes that are not UTF-8 or not packed as they are said to be."""
    timestamp = request.headers.get("X-Slack-Request-Timestamp", "")
    signature = request.headers.get("X-Slack-Signature", "")
    if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
        return False
    try:
        return verifier.is_valid((await request.read()).decode("utf-8"), timestamp, signature)
    except (UnicodeDecodeError, web.RequestPayloadError):
        return False
