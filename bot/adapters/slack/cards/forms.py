"""Modals: the form of `set`, and the note that a reject or a wish from a button needs."""

from __future__ import annotations

import json
import re
from typing import Any

from slack_sdk.models.blocks import (
    InputBlock,
    Option,
    PlainTextInputElement,
    PlainTextObject,
    StaticSelectElement,
)
from slack_sdk.models.blocks.blocks import Block
from slack_sdk.models.views import View

from bot.adapters.slack.cards import parts
from bot.adapters.slack.cards.parts import code
from bot.domain.mail_config import ASKABLE, Ask, MailConfig
from bot.domain.typed import REASON_MAX

INPUT_MAX = 3000
ERROR_MAX = 2000
KEEP = "keep"
"""The choice that leaves a field as it is."""


def loading(title: str) -> View:
    """Shown at once, since a trigger lives three seconds and the API may take longer."""
    return _modal(title, [parts.section("Reading the live configuration…")])


def closing(title: str, text: str) -> View:
    """What a form turns into when there is nothing more to fill in; `text` is plain words."""
    return _modal(title, [parts.section(parts.escape(text))])


def set_form(live: MailConfig | None, sealed_base: str) -> View:
    """The form of `set`, filled with what is live; `sealed_base` comes back with it."""
    blocks: list[Block] = [_asked(name, label, ask, live) for name, label, ask in ASKABLE]
    blocks.append(
        _text("reason", "Reason", "", most=REASON_MAX, multiline=True, hint="Approvers read it.")
    )
    return _modal(
        "Change the sender", blocks, submit="Ask", callback_id="set", metadata=sealed_base
    )


def _asked(name: str, label: str, ask: Ask, live: MailConfig | None) -> InputBlock:
    if not ask.choices:
        return _text(name, label, getattr(live, name) if live else "", most=ask.most)
    choices = [(KEEP, _as_it_is(name, live)), *ask.choices]
    return _select(name, label, choices, hint=ask.hint)


def _as_it_is(name: str, live: MailConfig | None) -> str:
    """What it is to leave a field as it is."""
    if name == "dkim_key_size":
        bits = live.dkim_bits if live else None
        return f"As it is ({bits} bits)" if bits else "As Zoho chooses"
    return f"As it is ({getattr(live, name).replace('_', ' ')})"[:75] if live else "not verified"


def note(kind: str, title: str, text: str, submit: str, **carried: str) -> View:
    """A reason, asked for after a click; `carried` comes back with it."""
    return _modal(
        title,
        [
            parts.section(text),
            _text("reason", "Reason", "", most=REASON_MAX, multiline=True),
        ],
        submit=submit,
        callback_id=kind,
        metadata=json.dumps(carried),
    )


def reject_note(number: int, title: str, request_id: str) -> View:
    return note(
        "reject",
        f"Reject #{number}",
        f"Reject the request to {title}? One rejection ends it.",
        "Reject",
        request=request_id,
    )


def accept_note(channel: str) -> View:
    return note(
        "accept",
        "Accept what is live",
        "This asks others to approve the live configuration as it is. Nothing is written to Cliq.",
        "Ask",
        channel=channel,
    )


def restore_note(channel: str, address: str) -> View:
    return note(
        "restore",
        "Restore approved",
        f"This asks others to approve setting the sender back to {code(address)}. A DKIM key that "
        "was replaced cannot be brought back.",
        "Ask",
        channel=channel,
    )


def beside(sentence: str) -> str:
    """A sentence as it stands beside a field, where Slack shows plain text: no code, but quotes."""
    return re.sub(r"`([^`]*)`", r"“\1”", sentence)[:ERROR_MAX]


def values(view: dict[str, Any]) -> dict[str, str]:
    """What was typed and chosen in a submitted form, by field; what was left as it is, is absent."""
    found = {}
    for block in view["state"]["values"].values():
        for field, state in block.items():
            choice = state.get("selected_option")
            value = choice["value"] if choice else state.get("value")
            if value and value != KEEP:
                found[field] = str(value)
    return found


def _modal(
    title: str,
    blocks: list[Block],
    *,
    submit: str | None = None,
    callback_id: str | None = None,
    metadata: str | None = None,
) -> View:
    return View(
        type="modal",
        title=PlainTextObject(text=parts.clamp(title, 24)),
        submit=PlainTextObject(text=submit) if submit else None,
        close=PlainTextObject(text="Cancel" if submit else "Close"),
        callback_id=callback_id,
        private_metadata=metadata,
        blocks=[block.to_dict() for block in blocks],
    )


def _text(
    field: str, label: str, value: str, *, most: int, multiline: bool = False, hint: str = ""
) -> InputBlock:
    return InputBlock(
        block_id=field,
        label=PlainTextObject(text=label),
        hint=PlainTextObject(text=hint) if hint else None,
        element=PlainTextInputElement(
            action_id=field,
            initial_value=parts.clamp(value, INPUT_MAX) or None,
            multiline=multiline or None,
            max_length=min(max(most, len(value)), INPUT_MAX),
        ),
    )


def _select(field: str, label: str, choices: list[tuple[str, str]], *, hint: str) -> InputBlock:
    options = [Option(value=value, label=text) for value, text in choices]
    return InputBlock(
        block_id=field,
        label=PlainTextObject(text=label),
        hint=PlainTextObject(text=hint),
        element=StaticSelectElement(action_id=field, options=options, initial_option=options[0]),
    )
