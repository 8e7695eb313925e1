"""The whole state of an emulated Slack workspace, and the waking of whoever waits for a change in it.

It keeps and finds records and can be written to disk as JSON; what Slack refuses is decided by its
callers.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from operator import attrgetter
from typing import Any, TypeVar

from pydantic import TypeAdapter

from bot.sandbox import world
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.slack.records import (
    Channel,
    Json,
    Message,
    ResponseUrl,
    SlackError,
    Trigger,
    User,
    Usergroup,
    View,
)

T = TypeVar("T")

SLACKBOT = "USLACKBOT"
RESPONSE_URL_LIFETIME = timedelta(minutes=30)
KEPT: dict[str, tuple[type, Callable[[Any], object]]] = {
    "users": (User, attrgetter("id")),
    "channels": (Channel, attrgetter("id")),
    "usergroups": (Usergroup, attrgetter("id")),
    "messages": (Message, attrgetter("channel", "ts")),
    "views": (View, attrgetter("user")),
}
"""The records of `State` by its attributes, and what each is found by."""


class Changes:
    """Tells listeners, and wakes waiters, each time something has changed; nobody polls."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[], None]] = []
        self._changed = asyncio.Event()

    def on_change(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    def happened(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
        for listener in self._listeners:
            listener()

    async def wait_for(
        self, predicate: Callable[[], T | None], timeout: float = 10, what: str = ""
    ) -> T:
        """The first truthy answer of `predicate`; raises TimeoutError whose sentence names `what`."""
        try:
            async with asyncio.timeout(timeout):
                return await self._first_truth(predicate)
        except TimeoutError:
            raise TimeoutError(
                f"Waited {timeout:g} s in vain for {what or 'a change in the workspace'}."
            ) from None

    async def _first_truth(self, predicate: Callable[[], T | None]) -> T:
        while True:
            changed = self._changed
            found = predicate()
            if found:
                return found
            await changed.wait()


@dataclass
class Credentials:
    """What the installed app was given; made afresh for each workspace."""

    bot_token: str = field(default_factory=lambda: f"xoxb-{secrets.token_hex(16)}")
    app_token: str = field(default_factory=lambda: f"xapp-1-A0MAILCFG-{secrets.token_hex(16)}")
    signing_secret: str = field(default_factory=lambda: secrets.token_hex(16))
    verification_token: str = field(default_factory=lambda: secrets.token_hex(12))


class State:
    """People, channels, messages, views and what was handed out to the app.

    `origin` is the address under which the app reaches this workspace, such as
    `http://127.0.0.1:8080`. `trigger_lifetime` is in real seconds.
    """

    def __init__(
        self, clock: AdjustableClock, *, scopes: Iterable[str], trigger_lifetime: float
    ) -> None:
        self.clock = clock
        self.scopes = tuple(scopes)
        self.trigger_lifetime = trigger_lifetime
        self.origin = "http://127.0.0.1"
        self.changes = Changes()
        clock.on_move(self.changes.happened)
        self.credentials = Credentials()
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.usergroups: dict[str, Usergroup] = {}
        self.messages: dict[tuple[str, str], Message] = {}
        self.views: dict[str, View] = {}
        """The open form of each person who has one, by their id."""
        self.response_urls: dict[str, ResponseUrl] = {}
        self.triggers: dict[str, Trigger] = {}
        self.tickets: set[str] = set()
        self._serial = 0
        self._last_micros = 0
        self._settle_in()

    def _settle_in(self) -> None:
        now = int(self.clock.now().timestamp())
        for person in (*world.PEOPLE, world.BOT):
            flags: Json = dict.fromkeys(person.flags, True)
            self.users[person.id] = User(
                person.id, person.name, person.real_name, flags=flags, updated=now
            )
        for place in world.PLACES:
            self.channels[place.id] = Channel(place.id, place.name, tuple(self.users), created=now)
        for group in world.GROUPS:
            self.usergroups[group.id] = Usergroup(
                group.id, group.handle, group.handle, group.members
            )

    def serial(self) -> int:
        self._serial += 1
        return self._serial

    def epoch_seconds(self) -> int:
        return int(self.clock.now().timestamp())

    def next_ts(self) -> str:
        """A message's ts: the clock's time in microseconds, and always later than the one before."""
        micros = int(self.clock.now().timestamp() * 1_000_000)
        self._last_micros = max(micros, self._last_micros + 1)
        return f"{self._last_micros // 1_000_000}.{self._last_micros % 1_000_000:06d}"

    def put_user(self, user: User) -> User:
        self.users[user.id] = replace(user, updated=self.epoch_seconds())
        self.changes.happened()
        return self.users[user.id]

    def put_channel(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        self.changes.happened()
        return channel

    def put_usergroup(self, group: Usergroup) -> None:
        self.usergroups[group.id] = group
        self.changes.happened()

    def dm_with(self, user: str) -> Channel:
        """The direct message channel between this person and the app, made when first needed."""
        channel_id = f"D{user[1:]}"
        if channel_id not in self.channels:
            members = (user, world.BOT_USER_ID)
            now = self.epoch_seconds()
            self.channels[channel_id] = Channel(channel_id, "", members, is_im=True, created=now)
        return self.channels[channel_id]

    def put_message(self, message: Message) -> Message:
        self.messages[message.channel, message.ts] = message
        self.changes.happened()
        return message

    def post(self, message: Message) -> Message:
        """Put a new message, and count it as a reply where it is one."""
        root = self.messages.get((message.channel, message.thread_ts or ""))
        if root is not None and message.is_reply and not message.is_ephemeral:
            thread = replace(root, thread_ts=root.ts, reply_count=root.reply_count + 1)
            self.messages[root.channel, root.ts] = thread
        return self.put_message(message)

    def app_message(
        self, channel: str, text: str, blocks: list[Json] | None = None, **more: Any
    ) -> Message:
        """A new message by the app, not posted yet; blocks get the ids that Slack gives them."""
        return Message(
            channel,
            self.next_ts(),
            world.BOT_USER_ID,
            text,
            self.with_ids(blocks or []),
            bot_id=world.BOT_ID,
            **more,
        )

    def notice(self, channel: str, user: str, text: str) -> Message:
        """Slackbot tells one person something; posted."""
        message = Message(channel, self.next_ts(), SLACKBOT, text, ephemeral_to=user)
        return self.put_message(message)

    def put_view(self, view: View) -> View:
        self.views[view.user] = view
        self.changes.happened()
        return view

    def close_view(self, user: str) -> None:
        self.views.pop(user, None)
        self.changes.happened()

    def drop_message(self, channel: str, ts: str) -> None:
        self.messages.pop((channel, ts), None)
        self.changes.happened()

    def with_ids(self, blocks: list[Json]) -> list[Json]:
        return [self._with_ids(block) for block in blocks]

    def _with_ids(self, block: Json) -> Json:
        """Slack makes up the block_id and the action_ids that the app leaves out."""
        filled = {"block_id": f"b{self.serial()}", **block}
        if block["type"] == "actions":
            filled["elements"] = [self._with_action_id(each) for each in block["elements"]]
        for part in ("accessory", "element"):
            if part in filled:
                filled[part] = self._with_action_id(filled[part])
        return filled

    def _with_action_id(self, element: Json) -> Json:
        return {"action_id": f"a{self.serial()}", **element}

    def new_trigger(self, user: str) -> str:
        trigger = f"{self.serial()}.{self.serial()}.{secrets.token_hex(16)}"
        self.triggers[trigger] = Trigger(user, time.monotonic())
        return trigger

    def redeem_trigger(self, trigger_id: str) -> str:
        """The person who may be shown a view; raises SlackError. Each trigger works once."""
        trigger = self.triggers.get(trigger_id)
        if trigger is None:
            raise SlackError("invalid_trigger_id")
        if trigger.is_used:
            raise SlackError("exchanged_trigger_id")
        if time.monotonic() - trigger.born >= self.trigger_lifetime:
            raise SlackError("expired_trigger_id")
        self.triggers[trigger_id] = replace(trigger, is_used=True)
        return trigger.user

    def new_response_url(
        self, kind: str, channel: str, user: str, message: Message | None = None
    ) -> str:
        """`kind` is `commands` or `actions`, as in the paths on Slack's hook host."""
        expires = (self.clock.now() + RESPONSE_URL_LIFETIME).timestamp()
        path = f"/response/{kind}/{world.TEAM_ID}/{self.serial()}/{secrets.token_urlsafe(18)}"
        self.response_urls[path] = ResponseUrl(
            channel,
            user,
            expires,
            ts=message.ts if message else None,
            thread_ts=message.thread_ts if message and message.is_reply else None,
        )
        return self.origin + path

    def new_ticket(self) -> str:
        ticket = secrets.token_hex(12)
        self.tickets.add(ticket)
        return ticket

    def new_hash(self) -> str:
        return f"{self.epoch_seconds()}.{secrets.token_hex(4)}"

    def dump(self) -> Json:
        """Everything that outlives a restart, as JSON. Triggers live for seconds and are left out."""
        return {
            "credentials": asdict(self.credentials),
            "serial": self._serial,
            "last_micros": self._last_micros,
            **{name: [asdict(each) for each in getattr(self, name).values()] for name in KEPT},
            "response_urls": {path: asdict(url) for path, url in self.response_urls.items()},
        }

    def load(self, dumped: Json) -> None:
        """Become what `dump` returned, also after a trip through JSON."""
        self.credentials = Credentials(**dumped["credentials"])
        self._serial = dumped["serial"]
        self._last_micros = dumped["last_micros"]
        for name, (kind, key) in KEPT.items():
            records = TypeAdapter(list[kind]).validate_python(dumped[name])  # type: ignore[valid-type]
            setattr(self, name, {key(record): record for record in records})
        self.response_urls = {p: ResponseUrl(**u) for p, u in dumped["response_urls"].items()}
        self.changes.happened()
