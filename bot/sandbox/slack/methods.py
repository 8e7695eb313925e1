"""The Web API methods that the emulated Slack knows: each a function of the state and the arguments,
which answers or raises SlackError with the word that Slack uses.

See https://docs.slack.dev/reference/methods for each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox import world
from bot.sandbox.slack.blocks import block_problems, is_view_too_large, view_problems
from bot.sandbox.slack.forms import state_values
from bot.sandbox.slack.records import Channel, Json, Message, SlackError, View
from bot.sandbox.slack.state import State

LONGEST_POST = 40_000
LONGEST_UPDATE = 4_000
DEEPEST_STACK = 3


@dataclass(frozen=True)
class Arguments:
    """What the app sent, as strings from a form or as JSON values."""

    given: Json

    def get(self, name: str) -> Any:
        return self.given.get(name)

    def text(self, name: str) -> str:
        value = self.given.get(name)
        return "" if value is None else str(value)

    def required(self, name: str) -> str:
        if not self.text(name):
            raise SlackError("invalid_arguments", f"missing required field: {name}")
        return self.text(name)

    def flag(self, name: str) -> bool:
        return self.text(name).lower() in ("1", "true")

    def number(self, name: str, default: int) -> int:
        try:
            return int(self.text(name) or default)
        except ValueError as error:
            raise SlackError("invalid_arguments", f"must be an integer: {name}") from error

    def parsed(self, name: str, error: str) -> Any:
        """A JSON value, which in a form is a string; raises SlackError with `error`."""
        value = self.given.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError as broken:
            raise SlackError(error) from broken


Run = Callable[[State, Arguments], Json]


@dataclass(frozen=True)
class Method:
    """`scopes`: any of them is enough; none are needed if empty. Most methods take the bot token."""

    run: Run
    scopes: tuple[str, ...] = ()
    takes_app_token: bool = False


def auth_test(state: State, arguments: Arguments) -> Json:
    return {
        "url": f"{state.origin}/",
        "team": world.TEAM_NAME,
        "user": world.BOT_NAME,
        "team_id": world.TEAM_ID,
        "user_id": world.BOT_USER_ID,
        "bot_id": world.BOT_ID,
        "is_enterprise_install": False,
    }


def open_connection(state: State, arguments: Arguments) -> Json:
    origin = state.origin.replace("http", "ws", 1)
    return {"url": f"{origin}/link/?ticket={state.new_ticket()}&app_id={world.APP_ID}"}


def users_info(state: State, arguments: Arguments) -> Json:
    user = state.users.get(arguments.required("user"))
    if user is None:
        raise SlackError("user_not_found")
    return {"user": user.wire()}


def conversations_info(state: State, arguments: Arguments) -> Json:
    channel = visible_channel(state, arguments.required("channel"))
    needed = _scope_to_read(channel)
    if needed not in state.scopes:
        raise SlackError("missing_scope", needed=needed, provided=",".join(state.scopes))
    info = channel.wire()
    if arguments.flag("include_num_members"):
        info["num_members"] = len(channel.members)
    return {"channel": info}


def _scope_to_read(channel: Channel) -> str:
    if channel.is_im:
        return "im:read"
    return "groups:read" if channel.is_private else "channels:read"


def conversations_members(state: State, arguments: Arguments) -> Json:
    channel = visible_channel(state, arguments.required("channel"))
    start = arguments.number("cursor", 0)
    end = start + arguments.number("limit", 100)
    cursor = str(end) if end < len(channel.members) else ""
    return {
        "members": list(channel.members[start:end]),
        "response_metadata": {"next_cursor": cursor},
    }


def conversations_open(state: State, arguments: Arguments) -> Json:
    user = arguments.required("users")
    if user not in state.users:
        raise SlackError("user_not_found")
    return {"channel": {"id": direct_message(state, user).id}}


def usergroups_list(state: State, arguments: Arguments) -> Json:
    with_users, with_disabled = arguments.flag("include_users"), arguments.flag("include_disabled")
    shown = [g for g in state.usergroups.values() if with_disabled or not g.deleted]
    return {"usergroups": [group.wire(with_users=with_users) for group in shown]}


def usergroups_users_list(state: State, arguments: Arguments) -> Json:
    group = state.usergroups.get(arguments.required("usergroup"))
    if group is None or (group.deleted and not arguments.flag("include_disabled")):
        raise SlackError("no_such_subteam")
    return {"users": list(group.users)}


def post_message(state: State, arguments: Arguments) -> Json:
    channel = writable_channel(state, arguments.required("channel"))
    text, blocks = content(arguments, longest=LONGEST_POST)
    message = state.app_message(
        channel.id,
        text,
        blocks,
        thread_ts=_thread(arguments),
        metadata=arguments.parsed("metadata", "invalid_metadata_format"),
    )
    posted = state.post(message)
    return {"channel": channel.id, "ts": posted.ts, "message": posted.wire()}


def post_ephemeral(state: State, arguments: Arguments) -> Json:
    channel = writable_channel(state, arguments.required("channel"))
    user = arguments.required("user")
    if user not in channel.members:
        raise SlackError("user_not_in_channel")
    text, blocks = content(arguments, longest=LONGEST_POST)
    message = state.app_message(
        channel.id, text, blocks, thread_ts=_thread(arguments), ephemeral_to=user
    )
    return {"message_ts": state.post(message).ts}


def update_message(state: State, arguments: Arguments) -> Json:
    """Blocks that are left out stay; an empty list takes them away."""
    channel = writable_channel(state, arguments.required("channel"), by_id=True)
    message = state.messages.get((channel.id, arguments.required("ts")))
    if message is None:
        raise SlackError("message_not_found")
    if message.bot_id != world.BOT_ID or message.is_ephemeral:
        raise SlackError("cant_update_message")
    keeps_blocks = arguments.get("blocks") is None
    text, blocks = content(
        arguments, longest=LONGEST_UPDATE, standing=message.blocks if keeps_blocks else []
    )
    updated = state.put_message(
        replace(
            message,
            text=text or message.text,
            blocks=message.blocks if keeps_blocks else state.with_ids(blocks),
            edited=state.next_ts(),
            metadata=arguments.parsed("metadata", "invalid_metadata_format") or message.metadata,
            marker=None,
        )
    )
    return {"channel": channel.id, "ts": updated.ts, "text": text, "message": updated.wire()}


def get_permalink(state: State, arguments: Arguments) -> Json:
    channel = visible_channel(state, arguments.required("channel"))
    message = state.messages.get((channel.id, arguments.required("message_ts")))
    if message is None or message.is_ephemeral:
        raise SlackError("message_not_found")
    return {"channel": channel.id, "permalink": permalink(state, message)}


def permalink(state: State, message: Message) -> str:
    link = f"{state.origin}/archives/{message.channel}/p{message.ts.replace('.', '')}"
    if not message.is_reply:
        return link
    return f"{link}?thread_ts={message.thread_ts}&cid={message.channel}"


def views_open(state: State, arguments: Arguments) -> Json:
    content = checked_view(arguments.parsed("view", "invalid_arguments"))
    user = state.redeem_trigger(arguments.required("trigger_id"))
    _refuse_taken_external_id(state, content)
    close_stack(state, user)
    return {"view": view_wire(push_view(state, user, content))}


def views_push(state: State, arguments: Arguments) -> Json:
    content = checked_view(arguments.parsed("view", "invalid_arguments"))
    user = state.redeem_trigger(arguments.required("trigger_id"))
    _refuse_taken_external_id(state, content)
    return {"view": view_wire(push_view(state, user, content))}


def views_update(state: State, arguments: Arguments) -> Json:
    content = checked_view(arguments.parsed("view", "invalid_arguments"))
    view = _named_view(state, arguments)
    expected = arguments.text("hash")
    if expected and expected != view.hash:
        raise SlackError("hash_conflict")
    return {"view": view_wire(replace_view(state, view, content))}


def _named_view(state: State, arguments: Arguments) -> View:
    view_id, external_id = arguments.text("view_id"), arguments.text("external_id")
    if not view_id and not external_id:
        raise SlackError("invalid_arguments", "missing required field: view_id or external_id")
    for view in state.views.values():
        if view.id == view_id or (external_id and view.external_id == external_id):
            return view
    raise SlackError("not_found")


def _refuse_taken_external_id(state: State, content: Json) -> None:
    external_id = content.get("external_id")
    if external_id and any(v.external_id == external_id for v in state.views.values()):
        raise SlackError("duplicate_external_id")


def checked_view(view: Any) -> Json:
    """A view that Slack would show; raises SlackError."""
    if not isinstance(view, dict):
        raise SlackError("invalid_arguments", "missing required field: view")
    if is_view_too_large(view):
        raise SlackError("view_too_large")
    problems = view_problems(view)
    if problems:
        raise SlackError("invalid_arguments", *problems)
    return view


def push_view(state: State, user: str, content: Json) -> View:
    """Put a view on top of what this person has open; raises SlackError."""
    stack = state.stacks.setdefault(user, [])
    if len(stack) >= DEEPEST_STACK:
        raise SlackError("push_limit_reached")
    view_id = f"V{state.serial():08d}"
    view = View(
        view_id,
        user,
        state.new_hash(),
        {**content, "blocks": state.with_ids(content["blocks"])},
        root_view_id=stack[0] if stack else view_id,
        previous_view_id=stack[-1] if stack else None,
    )
    state.views[view_id] = view
    stack.append(view_id)
    state.changes.happened()
    return view


def replace_view(state: State, view: View, content: Json) -> View:
    """What was typed stays where the block and the action keep their ids."""
    updated = replace(
        view,
        hash=state.new_hash(),
        content={**content, "blocks": state.with_ids(content["blocks"])},
        errors={},
    )
    state.views[view.id] = updated
    state.changes.happened()
    return updated


def close_stack(state: State, user: str) -> None:
    for view_id in state.stacks.pop(user, []):
        state.views.pop(view_id, None)
    state.changes.happened()


def close_top(state: State, user: str) -> None:
    stack = state.stacks.get(user, [])
    if stack:
        state.views.pop(stack.pop(), None)
    state.changes.happened()


def view_wire(view: View) -> Json:
    return view.wire(state_values(view.blocks, view.typed))


def visible_channel(state: State, channel_id: str) -> Channel:
    channel = state.channels.get(channel_id)
    if channel is None or (channel.is_private and world.BOT_USER_ID not in channel.members):
        raise SlackError("channel_not_found")
    return channel


def writable_channel(state: State, channel_id: str, *, by_id: bool = False) -> Channel:
    """Where the app may write; a user id means the direct message, except `by_id`."""
    if channel_id in state.users and not by_id:
        return direct_message(state, channel_id)
    channel = visible_channel(state, channel_id)
    if channel.is_archived:
        raise SlackError("is_archived")
    if world.BOT_USER_ID not in channel.members:
        raise SlackError("not_in_channel")
    return channel


def direct_message(state: State, user_id: str) -> Channel:
    user = state.users[user_id]
    if user.is_("is_bot"):
        raise SlackError("cannot_dm_bot")
    if user.is_("deleted"):
        raise SlackError("channel_not_found")
    return state.dm_with(user_id)


def content(
    arguments: Arguments, *, longest: int, standing: Iterable[Json] = ()
) -> tuple[str, list[Json]]:
    """The text and blocks of a message; raises SlackError. `standing` blocks need no text anew."""
    text, blocks = arguments.text("text"), checked_blocks(arguments)
    if not text and not blocks and not list(standing):
        raise SlackError("no_text")
    if len(text) > longest:
        raise SlackError("msg_too_long")
    return text, blocks


def checked_blocks(arguments: Arguments) -> list[Json]:
    blocks = arguments.parsed("blocks", "invalid_blocks_format")
    if blocks is None:
        return []
    if not isinstance(blocks, list):
        raise SlackError("invalid_blocks_format")
    problems = block_problems(blocks)
    if problems:
        raise SlackError("invalid_blocks", *problems)
    return blocks


def _thread(arguments: Arguments) -> str | None:
    return arguments.text("thread_ts") or None


READ_CHANNELS = ("channels:read", "groups:read", "im:read")
METHODS: dict[str, Method] = {
    "apps.connections.open": Method(open_connection, takes_app_token=True),
    "auth.test": Method(auth_test),
    "chat.getPermalink": Method(get_permalink),
    "chat.postEphemeral": Method(post_ephemeral, ("chat:write",)),
    "chat.postMessage": Method(post_message, ("chat:write",)),
    "chat.update": Method(update_message, ("chat:write",)),
    "conversations.info": Method(conversations_info, READ_CHANNELS),
    "conversations.members": Method(conversations_members, READ_CHANNELS),
    "conversations.open": Method(conversations_open, ("im:write",)),
    "usergroups.list": Method(usergroups_list, ("usergroups:read",)),
    "usergroups.users.list": Method(usergroups_users_list, ("usergroups:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "views.open": Method(views_open),
    "views.push": Method(views_push),
    "views.update": Method(views_update),
}
