"""The five things to try, each ticked by what really happened on the wires, not by having clicked here."""

from __future__ import annotations

from bot.sandbox import world
from bot.sandbox.page.journal import Journal
from bot.sandbox.slack.forms import elements
from bot.sandbox.slack.records import Message
from bot.sandbox.stage import Stage

APPROVE = "approve"
STEPS = ("ask", "refused", "approved", "published", "broken")


class Checklist:
    """What was done since it was made; a step once ticked stays so."""

    def __init__(self, stage: Stage, journal: Journal) -> None:
        self._stage = stage
        self._journal = journal
        self._looked_at = journal.revision
        self._began = self._newest()
        self._refused_after: str | None = None
        self._published_at: str | None = None
        self._done = dict.fromkeys(STEPS, False)

    def clicked(self, user: str, action: str) -> None:
        """Somebody used a button of a message."""
        if user in world.REQUESTERS and action == APPROVE:
            self._refused_after = self._newest()

    def look(self) -> dict[str, bool]:
        """Every step, and whether it is done."""
        for message in self._journal.changed_since(self._looked_at):
            if message.ts > self._began and message.user == world.BOT_USER_ID:
                self._consider(message)
        self._looked_at = self._journal.revision
        if self._done["approved"] and not self._done["published"] and self._zoho_is_content():
            self._done["published"] = True
            self._published_at = self._newest()
        return dict(self._done)

    def _consider(self, message: Message) -> None:
        """What a message of the bot, new or changed, proves."""
        signs = {
            "ask": _offers(message, APPROVE),
            "refused": self._is_refusal(message),
            "approved": self._is_in_force(message),
            "broken": self._is_alert(message),
        }
        for step, is_proved in signs.items():
            self._done[step] |= is_proved

    def _is_refusal(self, message: Message) -> bool:
        after = self._refused_after
        return after is not None and message.ts > after and message.ephemeral_to in world.REQUESTERS

    def _is_in_force(self, message: Message) -> bool:
        return message.channel == world.ADMIN_CHANNEL and _heading(message).startswith("In force")

    def _is_alert(self, message: Message) -> bool:
        """Told after the record was right: of the alert channel's messages, alerts have a heading."""
        after = self._published_at
        is_later = after is not None and message.ts > after
        return is_later and message.channel == world.ALERT_CHANNEL and bool(_heading(message))

    def _zoho_is_content(self) -> bool:
        """Zoho has found the DKIM record of the sender that is live."""
        live = self._stage.cliq.configuration
        return live is not None and live["dkim_status"] == "verified"

    def _newest(self) -> str:
        return max(
            (message.ts for message in self._stage.workspace.state.messages.values()), default="0"
        )


def _offers(message: Message, action: str) -> bool:
    return any(element["action_id"] == action for _, element in elements(message.blocks))


def _heading(message: Message) -> str:
    """The text of its first header block; empty if it has none."""
    headers = (block for block in message.blocks if block["type"] == "header")
    return next((str(block["text"]["text"]) for block in headers), "")
