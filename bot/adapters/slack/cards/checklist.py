"""What follows an applied change, in the thread of its request: how far it has come, and the end."""

from __future__ import annotations

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, code, escape, when
from bot.domain.change import ChangeRequest
from bot.domain.checklist import Checklist, Server
from bot.domain.incident import ChecklistBody
from bot.domain.messages import DmarcAtRisk, Followed, FollowedPrivately

DONE, OPEN = "✓", "○"


def card(body: ChecklistBody) -> Rendered:
    """The checklist, edited in place until nothing is waited for."""
    number, found = body.number, body.checklist
    lines = [f"{DONE} In force, {when(found.in_force_at)}", *_published(found), _verified(found)]
    blocks: list[Block] = [
        parts.section(f"*What follows #{number}*"),
        parts.section("\n".join(lines)),
        parts.context(_end(found)),
    ]
    return parts.rendered(f"What follows #{number}: {_spoken(found)}", blocks)


def _published(found: Checklist) -> list[str]:
    answering = [server for server in found.servers if server.has_answered]
    if answering:
        return [_at_server(server) for server in found.servers]
    if found.resolvers_at is not None:
        return [f"{DONE} Record seen by resolvers, {when(found.resolvers_at)}"]
    return [f"{OPEN} Record not seen in DNS yet"]


def _at_server(server: Server) -> str:
    if server.seen_at is not None:
        return f"{DONE} Record seen at {code(server.name)}, {when(server.seen_at)}"
    words = "Record not seen yet at" if server.has_answered else "No answer yet from"
    return f"{OPEN} {words} {code(server.name)}"


def _verified(found: Checklist) -> str:
    if found.verified_at is None:
        return f"{OPEN} Not verified by Zoho yet"
    return f"{DONE} Verified by Zoho, {when(found.verified_at)}"


def _end(found: Checklist) -> str:
    if found.is_superseded:
        return "Another key is live by now, so nothing more is waited for here."
    if found.is_complete:
        return f"Done, {when(found.ended_at)}"
    if found.is_published:
        return "Nothing to do: Zoho looks by itself, and no call would hurry it."
    return "`/mailcfg dns` shows the record to publish."


def _spoken(found: Checklist) -> str:
    if found.is_superseded:
        return "another key is live by now."
    if found.is_complete:
        return "all is done."
    return "waiting for Zoho." if found.is_published else "the DKIM record is to be published."


def at_risk(request: ChangeRequest, body: DmarcAtRisk) -> Rendered:
    """For the request's thread: what may happen to mail until the checklist is through."""
    return parts.sentence(
        f"*Until the record of #{request.number} is published:* {escape(body.said)}"
    )


def followed(request: ChangeRequest, body: Followed) -> Rendered:
    """For the request's thread: the end of its checklist."""
    return parts.sentence(f"#{request.number}: verified by Zoho, {when(body.verified_at)}. Done.")


def followed_privately(
    request: ChangeRequest, body: FollowedPrivately, link: str | None
) -> Rendered:
    """The same to the requester alone."""
    return parts.sentence(
        f"*Done:* your request {parts.numbered(request.number, link)} to {request.plan.title} is in force, its "
        f"DKIM record is in DNS, and Zoho has verified it, {when(body.verified_at)}."
    )
