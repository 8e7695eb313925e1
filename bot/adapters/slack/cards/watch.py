"""What the watch says: the one living line, the two living alerts, and the one-time notices."""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Deployment, Rendered, clock, code, escape, stamp, when
from bot.domain.dkim import Publication, Record
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import VERIFIED, FieldChange, MailConfig, drift
from bot.ports import Message

Facts = dict[str, Any]


def card(incident: Incident, deployment: Deployment) -> Rendered:
    """A living message, from its row."""
    match incident.kind:
        case Kind.WATCH:
            return _watch(incident, deployment)
        case Kind.OUTSIDE:
            return _outside(incident)
        case Kind.RECORD:
            return _record(incident)


def _watch(incident: Incident, deployment: Deployment) -> Rendered:
    facts = incident.facts
    live = MailConfig.from_dict(facts["live"])
    number = facts["number"]
    what = parts.sender(live) if live else "Cliq's system sender"
    text = f"Watching {what}: {_summary(facts, live)}."
    blocks: list[Block] = [
        parts.section(f"*Watching* {_sender(live)}\n{_sentences(facts, live)}"),
    ]
    if number is None:
        blocks.append(
            parts.section(
                "*Nothing is approved yet.* Approve what is live, and whatever differs from it "
                "later is reported here."
            )
        )
        blocks.append(
            parts.actions("watch", [parts.button("accept", "Approve as it is…", incident.id)])
        )
    approved = "Nothing approved yet" if number is None else f"Approved as #{number}"
    blocks.append(parts.context(f"{approved} · {_checked(facts)}", escape(deployment.label)))
    return parts.rendered(text, blocks)


def _sender(live: MailConfig | None) -> str:
    if live is None:
        return "*Cliq's system sender*: no custom sender is set."
    return f"{code(live.email_id)} ({code(live.name)})"


def _summary(facts: Facts, live: MailConfig | None) -> str:
    if facts.get("error"):
        return "the last check could not be made"
    if facts["is_drifted"]:
        return "changed outside approval"
    if live is None:
        return "no custom sender is set"
    if facts["publication"] == Publication.RIGHT:
        zoho = live.dkim_status == VERIFIED
        return "in order" if zoho else "the DKIM record is right, waiting for Zoho"
    return _publication_words(facts["publication"])


def _sentences(facts: Facts, live: MailConfig | None) -> str:
    said = []
    if facts.get("error"):
        said.append(f"*The last check could not be made:* {escape(facts['error'])}")
    if facts["is_drifted"]:
        said.append("*Changed outside approval*; see the alert.")
    if live is not None:
        said.append(
            f"DKIM {_status(live.dkim_status)} · CNAME {_status(live.cname_status)} · "
            f"{_publication_words(facts['publication'])}"
        )
    return "\n".join(said)


def _status(status: str) -> str:
    """Zoho's word, as people say it."""
    return {"verified": "verified", "not_verified": "not verified"}.get(status, code(status))


def _publication_words(publication: str) -> str:
    return {
        Publication.RIGHT: "DKIM record published",
        Publication.MISSING: "DKIM record missing in DNS",
        Publication.DIFFERENT: "DNS holds another DKIM record",
    }.get(Publication(publication), "DKIM record could not be looked up")


def _checked(facts: Facts) -> str:
    checked, following = stamp(facts["checked_at"]), stamp(facts["next_at"])
    return f"Last checked {when(checked)}, next {clock(following)}"


def _outside(incident: Incident) -> Rendered:
    facts = incident.facts
    live, approved = MailConfig.from_dict(facts["live"]), MailConfig.from_dict(facts["approved"])
    if incident.resolved_at is not None:
        text = "Resolved: the live configuration is the approved one again."
        return parts.rendered(text, [parts.section(text), _seen(incident)])
    changes = drift(approved, live)
    since = f"#{facts['number']}, {when(stamp(facts['approved_at']))}"
    blocks: list[Block] = [
        parts.header("Changed outside approval"),
        parts.section(
            "Somebody changed the sender in Cliq without a request here.\n"
            f"*Approved ({since}) → live*"
        ),
        *(block for change in changes for block in _drift_blocks(change)),
        parts.section(
            "Was it meant? Ask to accept it. If not, ask to restore what was approved. Both need "
            "approval. A DKIM key that was replaced cannot be brought back."
        ),
        parts.actions(
            "outside",
            [
                parts.button("accept", "Accept change…", incident.id),
                parts.button("restore", "Restore approved…", incident.id),
            ],
        ),
        _seen(incident),
    ]
    labels = ", ".join(change.label for change in changes)
    text = f"The sender was changed in Cliq outside approval: {labels}."
    return parts.rendered(text, blocks)


def _drift_blocks(change: FieldChange) -> list[Block]:
    """A line, or both values in full where they are too long for one: there is no Details here."""
    if parts.is_long(change.old) or parts.is_long(change.new):
        return parts.whole_diff(change)
    return parts.lines(parts.diff_lines([change]))


