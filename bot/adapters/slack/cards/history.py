"""What has been: the newest requests in a list, and the whole story of one, from its audit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, code, escape, user, when
from bot.adapters.slack.cards.request import diff, title
from bot.domain.audit import AuditEntry, AuditHead
from bot.domain.change import ChangeRequest, State
from bot.domain.plan import Change
from bot.services.look import Story

BRIEF = 48
"""Characters of a value in the list; the card and the story have it whole."""
LINES_MAX = 60
"""Moves that a story tells; an outcome that stays unknown for a day makes hundreds."""


def newest(requests: Sequence[ChangeRequest], links: Mapping[str, str | None]) -> Rendered:
    """A line or two for each request; `links` lead to their cards, by request id."""
    if not requests:
        text = "Nobody has asked for a change yet."
        return parts.rendered(text, [parts.section(text)])
    blocks: list[Block] = []
    for request in requests:
        blocks += [
            parts.section(f"*{_number(request, links)}  {title(request)}*\n{_brief(request)}"),
            parts.context(_who(request)),
        ]
    blocks.append(
        parts.context(
            f"`/mailcfg history #{requests[0].number}` tells the whole story of one. "
            "`/mailcfg undo` with a number asks to set back what that one changed."
        )
    )
    count = "The newest request" if len(requests) == 1 else f"The newest {len(requests)} requests"
    return parts.rendered(f"{count}, from #{requests[0].number} on.", blocks)


def _number(request: ChangeRequest, links: Mapping[str, str | None]) -> str:
    link = links.get(request.id)
    return f"<{link}|#{request.number}>" if link else f"#{request.number}"


def _brief(request: ChangeRequest) -> str:
    """What changes, in one line."""
    changes = map(_brief_change, request.plan.diff())
    return " · ".join(changes) or "Nothing differs; it is approved as it is."


def _brief_change(change: Change) -> str:
    old, new = (
        "not set" if value is None else code(parts.clamp(value, BRIEF))
        for value in (change.old, change.new)
    )
    return f"{change.label}: {old} → {new}"


def _who(request: ChangeRequest) -> str:
    said = [f"Asked by {user(request.requester.user)} {when(request.created_at)}"]
    if request.approvals:
        people = ", ".join(user(vote.voter.user) for vote in request.approvals)
        said.append(f"approved by {people}")
    if request.rejection is not None:
        said.append(f"rejected by {user(request.rejection.voter.user)}")
    if request.ended_at is not None:
        said.append(f"{_ended(request)} {when(request.ended_at)}")
    return " · ".join(said)


def _ended(request: ChangeRequest) -> str:
    return "in force" if request.state is State.APPLIED else "ended"


def story(told: Story, link: str | None) -> Rendered:
    """A request from its wish to its end, as the audit has it."""
    request = told.request
    moves = [row.entry for row in told.entries if row.entry.kind != "refused"]
    where = f"<{link}|Go to its card>" if link else ""
    blocks: list[Block] = [
        parts.header(f"#{request.number} {title(request)}"),
        *parts.lines(diff(request)),
        *parts.lines(_timeline(moves)),
        parts.section("*Reason for asking*"),
        parts.quote(request.reason),
        parts.context(_refusals(told), _head(told.head), where),
    ]
    text = f"The story of request #{request.number} to {request.plan.title}, in {len(moves)} moves."
    return parts.rendered(text, blocks)


def _timeline(moves: Sequence[AuditEntry]) -> list[str]:
    lines = [f"{when(entry.at)} · {_move(entry)}" for entry in moves]
    if len(lines) <= LINES_MAX:
        return lines
    half = LINES_MAX // 2
    left_out = len(lines) - 2 * half
    between = f"_… {left_out} moves in between: `mailcfg audit export` has them all …_"
    return [*lines[:half], between, *lines[-half:]]


def _move(entry: AuditEntry) -> str:
    who, why = _person(entry.actor), escape(str(entry.body.get("why") or ""))
    words = _WORDS.get(entry.kind)
    if words is None:
        said = escape(entry.kind.replace("_", " "))
    else:
        said = words.format(who=who, **_counted(entry))
    return f"{said}: {why}" if why else said


_WORDS = {
    "proposed": "*asked* by {who}",
    "approved": "*approved* by {who}{count}",
    "rejected": "*rejected* by {who}",
    "withdrawn": "*withdrawn* by {who}",
    "expired": "*expired*",
    "claimed": "taken up to be applied",
    "taken_over": "taken over, since whoever was applying it had stopped",
    "intent": "being sent to Cliq ({method})",
    "accepted": "accepted by Cliq",
    "uncertain": "outcome *unknown*",
    "parked": "put off",
    "applied": "*{applied}*",
    "stale": "*out of date*",
    "failed": "*failed*",
    "conflict": "*needs a person*",
    "ineligible": "*cancelled*",
    "tampered": "*refused*",
}
"""The audit's word for each move, as people say it."""


def _counted(entry: AuditEntry) -> dict[str, str]:
    body = entry.body
    count = f", {body['given']} of {body.get('needed')}" if "given" in body else ""
    applied = "read back, in force" if body.get("effect") == "written" else "in place as it is"
    method = escape(str(body.get("method", "")))
    return {"count": escape(count), "method": method, "applied": applied}


_PRINCIPAL = re.compile(r"(?:[A-Z0-9]+:)?([UW][A-Z0-9]+)")


def _person(principal: str) -> str:
    """A person as Slack shows one; whoever is none stays a word."""
    found = _PRINCIPAL.fullmatch(principal)
    return user(found[1]) if found else escape(principal)


def _refusals(told: Story) -> str:
    count = sum(1 for row in told.entries if row.entry.kind == "refused")
    if count == 0:
        return ""
    return "1 attempt was refused" if count == 1 else f"{count} attempts were refused"


def _head(head: AuditHead | None) -> str:
    return "" if head is None else f"Audit head {code(head.short)}"
