"""What a play makes go over the wires, step by step: to Slack's Web API and to Zoho Cliq.

A step ends when nothing has been asked for a while. Of several edits of one message within a step the
last counts, since whether those between are shown depends on who is faster.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from tests.golden.canonical import Canonical
from tests.scenarios.play import Play

QUIET_SECONDS = 1.3
"""Longer than the bot's heartbeat."""
BETWEEN = timedelta(seconds=15)
"""What passes between two steps, or the limit on calls would be what is recorded."""


class Recorder:
    """The record of one play."""

    def __init__(self, play: Play) -> None:
        self._play = play
        self._slack = self._cliq = 0
        self._canonical = Canonical()
        self.lines: list[str] = []

    async def step(self, what: str) -> None:
        """Wait until nothing happens any more, and write down what happened since the last step."""
        await self._quiet()
        live = self._play.cliq.configuration
        self._canonical.learn(live["dkim_value"] if live else "")
        calls = [*self._told_slack(), *self._asked_zoho()]
        self.lines += [f"== {what}", *self._canonical.lines(calls)]
        self._play.passes(BETWEEN)

    async def _quiet(self) -> None:
        seen, since = -1, 0.0
        while since < QUIET_SECONDS:
            await asyncio.sleep(0.1)
            now = len(self._play.slack.requests) + len(self._play.cliq.log.all())
            seen, since = now, since + 0.1 if now == seen else 0.0

    def _told_slack(self) -> list[tuple[str, Any]]:
        fresh = self._play.slack.requests[self._slack :]
        self._slack += len(fresh)
        last = {_place(n, call): call for n, call in enumerate(fresh) if _matters(call.method)}
        return [_told(call) for call in last.values()]

    def _asked_zoho(self) -> list[tuple[str, Any]]:
        fresh = self._play.cliq.log.all()[self._cliq :]
        self._cliq += len(fresh)
        calls = [(f"{n}. {r.method} {r.path} {r.status}", r.body) for n, r in enumerate(fresh)]
        return [call for call in calls if "GET" not in call[0] and "oauth" not in call[0]]


def _matters(method: str) -> bool:
    return method.startswith(("chat.post", "chat.update", "views", "response_url"))


def _told(call: Any) -> tuple[str, Any]:
    body = call.arguments | {"error": call.error}
    if _is_checklist(call):
        return "chat.*", {name: body[name] for name in ("channel", "text", "blocks")}
    return call.method, body


def _is_checklist(call: Any) -> bool:
    return str(call.arguments.get("text", "")).startswith("What follows")


def _place(number: int, call: Any) -> object:
    """What an edit takes the place of; everything else stands for itself.

    A checklist may be posted before or after the check that it shows.
    """
    if _is_checklist(call):
        return call.arguments["channel"]
    is_edit = call.method == "chat.update"
    return (call.arguments["channel"], call.arguments["ts"]) if is_edit else number
