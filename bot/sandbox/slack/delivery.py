"""How the emulated Slack brings interactions to the app: over Socket Mode, or as signed HTTP requests.

See https://docs.slack.dev/apis/events-api/using-socket-mode and
https://docs.slack.dev/authentication/verifying-requests-from-slack.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType, web

from bot.sandbox import world
from bot.sandbox.slack.records import Json
from bot.sandbox.slack.state import State

CONNECTION_SECONDS = 18_060

NO_ANSWER = "the app did not respond"
TIMED_OUT = "operation_timeout"
FAILED = "dispatch_failed"


class NotAcknowledged(Exception):
    """The app did not take it; `reason` is one of NO_ANSWER, TIMED_OUT, FAILED."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Envelope:
    """`kind` is Socket Mode's word: `slash_commands`, `interactive` or `events_api`."""

    kind: str
    payload: Json
    accepts_response: bool = False


@dataclass
class Connection:
    """A WebSocket of the app; a ghost has none and swallows what it is given."""

    socket: web.WebSocketResponse | None
    host: str = field(default_factory=lambda: f"applink-{secrets.token_hex(4)}")

    @property
    def is_ghost(self) -> bool:
        return self.socket is None

    async def send(self, message: Json) -> None:
        if self.socket is not None and not self.socket.closed:
            await self.socket.send_json(message)


