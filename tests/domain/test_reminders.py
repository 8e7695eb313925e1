"""When people are reminded: each moment once, never two at once, never at night, never too late."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.domain.reminders import QuietHours, Reminder, Reminders, alarm

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ASKED = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DEADLINE = ASKED + timedelta(hours=24)
FIRST = Reminder("after 3600s", escalates=False)
SECOND = Reminder("after 14400s", escalates=True)
LAST = Reminder("before 3600s", escalates=False)
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours(time(22), time(7), BERLIN)
LUNCH = QuietHours(time(12), time(13), BERLIN)


def timeline(reminders: Reminders, deadline: datetime) -> dict[str, Reminder]:
    """Every reminder that a bot gives which looks each minute, by when it gives it."""
    told: set[str] = set()
    given: dict[str, Reminder] = {}
    now = ASKED
    while now < deadline + 2 * HOUR:
        reminder = reminders.due(ASKED, deadline, told, now)
        if reminder is not None:
            told.add(reminder.name)
            given[f"{now - ASKED}"] = reminder
        now += MINUTE
    return given


def test_a_request_that_waits_all_day_is_remembered_three_times():
    assert timeline(Reminders(), DEADLINE) == {
        "1:00:00": FIRST,
        "4:00:00": SECOND,
        "23:00:00": LAST,
    }


@pytest.mark.parametrize(
    ("hours", "given"),
    [
        (0.5, {}),
        (1, {}),
        (1.5, {"0:30:00": LAST, "1:00:00": FIRST}),
        (2, {"1:00:00": LAST}),
        (4, {"1:00:00": FIRST, "3:00:00": LAST}),
        (5, {"1:00:00": FIRST, "4:00:00": Reminder("before 3600s", escalates=True)}),
    ],
)
def test_only_what_lies_before_the_deadline_is_given_and_never_two_at_once(
    hours: float, given: dict[str, Reminder]
):
    assert timeline(Reminders(), ASKED + hours * HOUR) == given


def test_after_an_outage_one_reminder_stands_for_those_that_were_missed():
    late = ASKED + timedelta(hours=23, minutes=10)
    assert Reminders().due(ASKED, DEADLINE, {FIRST.name}, late) == Reminder(
        LAST.name, escalates=True
    )
    assert Reminders().due(ASKED, DEADLINE, {FIRST.name, LAST.name}, late) is None


def test_nobody_is_reminded_once_the_deadline_has_come():
    assert Reminders().due(ASKED, DEADLINE, set(), DEADLINE) is None


def test_reminders_can_be_switched_off():
    assert timeline(Reminders(after=(), before=None), DEADLINE) == {}


def test_quiet_hours_delay_a_reminder_and_join_what_they_delayed():
    """Asked at 10:00 in Berlin, quiet from 11:00 till 15:00: both of the first reminders at once."""
    quiet = QuietHours(time(11), time(15), BERLIN)
    assert timeline(Reminders(quiet=quiet), DEADLINE) == {"5:00:00": SECOND, "23:00:00": LAST}


def test_a_deadline_in_the_quiet_hours_is_not_put_off_for_a_reminder():
    """The deadline is at 2:00 in Berlin: its reminder would be due in the night, and is dropped."""
    given = timeline(Reminders(quiet=NIGHT), ASKED + timedelta(hours=16))
    assert given == {"1:00:00": FIRST, "4:00:00": SECOND}


@pytest.mark.parametrize(
    ("quiet", "utc", "is_quiet"),
    [
        (NIGHT, "2026-01-10 20:59", False),
        (NIGHT, "2026-01-10 21:00", True),
        (NIGHT, "2026-01-11 05:59", True),
        (NIGHT, "2026-01-11 06:00", False),
        (NIGHT, "2026-07-10 19:59", False),
        (NIGHT, "2026-07-10 20:00", True),
        (NIGHT, "2026-07-11 05:00", False),
        (NIGHT, "2026-03-29 04:59", True),  # summer time began at 1:00 UTC
        (NIGHT, "2026-03-29 05:00", False),
        (NIGHT, "2026-10-25 05:59", True),  # summer time ended at 1:00 UTC
        (NIGHT, "2026-10-25 06:00", False),
        (LUNCH, "2026-01-10 10:59", False),
        (LUNCH, "2026-01-10 11:00", True),
        (LUNCH, "2026-01-10 12:00", False),
    ],
)
def test_quiet_hours_follow_the_clock_on_the_wall(quiet: QuietHours, utc: str, is_quiet: bool):
    assert quiet.holds(datetime.fromisoformat(f"{utc}+00:00")) == is_quiet


@pytest.mark.parametrize(
    ("minutes", "number"),
    [(0, None), (14, None), (15, 0), (74, 0), (75, 1), (134, 1), (135, 2), (15 + 60 * 23, 23)],
)
def test_an_unknown_outcome_is_told_after_a_quarter_of_an_hour_and_then_hourly(
    minutes: int, number: int | None
):
    now = ASKED + timedelta(minutes=minutes)
    assert alarm(ASKED, now) == number
