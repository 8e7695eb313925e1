"""The count of calls: what it lets pass, and for how long a lock holds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.api_budget import CallCount, window_for
from bot.errors import BudgetSpent, RateLimited
from tests.fakes import MORNING as NOW

WINDOW = window_for(timedelta(seconds=10))


def calls(number: int, below: int = 19) -> CallCount:
    """So many calls, a second apart, the last one now."""
    count = CallCount()
    for n in range(number):
        at = NOW - timedelta(seconds=number - 1 - n)
        count = count.take("GET", at, below=below, window=WINDOW)
    return count


def test_a_call_counts_for_zohos_minute_and_the_longest_call():
    assert window_for(timedelta(seconds=10)) == timedelta(seconds=70)
    assert window_for(timedelta(seconds=2)) == timedelta(seconds=62)


@pytest.mark.parametrize("below", [8, 12, 19])
def test_exactly_as_many_calls_pass_as_there_is_room_for(below: int):
    full = calls(below, below)

    with pytest.raises(BudgetSpent) as refused:
        full.take("PUT", NOW, below=below, window=WINDOW)

    assert refused.value.retry_at == full.calls[0] + WINDOW
    assert len(full.take("PUT", refused.value.retry_at, below=below, window=WINDOW).calls) == below


def test_whoever_may_use_less_waits_until_as_many_have_gone_as_it_takes():
    with pytest.raises(BudgetSpent) as refused:
        calls(12).check("GET", NOW, below=8, window=WINDOW)

    assert refused.value.retry_at == calls(12).calls[4] + WINDOW


def test_only_calls_that_still_count_are_kept():
    later = calls(19).take("GET", NOW + WINDOW, below=19, window=WINDOW)

    assert later.calls == (NOW + WINDOW,)


def test_a_lock_lets_nothing_pass_until_it_ends():
    until = NOW + timedelta(minutes=10)
    locked = CallCount().lock(until, "429")

    with pytest.raises(RateLimited) as refused:
        locked.check("GET", until - timedelta(milliseconds=1), below=19, window=WINDOW)

    assert refused.value.retry_at == until
    assert locked.take("GET", until, below=19, window=WINDOW).calls == (until,)


def test_a_lock_never_gets_shorter():
    long = CallCount().lock(NOW + timedelta(hours=1), "Retry-After")

    assert long.lock(NOW + timedelta(minutes=10), "429") == long
