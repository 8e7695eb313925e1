"""Tells people: brings due cards up to date, and sends what is told once; says what, where and when.

Both are delivered at least once; a card always shows the row as it is now, so a late or repeated
delivery can never show an old state. What it is too early for is left as it is, not claimed, and
found again by the next look.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from structlog.contextvars import unbind_contextvars

from bot.domain import messages
from bot.domain.change import ChangeRequest, State
from bot.domain.incident import CHECKLIST_ID, Incident, Living
from bot.domain.messages import AlertChannel, Message, Requester, Thread
from bot.domain.organisation import Organisation
from bot.errors import (
    ChatTrouble,
    DatabaseError,
    MessageGone,
    NobodyThere,
    PlaceGone,
    Tampered,
    ThreadGone,
)
from bot.logs import about_change
from bot.ports import Card, Chat, Clock, Place, Said, Shown, Store, Waiting

log = structlog.get_logger(__name__)

LONGEST_PAUSE = timedelta(minutes=5)

Subject = ChangeRequest | Incident[Living]
Done = TypeVar("Done")


class Delivery:
    """What is due to the people of one organisation.

    A message is one process's to send for a lease; after it whoever took it counts as dead. What was
    to remind before the quiet hours and could not be sent waits for their end.
    """

    def __init__(self, organisation: Organisation, chat: Chat, store: Store, clock: Clock) -> None:
        self._org = organisation.id
        self._chat = chat
        self._store = store
        self._clock = clock
        self._alerts = Place(organisation.channels.alert)
        self._fallbacks = organisation.channels.fallbacks
        self._lease = organisation.timing.lease
        self._pace_seconds = organisation.timing.pace.total_seconds()
        self._quiet = organisation.reminders.quiet
        self._one_at_a_time = asyncio.Lock()

    async def send_due(self) -> float | None:
        """Bring everything up to date, as far as the chat lets us now.

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
            at = self._clock.elapsed()
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
        """A link to a card that was just made, posted at once; None if the chat does not let us."""
        wait = await self._show_now(subject)
        if wait:
            await asyncio.sleep(min(wait, self._pace_seconds))
            await self._show_now(subject)
        return await self.link(subject)

    async def _show_now(self, subject: str) -> float:
        """Bring one card up to date without a look at what else is due; as `_show`."""
        async with self._one_at_a_time:
            card = await self._store.card(self._org, subject)
            return await self._show(card, self._clock.elapsed()) if card is not None else 0.0

    async def shown_again(self, subject: str) -> str | None:
        """A link to the card, which is brought up to date, or posted anew if it was deleted."""
        async with self._store.begin(self._org) as tx:
            await tx.show_again(subject)
        return await self.posted(subject)

    async def link(self, subject: str) -> str | None:
        """A link to the card of a request or incident, if it is posted."""
        card = await self._store.card(self._org, subject)
        return await self._chat.link(card.place) if card is not None and card.ts else None

    async def _show(self, card: Card, at: float) -> float:
        """Post or edit a card; the seconds for which it has to wait, if it is too early for that.

        What it shows is read only when it is its turn: many may be waiting.
        """
        wait = self._chat.wait(card.channel, at, edits=bool(card.ts))
        if wait:
            return wait
        with _past_damage():
            subject = await self._store.subject(self._org, card.subject)
            if subject is not None and card.shown_rev < subject.rev:
                with _about(subject):
                    await self._bring_up_to_date(card, subject)
        return 0.0

    async def _bring_up_to_date(self, card: Card, subject: Subject) -> None:
        home: Card | None = None
        if _is_checklist(card):
            home = (
                await self._store.card(self._org, subject.key)
                if isinstance(subject, Incident)
                else None
            )
            if home is None or not home.ts:
                return  # The card of its request comes first.
        now = self._clock.now()
        async with self._store.begin(self._org) as tx:
            is_ours = await tx.claim_card(card, now, now + self._lease)
        if not is_ours:
            return
        try:
            shown = await self._post_or_edit(card, subject, home)
        except ChatTrouble as trouble:
            await self._put_off_card(card, trouble, home)
        else:
            async with self._store.begin(self._org) as tx:
                await tx.save_card(shown)

    async def _post_or_edit(self, card: Card, subject: Subject, home: Card | None) -> Card:
        """A card with a `home` stands in its thread, wherever that has moved to."""
        if card.ts and await self._is_edited(card, subject):
            return replace(card, shown_rev=subject.rev, tries=0)
        if home is not None:
            return await self._post(card, subject, home.place)
        try:
            return await self._post(card, subject, Place(card.channel))
        except PlaceGone as gone:
            proper = card.instead_of or card.channel

            async def post(channel: str) -> Card:
                instead_of = "" if channel == proper else proper
                return await self._post(
                    replace(card, instead_of=instead_of), subject, Place(channel)
                )

            return await self._elsewhere(card.channel, gone, post)

    async def _is_edited(self, card: Card, subject: Subject) -> bool:
        """False: it is not there any more, or cannot be edited."""
        try:
            await self._chat.edit(Shown(subject, card.instead_of), card.place)
        except (MessageGone, PlaceGone):
            return False
        return True

    async def _elsewhere(
        self, channel: str, gone: PlaceGone, post: Callable[[str], Awaitable[Done]]
    ) -> Done:
        """`post` in the first other channel that is not gone; without one, raises `gone`."""
        for other in self._fallbacks:
            if other != channel:
                log.error("channel is gone", channel=channel, error=gone.word, instead=other)
                try:
                    return await post(other)
                except PlaceGone:
                    continue
        raise gone

    async def _post(self, card: Card, subject: Subject, to: Place) -> Card:
        """A new message. It mentions people the first time only: else they are named by an edit,
        which pings nobody.
        """
        whole = Shown(subject, card.instead_of)
        is_quiet = _calls_people(subject) and not _may_mention(card, subject)
        stands = await self._chat.post(replace(whole, is_quiet=is_quiet), to)
        if is_quiet:
            try:
                await self._chat.edit(whole, stands)
            except ChatTrouble as trouble:
                log.warning("people not named", subject=card.subject, error=trouble.word)
        return replace(card, channel=stands.channel, ts=stands.ts, shown_rev=subject.rev, tries=0)

    async def _put_off_card(self, card: Card, trouble: ChatTrouble, home: Card | None) -> None:
        log.warning(
            "card not shown", subject=card.subject, channel=card.channel, error=trouble.word
        )
        tries = card.tries + 1
        async with self._store.begin(self._org) as tx:
            await tx.save_card(replace(card, tries=tries), after=self._again(tries, trouble))
            if home is not None and isinstance(trouble, PlaceGone | ThreadGone):
                await tx.show_again(home.subject)

    async def _send(self, waiting: Waiting, at: float) -> float:
        """Send a one-time message; the seconds for which it has to wait, as `_show`."""
        message = waiting.message
        if message is None:
            return await self._leave(waiting)
        wait = self._chat.wait(self._likely_channel(message, waiting), at)
        if wait:
            return wait
        with _past_damage():
            subject = await self._subject(message)
            with _about(subject):
                return await self._send_about(message, subject, waiting.tries, at)
        return 0.0

    async def _subject(self, message: Message) -> Subject | None:
        if isinstance(message.to, AlertChannel):
            return None
        return await self._store.subject(self._org, message.to.subject)

    async def _leave(self, waiting: Waiting) -> float:
        """What another version has to say is not guessed: it waits for one that can read it."""
        log.error("message of another version left unsent", key=waiting.key)
        async with self._store.begin(self._org) as tx:
            later = self._clock.now() + LONGEST_PAUSE
            await tx.put_off_message(waiting.key, later, "of another version")
        return 0.0

    def _likely_channel(self, message: Message, waiting: Waiting) -> str:
        """Where it goes, as far as that is known without a look at what it is about."""
        match message.to:
            case AlertChannel():
                return self._alerts.channel
            case Thread():
                return waiting.channel
            case Requester():
                return ""

    async def _send_about(
        self, message: Message, subject: Subject | None, tries: int, at: float
    ) -> float:
        if await self._is_void(message, subject):
            await self._finish(message)
            return 0.0
        if isinstance(message.body, messages.Reminder) and self._is_quiet_now():
            return 0.0
        to = await self._place(message, subject)
        if to is None:
            return 0.0  # Its thread does not exist yet; the card comes first.
        wait = self._chat.wait(to.channel, at)
        if wait or not await self._claim_message(message):
            return wait
        try:
            await self._deliver(await self._said(message, subject), to)
        except ChatTrouble as trouble:
            await self._not_sent(message, tries, trouble)
        else:
            await self._finish(message)
        return 0.0

    def _is_quiet_now(self) -> bool:
        return self._quiet is not None and self._quiet.holds(self._clock.now())

    async def _is_void(self, message: Message, subject: Subject | None) -> bool:
        """Whether it calls people to decide what is decided, or has a later one after it."""
        body = message.body
        if not isinstance(body, messages.Mention | messages.Reminder) or not isinstance(
            subject, ChangeRequest
        ):
            return False
        if subject.state is not State.PENDING:
            return True
        if isinstance(body, messages.Reminder) and body.escalates:
            return False  # no later one calls for help again
        return (await self._store.told(self._org, subject.id, message.kind))[-1] != message.key

    async def _place(self, message: Message, subject: Subject | None) -> Place | None:
        """Where it goes; None where that is not there yet."""
        match message.to:
            case AlertChannel():
                return self._alerts
            case Requester():
                assert isinstance(subject, ChangeRequest)
                return Place(subject.requester.user)
            case Thread(of):
                card = await self._store.card(self._org, of)
                return card.place if card is not None and card.ts else None

    async def _claim_message(self, message: Message) -> bool:
        now = self._clock.now()
        async with self._store.begin(self._org) as tx:
            return await tx.claim_message(message.key, now, now + self._lease)

    async def _said(self, message: Message, subject: Subject | None) -> Said:
        """What it says, with a link to the card of the request where that is somewhere else."""
        link = None
        if isinstance(message.to, Requester):
            link = await self.link(message.to.subject)
        elif isinstance(message.body, messages.UnknownOutcome):
            link = await self.link(message.body.request)
        return Said(message.body, subject if isinstance(subject, ChangeRequest) else None, link)

    async def _deliver(self, said: Said, to: Place) -> None:
        """What is not in a thread may go to another channel; a thread moves with its card."""
        try:
            await self._chat.post(said, to)
        except PlaceGone as gone:
            if to != self._alerts:
                raise
            there = replace(said, instead_of=to.channel)
            await self._elsewhere(
                to.channel, gone, lambda other: self._chat.post(there, Place(other))
            )

    async def _not_sent(self, message: Message, tries: int, trouble: ChatTrouble) -> None:
        log.warning("message not sent", key=message.key, error=trouble.word)
        is_private = isinstance(message.to, Requester)
        if is_private and isinstance(trouble, PlaceGone | NobodyThere):
            await self._finish(message)  # The thread of the card says the same.
            return
        async with self._store.begin(self._org) as tx:
            if isinstance(message.to, Thread) and isinstance(trouble, PlaceGone | ThreadGone):
                await tx.show_again(message.to.subject)
            await tx.put_off_message(message.key, self._again(tries + 1, trouble), trouble.word)

    async def _finish(self, message: Message) -> None:
        async with self._store.begin(self._org) as tx:
            await tx.finish_message(message.key, self._clock.now())

    def _again(self, tries: int, trouble: ChatTrouble) -> datetime:
        """When to try again: when the chat says, else after 1, 2, 4, … seconds."""
        pause = min(timedelta(seconds=2 ** min(tries - 1, 10)), LONGEST_PAUSE)
        if trouble.retry_after is not None:
            pause = timedelta(seconds=trouble.retry_after)
        return self._clock.now() + pause


@contextmanager
def _past_damage() -> Iterator[None]:
    """A damaged request is told of by whoever would apply it; the others need not wait for it."""
    try:
        yield
    except Tampered as damage:
        if damage.number is None:
            raise


def _about(subject: Subject | None) -> AbstractContextManager[None]:
    return about_change(subject.number) if isinstance(subject, ChangeRequest) else nullcontext()


def _calls_people(subject: Subject) -> bool:
    return isinstance(subject, ChangeRequest) and subject.state is State.PENDING


def _may_mention(card: Card, subject: Subject) -> bool:
    """Whether this is its first post, and the approvers were not mentioned a moment ago."""
    if card.ts or card.mention_at is None:
        return not card.ts
    return isinstance(subject, ChangeRequest) and card.mention_at <= subject.created_at


def _is_checklist(card: Card) -> bool:
    return card.subject.startswith(CHECKLIST_ID)
