"""When people are told about the sender's DKIM, and when not: the alert state machine. Pure.

One `step` for each tick of the watch takes the primary finding and gives the next state and the
events to tell. What the findings are is `dkim`'s business, how an event reads the cards'. All that
is remembered is in `AlertState`, as times of ticks: a restart adds no event and loses none. A check
that somebody asks for is no tick and never comes here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import NamedTuple, assert_never

from bot.domain.findings import Severity
from bot.domain.stored import whole
from bot.errors import AlreadySettled

SNOOZES = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1), timedelta(weeks=1))
"""How long reminders of an incident can be silenced."""


class Graced(StrEnum):
    """The three findings that are not bad at once. To the machine all others are alike."""

    VERIFY_PENDING = "VERIFY_PENDING"
    DNS_PROPAGATING = "DNS_PROPAGATING"
    DKIM_MISSING = "DKIM_MISSING"


@dataclass(frozen=True, slots=True)
class Parameters:
    """How patient the alerts are; only `remind_every` is an operator's to set. A time is met when it
    has passed exactly, or more."""

    confirm_bad: int = 2
    """A finding opens an incident once it was bad in this many …"""
    confirm_window: int = 3
    """… of the last definite ticks, the current one included."""
    resolve_after: timedelta = timedelta(minutes=60)
    """Since the first good tick after the last bad one."""
    remind_every: timedelta = timedelta(hours=24)
    """Since the last message of the incident."""
    unknown_after: timedelta = timedelta(hours=6)
    """Since the first tick of an unbroken run of unknown ones."""
    pending_grace: timedelta = timedelta(hours=72)
    """The age at which VERIFY_PENDING becomes bad."""
    propagation_grace: timedelta = timedelta(hours=24)
    """The age at which DNS_PROPAGATING becomes bad."""
    publish_grace: timedelta = timedelta(hours=4)
    """Since our own apply, as long as DKIM_MISSING is no news."""
    flap_opens: int = 3
    """This opening, counting itself, …"""
    flap_window: timedelta = timedelta(hours=24)
    """… within this time is told as flapping."""
    flap_quiet: timedelta = timedelta(hours=6)
    """Takes the place of `resolve_after` for a flapping incident."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What a tick found: its primary finding, None where there is none.

    `key_applied_at` is when our own last apply brought the key that is still live, or None; see
    `checklist.key_applied_at`.
    """

    finding: str | None = None
    severity: Severity = Severity.INFO
    key_applied_at: datetime | None = None


class EventKind(StrEnum):
    OPENED = "opened"
    FLAPPING = "flapping"
    CHANGED = "changed"
    REMINDER = "reminder"
    RESOLVED = "resolved"
    CANNOT_CHECK = "cannot_check"
    CHECKS_RESUMED = "checks_resumed"


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell, once. `key` is unique within the organisation: it keys the message."""

    kind: EventKind
    at: datetime
    key: str
    finding: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.finding}" if self.finding else str(self.kind)


@dataclass(frozen=True, slots=True)
class Incident:
    """An alert that people were told of and that has not ended.

    `number` counts the organisation's incidents, `events` what was told of this one. `finding` is
    what it is about now, `first_seen_at` the tick that showed that first. `good_since` is the first
    good tick after the last bad one.
    """

    number: int
    finding: str
    opened_at: datetime
    first_seen_at: datetime
    is_flapping: bool
    events: int
    last_told_at: datetime
    good_since: datetime | None = None
    snoozed_until: datetime | None = None

    def told(self, kind: EventKind, now: datetime) -> tuple[Incident, Event]:
        moved = replace(self, events=self.events + 1, last_told_at=now)
        return moved, Event(kind, now, f"incident:{self.number}:{moved.events}", moved.finding)

    def quiet_for(self, parameters: Parameters) -> timedelta:
        """How long all must be good before it ends."""
        return parameters.flap_quiet if self.is_flapping else parameters.resolve_after

    def ends_at(self, good_at: datetime, parameters: Parameters) -> datetime:
        """The forecast for whoever looks at `good_at` and finds all good: until when it is watched.

        The incident ends with the first tick at or after the time that its own ticks meet.
        """
        return (self.good_since or good_at) + self.quiet_for(parameters)


