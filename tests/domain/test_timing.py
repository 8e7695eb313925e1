"""The relations that make a write safe hold for whatever timing is made."""

from datetime import timedelta

import pytest

from bot.domain.timing import Timing


@pytest.mark.parametrize(
    ("changed", "seconds", "why"),
    [
        ("lease", 34, "two could write at once"),
        ("shutdown_grace", 14, "a write could be cut off"),
        ("commit_budget", 3, "Slack would show a failure first"),
    ],
)
def test_a_timing_under_which_a_write_is_not_safe_cannot_be_made(
    changed: str, seconds: int, why: str
):
    with pytest.raises(AssertionError, match=why):
        Timing(**{changed: timedelta(seconds=seconds)})
