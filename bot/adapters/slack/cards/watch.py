"""The one line that says what is watched and how it stands; and which card shows which living message."""

from __future__ import annotations

from typing import assert_never

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import alert, checklist, parts
from bot.adapters.slack.cards.parts import Rendered, code, escape
from bot.domain.incident import (
    AlertBody,
    ChecklistBody,
    Incident,
    Living,
    ReplacedAlert,
    WatchLine,
)
from bot.domain.mail_config import MailConfig
from bot.domain.organisation import Organisation

NAMES = ("DKIM", "DMARC", "Zoho")


def card(incident: Incident[Living], organisation: Organisation) -> Rendered:
    """A living message, from its row."""
    match incident.body:
        case WatchLine() as line:
            return _watch(incident.id, line, organisation)
        case AlertBody() as body:
            return alert.card(incident, body)
        case ReplacedAlert():
            return alert.replaced()
        case ChecklistBody() as body:
            return checklist.card(body)
        case _:
            assert_never(incident.body)


def _watch(incident_id: str, line: WatchLine, organisation: Organisation) -> Rendered:
    live, number = line.live, line.number
    what = parts.sender(live) if live else "Cliq's system sender"
    text = f"Watching {what}: {_summary(line)}."
    blocks: list[Block] = [
        parts.section(f"*Watching* {_sender(live)}\n{_sentences(line)}"),
    ]
    if number is None:
        blocks.append(
            parts.section(
                "*Nothing is approved yet.* Approve what is live, and whatever differs from it "
                "later is reported here."
            )
        )
        blocks.append(
            parts.actions("watch", [parts.button("accept", "Approve as it is…", incident_id)])
        )
    approved = "Nothing approved yet" if number is None else f"Approved as #{number}"
    blocks.append(
        parts.context(
            f"{approved} · {parts.checked(line.checked_at, line.next_at)}",
            escape(organisation.label),
        )
    )
    return parts.rendered(text, blocks)


def _sender(live: MailConfig | None) -> str:
    if live is None:
        return "*Cliq's system sender*: no custom sender is set."
    return f"{code(live.email_id)} ({code(live.name)})"


def _summary(line: WatchLine) -> str:
    if line.error:
        return "the last check found nothing out"
    if line.is_drifted:
        return "changed outside approval"
    words = escape(line.dns or "checked")
    return words if words.startswith(NAMES) else words[0].lower() + words[1:]


def _sentences(line: WatchLine) -> str:
    said = []
    if line.error:
        said.append(f"*{escape(line.error)}*")
    if line.is_drifted:
        said.append("*Changed outside approval*; see the alert.")
    if line.live is not None:
        dkim, cname = parts.status(line.live.dkim_status), parts.status(line.live.cname_status)
        dns = f" · {escape(line.dns)}" if line.dns else ""
        said.append(f"DKIM {dkim} · CNAME {cname}{dns}")
    return "\n".join(said)