class Tick(NamedTuple):
    """A definite tick: the finding that was bad at it, or None."""

    at: datetime
    bad: str | None


@dataclass(frozen=True, slots=True)
class AlertState:
    """All that the alerts of one organisation remember between two ticks.

    `recent` are the last definite ticks, oldest first. `pending_since` and `propagating_since` are
    the clocks of the two findings that have an age. `openings` are those that may still count
    towards flapping. `incidents` and `silences` count what was told, so that no key comes twice;
    `is_silence_told` belongs to the run that began at `unknown_since`.
    """

    recent: tuple[Tick, ...] = ()
    pending_since: datetime | None = None
    propagating_since: datetime | None = None
    unknown_since: datetime | None = None
    is_silence_told: bool = False
    silences: int = 0
    openings: tuple[datetime, ...] = ()
    incidents: int = 0
    incident: Incident | None = None

    def snooze(self, until: datetime) -> AlertState:
        """Silence reminders, and nothing else, until then. Raises AlreadySettled."""
        if self.incident is None:
            raise AlreadySettled("This alert has ended, so there is nothing to snooze.")
        return replace(self, incident=replace(self.incident, snoozed_until=whole(until)))


class _Weight(Enum):
    """What a definite tick counts as."""

    BAD = "bad"
    GOOD = "good"
    NEITHER = "neither"


