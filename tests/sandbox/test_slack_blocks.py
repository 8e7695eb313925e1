"""What the emulated Slack refuses in blocks and views, one row per rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slack_bench import actions, button, form_input, modal, mrkdwn, options, plain, section

from bot.sandbox.slack.blocks import (
    ACTIONS,
    BLOCKS,
    TEXT_ENTRIES,
    block_problems,
    is_view_too_large,
    view_problems,
)
from bot.sandbox.slack.rules import KINDS_NOT_EMULATED


def buttons(count):
    return actions(*[button(action_id=f"a{n}") for n in range(count)])


def fields(count, text="x"):
    return {"type": "section", "fields": [mrkdwn(text)] * count}


def context(*elements):
    return {"type": "context", "elements": list(elements)}


def header(text):
    return {"type": "header", "text": text}


def chooser(kind, **more):
    return actions({"type": kind, "action_id": "s"} | more)


def text_input(**more):
    return form_input({"type": "plain_text_input"} | more)


def confirmed(**more):
    return actions(button(confirm=CONFIRM | more))


def rich(*parts):
    return {"type": "rich_text", "elements": list(parts)}


def less(characters):
    return f"must be less than {characters} characters"


def most(items):
    return f"no more than {items} items allowed"


CONFIRM = {"title": plain(), "text": mrkdwn(), "confirm": plain(), "deny": plain()}
S, E = "static_select", "/elements/0"
NO_OPTION = "initial_option must be one of the options"
NO_DATE = "must be a date in the form YYYY-MM-DD"
WORDS = {"type": "rich_text_section", "elements": [{"type": "text", "text": "x"}]}


@pytest.mark.parametrize(
    "block",
    [
        section(text=mrkdwn("x" * 3000)),
        fields(10, "x" * 2000),
        header(plain("x" * 150)),
        context(*[mrkdwn()] * 10),
        buttons(25),
        actions(button(text=plain("x" * 75), value="x" * 2000, accessibility_label="x" * 75)),
        actions(button(confirm=CONFIRM, style="danger"), button(action_id="b", style="primary")),
        actions(button(url="https://example.com/a")),
        chooser("static_select", options=options(100, "x" * 75)),
        chooser("overflow", options=options(5)),
        chooser("datepicker", initial_date="2026-11-22"),
        section(accessory={"type": "users_select", "initial_user": "U0BOB"}),
        form_input(optional=True, hint=plain("x" * 2000)),
        form_input({"type": "email_text_input", "placeholder": plain("x" * 150)}),
        section(text=mrkdwn("<!date^oops^{nonsense}|at noon>")),
        rich(WORDS, {"type": "rich_text_list", "style": "bullet", "elements": [WORDS]}),
    ],
)
def test_what_is_within_slacks_limits_is_accepted(block):
    assert block_problems([block]) == []


@pytest.mark.parametrize(
    ("block", "problem", "at"),
    [
        ("text", "must provide an object", ""),
        ({}, "missing required field: type", ""),
        ({"type": "sektion"}, "unsupported type: sektion", "/type"),
        (section(text=mrkdwn("x" * 3001)), less(3001), "/text/text"),
        (section(text=mrkdwn("")), "must be more than 0 characters", "/text/text"),
        ({"type": "section"}, "missing required field: text", ""),
        (fields(11), most(10), "/fields"),
        (fields(1, "x" * 2001), less(2001), "/fields/0/text"),
        (section(text=mrkdwn() | {"emoji": True}), "invalid additional property: emoji", "/text"),
        (section(accessory=None), "must provide an object", "/accessory"),
        (section(colour="red"), "invalid additional property: colour", ""),
        (section(block_id="x" * 256), less(256), "/block_id"),
        (header(plain("x" * 151)), less(151), "/text/text"),
        (header(mrkdwn()), "unsupported type: mrkdwn", "/text/type"),
        (context(*[mrkdwn()] * 11), most(10), "/elements"),
        (context(button()), "unsupported type: button", "/elements/0/type"),
        (actions(), "no less than 1 items allowed", "/elements"),
        (buttons(26), most(25), "/elements"),
        (actions(button(), button()), "action_id already exists: go", "/elements"),
        (actions({"type": "knob"}), "unsupported type: knob", "/elements/0/type"),
        (actions(button(text=plain("x" * 76))), less(76), E + "/text/text"),
        (actions(button(text=mrkdwn())), "unsupported type: mrkdwn", E + "/text/type"),
        (actions(button(value="x" * 2001)), less(2001), E + "/value"),
        (actions(button(action_id="x" * 256)), less(256), E + "/action_id"),
        (actions(button(accessibility_label="x" * 76)), less(76), E + "/accessibility_label"),
        (actions(button(style="green")), "must be one of: primary, danger", E + "/style"),
        (actions(button(url="javascript:alert(1)")), "must be a valid URL", E + "/url"),
        (confirmed(title=plain("x" * 101)), less(101), E + "/confirm/title/text"),
        (confirmed(text=mrkdwn("x" * 301)), less(301), E + "/confirm/text/text"),
        (confirmed(deny=plain("x" * 31)), less(31), E + "/confirm/deny/text"),
        (chooser(S, options=options(101)), most(100), E + "/options"),
        (chooser(S), "missing required field: options", E),
        (chooser(S, options=options(1, "x" * 76)), less(76), E + "/options/0/text/text"),
        (chooser(S, options=options(1, value="x" * 150)), less(151), E + "/options/0/value"),
        (chooser(S, options=options(1), initial_option=options(2)[1]), NO_OPTION, E),
        (chooser("overflow", options=options(6)), most(5), E + "/options"),
        (chooser("radio_buttons", options=options(11)), most(10), E + "/options"),
        (chooser("datepicker", initial_date="today"), NO_DATE, E + "/initial_date"),
        (form_input(label=plain("x" * 2001)), less(2001), "/label/text"),
        (form_input(button()), "unsupported type: button", "/element/type"),
        (text_input(max_length=3001), "must be between 1 and 3000", "/element/max_length"),
        (text_input(initial_value="long", max_length=3), less(4), "/element/initial_value"),
        ({"type": "card", "title": plain()}, "not emulated: card", "/type"),
        (section(expand=True), "not emulated: expand", ""),
        (form_input(dispatch_action=True), "not emulated: dispatch_action", ""),
        (form_input({"type": "url_text_input"}), "not emulated: url_text_input", "/element/type"),
        (
            rich(WORDS | {"elements": [{"type": "date"}]}),
            "not emulated: date",
            E + "/elements/0/type",
        ),
    ],
)
def test_what_exceeds_slacks_limits_or_the_emulators_is_refused_with_its_place(block, problem, at):
    assert block_problems([block]) == [f"{problem} [json-pointer:/blocks/0{at}]"]


@pytest.mark.parametrize(
    ("blocks", "problem"),
    [
        ("no list", "must provide an array"),
        ([section()] * 51, most(50)),
        ([section(block_id="a")] * 2, "block_id already exists: a"),
    ],
)
def test_blocks_are_judged_together_too(blocks, problem):
    assert block_problems(blocks) == [f"{problem} [json-pointer:/blocks]"]
    assert block_problems([{"type": "divider"}] * 50) == []


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
    ("view", "problem", "at"),
    [
        (modal(type="popup"), "unsupported type: popup", "/type"),
        (modal(title=plain("x" * 25)), less(25), "/title/text"),
        (modal(submit=plain("x" * 25)), less(25), "/submit/text"),
        (modal(close=plain("x" * 25)), less(25), "/close/text"),
        (modal(private_metadata="x" * 3001), less(3001), "/private_metadata"),
        (modal(callback_id="x" * 256), less(256), "/callback_id"),
        (modal(blocks=[section()] * 101), most(100), "/blocks"),
        (modal(blocks=[form_input()]), "missing required field: submit", ""),
        (modal(notify_on_close=True), "not emulated: notify_on_close", ""),
    ],
)
def test_a_modal_beyond_slacks_limits_is_refused_with_its_place(view, problem, at):
    assert view_problems(view) == [f"{problem} [json-pointer:/view{at}]"]


def test_nothing_is_both_emulated_and_not():
    assert not KINDS_NOT_EMULATED & {*BLOCKS, *ACTIONS, *TEXT_ENTRIES}


TYPES = [*BLOCKS, *ACTIONS, *TEXT_ENTRIES, "plain_text", "mrkdwn", "modal"]
FIELDS = st.sampled_from(
    [
        *("type", "text", "elements", "accessory", "element", "options", "initial_option"),
        *("value", "fields", "title", "initial_options", "block_id", "blocks"),
    ]
)
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
