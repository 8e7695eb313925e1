"""The card of a request, its thread, and its details: all from the row, whatever its state.

The word "verified" is Zoho's, for DKIM and CNAME; a change that was read back is "In force".
"""

from __future__ import annotations

from collections.abc import Sequence

from slack_sdk.models.blocks import Block, ButtonElement, PlainTextObject
from slack_sdk.models.views import View

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, code, escape, user, when
from bot.domain.audit import AuditHead
from bot.domain.change import ChangeRequest, Decision, State, VoteKind
from bot.domain.dkim import Record
from bot.domain.organisation import Organisation
from bot.domain.plan import Change
from bot.ports import Message

STATE_WORDS = {
    State.PENDING: "Waiting for approval",
    State.APPROVED: "Approved",
    State.APPLYING: "Being applied",
    State.UNCERTAIN: "Outcome unknown",
    State.APPLIED: "In force",
    State.REJECTED: "Rejected",
    State.CANCELLED: "Withdrawn",
    State.EXPIRED: "Expired",
    State.STALE: "Out of date",
    State.FAILED: "Failed",
    State.CONFLICT: "Needs a person",
}
REPEATABLE = frozenset({State.REJECTED, State.CANCELLED, State.EXPIRED, State.STALE, State.FAILED})


def state_word(request: ChangeRequest) -> str:
    """ "Withdrawn" is said of the requester's own doing only."""
    is_own = request.end_reason.startswith("withdrawn")
    if request.state is State.CANCELLED and not is_own:
        return "Cancelled"
    return STATE_WORDS[request.state]


BETWEEN = "old configuration removed, new one not set yet"
REMOVING = "Removing the old configuration, since Cliq kept the old address."


def _is_between(request: ChangeRequest) -> bool:
    """Whether it has removed the old configuration, and is about to set the new one."""
    return request.has_removed and request.is_open


def _is_about_to_remove(request: ChangeRequest) -> bool:
    """Nothing is unknown then: Cliq was seen to keep the old address."""
    is_next = request.state is State.UNCERTAIN and not request.waits_for
    return is_next and request.step > 1 and not request.has_removed


def title(request: ChangeRequest) -> str:
    """ "Waiting for approval: change sender address"."""
    word = state_word(request)
    if _is_between(request):
        word = f"{BETWEEN[0].upper()}{BETWEEN[1:]}"
    elif request.state is State.APPLYING and request.sent:
        word = "Sent, checking"
    elif _is_about_to_remove(request):
        word = STATE_WORDS[State.APPLYING]
    return f"{word}: {request.plan.title}"


def card(request: ChangeRequest, organisation: Organisation, *, quiet: bool = False) -> Rendered:
    """The one card of a request; a `quiet` one mentions nobody whom it calls to decide."""
    needed = organisation.needed(request)
    blocks: list[Block] = [
        parts.header(title(request)),
        parts.section(_opening(request, organisation, quiet)),
        *parts.lines(diff(request)),
        *_consequences(request),
        *(_preflight(request) if request.is_open else []),
        parts.section(status(request, needed)),
        *_why_rejected(request),
        *_observed(request),
        *_lost(request),
        parts.section("*Reason for asking*"),
        parts.quote(request.reason),
        parts.actions(f"request-{request.number}", _buttons(request)),
        parts.context(_footer(request, organisation)),
    ]
    return parts.rendered(sentence(request, needed), blocks)


def _opening(request: ChangeRequest, organisation: Organisation, quiet: bool) -> str:
    where = f"{escape(organisation.id)} · Zoho {organisation.data_center.upper()}"
    undone = request.plan.undone
    which = f" · *undoes #{undone}*" if undone else ""
    asks = f"{user(request.requester.user)} asks to *{request.plan.title}*{which} · {where}"
    if request.state is not State.PENDING or quiet:
        return asks
    return f"{asks}\n{approvers(request, organisation)}"


def approvers(request: ChangeRequest, organisation: Organisation) -> str:
    """Who is called to decide, and who else is to know."""
    names = ", ".join(map(user, request.policy.approvers_for(request.requester)))
    others = ", ".join(map(user, organisation.channels.notify))
    return f"Approvers: {names}" + (f" · for information: {others}" if others else "")


