"""Calls as text that is the same in every run: ids, times, keys and whatever else is random left out."""

from __future__ import annotations

import json
import re
from typing import Any

from bot.domain import dkim

CLOCK = r"(?:\d{1,2} [A-Z][a-z]{2} \d{4} |\d{4}-\d\d-\d\d )?\d\d:\d\d(?::\d\d)? UTC"
RULES = [
    (r"<!date\^\d+\^([^|]*)\|[^>]*>", r"<!date^AT^\1>"),
    (CLOCK, "AT"),
    (r"https?://[^\s|>\"\\]*/archives/[^\s|>\"\\]*", "LINK"),
    (r"127\.0\.0\.1:\d+", "HOST"),
    (r"\b\d+:[0-9a-f]{16,64}\b", "HEAD"),
    (r"Digest `[0-9a-f]{16}`", "Digest `DIGEST`"),
    (r"ref `[0-9a-f]{6}`", "ref `REF`"),
    (r"\b1[0-9]{12}\b", "SELECTOR"),
    (r"(for|lasted) \d+ (min|h|days)\b", r"\1 SPAN"),
    (r"[A-Za-z0-9+/=]{180,}", "KEY"),
    (r"KEY(\\\" \\\"|\" \")[A-Za-z0-9+/=]+", "KEY KEY"),
    (r"(?<![\w-])(checklist-|alert-)?[A-Za-z0-9_-]{24}(?![\w-])", r"\1ID"),
    (r"\bd[a-z]*-[0-9]+\.[0-9]+\b", "BLOCK"),
]
DROPPED = {"ts", "thread_ts", "trigger_id", "view_id", "hash", "private_metadata", "message_ts"}


class Canonical:
    """Knows the keys of one play, so that their fingerprints are left out wherever they stand."""

    def __init__(self) -> None:
        self._marks: set[str] = set()

    def learn(self, record: str) -> None:
        self._marks = (self._marks | {dkim.fingerprint(record)}) - {""}

    def lines(self, calls: list[tuple[str, Any]]) -> list[str]:
        """One line a call, sorted: which loop was faster is nobody's business."""
        return sorted(_line(method, body, self._marks) for method, body in calls)


def _line(method: str, body: Any, marks: set[str]) -> str:
    text = json.dumps(_without(body), sort_keys=True, ensure_ascii=False)
    for mark in marks:
        text = re.sub(rf"(?<![A-Za-z0-9+/]){re.escape(mark)}(?![A-Za-z0-9+/])", "MARK", text)
    for pattern, shown in RULES:
        text = re.sub(pattern, shown, text)
    return f"{method} {text}"


def _without(value: Any) -> Any:
    """JSON inside JSON is opened; places in Slack are said to be there, not where they are."""
    if isinstance(value, dict):
        return {k: "…" if k in DROPPED and v else _without(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without(each) for each in value]
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return _without(json.loads(value))
        except ValueError:
            return value
    return value
