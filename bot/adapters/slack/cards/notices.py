"""What is said once of the watch: lines in the thread of an alert, and notices in the alert channel."""

from __future__ import annotations

from slack_sdk.models.blocks import Block

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import Rendered, escape, when
from bot.domain import messages
from bot.domain.mail_config import FIELDS
from bot.domain.typed import VERIFIED

FLAPPING = (
    "It comes and goes. From now on only a daily reminder is sent, until it has stayed away for long "
    "enough"
)


def line(
    words: str,
    body: messages.AlertOpened
    | messages.AlertFlapping
    | messages.AlertChanged
    | messages.AlertReminder,
) -> Rendered:
    """What happened to an alert, in its thread."""
    return parts.sentence(f"*{words}:* {escape(body.heading)}\n{escape(body.said)}")


def cannot_check(said: str) -> Rendered:
    return parts.sentence(
        f"*mailcfg cannot check the sender.* {escape(said)}\nIt goes on trying, and says so once it "
        "can again."
    )


def status(body: messages.StatusMoved) -> Rendered:
    """A status moved: that of DKIM by Zoho's own check, that of the CNAME by somebody's word."""
    label = FIELDS[body.field].label
    before, after = parts.status(body.before), parts.status(body.after)
    words = f"*{label}:* {before} → {after}"
    if body.field == "dkim_status":
        said = f"Zoho changed the {words}, {when(body.at)}. {_dns_part(body)}"
        plain = f"Zoho changed the {label} from {before} to {after}."
    else:
        said = f"Changed in Cliq, not through mailcfg: {words}, {when(body.at)}."
        plain = f"The {label} was changed in Cliq from {before} to {after}."
    return parts.rendered(plain, [parts.section(said)])


def _dns_part(body: messages.StatusMoved) -> str:
    if body.is_right:
        rest = "" if body.after == VERIFIED else " Nothing to publish; we keep watching."
        return f"The record in DNS is right.{rest}"
    return f"{escape(body.dns)}." if body.dns else ""


def unreadable(number: int) -> Rendered:
    text = f"Request #{number} in the database cannot be read: its row was damaged."
    todo = (
        "Nothing is sent for it, and nothing else can be asked for until it can be read again; the "
        "sender is watched all the same. Whoever runs mailcfg: stop it, see with `mailcfg audit "
        "verify` what is wrong, and put the database back from a backup. If nobody damaged it by "
        "mistake, somebody else can write to the database."
    )
    return parts.rendered(text, [parts.section(f"*{text}*\n{todo}")])


def unknown_outcome(body: messages.UnknownOutcome, link: str | None) -> Rendered:
    """Nobody knows yet what a write did."""
    number = parts.numbered(body.number, link)
    said = [
        f"*Outcome unknown:* what {number} to {body.title} did in Cliq could not be found out since "
        f"{when(body.since)}.",
        "mailcfg goes on looking and sends nothing blindly. If Cliq or your token has a problem that "
        "you can mend, now is the time; its admin panel shows what is live.",
    ]
    blocks: list[Block] = [parts.section("\n".join(said))]
    if body.why:
        blocks.append(parts.context(escape(body.why)))
    return parts.rendered(f"What request #{body.number} did in Cliq is still unknown.", blocks)
