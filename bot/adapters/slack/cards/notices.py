"""What is said once: lines in the thread of an alert, and notices in the alert channel."""

from __future__ import annotations

from bot.adapters.slack.cards import alert, parts
from bot.adapters.slack.cards.parts import Rendered, escape, when
from bot.domain.mail_config import FIELDS
from bot.domain.moment import from_stamp
from bot.domain.typed import VERIFIED
from bot.ports import Message


def thread_line(message: Message) -> Rendered:
    """What happened to an alert, in its thread."""
    facts = message.facts
    match message.kind:
        case "outside":
            return alert.outside_line(facts)
        case "alert_resolved":
            return _said(alert.resolved_words(facts))
        case "alert_opened":
            words = "Confirmed by a second check"
        case "alert_flapping":
            words = (
                "It comes and goes. From now on only a daily reminder is sent, until it has stayed "
                "away for long enough"
            )
        case "alert_changed":
            words = "Another cause by now"
        case _:
            words = f"Reminder: still so, since {when(from_stamp(facts['first_seen_at']))}"
    return _said(f"*{words}:* {escape(facts['heading'])}\n{escape(facts['said'])}")


def notice(message: Message) -> Rendered:
    """For the alert channel itself."""
    facts = message.facts
    match message.kind:
        case "outside":
            return alert.outside_line(facts)
        case "cannot_check":
            return _said(
                f"*mailcfg cannot check the sender.* {escape(facts['said'])}\nIt goes on trying, and "
                "says so once it can again."
            )
        case "checks_resumed":
            return _said(f"*The sender can be checked again.* {escape(facts['dns'])}.")
        case "unreadable":
            return _unreadable(message)
        case _:
            return _status(message)


def _status(message: Message) -> Rendered:
    """A status moved: that of DKIM by Zoho's own check, that of the CNAME by somebody's word."""
    facts = message.facts
    label = FIELDS[facts["field"]].label
    before, after = parts.status(facts["before"]), parts.status(facts["after"])
    words = f"*{label}:* {before} → {after}"
    at = when(from_stamp(facts["at"]))
    if facts["field"] == "dkim_status":
        said = f"Zoho changed the {words}, {at}. {_dns_part(message)}"
        plain = f"Zoho changed the {label} from {before} to {after}."
    else:
        said = f"Changed in Cliq, not through mailcfg: {words}, {at}."
        plain = f"The {label} was changed in Cliq from {before} to {after}."
    return parts.rendered(plain, [parts.section(said)])


def _dns_part(message: Message) -> str:
    facts = message.facts
    if facts.get("is_right"):
        rest = "" if facts["after"] == VERIFIED else " Nothing to publish; we keep watching."
        return f"The record in DNS is right.{rest}"
    return f"{escape(facts['dns'])}." if facts.get("dns") else ""


def _unreadable(message: Message) -> Rendered:
    text = (
        f"Request #{message.facts['number']} in the database cannot be read: its row was damaged."
    )
    todo = (
        "Nothing is sent for it, and nothing else can be asked for until it can be read again; the "
        "sender is watched all the same. Whoever runs mailcfg: stop it, see with `mailcfg audit "
        "verify` what is wrong, and put the database back from a backup. If nobody damaged it by "
        "mistake, somebody else can write to the database."
    )
    return parts.rendered(text, [parts.section(f"*{text}*\n{todo}")])


def _said(text: str) -> Rendered:
    return parts.rendered(text, [parts.section(text)])
