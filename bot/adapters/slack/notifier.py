"""Tells Slack: renders due cards from their rows, and sends one-time messages from the outbox.

Both deliver at least once; a card always shows the row as it is now, so a late or repeated delivery
can never show an old state.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from bot.adapters.slack.cards import checklist as checklist_cards
from bot.adapters.slack.cards import notices
from bot.adapters.slack.cards import request as request_cards
from bot.adapters.slack.cards import watch as watch_cards
from bot.adapters.slack.cards.parts import Deployment, Rendered
from bot.adapters.slack.workspace import SlackFault, Workspace
from bot.domain.change import ChangeRequest
from bot.domain.incident import Incident, Kind
from bot.ports import Card, Clock, Message, Store
from bot.services.tell_watch import DMARC, FOLLOWED, FOLLOWED_DM

log = structlog.get_logger(__name__)

GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
"""The posted message cannot be edited any more: a new one is posted."""
LONGEST_PAUSE = timedelta(minutes=5)


class Notifier:
    """The two senders of one deployment.

    `lease` is how long a message is one process's to send; after it whoever took it counts as dead.
    """

    def __init__(
        self,
        *,
        workspace: Workspace,
        store: Store,
        clock: Clock,
        deployment: Deployment,
        alert_channel: str,
        lease: timedelta,
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._clock = clock
        self._deployment = deployment
        self._alert_channel = alert_channel
        self._lease = lease
        self._one_at_a_time = asyncio.Lock()

    async def send_due(self) -> None:
        """Bring Slack up to date, as far as it lets us now."""
        async with self._one_at_a_time:  # or two callers would post one card twice
            due = await self._store.due_cards(self._clock.now())
            for card, subject in due:
                if not _is_checklist(subject):
                    await self._show(card, subject)
            for message, tries in await self._store.due_messages(self._clock.now()):
                await self._send(message, tries)
            for card, subject in due:
                if _is_checklist(subject):  # The result that it follows is said before it.
                    await self._show(card, subject)

    async def link(self, subject: str) -> str | None:
        """A link to the card of a request or incident, if it is posted."""
        card = await self._store.card(subject)
        if card is None or not card.ts:
            return None
        return await self._workspace.permalink(card.channel, card.ts)

    async def _show(self, card: Card, subject: ChangeRequest | Incident) -> None:
        thread = await self._thread_of(subject)
        if thread is not None and not thread.ts:
            return  # The card of its request comes first.
        now = self._clock.now()
        async with self._store.begin() as tx:
            if not await tx.claim_card(card, now, now + self._lease):
                return  # Another process shows it.
        try:
            shown = await self._post_or_update(card, self._render(subject), subject.rev, thread)
        except SlackFault as fault:
            await self._put_off_card(card, fault)
        else:
            async with self._store.begin() as tx:
                await tx.save_card(shown)

    async def _thread_of(self, subject: ChangeRequest | Incident) -> Card | None:
        """The card in whose thread this one stands; None for one in the channel itself."""
        if isinstance(subject, ChangeRequest) or not _is_checklist(subject):
            return None
        return await self._store.card(subject.key) or Card(subject.key, "")

    async def _post_or_update(
        self, card: Card, content: Rendered, rev: int, thread: Card | None
    ) -> Card:
        if card.ts:
            try:
                await self._workspace.call(
                    "chat.update", channel=card.channel, ts=card.ts, **_arguments(content)
                )
            except SlackFault as fault:
                if fault.error not in GONE:
                    raise
            else:
                return Card(card.subject, card.channel, card.ts, rev)
        where = {"channel": card.channel}
        if thread is not None:
            where = {"channel": thread.channel, "thread_ts": thread.ts}
        answer = await self._workspace.call("chat.postMessage", **where, **_arguments(content))
        return Card(card.subject, answer["channel"], answer["ts"], rev)

    async def _put_off_card(self, card: Card, fault: SlackFault) -> None:
        log.warning("card not shown", subject=card.subject, channel=card.channel, error=fault.error)
        tries = card.tries + 1
        moved = Card(card.subject, card.channel, card.ts, card.shown_rev, tries)
        async with self._store.begin() as tx:
            await tx.save_card(moved, after=self._again(tries, fault))

    async def _send(self, message: Message, tries: int) -> None:
        subject = await self._store.subject(message.subject) if message.subject else None
        card = await self._store.card(message.subject) if message.subject else None
        if message.subject and (card is None or not card.ts):
            return  # Its thread does not exist yet; the card comes first.
        now = self._clock.now()
        async with self._store.begin() as tx:
            if not await tx.claim_message(message.key, now, now + self._lease):
                return  # Another process sends it.
        where = {"channel": self._alert_channel}
        if message.kind == FOLLOWED_DM and isinstance(subject, ChangeRequest):
            where = {"channel": subject.requester.user}
        elif card is not None:
            where = {"channel": card.channel, "thread_ts": card.ts}
        try:
            content = await self._render_message(message, subject)
            await self._workspace.call("chat.postMessage", **where, **_arguments(content))
        except SlackFault as fault:
            log.warning("message not sent", key=message.key, error=fault.error)
            async with self._store.begin() as tx:
                after = self._again(tries + 1, fault)
                await tx.put_off_message(message.key, after, fault.error)
        else:
            async with self._store.begin() as tx:
                await tx.finish_message(message.key, self._clock.now())

    def _render(self, subject: ChangeRequest | Incident) -> Rendered:
        if isinstance(subject, ChangeRequest):
            return request_cards.card(subject, self._deployment)
        return watch_cards.card(subject, self._deployment)

    async def _render_message(
        self, message: Message, subject: ChangeRequest | Incident | None
    ) -> Rendered:
        if isinstance(subject, Incident):
            return notices.thread_line(message)
        if subject is None:
            return notices.notice(message)
        if message.kind == FOLLOWED_DM:
            return checklist_cards.direct(subject, message, await self.link(subject.id))
        if message.kind in {FOLLOWED, DMARC}:
            return checklist_cards.thread_line(subject, message)
        return request_cards.thread_line(subject, message)

    def _again(self, tries: int, fault: SlackFault) -> datetime:
        """When to try again: when Slack says, else after 1, 2, 4, … seconds."""
        pause = min(timedelta(seconds=2 ** min(tries - 1, 10)), LONGEST_PAUSE)
        if fault.retry_after is not None:
            pause = timedelta(seconds=fault.retry_after)
        return self._clock.now() + pause


def _is_checklist(subject: ChangeRequest | Incident) -> bool:
    return isinstance(subject, Incident) and subject.kind is Kind.CHECKLIST


def _arguments(content: Rendered) -> dict[str, object]:
    return {
        "text": content.text,
        "blocks": list(content.blocks),
        "unfurl_links": False,
        "unfurl_media": False,
    }
