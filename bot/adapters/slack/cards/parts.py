"""The parts that cards are built from: escaped text, dates, code, buttons, and Slack's limits.

Whatever a person typed or an API returned passes through `escape` or stands in `plain` text, so it
can neither mention anyone nor become a link. Limits: docs.slack.dev/reference/block-kit.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from slack_sdk.models.blocks import (
    ActionsBlock,
    Block,
    ButtonElement,
    ConfirmObject,
    ContextBlock,
    HeaderBlock,
    MarkdownTextObject,
    Option,
    OverflowMenuElement,
    PlainTextObject,
    RichTextBlock,
    RichTextElementParts,
    RichTextPreformattedElement,
    RichTextQuoteElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.blocks.block_elements import InteractiveElement

from bot.domain.change import from_milliseconds
from bot.domain.dkim import Record
from bot.domain.mail_config import FieldChange, MailConfig

SECTION_MAX = 3000
HEADER_MAX = 150
CONFIRM_MAX = 300
VALUE_MAX = 400
"""Characters of one value on a card, as Slack counts them; longer ones are whole elsewhere."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that change how text looks without being seen themselves."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message: `text` is a whole sentence, for notifications and screen readers."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Deployment:
    """What every card says about where it comes from."""

    org: str
    label: str = ""
    data_center: str = "us"
    command: str = "/mailcfg"


def rendered(text: str, blocks: Sequence[Block]) -> Rendered:
    return Rendered(clamp_escaped(text, SECTION_MAX), tuple(block.to_dict() for block in blocks))


def escape(text: str) -> str:
    """Slack's three control characters (docs.slack.dev/messaging/formatting-message-text)."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def clamp(text: str, most: int, rest: str = "…") -> str:
    return text if len(text) <= most else text[: most - len(rest)] + rest


def clamp_escaped(text: str, most: int, rest: str = "…") -> str:
    """The same for escaped text, which is never cut inside an entity or a `<token>`."""
    if len(text) <= most:
        return text
    return _DANGLING.sub("", text[: most - len(rest)]) + rest


_DANGLING = re.compile(r"(?:&[a-z]{0,3}|<[^>]*)\Z")


def visible(text: str) -> str:
    """A value in one line: what would be unseen, or reverse what is read, is spelt out."""
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in UNSEEN else c for c in text)


def code(text: str, rest: str = "…") -> str:
    """A value in monospace, never interpreted; `rest` ends one that is too long to be shown."""
    shown = escape(visible(text).replace("`", "ˋ"))
    return f"`{clamp_escaped(shown, VALUE_MAX, rest)}`" if text else "–"


def is_long(value: str | None) -> bool:
    """Whether `code` would shorten it."""
    return value is not None and len(escape(visible(value))) > VALUE_MAX


def user(user_id: str) -> str:
    return f"<@{user_id}>"


def when(at: datetime | None) -> str:
    """A time in the reader's own zone, and in UTC where that cannot be shown."""
    return _date(at, "{date_short_pretty} at {time}")


def ago(at: datetime | None) -> str:
    """How long ago it was, counted by Slack whenever somebody looks."""
    return _date(at, "{ago}")


def clock(at: datetime | None) -> str:
    return _date(at, "{time}")


def _date(at: datetime | None, form: str) -> str:
    if at is None:
        return "never"
    return f"<!date^{int(at.timestamp())}^{form}|{at:%Y-%m-%d %H:%M} UTC>"


