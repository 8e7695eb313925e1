"""What an emulated Slack workspace is made of: people, channels, messages, views, as frozen values.

Each knows how Slack writes it on the wire; who may do what with it is decided elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bot.sandbox import world

Json = dict[str, Any]


class SlackError(Exception):
    """A Web API call that Slack refuses: `code` is Slack's own word, `problems` its explanations."""

    def __init__(self, code: str, *problems: str, **extra: Any) -> None:
        super().__init__(code)
        self.code = code
        self.problems = problems
        self.extra = extra

    def answer(self) -> Json:
        answer: Json = {"ok": False, "error": self.code, **self.extra}
        if self.problems:
            answer["errors"] = list(self.problems)
            answer["response_metadata"] = {"messages": [f"[ERROR] {p}" for p in self.problems]}
        return answer


class PersonCannot(ValueError):
    """A person in front of Slack could not do this; the sentence says why."""


@dataclass(frozen=True)
class User:
    """`flags` overrides any field of `users.info`; `updated` is seconds since the epoch."""

    id: str
    name: str
    real_name: str
    team_id: str = world.TEAM_ID
    flags: Json = field(default_factory=dict)
    updated: int = 0

    def is_(self, flag: str) -> bool:
        return bool(self.wire().get(flag))

    @property
    def first_name(self) -> str:
        return self.real_name.split()[0]

    def wire(self) -> Json:
        """As `users.info` gives it (https://docs.slack.dev/reference/objects/user-object)."""
        return {
            "id": self.id,
            "team_id": self.team_id,
            "name": self.name,
            "deleted": False,
            "color": "9f69e7",
            "real_name": self.real_name,
            "tz": "Etc/UTC",
            "tz_label": "Coordinated Universal Time",
            "tz_offset": 0,
            "profile": self._profile(),
            "is_admin": False,
            "is_owner": False,
            "is_primary_owner": False,
            "is_restricted": False,
            "is_ultra_restricted": False,
            "is_bot": False,
            "is_app_user": False,
            "is_email_confirmed": True,
            "updated": self.updated,
            **self.flags,
        }

    def _profile(self) -> Json:
        return {
            "team": self.team_id,
            "real_name": self.real_name,
            "real_name_normalized": self.real_name,
            "display_name": self.name,
            "display_name_normalized": self.name,
            "first_name": self.first_name,
            "status_text": "",
            "status_emoji": "",
            "avatar_hash": "",
        }


@dataclass(frozen=True)
class Channel:
    """A public or private channel, or a direct message (`is_im`). `created` is in epoch seconds.

    `is_ext_shared` is shared with another company (Slack Connect), `is_pending_ext_shared` about to
    be, `is_org_shared` shared among workspaces of one Enterprise Grid
    (https://docs.slack.dev/reference/objects/conversation-object).
    """

    id: str
    name: str
    members: tuple[str, ...]
    is_private: bool = False
    is_im: bool = False
    is_archived: bool = False
    is_ext_shared: bool = False
    is_org_shared: bool = False
    is_pending_ext_shared: bool = False
    created: int = 0

    @property
    def payload_name(self) -> str:
        """What interaction payloads call it."""
        if self.is_im:
            return "directmessage"
        return "privategroup" if self.is_private else self.name

    def wire(self) -> Json:
        """As `conversations.info` gives it."""
        if self.is_im:
            return self._direct_message()
        return {
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": not self.is_private,
            "is_group": self.is_private,
            "is_im": False,
            "is_mpim": False,
            "is_private": self.is_private,
            "is_archived": self.is_archived,
            "is_general": False,
            "is_shared": self.is_ext_shared or self.is_org_shared,
            "is_ext_shared": self.is_ext_shared,
            "is_org_shared": self.is_org_shared,
            "is_pending_ext_shared": self.is_pending_ext_shared,
            "is_member": world.BOT_USER_ID in self.members,
            "created": self.created,
            "creator": world.ALICE.id,
            "context_team_id": world.TEAM_ID,
            "topic": {"value": "", "creator": "", "last_set": 0},
            "purpose": {"value": "", "creator": "", "last_set": 0},
        }

    def _direct_message(self) -> Json:
        return {
            "id": self.id,
            "user": self.members[0],
            "is_im": True,
            "is_archived": self.is_archived,
            "is_org_shared": False,
            "created": self.created,
            "context_team_id": world.TEAM_ID,
            "is_open": True,
            "priority": 0,
        }


