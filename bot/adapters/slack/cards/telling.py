"""What is told once about a request beside its card: a mention, a reminder, and how it ended."""

from __future__ import annotations

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards import request as cards
from bot.adapters.slack.cards.parts import Rendered, escape, user, when
from bot.domain.change import ChangeRequest, from_milliseconds
from bot.domain.organisation import Organisation
from bot.ports import Message


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


def unknown(message: Message, link: str | None) -> Rendered:
    """For the alert channel: nobody knows yet what a write did."""
    facts = message.facts
    number = f"<{link}|#{facts['number']}>" if link else f"#{facts['number']}"
    since = when(from_milliseconds(facts["since"]))
    said = [
        f"*Outcome unknown:* what {number} to {facts['title']} did in Cliq could not be found out "
        f"since {since}.",
        "mailcfg goes on looking and sends nothing blindly. If Cliq or your token has a problem that "
        "you can mend, now is the time; its admin panel shows what is live.",
    ]
    blocks: list[Block] = [parts.section("\n".join(said))]
    if facts["why"]:
        blocks.append(parts.context(escape(facts["why"])))
    text = f"What request #{facts['number']} did in Cliq is still unknown."
    return parts.rendered(text, blocks)


def outcome(request: ChangeRequest, link: str | None) -> Rendered:
    """To the requester alone: how it ended, and what to do next."""
    needed = request.quorum  # of what has ended no other number is of interest
    number = f"<{link}|#{request.number}>" if link else f"#{request.number}"
    said = (
        f"*{cards.state_word(request)}:* your request {number} to {request.plan.title}.\n"
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
