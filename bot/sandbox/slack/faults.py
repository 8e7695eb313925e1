"""Planned misbehaviour of the emulated Slack, and the log of what it was asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from bot.sandbox.faults import Planned
from bot.sandbox.slack.records import Json


class FaultKind(StrEnum):
    RATELIMITED = "ratelimited"
    """429 with `Retry-After`; nothing is done."""
    SERVER_ERROR = "server_error"
    """500; nothing is done."""
    ERROR = "error"
    """`{"ok": false, "error": …}` with a chosen code; nothing is done."""
    DROPPED = "dropped"
    """The connection closes before anything is done."""
    LOST_ANSWER = "lost_answer"
    """It is done, but the connection closes before the answer."""


@dataclass(frozen=True)
class Fault(Planned):
    """`method` is a Web API method, `response_url`, or `*`; it strikes `times` calls.

    `retry_after` is in seconds and `error` is Slack's word, each for its kind.
    """

    method: str
    kind: FaultKind
    times: int = 1
    retry_after: int = 1
    error: str = "internal_error"

    def fits(self, method: str) -> bool:
        return self.method in (method, "*")

    def rest(self) -> list[Fault]:
        return [replace(self, times=self.times - 1)] if self.times > 1 else []


@dataclass(frozen=True)
class Request:
    """A call that the app made. `arguments` are without tokens; `error` is None if it was answered ok."""

    method: str
    arguments: Json
    error: str | None


@dataclass(frozen=True)
class Interaction:
    """What a person did, and how the app took it. `ack_ms` is real time, None if nothing came."""

    kind: str
    user: str
    ack_ms: float | None
    failure: str | None
