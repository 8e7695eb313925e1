"""Messages and forms as a person reads them, in plain text: mentions by name, dates in UTC, buttons in
brackets. For transcripts and tests; nothing here decides anything.

Markup is that of https://docs.slack.dev/messaging/formatting-message-text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.sandbox.slack.records import Channel, Json, Message, User, Usergroup, View

_TOKEN = re.compile(r"<([^<>]+)>")
_BEFORE, _AFTER = r"(?<![^\s(\[>*_~])", r"(?![^\s.,;:!?)\]*_~])"
_MARKS = [
    re.compile(rf"{_BEFORE}{mark}(?=\S)([^\n]*?\S){mark}{_AFTER}") for mark in (r"\*", "_", "~")
]
_CODE = re.compile(r"```\n?(.*?)\n?```|`([^`\n]+)`", re.DOTALL)
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


@dataclass(frozen=True)
class Reader:
    """Whose names to show, and what time it is when the text is read."""

    users: Mapping[str, User]
    channels: Mapping[str, Channel]
    now: datetime
    usergroups: Mapping[str, Usergroup] = field(default_factory=dict)

    def message(self, message: Message) -> str:
        """The blocks, or the text where there are none, and what Slack adds below."""
        lines = [self._block(block) for block in message.blocks] or [self.mrkdwn(message.text)]
        if message.marker:
            lines.append(f"⚠ {message.marker}")
        return "\n".join(line for line in lines if line)

    def view(self, view: View) -> str:
        buttons = [view.content.get(part) for part in ("submit", "close")]
        labels = [f"[{button['text']}]" for button in buttons if button]
        lines = [view.title]
        for block in view.blocks:
            lines.append(self._block(block))
            if block["block_id"] in view.errors:
                lines.append(f"⚠ {view.errors[block['block_id']]}")
        return "\n".join([*lines, " ".join(labels)]).strip()

    def mrkdwn(self, text: str) -> str:
        """Slack's markup without its signs; what stands in code is left as it is."""
        parts, end = [], 0
        for code in _CODE.finditer(text):
            parts += [self._prose(text[end : code.start()]), self._verbatim(code)]
            end = code.end()
        return "".join([*parts, self._prose(text[end:])])

    def _prose(self, text: str) -> str:
        for mark in _MARKS:
            text = mark.sub(r"\1", text)
        return _unescape(_TOKEN.sub(self._token, text))

    def _verbatim(self, code: re.Match[str]) -> str:
        return _unescape(_TOKEN.sub(self._token, code[1] or code[2] or ""))

    def _token(self, found: re.Match[str]) -> str:
        body, _, label = found[1].partition("|")
        if body.startswith("@"):
            return self._mention(body[1:], label)
        if body.startswith("#"):
            channel = self.channels.get(body[1:])
            return "#" + (channel.name if channel else label or body[1:])
        if body.startswith("!"):
            return self._special(body[1:], label)
        return _link(body, label)

    def _mention(self, user_id: str, label: str) -> str:
        user = self.users.get(user_id)
        return "@" + (user.first_name if user else label or user_id)

    def _special(self, body: str, label: str) -> str:
        name, *arguments = body.split("^")
        if name == "date":
            return self._date(arguments, fallback=label)
        if name == "subteam":
            group = self.usergroups.get(arguments[0])
            return f"@{group.handle}" if group else label or f"@{arguments[0]}"
        return f"@{name}"

    def _date(self, arguments: list[str], *, fallback: str) -> str:
        try:
            moment = datetime.fromtimestamp(int(arguments[0]), UTC)
        except (ValueError, IndexError, OverflowError, OSError):
            return fallback
        pattern = arguments[1] if len(arguments) > 1 else ""
        return re.sub(r"{(\w+)}", lambda part: self._date_part(part, moment), pattern)

    def _date_part(self, part: re.Match[str], moment: datetime) -> str:
        name = part[1]
        if name.endswith("_pretty"):
            near = _near_day(moment, self.now)
            name = name.removesuffix("_pretty")
            if near:
                return near
        if name == "ago":
            return _ago(self.now - moment)
        return _date_parts(moment).get(name, part[0])

    def _block(self, block: Json) -> str:
        match block["type"]:
            case "divider":
                return "----"
            case "section":
                return self._section(block)
            case "context":
                return " ".join(self._text(element) for element in block["elements"])
            case "actions":
                return " ".join(self._element(element) for element in block["elements"])
            case "input":
                return f"{block['label']['text']}: {self._element(block['element'])}"
            case "rich_text":
                parts = (self._rich_text(part).strip("\n") for part in block["elements"])
                return "\n".join(parts).strip()
            case _:
                return self._text(block["text"])

    def _section(self, section: Json) -> str:
        parts = [section.get("text"), *section.get("fields", [])]
        lines = [self._text(part) for part in parts if part]
        if "accessory" in section:
            lines.append(self._element(section["accessory"]))
        return "\n".join(lines)

    def _text(self, text: Json) -> str:
        return self.mrkdwn(text["text"]) if text["type"] == "mrkdwn" else str(text["text"])

    def _element(self, element: Json) -> str:
        if element["type"] == "button":
            return f"[{element['text']['text']}]"
        if "initial_option" in element:
            return f"[{element['initial_option']['text']['text']}]"
        if element["type"] == "static_select" and "placeholder" in element:
            return f"[{element['placeholder']['text']} ▾]"
        if "options" in element:
            return "[" + " | ".join(option["text"]["text"] for option in element["options"]) + "]"
        return f"[{element.get('initial_value') or '____'}]"

    def _rich_text(self, part: Json) -> str:
        match part["type"]:
            case "text":
                return str(part["text"])
            case "link":
                return _link(part["url"], part.get("text", ""))
            case "rich_text_list":
                return "".join(f"• {self._rich_text(item)}\n" for item in part["elements"])
            case "rich_text_section":
                return "".join(self._rich_text(inner) for inner in part["elements"])
        inner = "".join(self._rich_text(each) for each in part.get("elements", []))
        if part["type"] == "rich_text_quote":
            inner = "\n".join(f"> {line}" for line in inner.splitlines())
        return f"{inner}\n"


