"""The control endpoint of the emulated Slack: what persons do and what goes wrong, as JSON over HTTP."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, Field, StrictBool

from bot.sandbox import world
from bot.sandbox.control import ClockControl, Count, Id, Json
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.slack.methods import view_wire
from bot.sandbox.slack.people import ClickOutcome, CommandOutcome, SubmitOutcome
from bot.sandbox.slack.records import Channel, Message, Usergroup

Url = Annotated[str, Field(pattern="^https?://")]


class ChannelChanges(BaseModel, extra="forbid"):
    is_archived: StrictBool | None = None
    is_private: StrictBool | None = None
    is_ext_shared: StrictBool | None = None
    is_org_shared: StrictBool | None = None
    is_pending_ext_shared: StrictBool | None = None
    members: list[str] | None = None


class SlackControl(ClockControl):
    def __init__(self, workspace: SlackWorkspace) -> None:
        super().__init__(workspace.clock)
        self._workspace = workspace
        self._state = workspace.state
        self._delivery = workspace.delivery

    async def post_command(
        self,
        user: str,
        text: str = "",
        channel: str = world.ADMIN_CHANNEL,
        command: str = "/mailcfg",
    ) -> CommandOutcome:
        return await self._workspace.command(user, text, channel, command)

    async def post_click(
        self,
        user: str,
        action_id: str,
        channel: str = "",
        ts: str = "",
        value: Any = None,
        view_id: str | None = None,
        typed: Json | None = None,
    ) -> ClickOutcome:
        """In the message `ts` of a channel, or in the open form `view_id`, once `typed` is in it."""
        if view_id is None:
            return await self._workspace.click(user, channel, ts, action_id, value=value)
        return await self._workspace.click_in_view(
            user, view_id, action_id, value=value, typed=typed or {}
        )

    async def post_submit(
        self, user: str, view_id: str, values: Json | None = None
    ) -> SubmitOutcome:
        return await self._workspace.submit(user, view_id, values or {})

    def post_close_view(self, user: str, view_id: str) -> Json:
        self._workspace.close_view(user, view_id)
        return {}

    def post_say(self, user: str, channel: str, text: str, thread_ts: str = "") -> Json:
        return self._message(self._workspace.say(user, channel, text, thread_ts or None))

    def post_forget_ephemerals(self, user: str = "") -> Json:
        self._workspace.forget_ephemerals(user or None)
        return {}

    def get_sees(self, user: str, channel: str, thread_ts: str = "") -> list[Json]:
        seen = self._workspace.sees(user, channel, thread_ts=thread_ts or None)
        return [self._message(message) for message in seen]

    def _message(self, message: Message) -> Json:
        plain_text = self._workspace.plain_text(message)
        return asdict(message) | {"is_ephemeral": message.is_ephemeral, "plain_text": plain_text}

    def get_views(self, user: str | None = None) -> list[Json]:
        shown = [view for view in self._state.views.values() if user in (None, view.user)]
        read = self._workspace.plain_text
        return [
            view_wire(view) | {"user": view.user, "errors": view.errors, "plain_text": read(view)}
            for view in shown
        ]

    def get_state(self) -> Json:
        """Everything, except what lets its holder act as Slack or as the app."""
        state = self._state.dump()
        del state["response_urls"]
        return state | {"credentials": dict.fromkeys(state["credentials"], "…")}

    def get_users(self) -> list[Json]:
        return [user.wire() for user in self._state.users.values()]

    def post_users(
        self, user: Id, real_name: str, team_id: str = world.TEAM_ID, flags: Json | None = None
    ) -> Json:
        if user in self._state.users:
            raise ValueError(f"There is already somebody with the id `{user}`.")
        added = self._workspace.add_user(user, real_name, team_id=team_id, **flags or {})
        return added.wire()

    def put_users_id(self, user: Id, flags: Json | None = None) -> Json:
        return self._workspace.set_flags(user, **flags or {}).wire()

    def get_channels(self) -> list[Channel]:
        return list(self._state.channels.values())

    def put_channels_id(self, channel: Id, **changes: Any) -> Channel:
        given = ChannelChanges(**changes).model_dump(exclude_none=True)
        if not given:
            raise ValueError(f"name one of {', '.join(ChannelChanges.model_fields)}")
        if "members" in given:
            given["members"] = self._people(given["members"])
        return self._workspace.set_channel(channel, **given)

    def get_usergroups(self) -> list[Usergroup]:
        return list(self._state.usergroups.values())

    async def put_usergroups_id(
        self, group: Id, users: list[str], handle: str | None = None
    ) -> Usergroup:
        """A new group where there is a `handle`, else other members of an old one."""
        people = self._people(users)
        if handle is not None:
            self._workspace.add_usergroup(group, handle, people)
        return await self._workspace.set_members(group, people)

    def _people(self, ids: list[str]) -> tuple[str, ...]:
        if not set(ids) <= self._state.users.keys():
            raise ValueError("these must be ids of people who exist")
        return tuple(ids)

    def get_faults(self) -> list[Fault]:
        return self._workspace.faults.planned

    def post_faults(
        self,
        method: str,
        kind: FaultKind,
        times: Count = 1,
        retry_after: Count = 1,
        error: str = "internal_error",
        skip: Annotated[int, Field(strict=True, ge=0)] = 0,
    ) -> list[Fault]:
        self._workspace.faults.plan(Fault(method, kind, times, retry_after, error, skip=skip))
        return self.get_faults()

    def delete_faults(self) -> list[Fault]:
        self._workspace.faults.clear()
        return self.get_faults()

    async def post_disconnect(self, reason: str = "refresh_requested") -> Json:
        await self._delivery.sockets.disconnect(reason)
        return self._connections()

    def post_ghost(self) -> Json:
        self._delivery.sockets.add_ghost()
        return self._connections()

    def delete_ghost(self) -> Json:
        self._delivery.sockets.remove_ghosts()
        return self._connections()

    def _connections(self) -> Json:
        return {"connections": self._delivery.sockets.count}

    def get_request_url(self) -> Json:
        return {"request_url": self._delivery.request_url}

    def put_request_url(self, request_url: Url | None = None) -> Json:
        self._delivery.request_url = request_url
        return self.get_request_url()

    def put_scopes(self, scopes: list[str]) -> Json:
        self._state.scopes = tuple(scopes)
        return {"scopes": scopes}

    def get_requests(self) -> Any:
        return self._workspace.requests

    def get_interactions(self) -> Any:
        return self._workspace.interactions
