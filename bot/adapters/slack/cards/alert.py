"""The living alert: what is wrong with the sender, who holds what, what to do, and how it ended.

What was changed outside approval is said first, and the record of a key that nobody approved stands
below "Do not publish until accepted".
"""

from __future__ import annotations

from datetime import datetime

from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks.block_elements import InteractiveElement

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, clock, escape, when
from bot.domain.incident import AlertBody, Incident, Living, Outside, Saying
from bot.domain.mail_config import FieldChange, drift
from bot.domain.messages import AlertResolved, ChangedOutside
from bot.domain.sentences import span

WATCHED = "Fixed, being watched"
SERVERS_MAX = 12
SNOOZES = (("1h", "1 hour"), ("6h", "6 hours"), ("1d", "1 day"), ("1w", "1 week"))
"""What the menu calls the lengths of `alert.SNOOZES`, in their order."""
DO_NOT_PUBLISH = (
    "*Do not publish until accepted:* this key belongs to a configuration that nobody approved. Then "
    "keep the old record until Zoho has verified the new one."
)


def card(incident: Incident[Living], body: AlertBody) -> Rendered:
    if incident.resolved_at is None:
        return _open(incident, body)
    return _resolved(incident.opened_at, incident.resolved_at, body)


def _open(incident: Incident[Living], body: AlertBody) -> Rendered:
    head = body.heading or WATCHED
    blocks: list[Block] = [
        parts.header(head),
        *_outside(body),
        *_recovery(body),
        *parts.lines([_finding(said) for said in body.said]),
        *_unknown(body),
        *_servers(body),
        *_record(body),
        parts.actions(f"alert-{incident.id}", _elements(incident.id, body)),
        parts.context(*_foot(incident.opened_at, body)),
    ]
    return parts.rendered(f"{head}. {_spoken(body)}", blocks)


def _spoken(body: AlertBody) -> str:
    """The top-level text, for notifications and screen readers."""
    if body.outside is not None:
        labels = ", ".join(change.label for change in _changes(body.outside))
        return f"The sender was changed in Cliq: {labels}."
    return escape(body.said[0].sentence if body.said else f"{body.dns}.")


def _outside(body: AlertBody) -> list[Block]:
    if body.outside is None:
        return []
    since = f"#{body.outside.number}, {when(body.outside.approved_at)}"
    return [
        parts.section(f"{_who(body.late)}\n*Approved ({since}) → live*"),
        *(block for change in _changes(body.outside) for block in _drift_blocks(change)),
        parts.section(
            "Was it meant? Ask to accept it. If not, ask to restore what was approved. Both need "
            "approval. A DKIM key that was replaced cannot be brought back."
        ),
    ]


def _who(late: int | None) -> str:
    if late is None:
        return "Somebody changed the sender in Cliq without a request here."
    return (
        f"Probably an effect of #{late}, which ended without being in force: Zoho has carried out a "
        "write of it, perhaps after that was given up. Or somebody made the change in Cliq."
    )


def _changes(outside: Outside | ChangedOutside) -> tuple[FieldChange, ...]:
    return drift(outside.approved, outside.live)


def _drift_blocks(change: FieldChange) -> list[Block]:
    """A line, or both values in full where they are too long for one: there is no Details here."""
    if parts.is_long(change.old) or parts.is_long(change.new):
        return parts.whole_diff(change)
    return parts.lines(parts.diff_lines([change]))


def _recovery(body: AlertBody) -> list[Block]:
    """All is good, but not for long enough yet."""
    if body.is_bad:
        return []
    said = "What is live is approved again" if body.was_outside else "All is in order again"
    watched = f"; watching until {clock(body.ends_at)}." if body.ends_at else "."
    return [parts.section(f"*{said}*{watched}\n{escape(body.dns)}.")]


def _finding(said: Saying) -> str:
    todo = f"\n*To do:* {escape(said.fix)}" if said.fix else ""
    return f"{escape(said.sentence)}{todo}"


