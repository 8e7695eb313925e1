"""Tells Slack: renders due cards from their rows, and sends one-time messages from the outbox.

Both deliver at least once; a card always shows the row as it is now, so a late or repeated delivery
can never show an old state. One pacer serves both. What it is too early for is left as it is, not
claimed, and found again by the next look.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from structlog.contextvars import unbind_contextvars

from bot.adapters.slack.cards import checklist as checklist_cards
from bot.adapters.slack.cards import notices, parts
from bot.adapters.slack.cards import request as request_cards
from bot.adapters.slack.cards import telling as telling_cards
from bot.adapters.slack.cards import watch as watch_cards
from bot.adapters.slack.cards.parts import Rendered
from bot.adapters.slack.pacer import POST, UPDATE, Pacer
from bot.adapters.slack.workspace import SlackFault, Workspace, part
from bot.domain.change import ChangeRequest, State
from bot.domain.incident import CHECKLIST_ID, Incident
from bot.domain.organisation import Organisation
from bot.errors import DatabaseError, Tampered
from bot.logs import about_change
from bot.ports import Card, Clock, Message, Store, Waiting
from bot.services.tell_watch import FOLLOWED_DM
from bot.services.telling import MENTION, OUTCOME, REMINDER, UNKNOWN

log = structlog.get_logger(__name__)

GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""The posted message cannot be edited any more: a new one is posted."""
CHANNEL_GONE = frozenset({"channel_not_found", "not_in_channel", "is_archived", "is_inactive"})
"""Nothing can be posted in this channel any more, or nothing there be edited."""
THREAD_GONE = CHANNEL_GONE | {"thread_not_found", "cannot_reply_to_message"}
NO_SUCH_PERSON = CHANNEL_GONE | {
    "user_not_found",
    "user_disabled",
    "cannot_dm_bot",
    "messages_tab_disabled",
}
"""This person takes no direct messages."""
LONGEST_PAUSE = timedelta(minutes=5)