def diff(request: ChangeRequest) -> list[str]:
    """What changes, one line for each field, with what is to be known about it."""
    changes = request.plan.diff()
    lines = parts.diff_lines(changes) or ["Nothing differs; it is approved as it is."]
    lines += [_note(change, request) for change in changes if change.note]
    unchanged = ", ".join(request.plan.unchanged())
    return [*lines, *([f"_Unchanged: {unchanged}_"] if unchanged else [])]


def _note(change: Change, request: ChangeRequest) -> str:
    if change.note == "stated":
        return (
            f"_{user(request.requester.user)} states that the CNAME is in place; mailcfg cannot "
            "check it._"
        )
    why = "the domain changes" if request.plan.base else "the sender is new"
    return f"_The CNAME status starts as not verified because {why}._"


def _consequences(request: ChangeRequest) -> list[Block]:
    said = request.plan.consequences()
    if not request.is_open or not said:
        return []
    return [parts.section("*What follows*\n" + "\n".join(f"• {line}" for line in said))]


def _preflight(request: ChangeRequest) -> list[Block]:
    """What DNS said when the change was asked for."""
    foreseen = request.plan.foreseen()
    if foreseen is None:
        return []
    heading, said = foreseen
    return [parts.rich(parts.prose((heading, ""), ("", said)))]


def status(request: ChangeRequest, needed: int) -> str:
    """Who voted, and where the request stands."""
    return "\n".join([*map(_vote, request.decisions), standing(request, needed)])


def standing(request: ChangeRequest, needed: int) -> str:
    """Where the request stands, as the card says it; `needed` approvals are asked for now."""
    why = _sentence(request.end_reason)
    match request.state:
        case State.PENDING:
            given = len(request.approvals)
            return (
                f"*{given} of {needed} approvals* · {_why_so_many(request, needed)}\n"
                f"Waiting until {when(request.expires_at)}"
            )
        case State.APPROVED:
            if not request.waits_for:
                return "It will be applied now."
            return f"Waits until {when(request.not_before)}: {escape(request.waits_for)}"
        case State.APPLYING:
            return _applying(request)
        case State.UNCERTAIN:
            return "\n".join(filter(None, [_uncertain(request), escape(request.waits_for)]))
        case State.APPLIED:
            return _in_force(request)
        case State.REJECTED:
            return "Nothing was changed."
        case State.CANCELLED | State.EXPIRED:
            return f"{why} Nothing was changed."
        case State.STALE:
            return f"{why} Nothing was written."
        case State.FAILED:
            return f"{why} The configuration is unchanged."
        case State.CONFLICT:
            return f"{why} Please look in the Cliq admin panel."


def _uncertain(request: ChangeRequest) -> str:
    next_look = f"next look {when(request.not_before)}."
    if request.has_removed:
        return f"Cliq kept the old address: {BETWEEN}; {next_look}"
    if _is_about_to_remove(request):
        return REMOVING
    return f"Not known yet whether the write took effect; {next_look}"


def _applying(request: ChangeRequest) -> str:
    if request.sent:
        return "Accepted by Cliq, being checked."
    if request.has_removed:
        return "Setting the new configuration."
    if request.step > 1:
        return REMOVING
    return "Writing to Cliq." if request.plan.writes else "Comparing with what is live."


def _in_force(request: ChangeRequest) -> str:
    at = when(request.ended_at)
    if not request.plan.writes:
        done = f"Live configuration accepted {at}."
    elif request.effect == "none":
        done = f"Already in place, confirmed {at}; nothing had to be written."
    else:
        done = f"Confirmed by reading it back {at}."
    if request.has_removed:
        done += " Cliq kept the old address, so the configuration was deleted and created again."
    return " ".join([done, *map(escape, request.plan.warnings(request.observed))])


def _why_so_many(request: ChangeRequest, needed: int) -> str:
    because = request.plan.sensitive_because
    if needed == 1:
        return "somebody other than the requester must agree"
    return because or "this deployment asks for that many"


def _vote(decision: Decision) -> str:
    done = "Approved" if decision.kind is VoteKind.APPROVE else "Rejected"
    return f"{done} by {user(decision.voter.user)} {when(decision.at)}"


def _why_rejected(request: ChangeRequest) -> list[Block]:
    rejection = request.rejection
    if rejection is None:
        return []
    return [parts.section("*Reason for rejecting*"), parts.quote(rejection.reason)]


