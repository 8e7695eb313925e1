"""The people in front of the emulated Slack: they type commands, click, fill in forms, and see.

A person can do what is on their screen and nothing else; the rest is refused with PersonCannot before
anything reaches the app.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from bot.sandbox import world
from bot.sandbox.exchanges import WireLog
from bot.sandbox.slack import payloads
from bot.sandbox.slack.blocks import block_problems
from bot.sandbox.slack.delivery import NO_ANSWER, Delivery, Envelope, NotAcknowledged
from bot.sandbox.slack.faults import Interaction
from bot.sandbox.slack.forms import elements, enter, problems, state_values
from bot.sandbox.slack.methods import checked_view, replace_view
from bot.sandbox.slack.records import (
    Channel,
    Json,
    Message,
    PersonCannot,
    SlackError,
    User,
    View,
)
from bot.sandbox.slack.state import State

MOST_INTERACTIONS = 10_000
TROUBLE = "We had some trouble connecting. Try again?"


@dataclass(frozen=True)
class CommandOutcome:
    """`message` is what the acknowledgement itself said, or Slackbot's notice of a failure."""

    ok: bool
    message: Message | None = None
    failure: str | None = None


@dataclass(frozen=True)
class ClickOutcome:
    ok: bool
    failure: str | None = None


@dataclass(frozen=True)
class SubmitOutcome:
    """`closed`: nothing is on the screen any more. `errors` are by block_id; `view` is what is left."""

    ok: bool
    closed: bool
    errors: dict[str, str]
    view: View | None = None
    failure: str | None = None