def _unknown(body: AlertBody) -> list[Block]:
    """The newest check found nothing out; what is above is what was known before it."""
    if not body.unknown:
        return []
    return [parts.section(f"*The last check found nothing out.* {escape(body.unknown)}")]


def _servers(body: AlertBody) -> list[Block]:
    """Where only the sender was changed, its record needs one line only."""
    lines = body.servers
    if not lines or not body.is_bad:
        return []
    if not body.said:
        return [parts.section(f"{escape(body.dns)}.")]
    shown = [f"• {escape(line)}" for line in lines[:SERVERS_MAX]]
    if len(lines) > SERVERS_MAX:
        shown.append(f"• and {len(lines) - SERVERS_MAX} more")
    return parts.lines(["*What each server holds*", *shown])


def _record(body: AlertBody) -> list[Block]:
    if body.record is None:
        return []
    words = "*The record to publish*" if body.is_approved else DO_NOT_PUBLISH
    return [parts.section(words), *parts.record_blocks(body.record)]


def _elements(incident_id: str, body: AlertBody) -> list[InteractiveElement]:
    """What can be done: check, wait, and the one thing that mends it; the rest behind three dots."""
    again = parts.button("check", "Check again", incident_id)
    # Before it is confirmed, and while all is good, there is no reminder to be silenced.
    may_remind = body.is_confirmed and body.is_bad
    waits = [parts.select("snooze", "Snooze…", SNOOZES)] if may_remind else []
    mends = _mending(body)
    first = [parts.button(action, label, incident_id) for action, label in mends[:1]]
    rest = [parts.overflow("more", mends[1:])] if mends[1:] else []
    return [again, *waits, *first, *rest]


def _mending(body: AlertBody) -> list[tuple[str, str]]:
    """(action, label), the likeliest first."""
    choices = []
    if body.outside is not None:
        choices += [("restore", "Restore approved…"), ("accept", "Accept change…")]
    if body.record is not None:
        choices.append(("record", "Show the record"))
    return choices


def _foot(opened_at: datetime, body: AlertBody) -> list[str]:
    checked = parts.checked(body.checked_at, body.next_at)
    age = span(body.checked_at - opened_at)
    foot = [f"First seen {when(opened_at)} · for {age} · {checked}"]
    if body.is_flapping:
        foot.append("It comes and goes, so only a daily reminder is sent until it stays away.")
    if body.snoozed_until is not None:
        foot.append(f"Reminders are snoozed until {when(body.snoozed_until)}.")
    return foot


def _resolved(opened_at: datetime, ended_at: datetime, body: AlertBody) -> Rendered:
    first, last = when(opened_at), when(ended_at)
    lasted = f"First seen {first} · resolved {last} · lasted {span(ended_at - opened_at)}"
    words = resolved_words(body)
    blocks = [parts.section(words), parts.context(escape(body.cause), lasted)]
    return parts.rendered(words.replace("*", ""), blocks)


def resolved_words(body: AlertBody | AlertResolved) -> str:
    """How an alert ended; DKIM is spoken of where the alert had come to be about more than drift."""
    said = []
    if body.was_outside:
        said.append("What is live is what was approved.")
    if body.is_confirmed or not said:
        said.append(escape(body.ended))
    return f"*Resolved:* {' '.join(said)}"


def _sentence(text: str) -> Rendered:
    return parts.rendered(text.replace("*", ""), [parts.section(text)])


def replaced() -> Rendered:
    return _sentence("*This alert is over.* mailcfg was updated; what is still wrong is told anew.")


def outside_line(body: ChangedOutside) -> Rendered:
    """The sender was changed once more, or while the alert was about something else."""
    labels = "; ".join(parts.diff_lines(_changes(body)))
    return _sentence(f"*Changed outside approval.* {labels}. The alert has what can be done.")