def _record(incident: Incident) -> Rendered:
    facts = incident.facts
    if incident.resolved_at is not None:
        text = _resolved_words(facts)
        return parts.rendered(text, [parts.section(text), _seen(incident)])
    record = Record(facts["host"], facts["value"], facts["zone"])
    what, todo = _record_words(facts)
    blocks: list[Block] = [parts.header(what), parts.section(todo)]
    if facts["is_drifted"]:
        blocks.append(
            parts.section(
                "*Do not publish until accepted:* this key belongs to a configuration that nobody "
                "approved."
            )
        )
    blocks += [
        *parts.record_blocks(record),
        parts.context(_evidence(facts)),
        _seen(incident),
    ]
    text = f"{what} at {escape(facts['host'])}; this message has the record to publish."
    return parts.rendered(text, blocks)


def _record_words(facts: Facts) -> tuple[str, str]:
    host, sender = code(facts["host"]), code(facts["email_id"])
    if facts["publication"] == Publication.MISSING:
        zoho = facts["dkim_status"] == VERIFIED
        return (
            "DKIM record missing" if zoho else "DKIM record not published yet",
            f"There is no TXT record at {host}. Receivers cannot check the DKIM signature of mail "
            f"from {sender} until it is published.",
        )
    return (
        "DKIM record differs",
        f"{host} holds another record than the key that Zoho signs mail from {sender} with. Some "
        "receivers reject or ignore the signature. Replace it by this one.",
    )


def _resolved_words(facts: Facts) -> str:
    if facts.get("removed"):
        return "Resolved: no custom sender is set any more, so no DKIM record is needed."
    return f"Resolved: the DKIM record is published at {code(facts['host'])}. " + (
        "Zoho has verified it."
        if facts["dkim_status"] == VERIFIED
        else "Zoho has not verified it yet."
    )


def _evidence(facts: Facts) -> str:
    said = dict.fromkeys(f"{escape(a['server'])}: {_holds(a)}" for a in facts["answers"])
    return " · ".join(said) or "Nobody was asked"


def _holds(answer: Facts) -> str:
    if answer["values"] is None:
        return f"no answer ({escape(answer['problem'])})"
    count = len(answer["values"])
    if count == 0:
        return "no record"
    return "1 record" if count == 1 else f"{count} records"


def _seen(incident: Incident) -> Block:
    first = f"First seen {when(incident.opened_at)}"
    if incident.resolved_at is not None:
        return parts.context(f"{first} · resolved {when(incident.resolved_at)}")
    return parts.context(f"{first} · {_checked(incident.facts)}")


def thread_line(message: Message) -> Rendered:
    """What happened to a living alert, said once in its thread."""
    match message.kind:
        case "record_resolved":
            text = _resolved_words(message.facts)
        case "outside_resolved":
            text = "Resolved: the live configuration is the approved one again."
        case "record_changed":
            text = f"Changed: {_record_words(message.facts)[1]} The message above has the record."
        case _:
            text = "Changed again outside approval; the message above shows what is live now."
    return parts.rendered(text, [parts.section(text)])


def notice(message: Message) -> Rendered:
    """A status moved: that of DKIM by Zoho's own check, that of the CNAME by somebody's word.

    Or a stored request cannot be read.
    """
    facts = message.facts
    if message.kind == "unreadable":
        return _unreadable(facts)
    label = {"dkim_status": "DKIM status", "cname_status": "CNAME status"}[facts["field"]]
    before, after = _status(facts["before"]), _status(facts["after"])
    words = f"*{label}:* {before} → {after}"
    at = when(stamp(facts["at"]))
    if facts["field"] == "dkim_status":
        said = f"Zoho changed the {words}, {at}. {_dns_part(facts)}"
        plain = f"Zoho changed the {label} from {before} to {after}."
    else:
        said = f"Changed in Cliq, not through mailcfg: {words}, {at}."
        plain = f"The {label} was changed in Cliq from {before} to {after}."
    return parts.rendered(plain, [parts.section(said)])


def _unreadable(facts: Facts) -> Rendered:
    text = f"Request #{facts['number']} in the database cannot be read: its row was damaged."
    todo = (
        "Nothing is sent for it, and nothing else can be asked for until it can be read again; the "
        "sender is watched all the same. Whoever runs mailcfg: stop it, see with `mailcfg audit "
        "verify` what is wrong, and put the database back from a backup. If nobody damaged it by "
        "mistake, somebody else can write to the database."
    )
    return parts.rendered(text, [parts.section(f"*{text}*\n{todo}")])


def _dns_part(facts: Facts) -> str:
    if facts["publication"] == Publication.RIGHT:
        rest = "" if facts["after"] == VERIFIED else " Nothing to publish; we keep watching."
        return f"The record in DNS is right.{rest}"
    return f"{_publication_words(facts['publication'])}."
