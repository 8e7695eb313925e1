"""The control endpoint of the emulated Slack: what persons do and what goes wrong, as JSON over HTTP.

It maps onto the methods of SlackWorkspace, one for one. Bad input is answered with 400 and a sentence.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.sandbox import world
from bot.sandbox.listening import CONTROL_PREFIX, bad_control, control_body
from bot.sandbox.slack.faults import Fault, FaultKind
from bot.sandbox.slack.methods import view_wire
from bot.sandbox.slack.records import Json, Message, PersonCannot, View

if TYPE_CHECKING:
    from bot.sandbox.slack.emulator import SlackWorkspace

Act = Callable[[Json], Awaitable[Any]]
CHANNEL_FLAGS = (
    "is_archived",
    "is_private",
    "is_ext_shared",
    "is_org_shared",
    "is_pending_ext_shared",
)


def control_routes(workspace: SlackWorkspace) -> list[web.RouteDef]:
    control = _Control(workspace)
    posts: dict[str, Act] = {
        "command": control.command,
        "click": control.click,
        "submit": control.submit,
        "close_view": control.close_view,
        "say": control.say,
        "users": control.add_user,
        "faults": control.plan_fault,
        "disconnect": control.disconnect,
        "ghost": control.add_ghost,
        "clock": control.move_clock,
        "forget_ephemerals": control.forget_ephemerals,
    }
    puts: dict[str, Act] = {
        "users/{id}": control.set_flags,
        "channels/{id}": control.set_channel,
        "usergroups/{id}": control.set_usergroup,
        "request_url": control.set_request_url,
        "scopes": control.set_scopes,
    }
    gets: dict[str, Act] = {
        "state": control.state,
        "sees": control.sees,
        "views": control.views,
        "users": control.users,
        "channels": control.channels,
        "usergroups": control.usergroups,
        "faults": control.faults,
        "requests": control.requests,
        "interactions": control.interactions,
        "clock": control.clock,
        "request_url": control.request_url,
    }
    deletes: dict[str, Act] = {"faults": control.clear_faults, "ghost": control.remove_ghosts}
    return [
        web.route(verb, f"{CONTROL_PREFIX}/{path}", _answering(act))
        for verb, acts in (("POST", posts), ("PUT", puts), ("GET", gets), ("DELETE", deletes))
        for path, act in acts.items()
    ]


def _answering(act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Arguments from the path, the query and the body; what a person cannot do is a 400."""

    async def answer(request: web.Request) -> web.Response:
        given: Json = {**request.query, **await control_body(request), **request.match_info}
        try:
            return web.json_response(await act(given))
        except PersonCannot as refusal:
            raise bad_control(str(refusal)) from refusal

    return answer


