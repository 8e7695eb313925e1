"""Times as values that are stored as JSON hold them: whole milliseconds since 1970, UTC, or none."""

from __future__ import annotations

from datetime import datetime

from bot.domain.change import from_milliseconds, milliseconds


def whole(at: datetime) -> datetime:
    """As it will be read back: or a restart could move a time by part of a millisecond."""
    return from_milliseconds(milliseconds(at))


def stamp(at: datetime | None) -> int | None:
    return None if at is None else milliseconds(at)


def from_stamp(stamp: int | None) -> datetime | None:
    """The inverse of `stamp`."""
    return None if stamp is None else from_milliseconds(stamp)