def _observed(request: ChangeRequest) -> list[Block]:
    """Where it ended differently from what was wanted: what Cliq shows now."""
    if request.state not in {State.STALE, State.CONFLICT}:
        return []
    if not request.was_read:
        return [parts.section("*Now:* not known, since nothing could be read.")]
    if request.state is State.CONFLICT and request.observed is None:
        return [parts.section(f"*Now:* {request.plan.nothing}.")]
    moved = parts.diff_lines(request.plan.moved(request.observed))
    return parts.lines(["*When it was asked → now*", *(moved or ["Nothing differs any more."])])


def _lost(request: ChangeRequest) -> list[Block]:
    """The old values, for as long as mailcfg has or may have removed them, and nothing is in force."""
    plan, ended_badly = request.plan, request.state is State.CONFLICT
    if plan.base is None or request.step == 1 or not (ended_badly or _is_between(request)):
        return []
    said = [f"*{label}:* {code(value)}" for label, value in plan.old_values().items()]
    lines = parts.lines(["*The old configuration, as it was*", *said])
    _, record = plan.old_record() or ("", Record("", ""))
    return [*lines, *([parts.preformatted(record.value)] if record.value else [])]


def _buttons(request: ChangeRequest) -> list[ButtonElement]:
    details = parts.button(
        "details", "Details", request.id, label=f"Details of request #{request.number}"
    )
    what = f"request #{request.number}: {request.plan.title}"
    reject = parts.button("reject", "Reject…", request.id, style="danger", label=f"Reject {what}")
    withdraw = parts.button("withdraw", "Withdraw", request.id, label=f"Withdraw {what}")
    if request.state is State.PENDING:
        return [_approve_button(request, f"Approve {what}"), reject, details, withdraw]
    if request.state is State.APPROVED:
        return [reject, details, withdraw]
    if request.state is State.APPLIED and request.plan.writes:
        return [details, _undo_button(request, f"Undo {what}")]
    if request.state in REPEATABLE:
        again = parts.button("again", "Ask again", request.id, label=f"Ask again for {what}")
        return [details, again]
    return [details]


def _approve_button(request: ChangeRequest, label: str) -> ButtonElement:
    return parts.button(
        "approve",
        "Approve",
        request.id,
        style="primary",
        label=label,
        confirm=parts.confirmation(
            f"Approve #{request.number}?",
            request.plan.confirm_words(parts.CONFIRM_MAX),
            "Approve",
        ),
    )


def _undo_button(request: ChangeRequest, label: str) -> ButtonElement:
    return parts.button(
        "undo",
        "Undo",
        request.id,
        label=label,
        confirm=parts.confirmation(
            f"Undo #{request.number}?",
            "This asks others to approve setting back what it changed, as far as that can be "
            "done. Nothing changes before they have.",
            "Ask",
        ),
    )


def _footer(request: ChangeRequest, organisation: Organisation) -> str:
    words = [f"#{request.number}", *([escape(organisation.label)] if organisation.label else [])]
    if request.is_open:
        words.append(
            "Emergency? Change it in the Cliq admin panel; mailcfg will report it and ask for "
            "acceptance."
        )
    return " · ".join(words)


def sentence(request: ChangeRequest, needed: int) -> str:
    """The card in one sentence, for screen readers and notifications: no dates, no mentions."""
    return f"Request #{request.number} to {request.plan.title} {_verb(request, needed)}."


def _verb(request: ChangeRequest, needed: int) -> str:
    why = escape(request.end_reason.removesuffix("."))
    match request.state:
        case State.PENDING:
            return f"waits for approval: {len(request.approvals)} of {needed} so far"
        case State.APPROVED:
            return "is approved and will be applied"
        case State.APPLYING:
            doing = _applying(request)
            return f"is being applied: {doing[0].lower()}{doing[1:].removesuffix('.')}"
        case State.UNCERTAIN if request.has_removed:
            return f"is half-way: {BETWEEN}; mailcfg goes on"
        case State.UNCERTAIN if _is_about_to_remove(request):
            return f"is being applied: {REMOVING[0].lower()}{REMOVING[1:].removesuffix('.')}"
        case State.UNCERTAIN:
            return "has an unknown outcome; mailcfg keeps looking"
        case State.APPLIED:
            return "is in force"
        case State.REJECTED:
            return "is rejected; nothing was changed"
        case State.CANCELLED:
            return f"has ended: {why}; nothing was changed"
        case State.EXPIRED:
            return f"has expired: {why}; nothing was changed"
        case State.STALE:
            return f"is out of date: {why}; nothing was written"
        case State.FAILED:
            return f"failed: {why}; the configuration is unchanged"
        case State.CONFLICT:
            return f"needs a person: {why}"


