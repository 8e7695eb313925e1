"""When people are told: every timeline of the sample file, and what holds on any timeline at all."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.alert import (
    AlertState,
    Event,
    EventKind,
    Observation,
    Parameters,
    step,
)
from bot.domain.findings import Severity
from bot.errors import AlreadySettled

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DEFAULTS = Parameters()
SAMPLES = Path(__file__).parents[1] / "samples" / "alert_timelines.yaml"
TIMELINES: list[dict[str, Any]] = yaml.load(
    SAMPLES.read_text(encoding="utf-8"), Loader=yaml.BaseLoader
)
USUAL = {
    "CONFIG_DRIFT": "warning",
    "KEY_REISSUED": "warning",
    "DKIM_TEST_MODE": "warning",
    "VERIFY_PENDING": "info",
    "DNS_PROPAGATING": "info",
    "POLICY_WEAK": "info",
}
"""The severities of findings that are not critical."""
COUNTS = {"confirm_bad", "confirm_window", "flap_opens"}


def clock(text: str) -> datetime:
    hours, minutes = text.split(":")
    return MIDNIGHT + timedelta(hours=int(hours), minutes=int(minutes))


def times(text: str) -> list[datetime]:
    """`10:00` is one time, `10:00..11:00` are all of them a quarter of an hour apart."""
    first, _, last = text.partition("..")
    span = clock(last or first) - clock(first)
    return [clock(first) + n * QUARTER for n in range(span // QUARTER + 1)]


def observation(words: list[str], applied_at: datetime | None = None) -> Observation:
    if words == ["ok"]:
        return Observation(None, Severity.INFO, applied_at)
    if words == ["unknown"]:
        return Observation("DNS_UNKNOWN", Severity.UNKNOWN, applied_at)
    severity = words[1] if len(words) == 2 else USUAL.get(words[0], "critical")
    return Observation(words[0], Severity(severity), applied_at)


@dataclass(frozen=True)
class Timeline:
    """What is seen at each tick, and until when reminders are silenced from a time on."""

    ticks: tuple[tuple[datetime, Observation], ...]
    parameters: Parameters = DEFAULTS
    snoozes: tuple[tuple[datetime, datetime], ...] = ()

    def play(self, restarts: bool = False) -> tuple[list[tuple[datetime, Event]], AlertState]:
        """What is told, and what is remembered; with a restart after each tick if asked for."""
        state, told, waiting = AlertState(), [], list(self.snoozes)
        for at, seen in self.ticks:
            while waiting and waiting[0][0] <= at:
                state = state.snooze(waiting.pop(0)[1])
            state, events = step(state, seen, at, self.parameters)
            told += [(at, event) for event in events]
            if restarts:
                state = AlertState.from_dict(json.loads(json.dumps(state.as_dict())))
        return told, state


def read(sample: dict[str, Any]) -> Timeline:
    applied = clock(sample["applied"]) if "applied" in sample else None
    replaced = clock(sample.get("replaced", "9999:00"))
    ticks = []
    for line in sample["ticks"]:
        when, *words = line.split()
        for at in times(when):
            is_ours = applied is not None and applied <= at < replaced
            ticks.append((at, observation(words, applied if is_ours else None)))
    given = {
        name: int(value) if name in COUNTS else timedelta(minutes=int(value))
        for name, value in sample.get("parameters", {}).items()
    }
    snoozes = [[clock(word) for word in line.split()] for line in sample.get("snoozes", [])]
    return Timeline(
        tuple(ticks), replace(DEFAULTS, **given), tuple((at, until) for at, until in snoozes)
    )


def expected(sample: dict[str, Any]) -> list[tuple[datetime, str]]:
    pairs = [line.split() for line in sample["events"]]
    return [(clock(at), event) for at, event in pairs]


@pytest.mark.parametrize("sample", TIMELINES, ids=lambda sample: sample["name"])
def test_exactly_what_is_expected_is_told_when_it_is_expected(sample: dict[str, Any]):
    told, _ = read(sample).play()

    assert [(at, str(event)) for at, event in told] == expected(sample)


@pytest.mark.parametrize("sample", TIMELINES, ids=lambda sample: sample["name"])
def test_restarts_between_all_ticks_change_nothing(sample: dict[str, Any]):
    assert read(sample).play(restarts=True) == read(sample).play()


def test_the_timelines_tell_every_event_and_bend_every_parameter():
    events = {str(line).split()[1].split(":")[0] for row in TIMELINES for line in row["events"]}
    bent = {name for row in TIMELINES for name in row.get("parameters", {})}

    assert events == set(EventKind)
    assert bent == {field.name for field in fields(Parameters)}
    assert all(row["why"] for row in TIMELINES)
    assert max(Counter(row["name"] for row in TIMELINES).values()) == 1
    assert len(TIMELINES) >= 30


FINDINGS = st.sampled_from(
    [
        ["ok"],
        ["ok"],
        ["DKIM_MISSING"],
        ["DKIM_MISSING"],
        ["DKIM_REVOKED"],
        ["CONFIG_DRIFT"],
        ["VERIFY_PENDING"],
        ["DNS_PROPAGATING"],
        ["POLICY_WEAK"],
        ["unknown"],
    ]
)
MINUTES = st.integers(15, 240).map(lambda minutes: timedelta(minutes=minutes))
PARAMETERS = st.builds(
    lambda confirm, spare, resolve, quiet, **rest: Parameters(
        confirm_bad=confirm,
        confirm_window=confirm + spare,
        resolve_after=resolve,
        flap_quiet=resolve + quiet,
        **rest,
    ),
    confirm=st.integers(1, 3),
    spare=st.integers(0, 2),
    resolve=MINUTES,
    quiet=MINUTES,
    remind_every=MINUTES,
    unknown_after=MINUTES,
    pending_grace=MINUTES,
    propagation_grace=MINUTES,
    publish_grace=MINUTES,
    flap_opens=st.integers(2, 3),
    flap_window=st.integers(4, 24).map(lambda hours: timedelta(hours=hours)),
)


@st.composite
def timelines(draw: st.DrawFn) -> Timeline:
    """Days on which findings come and go in runs, some after a change of ours."""
    runs = draw(st.lists(st.tuples(FINDINGS, st.integers(1, 9), st.booleans()), max_size=14))
    ticks = []
    for words, length, is_ours in runs:
        applied = MIDNIGHT + len(ticks) * QUARTER if is_ours else None
        seen = observation(words, applied)
        ticks += [(MIDNIGHT + (len(ticks) + n) * QUARTER, seen) for n in range(length)]
    return Timeline(tuple(ticks), draw(PARAMETERS))


def later(timeline: Timeline) -> datetime:
    return timeline.ticks[-1][0] + QUARTER if timeline.ticks else MIDNIGHT


def without(told: list[tuple[datetime, Event]], *kinds: EventKind) -> list[tuple[datetime, str]]:
    return [(at, str(event)) for at, event in told if event.kind not in kinds]


SILENCE = (EventKind.CANNOT_CHECK, EventKind.CHECKS_RESUMED)


@given(timelines())
def test_a_restart_neither_adds_nor_loses_anything(timeline: Timeline):
    assert timeline.play(restarts=True) == timeline.play()


@settings(max_examples=300)
@given(timelines())
def test_failed_look_ups_change_nothing_but_that_they_are_told(timeline: Timeline):
    """Without them the same is told, and remembered, at the same times."""
    definite = (tick for tick in timeline.ticks if tick[1].severity is not Severity.UNKNOWN)

    before, calm = replace(timeline, ticks=tuple(definite)).play()
    after, shaken = timeline.play()

    assert without(after, *SILENCE) == without(before)
    aside = {"unknown_since": None, "is_silence_told": False, "silences": 0}
    assert shaken.as_dict() | aside == calm.as_dict() | aside


@given(timelines())
def test_no_event_comes_without_its_cause(timeline: Timeline):
    """An opening where none is open, an end where one is, a change to another finding, a reminder
    once it is time, an outage before its end; and each under a key of its own."""
    told, _ = timeline.play()
    seen = dict(timeline.ticks)
    about, last, is_silent = None, MIDNIGHT, False
    for at, event in told:
        match event.kind:
            case EventKind.OPENED | EventKind.FLAPPING:
                assert about is None
                assert event.finding == seen[at].finding
                about = event.finding
            case EventKind.CHANGED:
                assert about not in {None, event.finding}
                assert event.finding == seen[at].finding
                about = event.finding
            case EventKind.REMINDER:
                assert about == event.finding
                assert at - last >= timeline.parameters.remind_every
            case EventKind.RESOLVED:
                assert about == event.finding
                about = None
            case _:
                assert is_silent is (event.kind is EventKind.CHECKS_RESUMED)
                is_silent = not is_silent
        last = last if event.kind in SILENCE else at
    assert max(Counter(event.key for _, event in told).values(), default=1) == 1


@given(timelines())
def test_an_alert_opens_only_on_what_enough_looks_have_shown(timeline: Timeline):
    told, _ = timeline.play()
    definite = [tick for tick in timeline.ticks if tick[1].severity is not Severity.UNKNOWN]
    for at, event in told:
        if event.kind in {EventKind.OPENED, EventKind.FLAPPING}:
            looks = [seen.finding for when, seen in definite if when <= at]
            window = looks[-timeline.parameters.confirm_window :]
            assert window.count(event.finding) >= timeline.parameters.confirm_bad


@given(timelines())
def test_every_incident_ends_once_the_world_is_right(timeline: Timeline):
    _, state = timeline.play()
    was_open = state.incident is not None
    start = later(timeline)
    told: list[str] = []
    for n in range(timeline.parameters.flap_quiet // QUARTER + 2):
        state, events = step(state, Observation(), start + n * QUARTER, timeline.parameters)
        told += [event.kind for event in events if event.kind not in SILENCE]

    assert state.incident is None
    assert told == [EventKind.RESOLVED] * was_open


@given(timelines(), st.sampled_from(["POLICY_WEAK", "KEY_WEAK"]))
def test_an_info_notifies_nobody_and_counts_as_right(timeline: Timeline, finding: str):
    _, state = timeline.play()
    info = Observation(finding, Severity.INFO)
    at = later(timeline)

    assert step(state, info, at, timeline.parameters) == step(
        state, Observation(), at, timeline.parameters
    )


@given(timelines(), st.integers(0, 60), st.integers(0, 60))
def test_a_snooze_silences_reminders_and_nothing_else(timeline: Timeline, start: int, length: int):
    at = MIDNIGHT + start * QUARTER
    until = at + length * QUARTER
    quiet, loud = AlertState(), AlertState()
    for when, seen in timeline.ticks:
        if when == at and quiet.incident is not None:
            quiet = quiet.snooze(until)
        snooze = quiet.incident and quiet.incident.snoozed_until
        quiet, few = step(quiet, seen, when, timeline.parameters)
        loud, all_of_them = step(loud, seen, when, timeline.parameters)
        told = [(when, event) for event in few]
        assert without(told, EventKind.REMINDER) == without(
            [(when, event) for event in all_of_them], EventKind.REMINDER
        )
        is_snoozed = snooze is not None and when < snooze
        assert not (is_snoozed and EventKind.REMINDER in {event.kind for event in few})


def test_nothing_can_be_snoozed_once_it_has_ended():
    with pytest.raises(AlreadySettled, match="so there is nothing to snooze"):
        AlertState().snooze(MIDNIGHT)


def test_whoever_looks_after_the_fix_is_told_until_when_it_is_watched():
    """H.8: fixed at 11:20 and looked at then, between two ticks; the forecast is an hour."""
    sample = next(row for row in TIMELINES if "H.8" in row["why"])
    timeline = read(sample)
    until_then = replace(timeline, ticks=tuple(t for t in timeline.ticks if t[0] < clock("11:20")))
    _, state = until_then.play()

    assert state.incident is not None
    assert state.incident.ends_at(clock("11:20"), DEFAULTS) == clock("12:20")


def test_whoever_looks_later_is_told_the_same_end_as_the_ticks_will_meet():
    _, state = Timeline(read(TIMELINES[1]).ticks).play()
    state, _ = step(state, Observation(), clock("11:00"), DEFAULTS)

    assert state.incident is not None
    assert state.incident.ends_at(clock("11:40"), DEFAULTS) == clock("12:00")


def test_an_incident_knows_when_its_cause_was_first_seen():
    sample = next(row for row in TIMELINES if row["name"] == "another cause, confirmed twice")
    _, opened = replace(read(sample), ticks=read(sample).ticks[:2]).play()
    _, changed = read(sample).play()

    assert opened.incident is not None
    assert changed.incident is not None
    assert opened.incident.first_seen_at == clock("10:00")
    assert changed.incident.first_seen_at == clock("10:30")


def test_a_message_is_keyed_by_its_incident_and_number_or_by_its_outage():
    sample = next(row for row in TIMELINES if "before other events of the tick" in row["why"])
    told, _ = read(sample).play()

    assert [event.key for _, event in told] == ["silence:1:1", "silence:1:2", "incident:1:1"]


def test_parts_of_a_millisecond_do_not_make_a_restart_matter():
    odd = timedelta(microseconds=1700)
    bad = observation(["DKIM_MISSING"])
    ticks = [(clock("10:00") + odd, bad), (clock("10:15") + odd, bad)]
    ticks += [(clock("10:30") + odd, Observation()), (clock("11:30") + odd / 2, Observation())]
    timeline = Timeline(tuple(ticks))

    assert timeline.play(restarts=True) == timeline.play()


def test_alerts_can_open_can_flap_and_end_later_when_they_do():
    usual = Parameters()
    assert usual.confirm_bad <= usual.confirm_window
    assert usual.flap_window > (usual.flap_opens - 1) * usual.resolve_after
    assert usual.flap_quiet >= usual.resolve_after
