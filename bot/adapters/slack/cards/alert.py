"""The living alert: what is wrong with the sender, who holds what, what to do, and how it ended.

What was changed outside approval is said first, and the record of a key that nobody approved stands
below "Do not publish until accepted".
"""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks.block_elements import InteractiveElement

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, clock, escape, when
from bot.domain.dkim import Record
from bot.domain.incident import Incident
from bot.domain.mail_config import FieldChange, MailConfig, drift
from bot.domain.moment import from_stamp
from bot.domain.sentences import span

Facts = dict[str, Any]
WATCHED = "Fixed, being watched"
SERVERS_MAX = 12
SNOOZES = (("1h", "1 hour"), ("6h", "6 hours"), ("1d", "1 day"), ("1w", "1 week"))
"""What the menu calls the lengths of `alert.SNOOZES`, in their order."""
DO_NOT_PUBLISH = (
    "*Do not publish until accepted:* this key belongs to a configuration that nobody approved. Then "
    "keep the old record until Zoho has verified the new one."
)


def card(incident: Incident) -> Rendered:
    if incident.facts.get("is_replaced"):
        return _sentence(
            "*This alert is over.* mailcfg was updated; what is still wrong is told anew."
        )
    return _open(incident) if incident.resolved_at is None else _resolved(incident)


def _open(incident: Incident) -> Rendered:
    facts = incident.facts
    head = facts["heading"] or WATCHED
    blocks: list[Block] = [
        parts.header(head),
        *_outside(facts),
        *_recovery(facts),
        *_findings(facts),
        *_unknown(facts),
        *_servers(facts),
        *_record(facts),
        parts.actions(f"alert-{incident.id}", _elements(incident)),
        parts.context(*_foot(incident)),
    ]
    return parts.rendered(f"{head}. {_spoken(facts)}", blocks)


def _spoken(facts: Facts) -> str:
    """The top-level text, for notifications and screen readers."""
    if facts["is_outside"]:
        return f"The sender was changed in Cliq: {', '.join(c.label for c in _changes(facts))}."
    said = facts["said"][0]["sentence"] if facts["said"] else f"{facts['dns']}."
    return escape(said)


def _outside(facts: Facts) -> list[Block]:
    if not facts["is_outside"]:
        return []
    since = f"#{facts['number']}, {when(from_stamp(facts['approved_at']))}"
    return [
        parts.section(f"{_who(facts)}\n*Approved ({since}) → live*"),
        *(block for change in _changes(facts) for block in _drift_blocks(change)),
        parts.section(
            "Was it meant? Ask to accept it. If not, ask to restore what was approved. Both need "
            "approval. A DKIM key that was replaced cannot be brought back."
        ),
    ]


def _who(facts: Facts) -> str:
    late = facts.get("late")
    if late is None:
        return "Somebody changed the sender in Cliq without a request here."
    return (
        f"Probably an effect of #{late}, which ended without being in force: Zoho has carried out a "
        "write of it, perhaps after that was given up. Or somebody made the change in Cliq."
    )


def _changes(facts: Facts) -> tuple[FieldChange, ...]:
    return drift(MailConfig.from_dict(facts["approved"]), MailConfig.from_dict(facts["live"]))


def _drift_blocks(change: FieldChange) -> list[Block]:
    """A line, or both values in full where they are too long for one: there is no Details here."""
    if parts.is_long(change.old) or parts.is_long(change.new):
        return parts.whole_diff(change)
    return parts.lines(parts.diff_lines([change]))


def _recovery(facts: Facts) -> list[Block]:
    """All is good, but not for long enough yet."""
    if facts["is_bad"]:
        return []
    until = from_stamp(facts["ends_at"])
    said = "All is in order again"
    if facts.get("was_outside"):
        said = "What is live is approved again"
    watched = f"; watching until {clock(until)}." if until else "."
    return [parts.section(f"*{said}*{watched}\n{escape(facts['dns'])}.")]


def _findings(facts: Facts) -> list[Block]:
    return parts.lines([_finding(said) for said in facts["said"]])