class Sockets:
    """The app's Socket Mode connections. Each envelope goes to one of them, in turns."""

    def __init__(self, state: State, on_change: Callable[[], None]) -> None:
        self._state = state
        self._on_change = on_change
        self._connections: list[Connection] = []
        self._turn = 0
        self._waiting: dict[str, asyncio.Future[Json]] = {}

    @property
    def count(self) -> int:
        """Registered connections, ghosts included, as `hello` counts them."""
        return len(self._connections)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        ticket = request.query.get("ticket", "")
        if ticket not in self._state.tickets:
            return web.Response(text="invalid ticket", status=403)
        socket = web.WebSocketResponse(timeout=1.0)
        await socket.prepare(request)
        self._state.tickets.discard(ticket)
        await self._listen(Connection(socket), socket)
        return socket

    async def _listen(self, connection: Connection, socket: web.WebSocketResponse) -> None:
        self._register(connection)
        try:
            await connection.send(self._hello(connection))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._take_ack(message.data)
        finally:
            self._unregister(connection)

    def _register(self, connection: Connection) -> None:
        self._connections.append(connection)
        self._on_change()

    def _unregister(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)
        self._on_change()

    def _hello(self, connection: Connection) -> Json:
        return {
            "type": "hello",
            "num_connections": self.count,
            "debug_info": {
                "host": connection.host,
                "build_number": 1,
                "approximate_connection_time": CONNECTION_SECONDS,
            },
            "connection_info": {"app_id": world.APP_ID},
        }

    def _take_ack(self, text: str) -> None:
        try:
            ack = json.loads(text)
        except ValueError:
            return
        waiting = self._waiting.get(str(ack.get("envelope_id"))) if isinstance(ack, dict) else None
        if waiting is not None and not waiting.done():
            waiting.set_result(ack.get("payload") or {})

    async def deliver(self, envelope: Envelope, within: float) -> Json:
        """The payload of the acknowledgement, empty if there was none; raises NotAcknowledged."""
        if not self._connections:
            raise NotAcknowledged(NO_ANSWER)
        self._turn += 1
        connection = self._connections[self._turn % len(self._connections)]
        envelope_id = secrets.token_hex(16)
        self._waiting[envelope_id] = asyncio.get_running_loop().create_future()
        try:
            await connection.send(_on_the_wire(envelope, envelope_id))
            return await asyncio.wait_for(self._waiting[envelope_id], within)
        except (TimeoutError, ConnectionError) as error:
            raise NotAcknowledged(TIMED_OUT) from error
        finally:
            del self._waiting[envelope_id]

    def add_ghost(self) -> None:
        """A connection that Slack still believes in: it gets its share and nobody answers."""
        self._register(Connection(None))

    def remove_ghosts(self) -> None:
        for ghost in [each for each in self._connections if each.is_ghost]:
            self._unregister(ghost)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every connection to go, as Slack does every few hours."""
        for connection in list(self._connections):
            await connection.send(_disconnect(reason))

    async def close(self) -> None:
        """Close every connection without a word."""
        for connection in list(self._connections):
            if connection.socket is not None:
                self._unregister(connection)
                await connection.socket.close()


def _disconnect(reason: str) -> Json:
    return {"type": "disconnect", "reason": reason, "debug_info": {"host": "applink"}}


def _on_the_wire(envelope: Envelope, envelope_id: str) -> Json:
    message: Json = {
        "envelope_id": envelope_id,
        "type": envelope.kind,
        "accepts_response_payload": envelope.accepts_response,
        "payload": envelope.payload,
    }
    if envelope.kind == "events_api":
        message |= {"retry_attempt": 0, "retry_reason": ""}
    return message


class SignedHttp:
    """Interactions as POST requests to the app's request URL, signed with the signing secret."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._session: aiohttp.ClientSession | None = None

    def sign(self, body: str | bytes, timestamp: int | None = None) -> dict[str, str]:
        """The headers that prove a body comes from Slack.

        The time is real, not the sandbox's: Bolt compares it with the machine's clock.
        """
        moment = int(time.time()) if timestamp is None else timestamp
        raw = body.encode() if isinstance(body, str) else body
        secret = self._state.credentials.signing_secret.encode()
        digest = hmac.new(secret, b"v0:%d:%b" % (moment, raw), hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": str(moment), "X-Slack-Signature": f"v0={digest}"}

    async def deliver(self, url: str, envelope: Envelope, within: float) -> Json:
        """The body of the answer, empty if there was none; raises NotAcknowledged."""
        content_type, body = _http_body(envelope)
        headers = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0", **self.sign(body)}
        if self._session is None:
            self._session = aiohttp.ClientSession()
        try:
            async with (
                asyncio.timeout(within),
                self._session.post(url, data=body, headers=headers) as answer,
            ):
                text = await answer.text()
        except TimeoutError as error:
            raise NotAcknowledged(TIMED_OUT) from error
        except aiohttp.ClientError as error:
            raise NotAcknowledged(FAILED) from error
        if answer.status != 200:
            raise NotAcknowledged(FAILED)
        return _http_payload(text)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def _http_body(envelope: Envelope) -> tuple[str, bytes]:
    if envelope.kind == "events_api":
        return "application/json", json.dumps(envelope.payload).encode()
    is_command = envelope.kind == "slash_commands"
    form = envelope.payload if is_command else {"payload": json.dumps(envelope.payload)}
    return "application/x-www-form-urlencoded", urlencode(form).encode()


def _http_payload(text: str) -> Json:
    if not text.strip():
        return {}
    try:
        parsed = json.loads(text)
    except ValueError:
        return {"text": text}
    return parsed if isinstance(parsed, dict) else {"text": text}


class Delivery:
    """HTTP where a request URL is set, else Socket Mode. `ack_within` is in real seconds."""

    def __init__(self, state: State, *, request_url: str | None, ack_within: float) -> None:
        self.sockets = Sockets(state, state.changes.happened)
        self.http = SignedHttp(state)
        self.request_url = request_url
        self.ack_within = ack_within

    async def deliver(self, envelope: Envelope) -> Json:
        """What the app answered with its acknowledgement; raises NotAcknowledged."""
        if self.request_url:
            return await self.http.deliver(self.request_url, envelope, self.ack_within)
        return await self.sockets.deliver(envelope, self.ack_within)

    async def close(self) -> None:
        await self.sockets.close()
        await self.http.close()
