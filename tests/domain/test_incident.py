"""When a living message is opened, changed and resolved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bot.domain.incident import Event, Incident, Kind, Observation, step
from tests.fakes import MORNING

LATER = MORNING + timedelta(minutes=15)
FRESH = Incident("new", "default", Kind.RECORD, "", LATER)
OPEN = Incident("old", "default", Kind.RECORD, "missing:host", MORNING, {"n": 1})
WELL = Observation(None, {"n": 2})
SAME = Observation("missing:host", {"n": 1})


def test_an_unknown_changes_nothing():
    assert step(OPEN, None, LATER, FRESH) == (OPEN, None)
    assert step(None, None, LATER, FRESH) == (None, None)


def test_all_well_without_a_message_needs_none():
    assert step(None, WELL, LATER, FRESH) == (None, None)


def test_a_trouble_opens_a_message():
    opened = replace(FRESH, key="missing:host", facts={"n": 1}, opened_at=LATER)

    assert step(None, SAME, LATER, FRESH) == (opened, Event.OPENED)


def test_the_same_trouble_does_not_open_it_again():
    assert step(OPEN, SAME, LATER, FRESH) == (OPEN, None)


def test_the_same_trouble_with_new_facts_is_shown_without_being_news():
    moved, event = step(OPEN, Observation("missing:host", {"n": 3}), LATER, FRESH)

    assert (moved, event) == (replace(OPEN, facts={"n": 3}, rev=2), None)


def test_another_trouble_is_news_in_the_same_message():
    moved, event = step(OPEN, Observation("different:host", {"n": 1}), LATER, FRESH)

    assert (moved, event) == (replace(OPEN, key="different:host", rev=2), Event.CHANGED)


def test_all_well_resolves_it():
    resolved = replace(OPEN, resolved_at=LATER, facts={"n": 2}, rev=2)

    assert step(OPEN, WELL, LATER, FRESH) == (resolved, Event.RESOLVED)
