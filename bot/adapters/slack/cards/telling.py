"""What is told once, each body in its words."""

from __future__ import annotations

from typing import assert_never

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import alert, checklist, notices, parts
from bot.adapters.slack.cards import request as cards
from bot.adapters.slack.cards.parts import Rendered, code, user, when
from bot.domain import messages
from bot.domain.change import ChangeRequest
from bot.domain.organisation import Organisation


def message(
    body: messages.Body, request: ChangeRequest | None, link: str | None, organisation: Organisation
) -> Rendered:
    """A body; with the `request` that it is about, and a `link` to that one's card, if any."""
    match body:
        case messages.AlertOpened():
            return notices.line("Confirmed by a second check", body)
        case messages.AlertFlapping():
            return notices.line(notices.FLAPPING, body)
        case messages.AlertChanged():
            return notices.line("Another cause by now", body)
        case messages.AlertReminder():
            return notices.line(f"Reminder: still so, since {when(body.first_seen_at)}", body)
        case messages.AlertResolved():
            return parts.sentence(alert.resolved_words(body))
        case messages.ChangedOutside():
            return alert.outside_line(body)
        case messages.CannotCheck(said):
            return notices.cannot_check(said)
        case messages.ChecksResumed(dns):
            return parts.sentence(f"*The sender can be checked again.* {parts.escape(dns)}.")
        case messages.StatusMoved():
            return notices.status(body)
        case messages.Unreadable(number):
            return notices.unreadable(number)
        case messages.UnknownOutcome():
            return notices.unknown_outcome(body, link)
        case _:
            assert request is not None
            return _of_request(body, request, link, organisation)


def _of_request(
    body: messages.OfRequest, request: ChangeRequest, link: str | None, organisation: Organisation
) -> Rendered:
    match body:
        case messages.Approved(who, given, needed):
            return parts.sentence(f"{user(who)} approved #{request.number}: {given} of {needed}.")
        case messages.Rejected(who, reason, head):
            said = f"{user(who)} rejected #{request.number}. Nothing was changed."
            return _ended(said, head, parts.quote(reason))
        case messages.Withdrawn(who, head):
            return _ended(f"{user(who)} withdrew #{request.number}. Nothing was changed.", head)
        case messages.Expired(why, head):
            why = cards.whole_sentence(why)
            return _ended(f"#{request.number} expired. {why} Nothing was changed.", head)
        case messages.Result(head):
            return cards.result_line(request, _head(head))
        case messages.Mention():
            return mention(request, organisation)
        case messages.Reminder(escalates):
            return reminder(request, organisation, escalates=escalates)
        case messages.Outcome():
            return outcome(request, link)
        case messages.Followed():
            return checklist.followed(request, body)
        case messages.FollowedPrivately():
            return checklist.followed_privately(request, body, link)
        case messages.DmarcAtRisk():
            return checklist.at_risk(request, body)
        case _:
            assert_never(body)


def _ended(text: str, head: str, *more: Block) -> Rendered:
    return parts.rendered(text, [parts.section(text), *more, *_head(head)])


def _head(head: str) -> list[Block]:
    """Where the audit ended with this move: whoever keeps it can tell a chain that was rewritten."""
    return [parts.context(f"Audit head {code(head)}")] if head else []


def mention(request: ChangeRequest, organisation: Organisation) -> Rendered:
    """For the thread of a card that was posted without mentioning anyone."""
    said = (
        f"{cards.approvers(request, organisation)}\n"
        f"#{request.number} to {request.plan.title} waits for approval until "
        f"{when(request.expires_at)}."
    )
    sentence = cards.sentence(request, organisation.needed(request))
    return parts.rendered(sentence, [parts.section(said)])


def reminder(request: ChangeRequest, organisation: Organisation, *, escalates: bool) -> Rendered:
    """For the thread; one that `escalates` mentions those who see to it that somebody decides."""
    given, needed = len(request.approvals), organisation.needed(request)
    said = [
        f"*Reminder:* #{request.number} to {request.plan.title} still waits for approval, asked "
        f"{when(request.created_at)}.",
        f"{given} of {needed} approvals so far. It expires {when(request.expires_at)}; then nothing "
        "is changed.",
    ]
    if escalates and organisation.channels.escalate_to:
        people = " ".join(map(user, organisation.channels.escalate_to))
        said.append(f"{people} Please see to it that an approver decides.")
    text = (
        f"Reminder: request #{request.number} to {request.plan.title} still waits for approval: "
        f"{given} of {needed} so far."
    )
    return parts.rendered(text, [parts.section("\n".join(said))])


def outcome(request: ChangeRequest, link: str | None) -> Rendered:
    """To the requester alone: how it ended, and what to do next."""
    needed = request.quorum  # of what has ended no other number is of interest
    number = parts.numbered(request.number, link)
    said = (
        f"*{request.heading}:* your request {number} to {request.plan.title}.\n"
        f"{cards.status(request, needed) if request.rejection else cards.standing(request, needed)}"
    )
    blocks: list[Block] = [parts.section(said)]
    if request.rejection is not None:
        blocks.append(parts.quote(request.rejection.reason))
    following = _what_next(request)
    if following:
        blocks.append(parts.context(following))
    sentence = cards.sentence(request, needed)
    return parts.rendered(f"Your {sentence[0].lower()}{sentence[1:]}", blocks)


def _what_next(request: ChangeRequest) -> str:
    if request.state in cards.REPEATABLE:
        return "*Ask again* on its card asks for the same over what is live then."
    if cards.to_publish(request) is not None:
        return "Its DKIM record must be published now: `/mailcfg dns` shows it."
    return ""