def step(
    state: AlertState, seen: Observation, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    """The state after a tick, and what to tell, in this order.

    `now` is the time for which the tick was due, not when its look-ups ended: those differ by
    seconds from tick to tick, and an hour must be an hour.
    """
    now = whole(now)
    if seen.severity is Severity.UNKNOWN:
        return _wait(state, now, parameters)
    state, resumed = _resume(state, now)
    state = _run_clocks(state, seen, now)
    weight = _weigh(state, seen, now, parameters)
    state = _remember(state, seen if weight is _Weight.BAD else None, now, parameters)
    state, told = _judge(state, weight, now, parameters)
    return state, resumed + told


def _wait(
    state: AlertState, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    """An unknown tick moves the clock of its own run, and nothing else."""
    since = state.unknown_since or now
    state = replace(state, unknown_since=since)
    if state.is_silence_told or now - since < parameters.unknown_after:
        return state, ()
    told = replace(state, is_silence_told=True, silences=state.silences + 1)
    return told, (Event(EventKind.CANNOT_CHECK, now, f"silence:{told.silences}:1"),)


def _resume(state: AlertState, now: datetime) -> tuple[AlertState, tuple[Event, ...]]:
    ended = replace(state, unknown_since=None, is_silence_told=False)
    if not state.is_silence_told:
        return ended, ()
    return ended, (Event(EventKind.CHECKS_RESUMED, now, f"silence:{state.silences}:2"),)


def _run_clocks(state: AlertState, seen: Observation, now: datetime) -> AlertState:
    """The age of waiting for Zoho survives servers that disagree; that of disagreeing, nothing."""
    match seen.finding:
        case Graced.VERIFY_PENDING:
            return replace(state, pending_since=state.pending_since or now, propagating_since=None)
        case Graced.DNS_PROPAGATING:
            return replace(state, propagating_since=state.propagating_since or now)
        case _:
            return replace(state, pending_since=None, propagating_since=None)


def _weigh(state: AlertState, seen: Observation, now: datetime, parameters: Parameters) -> _Weight:
    """What the tick counts as; the two findings with an age weigh by it, whatever their severity."""
    applied_at = seen.key_applied_at
    is_ours = applied_at is not None and now - applied_at < parameters.publish_grace
    match seen.finding:
        case Graced.DKIM_MISSING if is_ours:
            return _Weight.NEITHER
        case Graced.VERIFY_PENDING:
            is_old = _age(state.pending_since, now) >= parameters.pending_grace
            return _Weight.BAD if is_old and not is_ours else _Weight.GOOD
        case Graced.DNS_PROPAGATING:
            is_old = _age(state.propagating_since, now) >= parameters.propagation_grace
            return _Weight.BAD if is_old else _Weight.GOOD
    is_bad = seen.finding is not None and seen.severity in {Severity.CRITICAL, Severity.WARNING}
    return _Weight.BAD if is_bad else _Weight.GOOD


def _remember(
    state: AlertState, bad: Observation | None, now: datetime, parameters: Parameters
) -> AlertState:
    """Two ticks are kept in any case, since a change takes two in a row."""
    tick = Tick(now, None if bad is None else bad.finding)
    kept = max(parameters.confirm_window, 2)
    return replace(state, recent=(*state.recent, tick)[-kept:])


def _judge(
    state: AlertState, weight: _Weight, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    incident = state.incident
    match weight:
        case _Weight.NEITHER:
            return state, ()
        case _Weight.GOOD:
            return (state, ()) if incident is None else _recover(state, incident, now, parameters)
        case _Weight.BAD:
            if incident is None:
                return _open(state, now, parameters)
            return _still_bad(state, incident, now, parameters)
        case _:
            assert_never(weight)


def _open(
    state: AlertState, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    finding = state.recent[-1].bad
    window = state.recent[-parameters.confirm_window :]
    shown = [tick for tick in window if tick.bad == finding]
    if finding is None or len(shown) < parameters.confirm_bad:
        return state, ()
    within = (at for at in state.openings if now - at <= parameters.flap_window)
    openings = (*within, now)
    number = state.incidents + 1
    is_flapping = len(openings) >= parameters.flap_opens
    new = Incident(number, finding, now, shown[0].at, is_flapping, 0, now)
    incident, event = new.told(EventKind.FLAPPING if is_flapping else EventKind.OPENED, now)
    opened = replace(state, openings=openings, incidents=number, incident=incident)
    return opened, (event,)


def _still_bad(
    state: AlertState, incident: Incident, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    """A bad tick while an incident is open: another cause, a reminder, or nothing new."""
    incident = replace(incident, good_since=None)
    cause = _new_cause(state, incident)
    if cause is not None:
        turned = replace(incident, finding=str(cause.bad), first_seen_at=cause.at)
        return _tell(state, turned, EventKind.CHANGED, now)
    is_snoozed = incident.snoozed_until is not None and now < incident.snoozed_until
    if not is_snoozed and now - incident.last_told_at >= parameters.remind_every:
        return _tell(state, incident, EventKind.REMINDER, now)
    return replace(state, incident=incident), ()


def _new_cause(state: AlertState, incident: Incident) -> Tick | None:
    """The first of two definite ticks in a row that show the same other finding as bad."""
    if incident.is_flapping or len(state.recent) < 2:
        return None
    before, current = state.recent[-2:]
    is_other = current.bad is not None and current.bad != incident.finding
    return before if is_other and before.bad == current.bad else None


def _recover(
    state: AlertState, incident: Incident, now: datetime, parameters: Parameters
) -> tuple[AlertState, tuple[Event, ...]]:
    """A good tick while an incident is open: the end, or one more good one on the way there."""
    good = replace(incident, good_since=incident.good_since or now)
    if now < good.ends_at(now, parameters):
        return replace(state, incident=good), ()
    _, event = good.told(EventKind.RESOLVED, now)
    return replace(state, incident=None), (event,)


def _tell(
    state: AlertState, incident: Incident, kind: EventKind, now: datetime
) -> tuple[AlertState, tuple[Event, ...]]:
    moved, event = incident.told(kind, now)
    return replace(state, incident=moved), (event,)


def _age(since: datetime | None, now: datetime) -> timedelta:
    return timedelta(0) if since is None else now - since
