"""What Slack refuses in blocks and views, said in its words: `must be less than 3001 characters
[json-pointer:/blocks/0/text/text]`.

Written from Slack's Block Kit reference (https://docs.slack.dev/reference/block-kit), not from any
client library, so that it does not share a client's mistakes. Each kind of block or element is a
table of its fields. What Slack has and this emulator has not is refused as `not emulated`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bot.sandbox.slack.records import Json
from bot.sandbox.slack.rules import (
    Report,
    Rule,
    Shape,
    anything,
    boolean,
    by_type,
    every,
    list_of,
    matching,
    number_of,
    one_of,
    text_of,
)

BLOCKS_PER_MESSAGE = 50
BLOCKS_PER_VIEW = 100
LARGEST_VIEW = 250_000


def plain(most: int) -> Rule:
    """A `plain_text` object."""
    return by_type(_text_shapes(most), among=("plain_text",))


def text_object(most: int) -> Rule:
    """A `plain_text` or `mrkdwn` object."""
    return by_type(_text_shapes(most))


def _text_shapes(most: int) -> dict[str, Rule]:
    return {
        "plain_text": typed({"text": text_of(most)}, emoji=boolean),
        "mrkdwn": typed({"text": text_of(most)}, verbatim=boolean),
    }


def typed(required: Mapping[str, Rule], **optional: Rule) -> Shape:
    return Shape({"type": anything, **required}, optional)


def block(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    return typed(required or {}, block_id=text_of(255), **optional)


def interactive(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    return typed(required or {}, action_id=text_of(255), confirm=CONFIRM, **optional)


def entry(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    return interactive(required, placeholder=plain(150), **optional)


def options_of(most: int, label: Rule) -> Rule:
    required = {"text": label, "value": text_of(150)}
    return list_of(Shape(required, {"description": text_object(75), "url": URL}), most)


def _initial_is_an_option(report: Report, element: Any, at: str) -> None:
    if report.problems or "initial_option" not in element:
        return
    if element["initial_option"]["value"] not in [each["value"] for each in element["options"]]:
        report.refuse("initial_option must be one of the options", at)


def _length_bounds(report: Report, element: Any, at: str) -> None:
    least, most = element.get("min_length"), element.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        report.refuse("min_length must be less than max_length", at)
    initial = element.get("initial_value")
    if isinstance(initial, str) and isinstance(most, int) and len(initial) > most:
        report.refuse(f"must be less than {most + 1} characters", f"{at}/initial_value")


def _text_or_fields(report: Report, section: Any, at: str) -> None:
    if not section.get("text") and not section.get("fields"):
        report.refuse("missing required field: text", at)


STYLE = one_of("primary", "danger")
URL = every(text_of(3000), matching(r"https?://[^\s/].*", "must be a valid URL"))
DATE = matching(r"\d{4}-\d\d-\d\d", "must be a date in the form YYYY-MM-DD")
CONFIRM = Shape(
    {"title": plain(100), "text": text_object(300), "confirm": plain(30), "deny": plain(30)},
    {"style": STYLE},
)
INITIAL = Shape({"text": anything, "value": text_of(150)}, {"description": anything})
INITIAL_TEXT = text_of(3000, least=0)

TEXT_ENTRIES: dict[str, Rule] = {
    "plain_text_input": every(
        entry(
            initial_value=INITIAL_TEXT,
            multiline=boolean,
            min_length=number_of(0, 3000),
            max_length=number_of(1, 3000),
        ),
        _length_bounds,
    ),
    "email_text_input": entry(initial_value=INITIAL_TEXT),
}
PICKERS: dict[str, Rule] = {
    "static_select": every(
        entry({"options": options_of(100, plain(75))}, initial_option=INITIAL),
        _initial_is_an_option,
    ),
    "users_select": entry(initial_user=text_of(255)),
    "datepicker": entry(initial_date=DATE),
    "radio_buttons": every(
        interactive({"options": options_of(10, text_object(75))}, initial_option=INITIAL),
        _initial_is_an_option,
    ),
}
ACTIONS: dict[str, Rule] = PICKERS | {
    "button": interactive(
        {"text": plain(75)},
        url=URL,
        value=text_of(2000, least=0),
        style=STYLE,
        accessibility_label=text_of(75),
    ),
    "overflow": interactive({"options": options_of(5, plain(75))}),
}
RICH_WORDS: dict[str, Rule] = {
    "text": typed({"text": anything}, style=anything),
    "link": typed({"url": anything}, text=anything, style=anything),
}
RICH_LINES = typed({"elements": list_of(by_type(RICH_WORDS), 10_000, least=0)})
RICH_PARTS: dict[str, Rule] = {
    **dict.fromkeys(("rich_text_section", "rich_text_preformatted", "rich_text_quote"), RICH_LINES),
    "rich_text_list": typed(
        {"elements": list_of(by_type({"rich_text_section": RICH_LINES}), 10_000, least=0)},
        style=one_of("bullet", "ordered"),
    ),
}
BLOCKS: dict[str, Rule] = {
    "section": every(
        block(
            text=text_object(3000),
            fields=list_of(text_object(2000), 10),
            accessory=by_type(ACTIONS),
        ),
        _text_or_fields,
    ),
    "header": block({"text": plain(150)}),
    "divider": block(),
    "context": block({"elements": list_of(text_object(3000), 10)}),
    "actions": block({"elements": list_of(by_type(ACTIONS), 25)}),
    "input": block(
        {"label": plain(2000), "element": by_type(TEXT_ENTRIES | PICKERS)},
        hint=plain(2000),
        optional=boolean,
    ),
    "rich_text": block({"elements": list_of(by_type(RICH_PARTS), 1000)}),
}
MODAL = typed(
    {"title": plain(24), "blocks": anything},
    submit=plain(24),
    close=plain(24),
    private_metadata=text_of(3000, least=0),
    callback_id=text_of(255, least=0),
)


def block_problems(blocks: Any, *, surface: str = "message", at: str = "/blocks") -> list[str]:
    """What Slack would say against these blocks; empty is fine. `surface`: `message` or `view`."""
    report = Report()
    most = BLOCKS_PER_VIEW if surface == "view" else BLOCKS_PER_MESSAGE
    list_of(by_type(BLOCKS), most, least=0)(report, blocks, at)
    if not report.problems:
        _check_ids(report, blocks, at)
    return report.problems


def _check_ids(report: Report, blocks: list[Json], at: str) -> None:
    for block_id in _repeated(each.get("block_id") for each in blocks):
        report.refuse(f"block_id already exists: {block_id}", at)
    for index, each in enumerate(blocks):
        elements = each.get("elements", []) if each["type"] == "actions" else []
        for action_id in _repeated(element.get("action_id") for element in elements):
            report.refuse(f"action_id already exists: {action_id}", f"{at}/{index}/elements")


def _repeated(ids: Iterable[str | None]) -> list[str]:
    return [each for each, times in Counter(i for i in ids if i).items() if times > 1]


def view_problems(view: Any, *, at: str = "/view") -> list[str]:
    """What Slack would say against a modal."""
    report = Report()
    by_type({"modal": MODAL})(report, view, at)
    if report.problems:
        return report.problems
    report.problems += block_problems(view["blocks"], surface="view", at=f"{at}/blocks")
    if not report.problems and _has_input(view) and not view.get("submit"):
        report.refuse("missing required field: submit", at)
    return report.problems


def _has_input(view: Json) -> bool:
    return any(each["type"] == "input" for each in view["blocks"])


def is_view_too_large(view: Any) -> bool:
    return len(json.dumps(view).encode()) > LARGEST_VIEW
