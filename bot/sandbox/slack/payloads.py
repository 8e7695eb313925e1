"""The bodies of interactions, field by field as Slack sends them.

See https://docs.slack.dev/interactivity/implementing-slash-commands and
https://docs.slack.dev/reference/interaction-payloads.
"""

from __future__ import annotations

from typing import Any

from bot.sandbox import world
from bot.sandbox.slack.forms import entered, option, state_values
from bot.sandbox.slack.methods import view_wire
from bot.sandbox.slack.records import Channel, Json, Message, User, View
from bot.sandbox.slack.state import State


def slash_command(state: State, user: User, channel: Channel, command: str, text: str) -> Json:
    return {
        "token": state.credentials.verification_token,
        "team_id": world.TEAM_ID,
        "team_domain": world.TEAM_DOMAIN,
        "channel_id": channel.id,
        "channel_name": channel.payload_name,
        "user_id": user.id,
        "user_name": user.name,
        "command": command,
        "text": text,
        "api_app_id": world.APP_ID,
        "is_enterprise_install": "false",
        "response_url": state.new_response_url("commands", channel.id, user.id),
        "trigger_id": state.new_trigger(user.id),
    }


def message_click(
    state: State, user: User, channel: Channel, message: Message, action: Json
) -> Json:
    payload = _common(state, user, "block_actions") | {
        "container": _container(message),
        "channel": {"id": channel.id, "name": channel.payload_name},
        "state": {"values": state_values(message.blocks, {})},
        "response_url": state.new_response_url("actions", channel.id, user.id, message),
        "actions": [action],
    }
    # Slack does not hand out the content of an ephemeral message again.
    return payload if message.is_ephemeral else payload | {"message": message.wire()}


def _container(message: Message) -> Json:
    container: Json = {
        "type": "message",
        "message_ts": message.ts,
        "channel_id": message.channel,
        "is_ephemeral": message.is_ephemeral,
    }
    return container | ({"thread_ts": message.thread_ts} if message.thread_ts else {})


def view_click(state: State, user: User, view: View, action: Json) -> Json:
    shown = view_wire(view)
    return _common(state, user, "block_actions") | {
        "container": {"type": "view", "view_id": view.id},
        "view": shown,
        "state": shown["state"],
        "actions": [action],
    }


def view_submission(state: State, user: User, view: View) -> Json:
    return _common(state, user, "view_submission") | {
        "view": view_wire(view),
        "response_urls": [],
    }


def event(state: State, inner: Json) -> Json:
    return {
        "token": state.credentials.verification_token,
        "team_id": world.TEAM_ID,
        "api_app_id": world.APP_ID,
        "event": inner,
        "type": "event_callback",
        "event_id": f"Ev{state.serial():08d}",
        "event_time": state.epoch_seconds(),
        "authorizations": [
            {
                "enterprise_id": None,
                "team_id": world.TEAM_ID,
                "user_id": world.BOT_USER_ID,
                "is_bot": True,
                "is_enterprise_install": False,
            }
        ],
        "is_ext_shared_channel": False,
    }


def action(state: State, block: Json, element: Json, value: Any) -> Json:
    """What was done with one element; raises PersonCannot if `value` is not among its options."""
    done: Json = {
        "type": element["type"],
        "action_id": element["action_id"],
        "block_id": block["block_id"],
        "action_ts": state.next_ts(),
    }
    if element["type"] == "button":
        kept = ("text", "value", "style", "url")
        return done | {name: element[name] for name in kept if name in element}
    if element["type"] == "overflow":
        return done | {"selected_option": option(element, value)}
    return done | entered(element, value)


def _common(state: State, user: User, kind: str) -> Json:
    return {
        "type": kind,
        "user": {
            "id": user.id,
            "username": user.name,
            "name": user.name,
            "team_id": user.team_id,
        },
        "api_app_id": world.APP_ID,
        "token": state.credentials.verification_token,
        "trigger_id": state.new_trigger(user.id),
        "team": {"id": world.TEAM_ID, "domain": world.TEAM_DOMAIN},
        "enterprise": None,
        "is_enterprise_install": False,
    }
