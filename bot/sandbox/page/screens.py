"""What each person has on their screen, as the page is sent it: only what changed since last time."""

from __future__ import annotations

from typing import Any

from bot.sandbox import world
from bot.sandbox.dns.mistakes import MISTAKES
from bot.sandbox.page.journal import Journal
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.records import Channel, Json, Message, User, View


class Screens:
    """Every person's screen, and how far each has read."""

    def __init__(self, workspace: SlackWorkspace, journal: Journal, usage_hint: str) -> None:
        self._workspace = workspace
        self._journal = journal
        self._usage_hint = usage_hint
        self._read: dict[tuple[str, str], str] = {}
        newest = max((message.ts for message in workspace.state.messages.values()), default="0")
        self._read_before = newest

    def cast(self) -> Json:
        """Who and what there is: people, the app and its command, channels."""
        state = self._workspace.state
        groups = {group.id: group.handle for group in state.usergroups.values()}
        return {
            "people": [_person(user) for user in state.users.values() if not user.is_("is_bot")],
            "names": {user.id: user.real_name for user in state.users.values()}
            | {"USLACKBOT": "Slackbot"}
            | groups,
            "usage_hint": self._usage_hint,
            "mistakes": {kind: mistake.label for kind, mistake in MISTAKES.items()},
            "bot": world.BOT_USER_ID,
            "channels": {c.id: c.name for c in state.channels.values() if not c.is_im},
        }

    def read_up_to(self, user: str, channel: str, ts: str) -> None:
        self._read[user, channel] = max(ts, self._read_up_to(user, channel))

    def _read_up_to(self, user: str, channel: str) -> str:
        return self._read.get((user, channel), self._read_before)

    def screen(self, user: str, since: int | None) -> tuple[Json, int]:
        """What `user` sees that they did not at revision `since`, and the revision it is now.

        `since` None, or too long ago, gives everything (`whole`).
        """
        revision = self._journal.revision
        places = self._places(user)
        is_whole = since is None or not self._journal.reaches(since)
        start = 0 if is_whole or since is None else since
        mine = {place.id for place in places}
        changed = [
            _message(message)
            for message in self._journal.changed_since(start)
            if message.channel in mine and message.ephemeral_to in (None, user)
        ]
        gone = [] if is_whole else [list(key) for key in self._journal.gone_since(start)]
        shown = {
            "whole": is_whole,
            "messages": changed,
            "gone": gone,
            "channels": [_channel(place) for place in places],
            "read": {place.id: self._read_up_to(user, place.id) for place in places},
            "view": _view(self._workspace.open_view(user)),
        }
        return shown, revision

    def _places(self, user: str) -> list[Channel]:
        self._workspace.state.dm_with(user)
        return [p for p in self._workspace.state.channels.values() if user in p.members]


def _person(user: User) -> Json:
    if user.is_("is_restricted"):
        role = "guest"
    elif user.id in world.REQUESTERS:
        role = "asks"
    else:
        role = "approves" if user.id in world.APPROVERS else "member"
    return {"id": user.id, "name": user.name, "real_name": user.real_name, "role": role}


def _channel(channel: Channel) -> Json:
    return {"id": channel.id, "name": channel.name or world.BOT_NAME, "is_dm": channel.is_im}


def _message(message: Message) -> Json:
    return {
        "channel": message.channel,
        "ts": message.ts,
        "user": message.user,
        "text": message.text,
        "blocks": message.blocks,
        "thread": message.thread_ts if message.is_reply else None,
        "replies": message.reply_count,
        "edited": message.edited is not None,
        "private": message.is_ephemeral,
        "marker": message.marker,
    }


def _view(view: View | None) -> Json | None:
    if view is None:
        return None
    content: dict[str, Any] = view.content
    return {
        "id": view.id,
        "hash": view.hash,
        "title": view.title,
        "submit": (content.get("submit") or {}).get("text"),
        "close": (content.get("close") or {}).get("text"),
        "blocks": view.blocks,
        "errors": view.errors,
    }