@dataclass(frozen=True)
class Usergroup:
    """`deleted` is when it was disabled, in epoch seconds; 0 is never."""

    id: str
    handle: str
    name: str
    users: tuple[str, ...]
    deleted: int = 0


@dataclass(frozen=True)
class Message:
    """One message; `ephemeral_to` is the only person who sees it, where it is ephemeral.

    `edited` is the time of the last edit, as a ts. `marker` is what Slack shows beside a message
    whose button was clicked in vain.
    """

    channel: str
    ts: str
    user: str
    text: str
    blocks: list[Json] = field(default_factory=list)
    bot_id: str | None = None
    thread_ts: str | None = None
    edited: str | None = None
    ephemeral_to: str | None = None
    metadata: Json | None = None
    reply_count: int = 0
    marker: str | None = None

    @property
    def is_ephemeral(self) -> bool:
        return self.ephemeral_to is not None

    @property
    def is_reply(self) -> bool:
        return self.thread_ts is not None and self.thread_ts != self.ts

    def wire(self) -> Json:
        message: Json = {
            "type": "message",
            "user": self.user,
            "ts": self.ts,
            "text": self.text,
            "team": world.TEAM_ID,
        }
        if self.bot_id:
            message |= {"bot_id": self.bot_id, "app_id": world.APP_ID}
        if self.edited:
            message["edited"] = {"user": self.bot_id or self.user, "ts": self.edited}
        optional = {
            "blocks": self.blocks,
            "thread_ts": self.thread_ts,
            "metadata": self.metadata,
            "reply_count": self.reply_count,
        }
        return message | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True)
class View:
    """A modal on someone's screen.

    `content` is what the app sent, with block ids filled in; `typed` is what the person entered, by
    block and action; `errors` is what the app said about it, by block.
    """

    id: str
    user: str
    hash: str
    content: Json
    typed: Json = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def blocks(self) -> list[Json]:
        blocks: list[Json] = self.content["blocks"]
        return blocks

    @property
    def title(self) -> str:
        return str(self.content["title"]["text"])

    @property
    def callback_id(self) -> str:
        return str(self.content.get("callback_id") or "")

    @property
    def private_metadata(self) -> str:
        return str(self.content.get("private_metadata") or "")

    def wire(self, values: Json) -> Json:
        """As views are answered and submitted; `values` is the form's state."""
        return {
            "id": self.id,
            "team_id": world.TEAM_ID,
            "type": "modal",
            "blocks": self.blocks,
            "private_metadata": self.private_metadata,
            "callback_id": self.callback_id,
            "state": {"values": values},
            "hash": self.hash,
            "title": self.content["title"],
            "clear_on_close": False,
            "notify_on_close": False,
            "close": self.content.get("close"),
            "submit": self.content.get("submit"),
            "previous_view_id": None,
            "root_view_id": self.id,
            "app_id": world.APP_ID,
            "external_id": "",
            "app_installed_team_id": world.TEAM_ID,
            "bot_id": world.BOT_ID,
        }


@dataclass(frozen=True)
class ResponseUrl:
    """A `response_url` handed out with an interaction: where its answers go, and how often still.

    `expires` is in epoch seconds. `ts` is the message that was clicked, None after a command.
    """

    channel: str
    user: str
    expires: float
    uses_left: int = 5
    ts: str | None = None
    thread_ts: str | None = None


@dataclass(frozen=True)
class Trigger:
    """A `trigger_id`; `born` is on the monotonic clock, since real people click in real time."""

    user: str
    born: float
    is_used: bool = False
