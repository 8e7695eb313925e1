"""The one line that says what is watched and how it stands; and which card shows which living message."""

from __future__ import annotations

from typing import Any

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import alert, checklist, parts
from bot.adapters.slack.cards.parts import Rendered, code, escape
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import MailConfig
from bot.domain.organisation import Organisation

Facts = dict[str, Any]
NAMES = ("DKIM", "DMARC", "Zoho")


def card(incident: Incident, organisation: Organisation) -> Rendered:
    """A living message, from its row."""
    match incident.kind:
        case Kind.WATCH:
            return _watch(incident, organisation)
        case Kind.ALERT:
            return alert.card(incident)
        case Kind.CHECKLIST:
            return checklist.card(incident)


def _watch(incident: Incident, organisation: Organisation) -> Rendered:
    facts = incident.facts
    live = MailConfig.from_dict(facts["live"])
    number = facts["number"]
    what = parts.sender(live) if live else "Cliq's system sender"
    text = f"Watching {what}: {_summary(facts)}."
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
    blocks.append(parts.context(f"{approved} · {parts.checked(facts)}", escape(organisation.label)))
    return parts.rendered(text, blocks)


def _sender(live: MailConfig | None) -> str:
    if live is None:
        return "*Cliq's system sender*: no custom sender is set."
    return f"{code(live.email_id)} ({code(live.name)})"


def _summary(facts: Facts) -> str:
    if facts.get("error"):
        return "the last check found nothing out"
    if facts["is_drifted"]:
        return "changed outside approval"
    line = escape(facts.get("dns") or "checked")
    return line if line.startswith(NAMES) else line[0].lower() + line[1:]


def _sentences(facts: Facts, live: MailConfig | None) -> str:
    said = []
    if facts.get("error"):
        said.append(f"*{escape(facts['error'])}*")
    if facts["is_drifted"]:
        said.append("*Changed outside approval*; see the alert.")
    if live is not None:
        dkim, cname = parts.status(live.dkim_status), parts.status(live.cname_status)
        line = f" · {escape(facts['dns'])}" if facts.get("dns") else ""
        said.append(f"DKIM {dkim} · CNAME {cname}{line}")
    return "\n".join(said)
