"""This machine's clock against somebody else's, by the Date header of their answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from bot.doctor.findings import Judgement, failure, ok, warning

NOTICED = timedelta(seconds=10)
"""A Date header has whole seconds, and an answer takes its time: less than this means nothing."""
FATAL = timedelta(minutes=5)
"""Older requests of Slack are refused (docs.slack.dev/authentication/verifying-requests-from-slack)."""


def judge_clock(skew: timedelta | None, whose: str) -> Judgement:
    """`skew` is how far this machine's clock is ahead of theirs; None where they did not say."""
    if skew is None:
        return warning(f"{whose} did not say what time it is, so the clock is not compared.")
    off = abs(skew)
    if off < NOTICED:
        return ok(f"This machine's clock agrees with {whose}'s.")
    found = (
        f"This machine's clock is {off // timedelta(seconds=1)} s "
        f"{'ahead of' if skew > timedelta(0) else 'behind'} {whose}'s."
    )
    cure = "Set it by NTP, for instance with `timedatectl set-ntp true`."
    return failure(found, cure) if off >= FATAL else warning(found, cure)


def read_date(text: str | None) -> datetime | None:
    """An HTTP date (RFC 9110 section 5.6.7)."""
    try:
        date = parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
