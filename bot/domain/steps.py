"""What to do with a request once the live configuration was read: write, go on to the next step, or end.

The whole of it as pure functions of the request, its earlier writes and what was read. Most plans
have one step. Another address has three, since Cliq is reported to accept one and keep the old
(github.com/phil-fetchski/n8n-nodes-zoho-cliq): write it; if the old one is kept, remove that; then
write the new one where nothing is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from bot.domain.change import Attempt, ChangeRequest, State

SENDS_MAX = 3
"""Sends of one step that may have had an effect; what surely had none does not count."""


class Next(Enum):
    WRITE = auto()
    """Send what the step in hand writes."""
    GO_ON = auto()
    """The step in hand is done with: the next one is due."""
    APPLIED = auto()
    STALE = auto()
    FAILED = auto()
    CONFLICT = auto()


@dataclass(frozen=True, slots=True)
class Move:
    """What to do next; `why` is said of what ends badly."""

    next: Next
    why: str = ""


def first_move(request: ChangeRequest, live: Any) -> Move:
    """After the read right before the first write: done already, moved, or to be written."""
    plan = request.plan
    if not plan.would_change(live):
        return Move(Next.APPLIED)
    if not plan.writes or not plan.base_is_in_place(live):
        return Move(Next.STALE)
    return Move(Next.WRITE)


def move_if_reached(request: ChangeRequest, live: Any) -> Move | None:
    """After a read that follows a write; None if what was written does not show."""
    if request.goal.is_reached_by(live):
        return Move(Next.APPLIED)
    return Move(Next.GO_ON) if request.current.is_reached_by(live) else None


def next_move(
    request: ChangeRequest,
    attempts: Sequence[Attempt],
    live: Any,
    now: datetime,
    sends_max: int = SENDS_MAX,
) -> Move:
    """After a read that nothing sent before it can still change: the quiet time is over.

    Only where it shows the base of the step in hand had the earlier writes no effect, so that
    another one overwrites nothing.
    """
    reached = move_if_reached(request, live)
    if reached is not None:
        return reached
    if not request.current.base_is_in_place(live):
        return Move(Next.CONFLICT, _why_unknown(request, live))
    sends = [a for a in attempts if a.step == request.step and a.may_have_effect]
    if _keeps_address(request, sends):
        return Move(Next.GO_ON)
    why = _why_not_again(request, len(sends), sends_max, now)
    return Move(Next.WRITE) if why is None else Move(Next.FAILED, why)


def _keeps_address(request: ChangeRequest, sends: Sequence[Attempt]) -> bool:
    """Whether Cliq accepted another address, and shows the old configuration all the same."""
    is_first = request.step == 1 and len(request.plan.steps()) > 1
    return is_first and any(attempt.outcome == "accepted" for attempt in sends)


def _why_unknown(request: ChangeRequest, live: Any) -> str:
    if request.has_removed and request.plan.base_is_in_place(live):
        return "the old configuration was seen to be removed, and Cliq shows it again"
    if request.has_removed:
        return "the old configuration was removed, and Cliq does not show the new one"
    return "Cliq shows neither the old nor the wanted configuration"


def _why_not_again(request: ChangeRequest, sends: int, sends_max: int, now: datetime) -> str | None:
    """Finishing is safer than stopping where the old configuration is gone: no time runs out then."""
    if sends >= sends_max:
        return f"{without_effect(request)}, though {_what(request)} was sent {sends} times"
    is_late = request.apply_by is None or now >= request.apply_by
    if is_late and not request.has_removed:
        return f"{without_effect(request)}, and the time for applying it has run out"
    return None


def is_late_effect(request: ChangeRequest, attempts: Sequence[Attempt], live: Any) -> bool:
    """Whether what is live may be a write of an ended request, carried out after it was given up.

    Of any of its steps: a removal on the way to another address may come late as well.
    """
    ended_badly = request.state in {State.FAILED, State.CONFLICT}
    sent = {attempt.step for attempt in attempts if attempt.may_have_effect}
    steps = enumerate(request.plan.steps(), start=1)
    return ended_badly and any(n in sent and step.is_reached_by(live) for n, step in steps)


def without_effect(request: ChangeRequest) -> str:
    """The beginning of a sentence on why a request ends whose step in hand did nothing."""
    if request.step == 1 or request.has_removed:
        return "Cliq did not apply the change"
    return "Cliq kept the old address"


def why_given_up(request: ChangeRequest) -> str:
    """Why a request ends whose live configuration could not be read for a day."""
    if request.has_removed:
        return (
            "the old configuration is removed, and whether the new one is set could not be found out "
            "for a day"
        )
    return "what the write did could not be found out for a day"


def _what(request: ChangeRequest) -> str:
    return "its removal" if request.step == 2 else "it"