def _sentence(words: str) -> str:
    """ "the base moved" → "The base moved."."""
    text = escape(words.strip())
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def thread_line(request: ChangeRequest, message: Message) -> Rendered:
    """What is added to the thread when a request moves; said once."""
    facts = message.facts
    head = _head(facts.get("head"))
    match message.kind:
        case "approved":
            given, needed = facts["given"], facts["needed"]
            who = user(str(facts["user"]))
            return parts.rendered(*_line(f"{who} approved #{request.number}: {given} of {needed}."))
        case "rejected":
            who, reason = user(str(facts["user"])), str(facts["reason"])
            text, blocks = _line(f"{who} rejected #{request.number}. Nothing was changed.")
            return parts.rendered(text, [*blocks, parts.quote(reason), *head])
        case "withdrawn":
            who = user(str(facts["user"]))
            text, blocks = _line(f"{who} withdrew #{request.number}. Nothing was changed.")
            return parts.rendered(text, [*blocks, *head])
        case "expired":
            why = _sentence(str(facts["why"]))
            text, blocks = _line(f"#{request.number} expired. {why} Nothing was changed.")
            return parts.rendered(text, [*blocks, *head])
        case _:
            return result_line(request, head)


def _head(head: str | None) -> list[Block]:
    """Where the audit ended with this move: whoever keeps it can tell a chain that was rewritten."""
    return [] if head is None else [parts.context(f"Audit head {code(head)}")]


def _line(text: str) -> tuple[str, list[Block]]:
    return text, [parts.section(text)]


def result_line(request: ChangeRequest, head: Sequence[Block] = ()) -> Rendered:
    """The end of a request, told once in its thread, with the record to publish where one is due."""
    text = f"#{request.number} {title(request)}. {standing(request, request.quorum)}"
    blocks: list[Block] = [parts.section(text), *_lost(request)]
    due = to_publish(request)
    if due is not None:
        domain, record = due
        blocks.append(
            parts.section(
                "*Publish this record now:* until DNS has it, receivers cannot check the DKIM "
                f"signature of mail from {code(domain)}. "
                "`/mailcfg dns` shows it again."
            )
        )
        blocks += parts.record_blocks(record)
    return parts.rendered(text, [*blocks, *head])


def to_publish(request: ChangeRequest) -> tuple[str, Record] | None:
    """The record that this change made necessary, if it brought another key, and whose mail waits."""
    is_in_force = request.state is State.APPLIED
    return request.plan.to_publish(request.observed) if is_in_force else None


def details(
    request: ChangeRequest, organisation: Organisation, head: AuditHead | None = None
) -> View:
    """Everything about a request, nothing shortened; for whoever may `show`."""
    blocks: list[Block] = [
        parts.section(f"*{title(request)}*\n{status(request, organisation.needed(request))}"),
        *_why_rejected(request),
        *[block for change in request.plan.diff() for block in parts.whole_diff(change)],
        parts.section("*Reason for asking*"),
        parts.quote(request.reason),
        *_preflight(request),
        *_key_before(request),
        parts.context(
            f"Asked by {user(request.requester.user)} {when(request.created_at)}",
            f"Approvals until {when(request.expires_at)}",
            f"Digest {code(request.digest[:16])}",
            f"Audit head {code(str(head))}" if head else "",
            escape(organisation.label),
        ),
    ]
    return View(
        type="modal",
        title=PlainTextObject(text=f"Request #{request.number}"),
        close=PlainTextObject(text="Close"),
        blocks=[block.to_dict() for block in blocks],
    )


def _key_before(request: ChangeRequest) -> list[Block]:
    said, record = request.plan.old_record() or ("", Record("", ""))
    if not record.name:
        return []
    return [
        parts.section(f"*DKIM record before* ({said})\n{code(record.name)}"),
        parts.preformatted(record.value),
    ]
