"""Reads rendered messages and forms as Slack would: what it refuses, what becomes a mention or link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from slack_sdk.models.views import View

from bot.adapters.slack.cards.parts import Rendered
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.slack.blocks import block_problems, view_problems
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.records import Message
from bot.sandbox.slack.records import View as ShownView
from tests.fakes import MORNING

Json = dict[str, Any]
TOKEN = re.compile(r"<[^>]*>?")
TEXT_MAX = 4000
"""Characters that chat.update takes."""


def workspace() -> SlackWorkspace:
    clock = AdjustableClock()
    clock.now = lambda: MORNING  # type: ignore[method-assign]
    return SlackWorkspace(clock=clock)


def problems(shown: Rendered | View) -> list[str]:
    """What Slack would say against it."""
    if isinstance(shown, View):
        return view_problems(shown.to_dict())
    too_long = [] if 0 < len(shown.text) <= TEXT_MAX else [f"text of {len(shown.text)}"]
    return block_problems(list(shown.blocks)) + too_long


def plain(shown: Rendered | View) -> str:
    """What a person reads, in UTC."""
    if isinstance(shown, View):
        content = {"title": {"text": ""}} | shown.to_dict()
        blocks = [{"block_id": ""} | block for block in content["blocks"]]
        return workspace().plain_text(ShownView("V1", "U1", "", content | {"blocks": blocks}, "V1"))
    return workspace().plain_text(Message("C1", "1.0", "U1", shown.text, list(shown.blocks)))


def live_tokens(shown: Rendered | View) -> set[str]:
    """Every mention, link and date that Slack would make of it, dates without their time."""
    texts = list(_mrkdwn(list(_blocks(shown))))
    texts += [shown.text] if isinstance(shown, Rendered) else []
    found = {token for text in texts for token in TOKEN.findall(text)}
    return {"<!date>" if token.startswith("<!date^") else token for token in found}


def mrkdwn(shown: Rendered | View) -> str:
    """The markup of every text that is interpreted."""
    return "\n".join(_mrkdwn(list(_blocks(shown))))


def rich_texts(shown: Rendered | View) -> str:
    """What stands in quotes and preformatted blocks, uninterpreted."""
    blocks = [block for block in _blocks(shown) if block["type"] == "rich_text"]
    return "\n".join(_leaves(blocks))


def header(shown: Rendered) -> str:
    return next(b["text"]["text"] for b in shown.blocks if b["type"] == "header")


def buttons(shown: Rendered) -> dict[str, Json]:
    """The buttons by action_id, in their order."""
    found = [e for b in shown.blocks if b["type"] == "actions" for e in b["elements"]]
    return {element["action_id"]: element for element in found}


def _blocks(shown: Rendered | View) -> Iterator[Json]:
    yield from shown.blocks if isinstance(shown, Rendered) else shown.to_dict()["blocks"]


def _mrkdwn(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _mrkdwn(each)
    elif isinstance(value, dict) and value.get("type") == "mrkdwn":
        yield value["text"]
    elif isinstance(value, dict):
        yield from _mrkdwn(list(value.values()))


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    elif isinstance(value, dict) and value.get("type") == "text":
        yield value["text"]
    elif isinstance(value, dict):
        yield from _leaves(list(value.values()))