class Notifier:
    """The two senders of one organisation.

    A message is one process's to send for a lease; after it whoever took it counts as dead. What was
    to remind before the quiet hours and could not be sent waits for their end.
    """

    def __init__(
        self, organisation: Organisation, workspace: Workspace, store: Store, clock: Clock
    ) -> None:
        self._organisation = organisation
        self._org = organisation.id
        self._workspace = workspace
        self._store = store
        self._clock = clock
        self._alert_channel = organisation.channels.alert
        self._fallbacks = organisation.channels.fallbacks
        self._lease = organisation.timing.lease
        self._pace = organisation.timing.pace
        self._quiet = organisation.reminders.quiet
        self._pacer = Pacer(clock, self._pace)
        self._one_at_a_time = asyncio.Lock()

    async def send_due(self) -> float | None:
        """Bring Slack up to date, as far as it lets us now.

        Returns the seconds after which more may be sent, if something had to wait. Raises what broke
        one of them, once all the others are told.
        """
        broken: list[Exception] = []

        async def attempt(telling: Awaitable[float]) -> float:
            try:
                return await telling
            except DatabaseError:
                raise
            except Exception as error:  # whatever it is, the others need not wait for it
                broken.append(error)
                unbind_contextvars("change")
                return 0.0

        async with self._one_at_a_time:  # or two callers would post one card twice
            at = self._pacer.now()
            due = await self._store.due_cards(self._org, self._clock.now())
            waits = [await attempt(self._show(card, at)) for card in due if not _is_checklist(card)]
            waits += [
                await attempt(self._send(waiting, at))
                for waiting in await self._store.due_messages(self._org, self._clock.now())
            ]
            # A checklist follows a result, which is said before it.
            waits += [await attempt(self._show(card, at)) for card in due if _is_checklist(card)]
        if broken:
            raise broken[0]
        return min((wait for wait in waits if wait), default=None)

    async def posted(self, subject: str) -> str | None:
        """A link to a card that was just made, posted at once; None if Slack does not let us."""
        wait = await self._show_now(subject)
        if wait:
            await asyncio.sleep(min(wait, self._pace.total_seconds()))
            await self._show_now(subject)
        return await self.link(subject)

    async def _show_now(self, subject: str) -> float:
        """Bring one card up to date without a look at what else is due; as `_show`."""
        async with self._one_at_a_time:
            card = await self._store.card(self._org, subject)
            return await self._show(card, self._pacer.now()) if card is not None else 0.0

    async def shown_again(self, subject: str) -> str | None:
        """A link to the card, which is brought up to date, or posted anew if it was deleted."""
        async with self._store.begin(self._org) as tx:
            await tx.show_again(subject)
        return await self.posted(subject)

    async def link(self, subject: str) -> str | None:
        """A link to the card of a request or incident, if it is posted."""
        card = await self._store.card(self._org, subject)
        if card is None or not card.ts:
            return None
        return await self._workspace.permalink(card.channel, card.ts)

    async def _show(self, card: Card, at: float) -> float:
        """Post or edit a card; the seconds for which it has to wait, if it is too early for that.

        What it shows is read only when it is its turn: many may be waiting.
        """
        wait = self._pacer.wait(UPDATE if card.ts else POST, card.channel, at)
        if wait:
            return wait
        with suppress(Tampered):  # a damaged row; the others need not wait for it
            subject = await self._store.subject(self._org, card.subject)
            if subject is not None and card.shown_rev < subject.rev:
                with _about(subject):
                    await self._bring_up_to_date(card, subject)
        return 0.0

    async def _bring_up_to_date(self, card: Card, subject: ChangeRequest | Incident) -> None:
        home: Card | None = None
        if _is_checklist(card):
            home = (
                await self._store.card(self._org, subject.key)
                if isinstance(subject, Incident)
                else None
            )
            if home is None or not home.ts:
                return  # The card of its request comes first.
        if not await self._claim_card(card):
            return
        try:
            shown = await self._post_or_update(card, subject, home)
        except SlackFault as fault:
            await self._put_off_card(card, fault, home)
        else:
            async with self._store.begin(self._org) as tx:
                await tx.save_card(shown)

    async def _claim_card(self, card: Card) -> bool:
        """False: another process shows it."""
        now = self._clock.now()
        async with self._store.begin(self._org) as tx:
            return await tx.claim_card(card, now, now + self._lease)

    async def _post_or_update(
        self, card: Card, subject: ChangeRequest | Incident, home: Card | None
    ) -> Card:
        """A card with a `home` stands in its thread, wherever that has moved to."""
        if card.ts:
            try:
                await self._call(UPDATE, card.channel, self._render(subject, card), ts=card.ts)
            except SlackFault as fault:
                if fault.error not in GONE | CHANNEL_GONE:
                    raise
            else:
                return replace(card, shown_rev=subject.rev, tries=0)
        if home is not None:
            there = replace(card, channel=home.channel)
            return await self._post(there, subject, thread_ts=home.ts)
        try:
            return await self._post(card, subject)
        except SlackFault as fault:
            proper = card.instead_of or card.channel

            async def post(channel: str) -> Card:
                instead_of = "" if channel == proper else proper
                there = replace(card, channel=channel, instead_of=instead_of)
                return await self._post(there, subject)

            moved: Card = await self._elsewhere(card.channel, fault, post)
            return moved

    async def _elsewhere(
        self, channel: str, fault: SlackFault, post: Callable[[str], Awaitable[Any]]
    ) -> Any:
        """`post` in the first other channel that is not gone; without one, raises the fault."""
        if fault.error not in CHANNEL_GONE:
            raise fault
        for other in self._fallbacks:
            if other != channel:
                log.error("channel is gone", channel=channel, error=fault.error, instead=other)
                try:
                    return await post(other)
                except SlackFault as again:
                    if again.error not in CHANNEL_GONE:
                        raise
        raise fault

    async def _post(self, card: Card, subject: ChangeRequest | Incident, **thread: str) -> Card:
        """A new message. It mentions people the first time only: else they are named by an edit,
        which pings nobody.
        """
        whole = self._render(subject, card)
        said = whole if _may_mention(card, subject) else self._render(subject, card, quiet=True)
        answer = await self._call(POST, card.channel, said, **thread)
        where = {name: part(POST, answer, name) for name in ("channel", "ts")}
        if said != whole:
            try:
                await self._call(UPDATE, where["channel"], whole, ts=where["ts"])
            except SlackFault as fault:
                log.warning("people not named", subject=card.subject, error=fault.error)
        return replace(card, **where, shown_rev=subject.rev, tries=0)

    async def _call(self, method: str, channel: str, content: Rendered, **where: str) -> Any:
        """One call, as soon as the pace allows. Raises SlackFault."""
        wait = self._pacer.wait(method, channel, self._pacer.now())
        if wait > self._pace.total_seconds():
            raise SlackFault(method, "ratelimited", math.ceil(wait))
        await asyncio.sleep(wait)
        self._pacer.sent(method, channel)
        try:
            return await self._workspace.call(method, channel=channel, **where, **_parts(content))
        except SlackFault as fault:
            if fault.retry_after is not None:
                self._pacer.hold(method, fault.retry_after)
            raise

    async def _put_off_card(self, card: Card, fault: SlackFault, home: Card | None) -> None:
        log.warning("card not shown", subject=card.subject, channel=card.channel, error=fault.error)
        tries = card.tries + 1
        async with self._store.begin(self._org) as tx:
            await tx.save_card(replace(card, tries=tries), after=self._again(tries, fault))
            if home is not None and fault.error in THREAD_GONE:
                await tx.show_again(home.subject)

    async def _send(self, waiting: Waiting, at: float) -> float:
        """Send a one-time message; the seconds for which it has to wait, as `_show`."""
        message = waiting.message
        wait = self._pacer.wait(POST, self._likely_channel(waiting), at)
        if wait:
            return wait
        with suppress(Tampered):  # about a damaged row, as above
            subject = (
                await self._store.subject(self._org, message.subject) if message.subject else None
            )
            with _about(subject):
                return await self._send_about(message, subject, waiting.tries, at)
        return 0.0

    def _likely_channel(self, waiting: Waiting) -> str:
        """Where it goes, as far as that is known without a look at what it is about."""
        if waiting.message.kind in {OUTCOME, FOLLOWED_DM}:
            return str(waiting.message.facts.get("to", ""))
        return self._alert_channel if waiting.message.subject is None else waiting.channel

    async def _send_about(
        self, message: Message, subject: ChangeRequest | Incident | None, tries: int, at: float
    ) -> float:
        if await self._is_void(message, subject):
            await self._finish(message)
            return 0.0
        if message.kind == REMINDER and self._quiet and self._quiet.holds(self._clock.now()):
            return 0.0
        where = await self._where(message, subject)
        if where is None:
            return 0.0  # Its thread does not exist yet; the card comes first.
        wait = self._pacer.wait(POST, where["channel"], at)
        if wait or not await self._claim_message(message):
            return wait
        try:
            await self._deliver(where, await self._render_message(message, subject))
        except SlackFault as fault:
            await self._not_sent(message, tries, fault)
        else:
            await self._finish(message)
        return 0.0

    async def _is_void(self, message: Message, subject: ChangeRequest | Incident | None) -> bool:
        """Whether it calls people to decide what is decided, or has a later one after it."""
        if message.kind not in {MENTION, REMINDER} or not isinstance(subject, ChangeRequest):
            return False
        if subject.state is not State.PENDING:
            return True
        if message.facts.get("escalates"):
            return False  # no later one calls for help again
        return (await self._store.told(self._org, subject.id, message.kind))[-1] != message.key

    async def _where(
        self, message: Message, subject: ChangeRequest | Incident | None
    ) -> dict[str, str] | None:
        """A person, the thread of a card, or the alert channel; None where that is not there yet."""
        if message.kind in {OUTCOME, FOLLOWED_DM} and isinstance(subject, ChangeRequest):
            return {"channel": subject.requester.user}
        if message.subject is None:
            return {"channel": self._alert_channel}
        card = await self._store.card(self._org, message.subject)
        return {"channel": card.channel, "thread_ts": card.ts} if card and card.ts else None

    async def _claim_message(self, message: Message) -> bool:
        now = self._clock.now()
        async with self._store.begin(self._org) as tx:
            return await tx.claim_message(message.key, now, now + self._lease)

    async def _deliver(self, where: dict[str, str], content: Rendered) -> None:
        """What is not in a thread may go to another channel; a thread moves with its card."""
        try:
            await self._call(POST, content=content, **where)
        except SlackFault as fault:
            if where["channel"] != self._alert_channel or "thread_ts" in where:
                raise
            said = parts.elsewhere(content, where["channel"])
            await self._elsewhere(
                where["channel"], fault, lambda there: self._call(POST, there, said)
            )

    async def _not_sent(self, message: Message, tries: int, fault: SlackFault) -> None:
        log.warning("message not sent", key=message.key, error=fault.error)
        if message.kind in {OUTCOME, FOLLOWED_DM} and fault.error in NO_SUCH_PERSON:
            await self._finish(message)  # The thread of the card says the same.
            return
        async with self._store.begin(self._org) as tx:
            if message.subject is not None and fault.error in THREAD_GONE:
                await tx.show_again(message.subject)
            await tx.put_off_message(message.key, self._again(tries + 1, fault), fault.error)

    async def _finish(self, message: Message) -> None:
        async with self._store.begin(self._org) as tx:
            await tx.finish_message(message.key, self._clock.now())

    def _render(
        self, subject: ChangeRequest | Incident, card: Card, *, quiet: bool = False
    ) -> Rendered:
        if isinstance(subject, ChangeRequest):
            content = request_cards.card(subject, self._organisation, quiet=quiet)
        else:
            content = watch_cards.card(subject, self._organisation)
        return parts.elsewhere(content, card.instead_of) if card.instead_of else content

    async def _render_message(
        self, message: Message, subject: ChangeRequest | Incident | None
    ) -> Rendered:
        if isinstance(subject, Incident):
            return notices.thread_line(message)
        if message.kind == UNKNOWN:
            return telling_cards.unknown(message, await self.link(message.facts["request"]))
        if subject is None:
            return notices.notice(message)
        match message.kind:
            case "mention":
                return telling_cards.mention(subject, self._organisation)
            case "reminder":
                escalates = message.facts["escalates"]
                return telling_cards.reminder(subject, self._organisation, escalates=escalates)
            case "outcome":
                return telling_cards.outcome(subject, await self.link(subject.id))
            case "followed_dm":
                return checklist_cards.direct(subject, message, await self.link(subject.id))
            case "followed" | "dmarc":
                return checklist_cards.thread_line(subject, message)
            case _:
                return request_cards.thread_line(subject, message)

    def _again(self, tries: int, fault: SlackFault) -> datetime:
        """When to try again: when Slack says, else after 1, 2, 4, … seconds."""
        pause = min(timedelta(seconds=2 ** min(tries - 1, 10)), LONGEST_PAUSE)
        if fault.retry_after is not None:
            pause = timedelta(seconds=fault.retry_after)
        return self._clock.now() + pause


def _about(subject: ChangeRequest | Incident | None) -> AbstractContextManager[None]:
    return about_change(subject.number) if isinstance(subject, ChangeRequest) else nullcontext()


def _may_mention(card: Card, subject: ChangeRequest | Incident) -> bool:
    """Whether this is its first post, and the approvers were not mentioned a moment ago."""
    if card.ts or card.mention_at is None:
        return not card.ts
    return isinstance(subject, ChangeRequest) and card.mention_at <= subject.created_at


def _is_checklist(card: Card) -> bool:
    return card.subject.startswith(CHECKLIST_ID)


def _parts(content: Rendered) -> dict[str, object]:
    return {
        "text": content.text,
        "blocks": list(content.blocks),
        "unfurl_links": False,
        "unfurl_media": False,
    }
