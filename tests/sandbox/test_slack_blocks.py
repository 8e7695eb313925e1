"""What the emulated Slack refuses in blocks and views, one row per rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sandbox.slack.blocks import (
    BLOCKS,
    ELEMENTS,
    block_problems,
    is_view_too_large,
    view_problems,
)


def plain(text="x"):
    return {"type": "plain_text", "text": text}


def mrkdwn(text="x"):
    return {"type": "mrkdwn", "text": text}


def button(**more):
    return {"type": "button", "text": plain(), "action_id": "go"} | more


def actions(*elements):
    return {"type": "actions", "elements": list(elements)}


def section(**more):
    return {"type": "section", "text": mrkdwn()} | more


def options(count, text="x"):
    return [{"text": plain(text), "value": f"v{n}"} for n in range(count)]


def select(**more):
    return {"type": "static_select", "action_id": "s"} | more


def form_input(element=None, **more):
    element = element or {"type": "plain_text_input", "action_id": "a"}
    return {"type": "input", "label": plain(), "element": element} | more


def modal(**more):
    return {"type": "modal", "title": plain(), "blocks": [section()]} | more


TYPES = [*BLOCKS, *ELEMENTS, "plain_text", "mrkdwn", "modal"]
FIELDS = st.sampled_from(
    [
        *("type", "text", "elements", "accessory", "element", "options", "option_groups"),
        *("value", "fields", "title", "initial_option", "initial_options", "block_id", "blocks"),
    ]
)
CONFIRM = {"title": plain(), "text": mrkdwn(), "confirm": plain(), "deny": plain()}
SPLIT = {"type": "section", "fields": [mrkdwn("x" * 2000)] * 10}


@pytest.mark.parametrize(
    "blocks",
    [
        [section(text=mrkdwn("x" * 3000))],
        [SPLIT],
        [{"type": "header", "text": plain("x" * 150)}],
        [{"type": "divider"}] * 50,
        [{"type": "context", "elements": [mrkdwn()] * 10}],
        [actions(*[button(action_id=f"a{n}") for n in range(25)])],
        [actions(button(text=plain("x" * 75), value="x" * 2000, accessibility_label="x" * 75))],
        [actions(button(confirm=CONFIRM, style="danger"), button(action_id="b", style="primary"))],
        [actions(button(url="https://example.com/a"))],
        [actions(select(options=options(100, "x" * 75)))],
        [actions({"type": "overflow", "action_id": "o", "options": options(5)})],
        [section(accessory={"type": "image", "image_url": "https://e.com/i", "alt_text": "i"})],
        [form_input(optional=True, hint=plain("x" * 2000))],
        [{"type": "markdown", "text": "x" * 12_000}],
        [{"type": "card", "title": plain(), "body": mrkdwn("x" * 200)}],
        [section(text=mrkdwn("<!date^oops^{nonsense}|at noon>"))],
        [section(block_id="a"), section(block_id="b")],
    ],
)
def test_what_is_within_slacks_limits_is_accepted(blocks):
    assert block_problems(blocks) == []


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ("no list", "must provide an array [json-pointer:/blocks]"),
        (["text"], "must provide an object [json-pointer:/blocks/0]"),
        ([{}], "missing required field: type [json-pointer:/blocks/0]"),
        ([{"type": "sektion"}], "unsupported type: sektion [json-pointer:/blocks/0/type]"),
        ([section()] * 51, "no more than 50 items allowed [json-pointer:/blocks]"),
        (
            [section(text=mrkdwn("x" * 3001))],
            "must be less than 3001 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [section(text=mrkdwn(""))],
            "must be more than 0 characters [json-pointer:/blocks/0/text/text]",
        ),
        ([{"type": "section"}], "missing required field: text [json-pointer:/blocks/0]"),
        (
            [{"type": "section", "fields": [mrkdwn()] * 11}],
            "no more than 10 items allowed [json-pointer:/blocks/0/fields]",
        ),
        (
            [{"type": "section", "fields": [mrkdwn("x" * 2001)]}],
            "must be less than 2001 characters [json-pointer:/blocks/0/fields/0/text]",
        ),
        (
            [section(text=mrkdwn() | {"emoji": True})],
            "invalid additional property: emoji [json-pointer:/blocks/0/text]",
        ),
        (
            [section(accessory=None)],
            "must provide an object [json-pointer:/blocks/0/accessory]",
        ),
        ([section(colour="red")], "invalid additional property: colour [json-pointer:/blocks/0]"),
        (
            [section(block_id="x" * 256)],
            "must be less than 256 characters [json-pointer:/blocks/0/block_id]",
        ),
        (
            [section(block_id="a"), section(block_id="a")],
            "block_id already exists: a [json-pointer:/blocks]",
        ),
        (
            [{"type": "header", "text": plain("x" * 151)}],
            "must be less than 151 characters [json-pointer:/blocks/0/text/text]",
        ),
        (
            [{"type": "header", "text": mrkdwn()}],
            "unsupported type: mrkdwn [json-pointer:/blocks/0/text/type]",
        ),
        (
            [{"type": "context", "elements": [mrkdwn()] * 11}],
            "no more than 10 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            [{"type": "context", "elements": [button()]}],
            "unsupported type: button [json-pointer:/blocks/0/elements/0/type]",
        ),
        ([actions()], "no less than 1 items allowed [json-pointer:/blocks/0/elements]"),
        (
            [actions(*[button(action_id=f"a{n}") for n in range(26)])],
            "no more than 25 items allowed [json-pointer:/blocks/0/elements]",
        ),
        (
            [actions(button(), button())],
            "action_id already exists: go [json-pointer:/blocks/0/elements]",
        ),
        (
            [actions({"type": "knob"})],
            "unsupported type: knob [json-pointer:/blocks/0/elements/0/type]",
        ),
        (
            [actions(button(text=plain("x" * 76)))],
            "must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]",
        ),
        (
            [actions(button(text=mrkdwn()))],
            "unsupported type: mrkdwn [json-pointer:/blocks/0/elements/0/text/type]",
        ),
        (
            [actions(button(value="x" * 2001))],
            "must be less than 2001 characters [json-pointer:/blocks/0/elements/0/value]",
        ),
        (
            [actions(button(action_id="x" * 256))],
            "must be less than 256 characters [json-pointer:/blocks/0/elements/0/action_id]",
        ),
        (
            [actions(button(accessibility_label="x" * 76))],
            "must be less than 76 characters "
            "[json-pointer:/blocks/0/elements/0/accessibility_label]",
        ),
        (
            [actions(button(style="green"))],
            "must be one of: primary, danger [json-pointer:/blocks/0/elements/0/style]",
        ),
        (
            [actions(button(url="javascript:alert(1)"))],
            "must be a valid URL [json-pointer:/blocks/0/elements/0/url]",
        ),
        (
            [actions(button(confirm=CONFIRM | {"title": plain("x" * 101)}))],
            "must be less than 101 characters "
            "[json-pointer:/blocks/0/elements/0/confirm/title/text]",
        ),
        (
            [actions(button(confirm=CONFIRM | {"text": mrkdwn("x" * 301)}))],
            "must be less than 301 characters "
            "[json-pointer:/blocks/0/elements/0/confirm/text/text]",
        ),
        (
            [actions(button(confirm=CONFIRM | {"deny": plain("x" * 31)}))],
            "must be less than 31 characters [json-pointer:/blocks/0/elements/0/confirm/deny/text]",
        ),
        (
            [actions(select(options=options(101)))],
            "no more than 100 items allowed [json-pointer:/blocks/0/elements/0/options]",
        ),
        (
            [actions(select())],
            "must provide either options or option_groups [json-pointer:/blocks/0/elements/0]",
        ),
        (
            [actions(select(options=options(1, "x" * 76)))],
            "must be less than 76 characters "
            "[json-pointer:/blocks/0/elements/0/options/0/text/text]",
        ),
        (
            [actions(select(options=[{"text": plain(), "value": "x" * 151}]))],
            "must be less than 151 characters [json-pointer:/blocks/0/elements/0/options/0/value]",
        ),
        (
            [actions(select(options=options(1), initial_option={"text": plain(), "value": "?"}))],
            "initial_option must be one of the options [json-pointer:/blocks/0/elements/0]",
        ),
        (
            [actions({"type": "overflow", "action_id": "o", "options": options(6)})],
            "no more than 5 items allowed [json-pointer:/blocks/0/elements/0/options]",
        ),
        (
            [actions({"type": "radio_buttons", "action_id": "r", "options": options(11)})],
            "no more than 10 items allowed [json-pointer:/blocks/0/elements/0/options]",
        ),
        (
            [actions({"type": "checkboxes", "action_id": "c", "options": options(11)})],
            "no more than 10 items allowed [json-pointer:/blocks/0/elements/0/options]",
        ),
        (
            [form_input(label=plain("x" * 2001))],
            "must be less than 2001 characters [json-pointer:/blocks/0/label/text]",
        ),
        ([form_input(button())], "unsupported type: button [json-pointer:/blocks/0/element/type]"),
        (
            [form_input({"type": "plain_text_input", "max_length": 3001})],
            "must be between 1 and 3000 [json-pointer:/blocks/0/element/max_length]",
        ),
        (
            [form_input({"type": "plain_text_input", "initial_value": "long", "max_length": 3})],
            "must be less than 4 characters [json-pointer:/blocks/0/element/initial_value]",
        ),
        (
            [{"type": "image", "alt_text": "x"}],
            "missing required field: image_url [json-pointer:/blocks/0]",
        ),
        (
            [{"type": "markdown", "text": "x" * 12_001}],
            "must be less than 12001 characters [json-pointer:/blocks/0/text]",
        ),
        (
            [{"type": "card", "body": mrkdwn("x" * 201)}],
            "must be less than 201 characters [json-pointer:/blocks/0/body/text]",
        ),
    ],
)
def test_what_exceeds_slacks_limits_is_refused_with_its_place(blocks, problem):
    assert block_problems(blocks) == [problem]


@pytest.mark.parametrize(
    "view",
    [
        modal(title=plain("x" * 24)),
        modal(blocks=[{"type": "divider"}] * 100),
        modal(submit=plain("Send"), blocks=[form_input()], private_metadata="x" * 3000),
    ],
)
def test_a_modal_within_slacks_limits_is_accepted(view):
    assert view_problems(view) == []


@pytest.mark.parametrize(
    ("view", "problem"),
    [
        (modal(type="popup"), "unsupported type: popup [json-pointer:/view/type]"),
        (
            modal(title=plain("x" * 25)),
            "must be less than 25 characters [json-pointer:/view/title/text]",
        ),
        (
            modal(submit=plain("x" * 25)),
            "must be less than 25 characters [json-pointer:/view/submit/text]",
        ),
        (
            modal(close=plain("x" * 25)),
            "must be less than 25 characters [json-pointer:/view/close/text]",
        ),
        (
            modal(private_metadata="x" * 3001),
            "must be less than 3001 characters [json-pointer:/view/private_metadata]",
        ),
        (
            modal(callback_id="x" * 256),
            "must be less than 256 characters [json-pointer:/view/callback_id]",
        ),
        (
            modal(blocks=[section()] * 101),
            "no more than 100 items allowed [json-pointer:/view/blocks]",
        ),
        (modal(blocks=[form_input()]), "missing required field: submit [json-pointer:/view]"),
        (
            modal(blocks=[{"type": "markdown", "text": "x"}]),
            "unsupported type: markdown [json-pointer:/view/blocks/0/type]",
        ),
    ],
)
def test_a_modal_beyond_slacks_limits_is_refused_with_its_place(view, problem):
    assert view_problems(view) == [problem]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(TYPES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=30,
)


@given(JUNK)
def test_junk_is_refused_and_never_a_crash(junk):
    assert isinstance(block_problems([junk]), list)
    assert isinstance(view_problems(junk), list)


def test_a_view_above_250_kilobytes_is_too_large():
    assert is_view_too_large({"blocks": ["x" * 250_000]})
    assert not is_view_too_large(modal())
