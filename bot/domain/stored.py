"""Values as rows and seals hold them: canonical JSON, and times as whole milliseconds since 1970, UTC."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

Stored = dict[str, Any]
"""A value as a JSON object: what `as_dict` gives and `from_dict` takes, at the store's edge only."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(at: datetime) -> int:
    """A time as it is stored and sealed: whole milliseconds since 1970, UTC."""
    return (at - EPOCH) // timedelta(milliseconds=1)


def from_milliseconds(stamp: int) -> datetime:
    return EPOCH + timedelta(milliseconds=stamp)


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that equal values are equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def whole(at: datetime) -> datetime:
    """As it will be read back: or a restart could move a time by part of a millisecond."""
    return from_milliseconds(milliseconds(at))


def stamp(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


def from_stamp(stamp: int | None) -> datetime | None:
    """The inverse of `stamp`."""
    return None if stamp is None else from_milliseconds(stamp)
