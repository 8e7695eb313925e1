"""Forms as a person fills them in: what each input holds, and what Slack's own client refuses before
anything is sent to the app."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from bot.sandbox.slack.records import Json, PersonCannot

TEXT_TYPES = {"plain_text_input", "email_text_input"}
ONE_OPTION = {"static_select", "radio_buttons"}
PICKERS = {
    "datepicker": ("selected_date", "initial_date"),
    "users_select": ("selected_user", "initial_user"),
}

REQUIRED = "Please complete this required field."


def elements(blocks: list[Json]) -> Iterator[tuple[Json, Json]]:
    """Every interactive element with the block it stands in."""
    for block in blocks:
        if block["type"] == "actions":
            yield from ((block, element) for element in block["elements"])
        for part in ("accessory", "element"):
            if part in block:
                yield block, block[part]


def holds_state(element: Json) -> bool:
    return element["type"] in TEXT_TYPES | ONE_OPTION | PICKERS.keys()


def state_values(blocks: list[Json], typed: Json) -> Json:
    """`state.values`: by block and action, what was typed, else the initial value."""
    values: Json = {}
    for block, element in elements(blocks):
        if holds_state(element):
            entered = typed.get(block["block_id"], {}).get(element["action_id"])
            value = entered or initial(element)
            values.setdefault(block["block_id"], {})[element["action_id"]] = value
    return values


def initial(element: Json) -> Json:
    kind = element["type"]
    if kind in TEXT_TYPES:
        return {"type": kind, "value": element.get("initial_value") or None}
    if kind in ONE_OPTION:
        return {"type": kind, "selected_option": element.get("initial_option")}
    selected, preset = PICKERS[kind]
    return {"type": kind, selected: element.get(preset)}


def enter(blocks: list[Json], values: Json) -> Json:
    """What is typed when a person enters `values`, by action_id or block_id; raises PersonCannot."""
    typed: Json = {}
    unused = dict(values)
    for block, element in elements(blocks):
        key = element["action_id"] if element["action_id"] in unused else block["block_id"]
        if key in unused and holds_state(element):
            state = entered(element, unused.pop(key))
            typed.setdefault(block["block_id"], {})[element["action_id"]] = state
    if unused:
        offered = ", ".join(e["action_id"] for _, e in elements(blocks) if holds_state(e))
        raise PersonCannot(
            f"This form has no input `{next(iter(unused))}`; it has {offered or 'none'}."
        )
    return typed


def entered(element: Json, value: Any) -> Json:
    """The state of an element once a person has put `value` in; raises PersonCannot."""
    kind = element["type"]
    if kind in TEXT_TYPES:
        return {"type": kind, "value": str(value) or None}
    if kind in ONE_OPTION:
        return {"type": kind, "selected_option": option(element, value) if value else None}
    selected, _ = PICKERS[kind]
    return {"type": kind, selected: value or None}


def option(element: Json, value: Any) -> Json:
    """The option of a select with this value, or with this label; raises PersonCannot."""
    offered: list[Json] = element["options"]
    for each in offered:
        if value in (each["value"], each["text"]["text"]):
            return each
    listed = ", ".join(each["value"] for each in offered)
    raise PersonCannot(f"There is no option `{value}`; there are {listed}.")


def problems(blocks: list[Json], values: Json) -> dict[str, str]:
    """What Slack's client says under each input, by block_id, instead of sending the form."""
    found: dict[str, str] = {}
    for block in blocks:
        if block["type"] == "input":
            element = block["element"]
            state = values[block["block_id"]][element["action_id"]]
            problem = _problem(element, state, is_optional=bool(block.get("optional")))
            if problem:
                found[block["block_id"]] = problem
    return found


def _problem(element: Json, state: Json, *, is_optional: bool) -> str | None:
    value = next(content for name, content in state.items() if name != "type")
    if not value:
        return None if is_optional else REQUIRED
    if element["type"] in TEXT_TYPES:
        return _text_problem(element, value)
    return None


def _text_problem(element: Json, value: str) -> str | None:
    if len(value) > element.get("max_length", 3000):
        return f"Please use no more than {element.get('max_length', 3000)} characters."
    if len(value) < element.get("min_length", 0):
        return f"Please use at least {element['min_length']} characters."
    if element["type"] == "email_text_input" and not re.fullmatch(r"[^@\s]+@[^@\s]+", value):
        return "Please enter a valid email address."
    return None