def _unescape(text: str) -> str:
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def _link(url: str, label: str) -> str:
    if url.startswith("mailto:") or not label or label == url:
        return label or url.removeprefix("mailto:")
    return f"{label} ({url})"


def _near_day(moment: datetime, now: datetime) -> str | None:
    names = {-1: "yesterday", 0: "today", 1: "tomorrow"}
    return names.get((moment.date() - now.date()).days)


def _ago(passed: timedelta) -> str:
    seconds = round(passed.total_seconds())
    span = _span(abs(seconds))
    return f"{span} ago" if seconds >= 0 else f"in {span}"


def _span(seconds: int) -> str:
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        if seconds >= length or length == 1:
            count = seconds // length
            return f"{count} {unit}" + ("" if count == 1 else "s")
    raise AssertionError("a second divides every span")


def _date_parts(moment: datetime) -> dict[str, str]:
    day, hour = moment.day, moment.hour % 12 or 12
    date = f"{moment:%B} {day}{_ordinal(day)}, {moment.year}"
    return {
        "date_num": f"{moment:%Y-%m-%d}",
        "date_slash": f"{moment:%m/%d/%Y}",
        "date": date,
        "date_short": f"{moment:%b} {day}, {moment.year}",
        "date_long": f"{moment:%A}, {date}",
        "day_divider_pretty": f"{moment:%A}, {date}",
        "time": f"{hour}:{moment:%M %p}",
        "time_secs": f"{hour}:{moment:%M:%S %p}",
    }


def _ordinal(day: int) -> str:
    if 11 <= day <= 13:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