class People:
    """What persons do and see; `interactions` is all that they did lately, oldest first."""

    def __init__(self, state: State, delivery: Delivery, wire_log: WireLog) -> None:
        self.state = state
        self.delivery = delivery
        self._wire_log = wire_log
        self.interactions: list[Interaction] = []

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
        person, place = self._person(user, stale=stale), self._place(user, channel)
        body = payloads.slash_command(self.state, person, place, command, text)
        try:
            answer = await self._send("command", user, Envelope("slash_commands", body, True))
            return CommandOutcome(True, self._command_answer(user, place.id, answer))
        except NotAcknowledged as failure:
            return self._command_failed(user, place.id, command, failure.reason)
        except SlackError as refused:
            return self._command_failed(user, place.id, command, refused.code)

    def _command_answer(self, user: str, channel: str, answer: Json) -> Message | None:
        text, blocks = str(answer.get("text") or ""), answer.get("blocks") or []
        if not text and not blocks:
            return None
        if block_problems(blocks):
            raise SlackError("invalid_blocks")
        is_public = answer.get("response_type") == "in_channel"
        message = self.state.app_message(
            channel, text, blocks, ephemeral_to=None if is_public else user
        )
        return self.state.post(message)

    def _command_failed(self, user: str, channel: str, command: str, reason: str) -> CommandOutcome:
        if reason == NO_ANSWER:
            sentence = f"{command} failed because the app did not respond"
        else:
            sentence = f'{command} failed with the error "{reason}"'
        return CommandOutcome(False, self.state.notice(channel, user, sentence), sentence)

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
        person, place = self._person(user, stale=stale), self._place(user, channel)
        message = self._visible(user, channel, ts)
        action = self._action(message.blocks, action_id, value, stale=stale)
        body = payloads.message_click(self.state, person, place, message, action)
        outcome = await self._click(user, body)
        self._mark(channel, ts, None if outcome.ok else f"{world.BOT_NAME} did not respond.")
        return outcome

    async def _click(self, user: str, body: Json) -> ClickOutcome:
        try:
            await self._send("click", user, Envelope("interactive", body))
            return ClickOutcome(True)
        except NotAcknowledged as failure:
            return ClickOutcome(False, failure.reason)

    def _mark(self, channel: str, ts: str, marker: str | None) -> None:
        message = self.state.messages.get((channel, ts))
        if message is not None and message.marker != marker:
            self.state.put_message(replace(message, marker=marker))

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
        person, view = self._person(user), self._type_into(self._open(user, view_id), typed or {})
        action = self._action(view.blocks, action_id, value, stale=False)
        return await self._click(user, payloads.view_click(self.state, person, view, action))

    async def submit(self, user: str, view_id: str, values: Json | None = None) -> SubmitOutcome:
        """Fill in the open modal, by action_id or block_id, and send it, unless Slack itself sees
        that something is missing; raises PersonCannot."""
        person, view = self._person(user), self._type_into(self._open(user, view_id), values or {})
        if not view.content.get("submit"):
            raise PersonCannot(f"The form “{view.title}” has nothing to submit it with.")
        missing = problems(view.blocks, state_values(view.blocks, view.typed))
        if missing:
            return self._sent_back(view, missing)
        body = payloads.view_submission(self.state, person, view)
        try:
            answer = await self._send("submit", user, Envelope("interactive", body, True))
            return self._submitted(view, answer)
        except (NotAcknowledged, SlackError):
            return SubmitOutcome(False, False, {}, self.open_view(user), TROUBLE)

    def _submitted(self, view: View, answer: Json) -> SubmitOutcome:
        match answer.get("response_action"):
            case "errors":
                return self._sent_back(view, self._known_errors(view, answer.get("errors")))
            case "update":
                replace_view(self.state, view, checked_view(answer.get("view")))
            case "clear":
                self.state.close_view(view.user)
            case None if not answer:
                self.state.close_view(view.user)
            case _:
                raise SlackError("invalid_arguments")
        shown = self.open_view(view.user)
        return SubmitOutcome(True, shown is None, {}, shown)

    def _known_errors(self, view: View, errors: Any) -> dict[str, str]:
        """Slack takes errors for input blocks only; others make the whole answer invalid."""
        inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
        if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
            raise SlackError("invalid_arguments")
        return errors

    def _sent_back(self, view: View, errors: dict[str, str]) -> SubmitOutcome:
        shown = self.state.put_view(replace(view, errors=errors))
        return SubmitOutcome(False, False, errors, shown)

    def close_view(self, user: str, view_id: str) -> None:
        """Press the cross."""
        self._person(user)
        self.state.close_view(self._open(user, view_id).user)

    async def event(self, inner: Json) -> bool:
        """Tell the app of an event, once; whether it took it."""
        body = payloads.event(self.state, inner)
        try:
            await self._send("event", str(inner.get("user", "")), Envelope("events_api", body))
        except NotAcknowledged:
            return False
        return True

    async def _send(self, kind: str, user: str, envelope: Envelope) -> Json:
        exchange = self._wire_log.began("Slack", "bot", envelope.kind, detail=_gist(envelope))
        started = time.monotonic()
        try:
            answer = await self.delivery.deliver(envelope)
        except NotAcknowledged as failure:
            self._wire_log.ended(exchange, failure.reason)
            self._remember(Interaction(kind, user, None, failure.reason))
            raise
        ack_ms = (time.monotonic() - started) * 1000
        self._wire_log.ended(exchange, f"acknowledged in {ack_ms:.0f} ms")
        self._remember(Interaction(kind, user, ack_ms, None))
        return answer

    def _remember(self, interaction: Interaction) -> None:
        self.interactions.append(interaction)
        del self.interactions[:-MOST_INTERACTIONS]

    def say(self, user: str, channel: str, text: str, thread_ts: str | None = None) -> Message:
        """Post an ordinary message as a person; raises PersonCannot."""
        self._person(user)
        place = self._place(user, channel)
        ts = self.state.next_ts()
        return self.state.post(Message(place.id, ts, user, text, thread_ts=thread_ts))

    def sees(self, user: str, channel: str, *, thread_ts: str | None = None) -> list[Message]:
        """What is on this person's screen, oldest first; nothing where they are not a member.

        Without `thread_ts` it is the channel without the replies in threads; with it, that thread
        with the message that began it.
        """
        place = self.state.channels.get(channel)
        if place is None or user not in place.members:
            return []
        return [
            message
            for message in self.state.messages.values()
            if message.channel == channel
            and message.ephemeral_to in (None, user)
            and _belongs(message, thread_ts)
        ]

    def open_view(self, user: str) -> View | None:
        """The modal on this person's screen."""
        return self.state.views.get(user)

    def forget_ephemerals(self, user: str | None = None) -> None:
        """What a reload of Slack does; for everybody if no `user` is named."""
        for message in list(self.state.messages.values()):
            if message.is_ephemeral and user in (None, message.ephemeral_to):
                self.state.drop_message(message.channel, message.ts)

    def _person(self, user_id: str, *, stale: bool = False) -> User:
        user = self.state.users.get(user_id)
        if user is None:
            raise PersonCannot(f"There is nobody with the id `{user_id}`.")
        if not stale and user.is_("deleted"):
            raise PersonCannot(f"{user.real_name}'s account is deactivated.")
        if not stale and user.is_("is_bot"):
            raise PersonCannot(f"{user.real_name} is a bot.")
        return user

    def _place(self, user: str, channel_id: str) -> Channel:
        if channel_id not in self.state.channels:
            raise PersonCannot(f"There is no channel `{channel_id}`.")
        channel = self.state.channels[channel_id]
        if user not in channel.members:
            name = self.state.users[user].real_name
            raise PersonCannot(f"{name} is not a member of {channel.name or channel.id}.")
        if channel.is_archived:
            raise PersonCannot(f"{channel.name} is archived.")
        return channel

    def _visible(self, user: str, channel: str, ts: str) -> Message:
        message = self.state.messages.get((channel, ts))
        if message is None or message.ephemeral_to not in (None, user):
            name = self.state.users[user].real_name
            raise PersonCannot(f"{name} sees no message {ts} in {channel}.")
        return message

    def _open(self, user: str, view_id: str) -> View:
        view = self.open_view(user)
        if view is None or view.id != view_id:
            raise PersonCannot(f"`{user}` does not have the form `{view_id}` in front of them.")
        return view

    def _type_into(self, view: View, values: Json) -> View:
        typed = {block: dict(actions) for block, actions in view.typed.items()}
        for block, actions in enter(view.blocks, values).items():
            typed.setdefault(block, {}).update(actions)
        return self.state.put_view(replace(view, typed=typed, errors={}))

    def _action(self, blocks: list[Json], action_id: str, value: Any, *, stale: bool) -> Json:
        found = [(b, e) for b, e in elements(blocks) if e["action_id"] == action_id]
        for block, element in found:
            if element["type"] != "button" or value in (None, element.get("value")):
                return payloads.action(self.state, block, element, value)
        if stale:
            return payloads.action(self.state, *_gone_button(action_id, value), value)
        offered = ", ".join(f"`{e['action_id']}`" for _, e in elements(blocks))
        raise PersonCannot(f"There is no `{action_id}` to click; there is {offered or 'nothing'}.")


def _gist(envelope: Envelope) -> str:
    """Who did what, for the wire log: none of the tokens and addresses that travel with it."""
    body = envelope.payload
    if envelope.kind == "slash_commands":
        return f"{body['user_name']}: {body['command']} {body['text']}"
    if envelope.kind == "events_api":
        return str(body["event"].get("type", ""))
    acts = ", ".join(action["action_id"] for action in body.get("actions", []))
    return f"{body['user']['name']}: {body['type']} {acts}".strip()


def _belongs(message: Message, thread_ts: str | None) -> bool:
    if thread_ts is None:
        return not message.is_reply
    return thread_ts in (message.ts, message.thread_ts)


def _gone_button(action_id: str, value: Any) -> tuple[Json, Json]:
    """A button that was on the screen a moment ago."""
    text = {"type": "plain_text", "text": action_id, "emoji": True}
    button = {"type": "button", "action_id": action_id, "text": text}
    return {"block_id": "gone"}, button | ({} if value is None else {"value": str(value)})
