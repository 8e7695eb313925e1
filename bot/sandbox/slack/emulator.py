"""An emulated Slack workspace with one installed app: its Web API, Socket Mode, signed HTTP requests,
and the people in it.

It speaks Slack's wire on loopback, so that the real bot and the real SDK talk to it unchanged. This
module is its door; what is behind it is divided by question: `methods` (what the Web API
answers), `blocks` (what it refuses), `delivery` (how interactions reach the app),
`people` (what persons do and see), `control` (the same over HTTP).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from aiohttp import web

from bot.sandbox import world
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.exchanges import WireLog
from bot.sandbox.listening import CONTROL_PREFIX, Listening, control_guard, listen
from bot.sandbox.slack.blocks import block_problems
from bot.sandbox.slack.control import control_routes
from bot.sandbox.slack.delivery import Delivery
from bot.sandbox.slack.faults import Fault, Faults, Interaction, Request
from bot.sandbox.slack.people import (
    ClickOutcome,
    CommandOutcome,
    People,
    SubmitOutcome,
)
from bot.sandbox.slack.records import Channel, Json, Message, PersonCannot, User, Usergroup, View
from bot.sandbox.slack.state import State
from bot.sandbox.slack.text import Reader
from bot.sandbox.slack.web_api import LARGEST_BODY, WebApi

T = TypeVar("T")

DEFAULT_SCOPES = ("commands", "chat:write", "users:read", "channels:read", "groups:read")

FRONT_PAGE = """<!doctype html><meta charset="utf-8"><title>Emulated Slack</title>
<h1>An emulated Slack workspace</h1>
<p>This is not Slack. It is the workspace “Acme” that mailcfg talks to in its sandbox and tests:
the Web API is under <code>/api/</code>, Socket Mode under <code>/link/</code>, and what the people in
it do is said under <code>/__control/</code>, with the control token.</p>
"""


class SlackWorkspace:
    """The workspace, to be served as `app`; persons act through its methods.

    `ack_within` and `trigger_lifetime` (how long a trigger_id works) are in real seconds; Slack's
    value is 3 for either. Everything else goes by `clock`. With a `request_url` interactions come as signed HTTP requests, else over Socket Mode.
    """

    def __init__(
        self,
        *,
        clock: AdjustableClock,
        control_token: str | None = None,
        request_url: str | None = None,
        ack_within: float = 3.0,
        trigger_lifetime: float = 3.0,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        wire_log: WireLog | None = None,
    ) -> None:
        self.clock = clock
        wire_log = wire_log or WireLog(clock)
        self.control_token = control_token or secrets.token_urlsafe(24)
        self._state = State(clock, scopes=scopes, trigger_lifetime=trigger_lifetime)
        self._faults = Faults()
        self._web_api = WebApi(self._state, self._faults, wire_log)
        self._delivery = Delivery(self._state, request_url=request_url, ack_within=ack_within)
        self._people = People(self._state, self._delivery, wire_log)
        self.app = self._build_app()

    def _build_app(self) -> web.Application:
        app = web.Application(
            middlewares=[control_guard(self.control_token)], client_max_size=LARGEST_BODY
        )
        app.add_routes(self._web_api.routes())
        app.add_routes([web.get("/", _front_page), web.get("/link/", self._delivery.sockets.serve)])
        app.add_routes(control_routes(self))
        app.on_shutdown.append(self._close_delivery)
        return app

    async def _close_delivery(self, app: web.Application) -> None:
        await self._delivery.close()

    @property
    def origin(self) -> str:
        """The address under which the app reaches this workspace, without a path."""
        return self._state.origin

    @origin.setter
    def origin(self, origin: str) -> None:
        self._state.origin = origin.rstrip("/")

    @property
    def bot_token(self) -> str:
        return self._state.credentials.bot_token

    @property
    def app_token(self) -> str:
        return self._state.credentials.app_token

    @property
    def signing_secret(self) -> str:
        return self._state.credentials.signing_secret

    @property
    def scopes(self) -> tuple[str, ...]:
        return self._state.scopes

    @scopes.setter
    def scopes(self, scopes: Iterable[str]) -> None:
        self._state.scopes = tuple(scopes)

    @property
    def request_url(self) -> str | None:
        return self._delivery.request_url

    @request_url.setter
    def request_url(self, url: str | None) -> None:
        self._delivery.request_url = url

    @property
    def ack_within(self) -> float:
        """How long the app may take to acknowledge, in real seconds."""
        return self._delivery.ack_within

    @ack_within.setter
    def ack_within(self, seconds: float) -> None:
        self._delivery.ack_within = seconds

    @property
    def connections(self) -> int:
        """Registered Socket Mode connections, ghosts included."""
        return self._delivery.sockets.count

    @property
    def requests(self) -> list[Request]:
        """Every call of the app, oldest first, without tokens."""
        return self._web_api.requests

    @property
    def interactions(self) -> list[Interaction]:
        """Everything that persons did, oldest first."""
        return self._people.interactions

    async def command(
        self,
        user: str,
        text: str,
        channel: str = world.ADMIN_CHANNEL,
        command: str = "/mailcfg",
        *,
        stale: bool = False,
    ) -> CommandOutcome:
        """Type a command; raises PersonCannot. Returns once it is acknowledged, or has failed.

        `stale`: the person's standing changed while the command was on its way, so that it is sent
        although the account is a bot's or deactivated.
        """
        return await self._people.command(user, text, channel, command, stale=stale)

    async def click(
        self,
        user: str,
        channel: str,
        ts: str,
        action_id: str,
        *,
        value: Any = None,
        stale: bool = False,
    ) -> ClickOutcome:
        """Click a button, or choose the option `value`, in a message; raises PersonCannot.

        For a button `value` tells apart several with one action_id. `stale`: the screen was out of
        date, so the click is sent although the button is gone or the account was closed.
        """
        return await self._people.click(user, channel, ts, action_id, value, stale=stale)

    async def click_in_view(
        self,
        user: str,
        view_id: str,
        action_id: str,
        *,
        value: Any = None,
        typed: Json | None = None,
    ) -> ClickOutcome:
        """The same in the open modal, after typing `typed` into its inputs; raises PersonCannot."""
        return await self._people.click_in_view(user, view_id, action_id, value, typed or {})

    async def submit(self, user: str, view_id: str, values: Json | None = None) -> SubmitOutcome:
        """Fill in the open modal, by action_id or block_id, and submit it; raises PersonCannot."""
        return await self._people.submit(user, view_id, values or {})

    async def close_view(self, user: str, view_id: str) -> None:
        await self._people.close_view(user, view_id)

    async def event(self, inner: Json) -> bool:
        """Send an Events API event; whether the app acknowledged it."""
        return await self._people.event(inner)

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Post an ordinary message as a person; raises PersonCannot."""
        return self._people.say(user, channel, text, thread_ts)

    def messages(self) -> list[Message]:
        """Every message that there is, oldest first, whoever may see it."""
        return list(self._state.messages.values())

    def open_view(self, user: str) -> View | None:
        return self._people.open_view(user)

    def sees(self, user: str, channel: str, *, thread_ts: str | None = None) -> list[Message]:
        """What is on this person's screen, oldest first: the channel, or one thread of it."""
        return self._people.sees(user, channel, thread_ts)

    def dm_channel(self, user: str) -> str:
        """The id of the direct message channel between this person and the app."""
        return self._state.dm_with(user).id

    def forget_ephemerals(self, user: str | None = None) -> None:
        self._people.forget_ephemerals(user)

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every change of the workspace, and when its clock is moved."""
        self._state.changes.on_change(listener)

    async def wait_for(
        self, predicate: Callable[[], T | None], timeout: float = 10, what: str = ""
    ) -> T:
        """The first truthy answer of `predicate`, asked again at every change, never in between.

        Raises TimeoutError, whose sentence names `what`. `timeout` is in real seconds.
        """
        return await self._state.changes.wait_for(predicate, timeout, what)

    def plain_text(self, shown: Message | View) -> str:
        """A message or a form as a person reads it now, dates in UTC."""
        state = self._state
        reader = Reader(state.users, state.channels, state.clock.now(), state.usergroups)
        return reader.view(shown) if isinstance(shown, View) else reader.message(shown)

    def block_problems(self, blocks: Any, surface: str = "message") -> list[str]:
        """What Slack would say against these blocks in a `message` or a `view`; empty is fine."""
        return block_problems(blocks, surface=surface)

    def users(self) -> list[User]:
        return list(self._state.users.values())

    def add_user(
        self, user_id: str, real_name: str, *, team_id: str = world.TEAM_ID, **flags: Any
    ) -> User:
        """Someone new, in no channel yet; from another team they are a stranger, as Slack says."""
        stranger = {} if team_id == world.TEAM_ID else {"is_stranger": True}
        name = real_name.lower().replace(" ", ".")
        return self._state.put_user(User(user_id, name, real_name, team_id, stranger | flags))

    def set_flags(self, user_id: str, **flags: Any) -> User:
        """Override fields of this person's `users.info`; raises PersonCannot."""
        user = self._state.users.get(user_id)
        if user is None:
            raise PersonCannot(f"There is nobody with the id `{user_id}`.")
        return self._state.put_user(replace(user, flags=user.flags | flags))

    def channels(self) -> list[Channel]:
        return list(self._state.channels.values())

    def add_channel(
        self, channel_id: str, name: str, members: Iterable[str], **more: Any
    ) -> Channel:
        return self._state.put_channel(Channel(channel_id, name, tuple(members), **more))

    def set_channel(self, channel_id: str, **changes: Any) -> Channel:
        """Change fields of a channel, such as `is_archived` or `members`; raises PersonCannot."""
        channel = self._state.channels.get(channel_id)
        if channel is None:
            raise PersonCannot(f"There is no channel `{channel_id}`.")
        return self._state.put_channel(replace(channel, **changes))

    def join(self, user_id: str, channel_id: str) -> Channel:
        """Make this person a member of a channel; raises PersonCannot."""
        members = next((c.members for c in self.channels() if c.id == channel_id), ())
        return self.set_channel(channel_id, members=(*members, user_id))

    def usergroups(self) -> list[Usergroup]:
        return list(self._state.usergroups.values())

    def add_usergroup(self, group_id: str, handle: str, users: Iterable[str]) -> None:
        self._state.put_usergroup(Usergroup(group_id, handle, handle, tuple(users)))

    async def set_members(self, group_id: str, users: Iterable[str]) -> Usergroup:
        """Change who is in a usergroup; an app that may read groups is told. Raises PersonCannot."""
        before, now = self._usergroup(group_id), tuple(users)
        changed = replace(before, users=now)
        self._state.put_usergroup(changed)
        if "usergroups:read" in self.scopes:
            await self.event(
                {
                    "type": "subteam_members_changed",
                    "subteam_id": group_id,
                    "team_id": world.TEAM_ID,
                    "added_users": [user for user in now if user not in before.users],
                    "removed_users": [user for user in before.users if user not in now],
                }
            )
        return changed

    def disable_usergroup(self, group_id: str) -> None:
        """What an admin's "Disable" does; raises PersonCannot."""
        now = self._state.epoch_seconds()
        self._state.put_usergroup(replace(self._usergroup(group_id), deleted=now))

    def _usergroup(self, group_id: str) -> Usergroup:
        if group_id not in self._state.usergroups:
            raise PersonCannot(f"There is no usergroup `{group_id}`.")
        return self._state.usergroups[group_id]

    def delete_message(self, channel: str, ts: str) -> None:
        """What an admin's "Delete message" does."""
        self._state.drop_message(channel, ts)

    @property
    def planned_faults(self) -> tuple[Fault, ...]:
        return self._faults.planned

    def plan_fault(self, fault: Fault) -> None:
        self._faults.plan(fault)

    def clear_faults(self) -> None:
        self._faults.clear()

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Ask every Socket Mode connection to go, with a `disconnect` message."""
        await self._delivery.sockets.disconnect(reason)

    async def close_sockets(self) -> None:
        """Close every Socket Mode connection without a message."""
        await self._delivery.sockets.close()

    def add_ghost(self) -> None:
        """Register a connection that swallows its share of the envelopes."""
        self._delivery.sockets.add_ghost()

    def remove_ghosts(self) -> None:
        self._delivery.sockets.remove_ghosts()

    def sign(self, body: str | bytes, timestamp: int | None = None) -> dict[str, str]:
        """The headers with which Slack would sign this body; `timestamp` is real epoch seconds."""
        return self._delivery.http.sign(body, timestamp)

    def dump(self) -> Json:
        """The whole state as JSON, secrets included, to be kept on disk."""
        return self._state.dump()

    def load(self, dumped: Json) -> None:
        """Become what `dump` returned. The app must be given the loaded tokens."""
        self._state.load(dumped)


async def _front_page(request: web.Request) -> web.Response:
    return web.Response(text=FRONT_PAGE, content_type="text/html")


@dataclass(frozen=True)
class RunningSlack:
    """A workspace that is being served."""

    workspace: SlackWorkspace
    listening: Listening = field(repr=False)

    @property
    def url(self) -> str:
        return self.workspace.origin

    def dotenv(self) -> list[str]:
        """The settings with which mailcfg works in this workspace, as lines of a dotenv file."""
        workspace = self.workspace
        return [
            f"SLACK_API_URL={self.url}/api/",
            f"SLACK_BOT_TOKEN={workspace.bot_token}",
            f"SLACK_APP_TOKEN={workspace.app_token}",
            f"SLACK_SIGNING_SECRET={workspace.signing_secret}",
            f"SLACK_CONTROL_URL={self.url}{CONTROL_PREFIX}",
            f"SLACK_CONTROL_TOKEN={workspace.control_token}",
            f"MAILCFG_REQUESTERS={','.join(world.REQUESTERS)}",
            f"MAILCFG_APPROVERS={','.join(world.APPROVERS)}",
            f"MAILCFG_APPROVAL_CHANNEL={world.ADMIN_CHANNEL}",
            f"MAILCFG_ALERT_CHANNEL={world.ALERT_CHANNEL}",
        ]

    async def close(self) -> None:
        await self.listening.close()


async def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    workspace: SlackWorkspace | None = None,
    public_url: str | None = None,
) -> RunningSlack:
    """Serve a workspace, a new one if none is given; raises PortInUse.

    `public_url` is the address to hand out where it differs from the one listened on, such as the
    name of a container.
    """
    workspace = workspace or SlackWorkspace(clock=AdjustableClock())
    listening = await listen(workspace.app, host, port)
    workspace.origin = public_url or listening.url
    return RunningSlack(workspace, listening)