class _Control:
    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace

    async def command(self, given: Json) -> Json:
        outcome = await self._workspace.command(
            _text(given, "user"),
            _text(given, "text", ""),
            _text(given, "channel", world.ADMIN_CHANNEL),
            _text(given, "command", "/mailcfg"),
        )
        return asdict(outcome)

    async def click(self, given: Json) -> Json:
        user, action_id, value = _text(given, "user"), _text(given, "action_id"), given.get("value")
        if "view_id" in given:
            view_id, typed = _text(given, "view_id"), _object(given, "typed")
            outcome = await self._workspace.click_in_view(
                user, view_id, action_id, value=value, typed=typed
            )
        else:
            channel, ts = _text(given, "channel"), _text(given, "ts")
            outcome = await self._workspace.click(user, channel, ts, action_id, value=value)
        return asdict(outcome)

    async def submit(self, given: Json) -> Json:
        outcome = await self._workspace.submit(
            _text(given, "user"), _text(given, "view_id"), _object(given, "values")
        )
        return asdict(outcome)

    async def close_view(self, given: Json) -> Json:
        await self._workspace.close_view(_text(given, "user"), _text(given, "view_id"))
        return {}

    async def say(self, given: Json) -> Json:
        message = self._workspace.say(
            _text(given, "user"),
            _text(given, "channel"),
            _text(given, "text"),
            _text(given, "thread_ts", "") or None,
        )
        return self._message(message)

    async def sees(self, given: Json) -> list[Json]:
        messages = self._workspace.sees(
            _text(given, "user"),
            _text(given, "channel"),
            thread_ts=_text(given, "thread_ts", "") or None,
        )
        return [self._message(message) for message in messages]

    def _message(self, message: Message) -> Json:
        plain_text = self._workspace.plain_text(message)
        return asdict(message) | {"is_ephemeral": message.is_ephemeral, "plain_text": plain_text}

    async def views(self, given: Json) -> list[Json]:
        people = [given["user"]] if "user" in given else [u.id for u in self._workspace.users()]
        shown = [self._workspace.open_view(user) for user in people]
        return [self._view(view) for view in shown if view is not None]

    def _view(self, view: View) -> Json:
        plain_text = self._workspace.plain_text(view)
        extra = {"user": view.user, "errors": view.errors, "plain_text": plain_text}
        return view_wire(view) | extra

    async def state(self, given: Json) -> Json:
        """Everything, except what lets its holder act as Slack or as the app."""
        state = self._workspace.dump()
        del state["response_urls"]
        return state | {"credentials": dict.fromkeys(state["credentials"], "…")}

    async def users(self, given: Json) -> list[Json]:
        return [user.wire() for user in self._workspace.users()]

    async def add_user(self, given: Json) -> Json:
        user_id = _text(given, "id")
        if any(user.id == user_id for user in self._workspace.users()):
            raise bad_control(f"There is already somebody with the id `{user_id}`.")
        team = {"team_id": _text(given, "team_id")} if "team_id" in given else {}
        user = self._workspace.add_user(
            user_id, _text(given, "real_name"), **team, **_object(given, "flags")
        )
        return user.wire()

    async def set_flags(self, given: Json) -> Json:
        flags = _object(given, "flags")
        return self._workspace.set_flags(given["id"], **flags).wire()

    async def channels(self, given: Json) -> list[Json]:
        return [asdict(channel) for channel in self._workspace.channels()]

    async def set_channel(self, given: Json) -> Json:
        changes: Json = {}
        for flag in CHANNEL_FLAGS:
            if flag in given:
                changes[flag] = _boolean(given, flag)
        if "members" in given:
            changes["members"] = self._people(given, "members")
        if not changes:
            flags = ", ".join(f"`{flag}`" for flag in CHANNEL_FLAGS)
            raise bad_control(f"name {flags} or `members`")
        return asdict(self._workspace.set_channel(given["id"], **changes))

    async def usergroups(self, given: Json) -> list[Json]:
        return [asdict(group) for group in self._workspace.usergroups()]

    async def set_usergroup(self, given: Json) -> Json:
        """A new group where there is a `handle`, else other members of an old one."""
        users = self._people(given, "users")
        if "handle" in given:
            self._workspace.add_usergroup(given["id"], _text(given, "handle"), users)
        group = await self._workspace.set_members(given["id"], users)
        return asdict(group)

    def _people(self, given: Json, name: str) -> tuple[str, ...]:
        ids = given.get(name)
        known = {user.id for user in self._workspace.users()}
        if not isinstance(ids, list) or not set(map(str, ids)) <= known:
            raise bad_control(f"`{name}` must be a list of ids of people who exist")
        return tuple(ids)

    async def faults(self, given: Json) -> list[Json]:
        return [asdict(fault) for fault in self._workspace.planned_faults]

    async def plan_fault(self, given: Json) -> list[Json]:
        self._workspace.plan_fault(
            Fault(
                _text(given, "method"),
                _fault_kind(given),
                _count(given, "times", 1),
                _count(given, "retry_after", 1),
                _text(given, "error", "internal_error"),
                _count(given, "skip", 0, least=0),
            )
        )
        return await self.faults(given)

    async def clear_faults(self, given: Json) -> list[Json]:
        self._workspace.clear_faults()
        return []

    async def disconnect(self, given: Json) -> Json:
        await self._workspace.disconnect(_text(given, "reason", "refresh_requested"))
        return {"connections": self._workspace.connections}

    async def add_ghost(self, given: Json) -> Json:
        self._workspace.add_ghost()
        return {"connections": self._workspace.connections}

    async def remove_ghosts(self, given: Json) -> Json:
        self._workspace.remove_ghosts()
        return {"connections": self._workspace.connections}

    async def forget_ephemerals(self, given: Json) -> Json:
        self._workspace.forget_ephemerals(_text(given, "user", "") or None)
        return {}

    async def clock(self, given: Json) -> Json:
        return {"now": self._workspace.clock.now().isoformat()}

    async def move_clock(self, given: Json) -> Json:
        clock = self._workspace.clock
        try:
            if "set" in given:
                clock.set(_moment(given["set"]))
            else:
                clock.advance(timedelta(seconds=_seconds(given)))
        except (ValueError, OverflowError) as error:
            raise bad_control(f"the clock cannot be moved like this: {error}") from error
        return await self.clock(given)

    async def requests(self, given: Json) -> list[Json]:
        return [asdict(request) for request in self._workspace.requests]

    async def interactions(self, given: Json) -> list[Json]:
        return [asdict(interaction) for interaction in self._workspace.interactions]

    async def request_url(self, given: Json) -> Json:
        return {"request_url": self._workspace.request_url}

    async def set_request_url(self, given: Json) -> Json:
        url = given.get("request_url")
        if url is not None and not str(url).startswith(("http://", "https://")):
            raise bad_control("`request_url` must begin with http:// or https://, or be null")
        self._workspace.request_url = url
        return await self.request_url(given)

    async def set_scopes(self, given: Json) -> Json:
        scopes = given.get("scopes")
        if not isinstance(scopes, list) or not all(isinstance(each, str) for each in scopes):
            raise bad_control("`scopes` must be a list of names")
        self._workspace.scopes = tuple(scopes)
        return {"scopes": scopes}


def _text(given: Json, name: str, default: str | None = None) -> str:
    value = given.get(name, default)
    if not isinstance(value, str):
        raise bad_control(f"`{name}` is missing or not a text")
    return value


def _object(given: Json, name: str) -> Json:
    value = given.get(name) or {}
    if not isinstance(value, dict):
        raise bad_control(f"`{name}` must be an object")
    return value


def _boolean(given: Json, name: str) -> bool:
    if not isinstance(given[name], bool):
        raise bad_control(f"`{name}` must be true or false")
    return bool(given[name])


def _count(given: Json, name: str, default: int, least: int = 1) -> int:
    value = given.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise bad_control(f"`{name}` must be a whole number above {least - 1}")
    return value


def _fault_kind(given: Json) -> FaultKind:
    try:
        return FaultKind(_text(given, "kind"))
    except ValueError as error:
        raise bad_control(f"`kind` must be one of: {', '.join(FaultKind)}") from error


def _seconds(given: Json) -> float:
    value = given.get("advance_seconds")
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_control(
            "name `advance_seconds`, a number, or `set`, a time such as 2026-01-31T12:00Z"
        )
    return value


def _moment(text: Any) -> datetime:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError("the time needs a zone, such as Z")
    return moment