def stamp(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else from_milliseconds(milliseconds)


def header(text: str) -> HeaderBlock:
    return HeaderBlock(text=PlainTextObject(text=clamp(text, HEADER_MAX), emoji=False))


def section(text: str, **more: Any) -> SectionBlock:
    """mrkdwn without Slack's own guessing of links and names."""
    return SectionBlock(text=mrkdwn(text), **more)


def mrkdwn(text: str) -> MarkdownTextObject:
    return MarkdownTextObject(text=clamp_escaped(text, SECTION_MAX), verbatim=True)


def sender(live: MailConfig) -> str:
    """A sender in a sentence of plain words."""
    name, address = (
        clamp_escaped(escape(visible(value)), VALUE_MAX) for value in (live.name, live.email_id)
    )
    return f"{name} &lt;{address}&gt;"


def lines(texts: Sequence[str]) -> list[Block]:
    """Sections with one line for each text, as many as Slack's limit makes necessary."""
    sections: list[str] = []
    for text in texts:
        if sections and len(sections[-1]) + 1 + len(text) <= SECTION_MAX:
            sections[-1] += f"\n{text}"
        else:
            sections.append(text)
    return [section(text) for text in sections]


def context(*texts: str) -> ContextBlock:
    return ContextBlock(elements=[mrkdwn(text) for text in texts if text])


def preformatted(text: str) -> RichTextBlock:
    """A block that is copied exactly as it stands."""
    return RichTextBlock(
        elements=[
            RichTextPreformattedElement(elements=[RichTextElementParts.Text(text=text or " ")])
        ]
    )


def quote(text: str) -> RichTextBlock:
    """What a person wrote, uninterpreted."""
    return RichTextBlock(
        elements=[
            RichTextQuoteElement(
                elements=[RichTextElementParts.Text(text=clamp(text, SECTION_MAX))]
            )
        ]
    )


def button(
    action_id: str,
    text: str,
    value: str,
    *,
    label: str = "",
    style: str | None = None,
    confirm: ConfirmObject | None = None,
) -> ButtonElement:
    return ButtonElement(
        text=PlainTextObject(text=text, emoji=False),
        action_id=action_id,
        value=value,
        style=style,
        confirm=confirm,
        accessibility_label=clamp(label or text, 75),
    )


def select(
    action_id: str, placeholder: str, options: Sequence[tuple[str, str]]
) -> InteractiveElement:
    """A menu that shows what it is for; `options` are (value, label)."""
    return StaticSelectElement(
        action_id=action_id,
        placeholder=PlainTextObject(text=placeholder, emoji=False),
        options=_options(options),
    )


def overflow(action_id: str, options: Sequence[tuple[str, str]]) -> InteractiveElement:
    """A menu behind three dots; `options` are (value, label)."""
    return OverflowMenuElement(action_id=action_id, options=_options(options))


def _options(options: Sequence[tuple[str, str]]) -> list[Option]:
    return [Option(value=value, text=PlainTextObject(text=label)) for value, label in options]


def actions(block_id: str, elements: Sequence[InteractiveElement]) -> ActionsBlock:
    return ActionsBlock(block_id=block_id, elements=list(elements))


def confirmation(title: str, text: str, confirm: str, *, style: str = "primary") -> ConfirmObject:
    return ConfirmObject(
        title=PlainTextObject(text=clamp(title, 100)),
        text=PlainTextObject(text=clamp(text, CONFIRM_MAX)),
        confirm=PlainTextObject(text=clamp(confirm, 30)),
        deny=PlainTextObject(text="Back"),
        style=style,
    )


def checked(facts: Mapping[str, Any]) -> str:
    """When a living message of the watch was last brought up to date, and will be next."""
    return f"Last checked {ago(stamp(facts['checked_at']))}, next {clock(stamp(facts['next_at']))}"


def status(word: str) -> str:
    """Zoho's word for a status, as people say it."""
    return {"verified": "verified", "not_verified": "not verified"}.get(word, code(word))


def diff_lines(changes: Sequence[FieldChange]) -> list[str]:
    """One line for each change; a long value is shortened and says that Details has it whole."""
    return [_diff_line(change) for change in changes]


def _diff_line(change: FieldChange) -> str:
    return f"*{change.label}:* {_side(change.old)} → {_side(change.new)}"


def _side(value: str | None) -> str:
    return "not set" if value is None else code(value, "… (Details)")


def whole_diff(change: FieldChange) -> list[Block]:
    """One change with both values in full, however long they are."""
    old, new = (
        "not set" if value is None else visible(value) for value in (change.old, change.new)
    )
    return [section(f"*{change.label}*"), preformatted(f"from  {old}\nto    {new}")]


def record_blocks(record: Record) -> list[Block]:
    """The record in three forms, each ready to be copied."""
    relative = record.relative_name
    name = relative or record.name
    full = (
        f"If your panel wants full names: {code(record.name)}"
        if relative
        else "Your panel may append the zone by itself."
    )
    return [
        section(f"*Name*, type TXT, TTL 3600. {full}"),
        preformatted(name),
        section("*Value* in one piece, for panels that split by themselves:"),
        preformatted(record.value),
        section(
            "*Value* in strings of at most 255 bytes, for zone files and panels that do not "
            "split. The quotes belong to the notation, not to the value:"
        ),
        preformatted(record.split),
    ]
