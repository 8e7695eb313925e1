"""An emulated Slack workspace with one installed app, and the people in it.

It speaks Slack's wire on loopback, so that the real bot and the real SDK talk to it unchanged;
`serving` puts it on a port. What is behind it is divided by question: `methods` (what the Web API
answers), `blocks` (what it refuses), `delivery` (how interactions reach the app), `people` (what
persons do and see).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from bot.sandbox import world
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.exchanges import WireLog
from bot.sandbox.faults import Faults
from bot.sandbox.slack.delivery import Delivery
from bot.sandbox.slack.faults import Fault
from bot.sandbox.slack.people import People
from bot.sandbox.slack.records import Channel, Message, PersonCannot, User, Usergroup, View
from bot.sandbox.slack.state import State
from bot.sandbox.slack.text import Reader
from bot.sandbox.slack.web_api import WebApi

DEFAULT_SCOPES = ("commands", "chat:write", "users:read", "channels:read", "groups:read")


class SlackWorkspace(People):
    """The workspace: its people act through it, and here is what its admins change.

    `state` has everybody and everything in it, `delivery` the app's connections, `faults` what will
    go wrong, `requests` every call of the app, oldest first, without tokens. `ack_within` (how long
    the app may take to acknowledge) and `trigger_lifetime` (how long a trigger_id works) are in
    real seconds; Slack's value is 3 for either. Everything else goes by `clock`. With a
    `request_url` interactions come as signed HTTP requests, else over Socket Mode.
    """

    def __init__(
        self,
        *,
        clock: AdjustableClock | None = None,
        request_url: str | None = None,
        ack_within: float = 3.0,
        trigger_lifetime: float = 3.0,
        scopes: Iterable[str] = DEFAULT_SCOPES,
        wire_log: WireLog | None = None,
    ) -> None:
        self.clock = clock or AdjustableClock()
        log = wire_log or WireLog(self.clock)
        self.faults = Faults[Fault]()
        state = State(self.clock, scopes=scopes, trigger_lifetime=trigger_lifetime)
        super().__init__(
            state, Delivery(state, request_url=request_url, ack_within=ack_within), log
        )
        self.web_api = WebApi(state, self.faults, log)
        self.requests = self.web_api.requests
        self.changes = state.changes

    def plain_text(self, shown: Message | View) -> str:
        """A message or a form as a person reads it now, dates in UTC."""
        state = self.state
        reader = Reader(state.users, state.channels, state.clock.now(), state.usergroups)
        return reader.view(shown) if isinstance(shown, View) else reader.message(shown)

    def add_user(
        self, user_id: str, real_name: str, *, team_id: str = world.TEAM_ID, **flags: Any
    ) -> User:
        """Someone new, in no channel yet; from another team they are a stranger, as Slack says."""
        stranger = {} if team_id == world.TEAM_ID else {"is_stranger": True}
        name = real_name.lower().replace(" ", ".")
        return self.state.put_user(User(user_id, name, real_name, team_id, stranger | flags))

    def set_flags(self, user_id: str, **flags: Any) -> User:
        """Override fields of this person's `users.info`; raises PersonCannot."""
        user = self.state.users.get(user_id)
        if user is None:
            raise PersonCannot(f"There is nobody with the id `{user_id}`.")
        return self.state.put_user(replace(user, flags=user.flags | flags))

    def add_channel(
        self, channel_id: str, name: str, members: Iterable[str], **more: Any
    ) -> Channel:
        return self.state.put_channel(Channel(channel_id, name, tuple(members), **more))

    def set_channel(self, channel_id: str, **changes: Any) -> Channel:
        """Change fields of a channel, such as `is_archived` or `members`; raises PersonCannot."""
        return self.state.put_channel(replace(self._channel(channel_id), **changes))

    def join(self, user_id: str, channel_id: str) -> Channel:
        """Make this person a member of a channel; raises PersonCannot."""
        members = (*self._channel(channel_id).members, user_id)
        return self.set_channel(channel_id, members=members)

    def _channel(self, channel_id: str) -> Channel:
        if channel_id not in self.state.channels:
            raise PersonCannot(f"There is no channel `{channel_id}`.")
        return self.state.channels[channel_id]

    def add_usergroup(self, group_id: str, handle: str, users: Iterable[str]) -> None:
        self.state.put_usergroup(Usergroup(group_id, handle, handle, tuple(users)))

    async def set_members(self, group_id: str, users: Iterable[str]) -> Usergroup:
        """Change who is in a usergroup; an app that may read groups is told. Raises PersonCannot."""
        before, now = self._usergroup(group_id), tuple(users)
        changed = replace(before, users=now)
        self.state.put_usergroup(changed)
        if "usergroups:read" in self.state.scopes:
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
        now = self.state.epoch_seconds()
        self.state.put_usergroup(replace(self._usergroup(group_id), deleted=now))

    def _usergroup(self, group_id: str) -> Usergroup:
        if group_id not in self.state.usergroups:
            raise PersonCannot(f"There is no usergroup `{group_id}`.")
        return self.state.usergroups[group_id]