def _finding(said: dict[str, str]) -> str:
    todo = f"\n*To do:* {escape(said['fix'])}" if said["fix"] else ""
    return f"{escape(said['sentence'])}{todo}"


def _unknown(facts: Facts) -> list[Block]:
    """The newest check found nothing out; what is above is what was known before it."""
    said = facts.get("unknown")
    return [parts.section(f"*The last check found nothing out.* {escape(said)}")] if said else []


def _servers(facts: Facts) -> list[Block]:
    """Where only the sender was changed, its record needs one line only."""
    lines = facts["servers"]
    if not lines or not facts["is_bad"]:
        return []
    if not facts["said"]:
        return [parts.section(f"{escape(facts['dns'])}.")]
    shown = [f"• {escape(line)}" for line in lines[:SERVERS_MAX]]
    if len(lines) > SERVERS_MAX:
        shown.append(f"• and {len(lines) - SERVERS_MAX} more")
    return parts.lines(["*What each server holds*", *shown])


def _record(facts: Facts) -> list[Block]:
    if facts["record"] is None:
        return []
    words = "*The record to publish*" if facts["is_approved"] else DO_NOT_PUBLISH
    return [parts.section(words), *parts.record_blocks(Record(**facts["record"]))]


def _elements(incident: Incident) -> list[InteractiveElement]:
    """What can be done: check, wait, and the one thing that mends it; the rest behind three dots."""
    facts = incident.facts
    again = parts.button("check", "Check again", incident.id)
    waits = [parts.select("snooze", "Snooze…", SNOOZES)] if _may_remind(facts) else []
    mends = _mending(facts)
    first = [parts.button(action, label, incident.id) for action, label in mends[:1]]
    rest = [parts.overflow("more", mends[1:])] if mends[1:] else []
    return [again, *waits, *first, *rest]


def _may_remind(facts: Facts) -> bool:
    """Before it is confirmed, and while all is good, there is no reminder to be silenced."""
    return bool(facts["is_confirmed"] and facts["is_bad"])


def _mending(facts: Facts) -> list[tuple[str, str]]:
    """(action, label), the likeliest first."""
    choices = []
    if facts["is_outside"]:
        choices += [("restore", "Restore approved…"), ("accept", "Accept change…")]
    if facts["record"] is not None:
        choices.append(("record", "Show the record"))
    return choices


def _foot(incident: Incident) -> list[str]:
    facts = incident.facts
    age = span(from_stamp(facts["checked_at"]) - incident.opened_at)  # type: ignore[operator]
    foot = [f"First seen {when(incident.opened_at)} · for {age} · {parts.checked(facts)}"]
    if facts["is_flapping"]:
        foot.append("It comes and goes, so only a daily reminder is sent until it stays away.")
    if facts["snoozed_until"] is not None:
        foot.append(f"Reminders are snoozed until {when(from_stamp(facts['snoozed_until']))}.")
    return foot


def _resolved(incident: Incident) -> Rendered:
    facts, ended = incident.facts, incident.resolved_at
    assert ended is not None
    cause = escape(facts.get("cause") or "")
    first, last = when(incident.opened_at), when(ended)
    lasted = f"First seen {first} · resolved {last} · lasted {span(ended - incident.opened_at)}"
    words = resolved_words(facts)
    return parts.rendered(
        words.replace("*", ""),
        [parts.section(words), parts.context(cause, lasted)],
    )


def resolved_words(facts: Facts) -> str:
    """How an alert ended; DKIM is spoken of where the alert had come to be about more than drift."""
    said = []
    if facts.get("was_outside"):
        said.append("What is live is what was approved.")
    if facts.get("is_confirmed") or not said:
        said.append(escape(facts["ended"]))
    return f"*Resolved:* {' '.join(said)}"


def _sentence(text: str) -> Rendered:
    return parts.rendered(text.replace("*", ""), [parts.section(text)])


def outside_line(facts: Facts) -> Rendered:
    """The sender was changed once more, or while the alert was about something else."""
    labels = "; ".join(parts.diff_lines(_changes(facts)))
    return _sentence(f"*Changed outside approval.* {labels}. The alert has what can be done.")
