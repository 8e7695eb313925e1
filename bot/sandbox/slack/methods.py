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
    return {"channel": channel.wire()}


def _scope_to_read(channel: Channel) -> str:
    if channel.is_im:
        return "im:read"
    return "groups:read" if channel.is_private else "channels:read"


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
    view = View(f"V{state.serial():08d}", user, state.new_hash(), _with_ids(state, content))
    return {"view": view_wire(state.put_view(view))}


def views_update(state: State, arguments: Arguments) -> Json:
    content = checked_view(arguments.parsed("view", "invalid_arguments"))
    view_id, expected = arguments.required("view_id"), arguments.text("hash")
    view = next((each for each in state.views.values() if each.id == view_id), None)
    if view is None:
        raise SlackError("not_found")
    if expected and expected != view.hash:
        raise SlackError("hash_conflict")
    return {"view": view_wire(replace_view(state, view, content))}


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


def replace_view(state: State, view: View, content: Json) -> View:
    """What was typed stays where the block and the action keep their ids."""
    shown = _with_ids(state, content)
    return state.put_view(replace(view, hash=state.new_hash(), content=shown, errors={}))


def _with_ids(state: State, content: Json) -> Json:
    return {**content, "blocks": state.with_ids(content["blocks"])}


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
    "usergroups.users.list": Method(usergroups_users_list, ("usergroups:read",)),
    "users.info": Method(users_info, ("users:read",)),
    "views.open": Method(views_open),
    "views.update": Method(views_update),
}
