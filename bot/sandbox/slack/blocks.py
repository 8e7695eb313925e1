"""What Slack refuses in blocks and views, said in its words: `must be less than 3001 characters
[json-pointer:/blocks/0/text/text]`.

Written from Slack's Block Kit reference (https://docs.slack.dev/reference/block-kit), not from any
client library, so that it does not share a client's mistakes. Each kind of block or element is a
table of its fields.
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
    url_of,
)

BLOCKS_PER_MESSAGE = 50
BLOCKS_PER_VIEW = 100
MARKDOWN_PER_MESSAGE = 12_000
LARGEST_VIEW = 250_000


def plain(most: int) -> Rule:
    """A `plain_text` object."""
    return by_type(_text_shapes(most), among=("plain_text",))


def text_object(most: int) -> Rule:
    """A `plain_text` or `mrkdwn` object."""
    return by_type(_text_shapes(most))


def _text_shapes(most: int) -> dict[str, Rule]:
    required = {"type": anything, "text": text_of(most)}
    return {
        "plain_text": Shape(required, {"emoji": boolean}),
        "mrkdwn": Shape(required, {"verbatim": boolean}),
    }


def typed(required: Mapping[str, Rule], **optional: Rule) -> Shape:
    return Shape({"type": anything, **required}, optional)


CONFIRM = Shape(
    {"title": plain(100), "text": text_object(300), "confirm": plain(30), "deny": plain(30)},
    {"style": one_of("primary", "danger")},
)


def options_of(most: int, label: Rule) -> Rule:
    option = Shape(
        {"text": label, "value": text_of(150)}, {"description": text_object(75), "url": url_of()}
    )
    return list_of(option, most)


INITIAL = Shape({"text": anything, "value": text_of(150)}, {"description": anything})
INITIAL_RULES: dict[str, Rule] = {
    "initial_option": INITIAL,
    "initial_options": list_of(INITIAL, 100),
}
SELECT_OPTIONS = options_of(100, plain(75))
OPTION_GROUPS = list_of(Shape({"label": plain(75), "options": SELECT_OPTIONS}), 100)
CHOICES = options_of(10, text_object(75))


def _options_or_groups(report: Report, element: Any, at: str) -> None:
    if ("options" in element) == ("option_groups" in element):
        report.refuse("must provide either options or option_groups", at)


def _initials_are_options(report: Report, element: Any, at: str) -> None:
    if report.problems:
        return
    groups = element.get("option_groups") or [element]
    offered = [option["value"] for group in groups for option in group["options"]]
    initial = [element["initial_option"]] if "initial_option" in element else []
    for option in element.get("initial_options", initial):
        if option["value"] not in offered:
            report.refuse("initial_option must be one of the options", at)


def interactive(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    common: dict[str, Rule] = {
        "action_id": text_of(255),
        "confirm": CONFIRM,
        "focus_on_load": boolean,
    }
    return Shape({"type": anything, **(required or {})}, {**common, **optional})


def entry(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    return interactive(required, placeholder=plain(150), **optional)


def static_select(initial: str) -> Rule:
    shape = entry(
        None,
        options=SELECT_OPTIONS,
        option_groups=OPTION_GROUPS,
        max_selected_items=number_of(1, 100),
        **{initial: INITIAL_RULES[initial]},
    )
    return every(shape, _options_or_groups, _initials_are_options)


def _length_bounds(report: Report, element: Any, at: str) -> None:
    least, most = element.get("min_length"), element.get("max_length")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        report.refuse("min_length must be less than max_length", at)
    initial = element.get("initial_value")
    if isinstance(initial, str) and isinstance(most, int) and len(initial) > most:
        report.refuse(f"must be less than {most + 1} characters", f"{at}/initial_value")


BUTTON = interactive(
    {"text": plain(75)},
    url=url_of(),
    value=text_of(2000, least=0),
    style=one_of("primary", "danger"),
    accessibility_label=text_of(75),
)
IMAGE_ELEMENT = typed(
    {"alt_text": text_of(2000)}, image_url=url_of(), slack_file=anything, block_id=text_of(255)
)
DATE = matching(r"\d{4}-\d\d-\d\d", "must be a date in the form YYYY-MM-DD")
TIME = matching(r"[0-2]\d:[0-5]\d", "must be a time in the form HH:mm")

ENTRIES: dict[str, Rule] = {
    "plain_text_input": every(
        entry(
            initial_value=text_of(3000, least=0),
            multiline=boolean,
            min_length=number_of(0, 3000),
            max_length=number_of(1, 3000),
            dispatch_action_config=anything,
        ),
        _length_bounds,
    ),
    "email_text_input": entry(
        initial_value=text_of(3000, least=0), dispatch_action_config=anything
    ),
    "url_text_input": entry(initial_value=text_of(3000, least=0), dispatch_action_config=anything),
    "number_input": entry(
        {"is_decimal_allowed": boolean},
        initial_value=text_of(3000, least=0),
        min_value=text_of(100),
        max_value=text_of(100),
        dispatch_action_config=anything,
    ),
    "static_select": static_select("initial_option"),
    "multi_static_select": static_select("initial_options"),
    "users_select": entry(initial_user=text_of(255)),
    "multi_users_select": entry(
        initial_users=list_of(text_of(255), 100), max_selected_items=number_of(1, 100)
    ),
    "conversations_select": entry(
        initial_conversation=text_of(255),
        default_to_current_conversation=boolean,
        response_url_enabled=boolean,
        filter=anything,
    ),
    "channels_select": entry(initial_channel=text_of(255), response_url_enabled=boolean),
    "datepicker": entry(initial_date=DATE),
    "timepicker": entry(initial_time=TIME, timezone=text_of(255)),
    "datetimepicker": interactive(initial_date_time=number_of(0, 9_999_999_999)),
    "checkboxes": every(
        interactive({"options": CHOICES}, initial_options=list_of(INITIAL, 10)),
        _initials_are_options,
    ),
    "radio_buttons": every(
        interactive({"options": CHOICES}, initial_option=INITIAL), _initials_are_options
    ),
}
ELEMENTS: dict[str, Rule] = ENTRIES | {
    "button": BUTTON,
    "overflow": interactive({"options": options_of(5, plain(75))}),
    "image": IMAGE_ELEMENT,
}
TEXT_ENTRIES = {"plain_text_input", "email_text_input", "url_text_input", "number_input"}
ACTION_TYPES = set(ELEMENTS) - TEXT_ENTRIES - {"image"}
ACCESSORY_TYPES = set(ELEMENTS) - TEXT_ENTRIES

CONTEXT_ELEMENT = by_type(_text_shapes(3000) | {"image": IMAGE_ELEMENT})
RICH_TEXT_PART = typed(
    {"elements": list_of(anything, 10_000, least=0)},
    style=anything,
    indent=anything,
    offset=anything,
    border=anything,
    language=anything,
)
RICH_TEXT_PARTS: dict[str, Rule] = {
    f"rich_text_{kind}": RICH_TEXT_PART for kind in ("section", "list", "preformatted", "quote")
}
RICH_TEXT = typed({"elements": list_of(by_type(RICH_TEXT_PARTS), 1000)}, block_id=text_of(255))
CELL = by_type(
    {
        "raw_text": typed({"text": text_of(3000)}),
        "raw_number": typed({"value": anything, "text": text_of(3000)}),
        "rich_text": RICH_TEXT,
    }
)


def block(required: Mapping[str, Rule] | None = None, **optional: Rule) -> Shape:
    return typed(required or {}, block_id=text_of(255), **optional)


def _text_or_fields(report: Report, section: Any, at: str) -> None:
    if not section.get("text") and not section.get("fields"):
        report.refuse("missing required field: text", at)


def _image_has_source(report: Report, image: Any, at: str) -> None:
    if not image.get("image_url") and not image.get("slack_file"):
        report.refuse("missing required field: image_url", at)


def _card_has_content(report: Report, card: Any, at: str) -> None:
    if not any(card.get(part) for part in ("hero_image", "title", "actions", "body")):
        report.refuse("must provide one of: hero_image, title, actions, body", at)


BLOCKS: dict[str, Rule] = {
    "section": every(
        block(
            text=text_object(3000),
            fields=list_of(text_object(2000), 10),
            accessory=by_type(ELEMENTS, among=ACCESSORY_TYPES),
            expand=boolean,
        ),
        _text_or_fields,
    ),
    "header": block({"text": plain(150)}),
    "divider": block(),
    "context": block({"elements": list_of(CONTEXT_ELEMENT, 10)}),
    "actions": block({"elements": list_of(by_type(ELEMENTS, among=ACTION_TYPES), 25)}),
    "input": block(
        {"label": plain(2000), "element": by_type(ENTRIES)},
        hint=plain(2000),
        optional=boolean,
        dispatch_action=boolean,
    ),
    "image": every(
        block(
            {"alt_text": text_of(2000)},
            image_url=url_of(),
            slack_file=anything,
            title=plain(2000),
        ),
        _image_has_source,
    ),
    "rich_text": RICH_TEXT,
    "markdown": block({"text": text_of(MARKDOWN_PER_MESSAGE)}),
    "table": block(
        {"rows": list_of(list_of(CELL, 20), 100)}, column_settings=list_of(anything, 20)
    ),
    "alert": block(
        {"text": text_object(3000)},
        level=one_of("default", "info", "warning", "error", "success"),
    ),
    "card": every(
        block(
            hero_image=IMAGE_ELEMENT,
            icon=IMAGE_ELEMENT,
            title=text_object(150),
            subtitle=text_object(150),
            body=text_object(200),
            actions=list_of(BUTTON, 25),
        ),
        _card_has_content,
    ),
}
MESSAGE_ONLY = {"markdown", "table", "alert", "card"}


def block_problems(blocks: Any, *, surface: str = "message", at: str = "/blocks") -> list[str]:
    """What Slack would say against these blocks; empty is fine. `surface`: `message` or `view`."""
    report = Report()
    in_view = surface == "view"
    types = set(BLOCKS) - (MESSAGE_ONLY if in_view else set())
    most = BLOCKS_PER_VIEW if in_view else BLOCKS_PER_MESSAGE
    list_of(by_type(BLOCKS, among=types), most, least=0)(report, blocks, at)
    if not report.problems:
        _check_ids(report, blocks, at)
        _check_markdown(report, blocks, at)
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


def _check_markdown(report: Report, blocks: list[Json], at: str) -> None:
    total = sum(len(each["text"]) for each in blocks if each["type"] == "markdown")
    if total > MARKDOWN_PER_MESSAGE:
        report.refuse(f"markdown must be less than {MARKDOWN_PER_MESSAGE + 1} characters", at)


MODAL = typed(
    {"title": plain(24), "blocks": anything},
    submit=plain(24),
    close=plain(24),
    private_metadata=text_of(3000, least=0),
    callback_id=text_of(255, least=0),
    external_id=text_of(255, least=0),
    clear_on_close=boolean,
    notify_on_close=boolean,
)


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
