"""Writes to Slack: renders what is to be told, keeps Slack's pace, and says its faults in our words."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from slack_sdk.models.views import View

from bot.adapters.slack.cards import parts, telling, watch
from bot.adapters.slack.cards import request as cards
from bot.adapters.slack.cards.parts import Rendered
from bot.adapters.slack.pacer import POST, UPDATE, Pacer
from bot.adapters.slack.workspace import SlackFault, Workspace, part
from bot.domain.change import ChangeRequest
from bot.domain.organisation import Organisation
from bot.errors import ChatTrouble, MessageGone, NobodyThere, PlaceGone, ThreadGone
from bot.ports import Clock, Content, Place, Said

CHANNEL_GONE = ("channel_not_found", "not_in_channel", "is_archived", "is_inactive")
TROUBLES: dict[str, type[ChatTrouble]] = {
    "message_not_found": MessageGone,
    "cant_update_message": MessageGone,
    "edit_window_closed": MessageGone,
    **dict.fromkeys(CHANNEL_GONE, PlaceGone),
    "thread_not_found": ThreadGone,
    "cannot_reply_to_message": ThreadGone,
    "user_not_found": NobodyThere,
    "user_disabled": NobodyThere,
    "cannot_dm_bot": NobodyThere,
    "messages_tab_disabled": NobodyThere,
}
"""What Slack says (docs.slack.dev/reference/methods/chat.postMessage), where it matters what."""
NOT_THERE = frozenset({*CHANNEL_GONE, "user_not_in_channel"})
PLAIN = {"unfurl_links": False, "unfurl_media": False}


class SlackChat:
    """`ports.Chat` for one organisation, and private answers for who acts in it."""

    def __init__(self, organisation: Organisation, workspace: Workspace, clock: Clock) -> None:
        self._organisation = organisation
        self._workspace = workspace
        self._pace_seconds = organisation.timing.pace.total_seconds()
        self._pacer = Pacer(clock, organisation.timing.pace)

    def wait(self, channel: str, at: float, *, edits: bool = False) -> float:
        return self._pacer.wait(UPDATE if edits else POST, channel, at)

    async def post(self, content: Content, to: Place) -> Place:
        thread = {"thread_ts": to.ts} if to.ts else {}
        answer = await self._write(POST, to.channel, self._rendered(content), **thread)
        try:
            return Place(part(POST, answer, "channel"), part(POST, answer, "ts"))
        except SlackFault as fault:
            raise _in_our_words(fault) from fault

    async def edit(self, content: Content, where: Place) -> None:
        await self._write(UPDATE, where.channel, self._rendered(content), ts=where.ts)

    async def link(self, to: Place) -> str | None:
        return await self._workspace.permalink(to.channel, to.ts)

    async def whisper(self, user: str, channel: str, **content: Any) -> None:
        """Say something to one person where they are, or in private. Raises SlackFault."""
        try:
            await self._workspace.call("chat.postEphemeral", channel=channel, user=user, **content)
        except SlackFault as fault:
            if fault.error not in NOT_THERE:
                raise
            # A command can be typed where mailcfg is no member, and so can this be clicked.
            await self._workspace.call(POST, channel=user, **content, **PLAIN)

    async def open(self, trigger_id: str, view: View) -> Any:
        """Open a form for who has just clicked; Slack's answer. Raises SlackFault."""
        return await self._workspace.call("views.open", trigger_id=trigger_id, view=view.to_dict())

    async def _write(self, method: str, channel: str, said: Rendered, **where: str) -> Any:
        """One call, as soon as the pace allows."""
        wait = self._pacer.wait(method, channel, self._pacer.now())
        if wait > self._pace_seconds:
            raise ChatTrouble("ratelimited", math.ceil(wait))
        await asyncio.sleep(wait)
        self._pacer.sent(method, channel)
        content = {"text": said.text, "blocks": list(said.blocks)} | PLAIN
        try:
            return await self._workspace.call(method, channel=channel, **where, **content)
        except SlackFault as fault:
            if fault.retry_after is not None:
                self._pacer.hold(method, fault.retry_after)
            raise _in_our_words(fault) from fault

    def _rendered(self, content: Content) -> Rendered:
        shown = self._bare(content)
        return parts.elsewhere(shown, content.instead_of) if content.instead_of else shown

    def _bare(self, content: Content) -> Rendered:
        if isinstance(content, Said):
            return telling.message(content.body, content.request, content.link, self._organisation)
        if isinstance(content.subject, ChangeRequest):
            return cards.card(content.subject, self._organisation, quiet=content.is_quiet)
        return watch.card(content.subject, self._organisation)


def _in_our_words(fault: SlackFault) -> ChatTrouble:
    return TROUBLES.get(fault.error, ChatTrouble)(fault.error, fault.retry_after)
