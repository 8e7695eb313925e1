"""What the emulated Zoho saw: every request, and every write that took effect. No secrets in either."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

MOST_REQUESTS = 10_000
TOKEN = re.compile(r"(1000\.[0-9a-f]{4})[0-9a-f]+\.[0-9a-f]+")


def masked(text: str) -> str:
    """`text` with every token cut to its first characters, enough to tell two apart."""
    return TOKEN.sub(r"\1…", text)


def _cut(token: str) -> str:
    """A token as it was sent, which need not be one of ours, cut likewise."""
    return masked(token) if TOKEN.fullmatch(token) else f"{token[:4]}…"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """`path` is without its query, which may hold secrets. `status` None: never answered."""

    number: int
    at: datetime
    method: str
    path: str
    user: str | None = None
    token: str | None = None
    body: str | None = None
    fault: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """A PUT or DELETE that the API carried out. `after` is what it left: six fields, or None."""

    at: datetime
    method: str
    user: str
    body: dict[str, Any] | None
    after: dict[str, str] | None


class RequestLog:
    """The last requests, in the order of their arrival."""

    def __init__(self) -> None:
        self._entries: dict[int, LoggedRequest] = {}
        self._arrived = 0

    def arrived(self, at: datetime, method: str, path: str, token: str | None) -> int:
        """Note a request; the number returned stands for it in `learnt`."""
        self._arrived += 1
        shown = _cut(token) if token else None
        entry = LoggedRequest(self._arrived, at, method, masked(path), token=shown)
        self._entries[entry.number] = entry
        self._entries.pop(entry.number - MOST_REQUESTS, None)
        return entry.number

    def learnt(self, number: int, **facts: Any) -> None:
        """Add what was found out about a request since it arrived."""
        if number in self._entries:
            self._entries[number] = replace(self._entries[number], **facts)

    def entry(self, number: int) -> LoggedRequest:
        """Raises KeyError for one that is no longer kept."""
        return self._entries[number]

    def clear(self) -> None:
        self._entries.clear()

    def all(self) -> list[LoggedRequest]:
        return list(self._entries.values())

    def counters(self) -> dict[str, int]:
        """How often each method got each status: `{"GET 200": 3}`."""
        return dict(Counter(f"{e.method} {e.status or 'unanswered'}" for e in self.all()))
