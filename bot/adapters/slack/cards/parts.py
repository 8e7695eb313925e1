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
    RichTextElement,
    RichTextElementParts,
    RichTextListElement,
    RichTextPreformattedElement,
    RichTextQuoteElement,
    RichTextSectionElement,
    SectionBlock,
    StaticSelectElement,
)
from slack_sdk.models.blocks.block_elements import InteractiveElement

from bot.domain.dkim import Record
from bot.domain.mail_config import FIELDS, MailConfig
from bot.domain.moment import from_stamp
from bot.domain.plan import Change
from bot.domain.policy import is_group
from bot.domain.report import Form, record_forms

SECTION_MAX = 3000
HEADER_MAX = 150
CONFIRM_MAX = 300
VALUE_MAX = 400
"""Characters of one value on a card, as Slack counts them; longer ones are whole elsewhere."""
BULLETS_MAX, BULLET_MAX = 12, 300
"""Lines of a list and characters of a line; a hostile zone could have a great many."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of characters that change how text looks without being seen themselves."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message: `text` is a whole sentence, for notifications and screen readers."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()


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
    """A person, or a usergroup where the id is one's."""
    return f"<!subteam^{user_id}>" if is_group(user_id) else f"<@{user_id}>"


def elsewhere(content: Rendered, channel: str) -> Rendered:
    """The same, with the reason why it does not stand in `channel`, where it belongs."""
    said = (
        f"This belongs in <#{channel}> (`{channel}`), where mailcfg cannot post any more. Whoever "
        "runs mailcfg should let it in again, or give it another channel."
    )
    text = f"{content.text} It belongs in channel {channel}, where mailcfg cannot post any more."
    return Rendered(text, (*content.blocks, context(said).to_dict()))


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


def prose(*lines: tuple[str, str]) -> RichTextSectionElement:
    """Sentences of ours that quote what comes from outside, so nothing in them is interpreted.

    Each line is a bold lead and its text, either of which may be empty. Backticks in a text set what
    they enclose in monospace.
    """
    words: list[RichTextElement] = []
    for lead, text in lines:
        words += [_word("\n")] if words else []
        words += [_word(lead, _BOLD)] if lead else []
        pieces = clamp(visible(text), SECTION_MAX).split("`")
        words += [_word(p, _CODE if n % 2 else None) for n, p in enumerate(pieces) if p]
    return RichTextSectionElement(elements=words)


def _word(
    text: str, style: RichTextElementParts.TextStyle | None = None
) -> RichTextElementParts.Text:
    return RichTextElementParts.Text(text=text, style=style)


def bullets(texts: Sequence[str]) -> RichTextListElement:
    """Lines from outside, uninterpreted; of too many the first, and how many there are more."""
    shown = [clamp(visible(text), BULLET_MAX) for text in texts[:BULLETS_MAX]]
    if len(texts) > BULLETS_MAX:
        shown.append(f"… and {len(texts) - BULLETS_MAX} more")
    items = [RichTextSectionElement(elements=[_word(text)]) for text in shown]
    return RichTextListElement(style="bullet", elements=items)


def rich(*elements: RichTextElement) -> RichTextBlock:
    return RichTextBlock(elements=list(elements))


_BOLD = RichTextElementParts.TextStyle(bold=True)
_CODE = RichTextElementParts.TextStyle(code=True)


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
    return f"Last checked {ago(from_stamp(facts['checked_at']))}, next {clock(from_stamp(facts['next_at']))}"


def field(name: str, live: MailConfig) -> str:
    """One field of a configuration, by the API's name of it."""
    value = FIELDS[name].shown(live) or ""
    if name.endswith("status"):
        shown = status(value)
    else:
        shown = escape(value or "none") if name == "dkim_value" else code(value)
    return f"*{FIELDS[name].label}:* {shown}"


def status(word: str) -> str:
    """Zoho's word for a status, as people say it."""
    return {"verified": "verified", "not_verified": "not verified"}.get(word, code(word))


def diff_lines(changes: Sequence[Change]) -> list[str]:
    """One line for each change; a long value is shortened and says that Details has it whole."""
    return [_diff_line(change) for change in changes]


def _diff_line(change: Change) -> str:
    return f"*{change.label}:* {_side(change.old)} → {_side(change.new)}"


def _side(value: str | None) -> str:
    return "not set" if value is None else code(value, "… (Details)")


def whole_diff(change: Change) -> list[Block]:
    """One change with both values in full, however long they are."""
    old, new = (
        "not set" if value is None else visible(value) for value in (change.old, change.new)
    )
    return [section(f"*{change.label}*"), preformatted(f"from  {old}\nto    {new}")]


def record_blocks(record: Record) -> list[Block]:
    """The record in every form, each ready to be copied."""
    return [block for form in record_forms(record) for block in _form(form)]


def _form(form: Form) -> list[Block]:
    return [section(f"*{form.what}*, {escape(form.note)}:"), preformatted(form.text)]
