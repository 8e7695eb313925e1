"""What follows from a read: the whole table of what is done with a request once Cliq was looked at."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.change import Attempt, ChangeRequest, State
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.plan import Plan
from bot.domain.sender_plans import plan_reset, plan_set
from bot.domain.steps import Move, Next, first_move, is_late_effect, move_if_reached, next_move
from tests.fakes import MORNING, config
from tests.office import ALICE, POLICY

BASE = config()
MOVED = replace(BASE, email_id="it@acme.example")
ANEW = config("it@acme.example", which=1, selector="1800000000000")
RENAMED = replace(BASE, name="Renamed")
ADDRESS = plan_set(Patch(email_id="it@acme.example"), BASE)
BIGGER = plan_set(Patch(email_id="it@acme.example", dkim_key_size=2048), BASE)
NAME = plan_set(Patch(name="IT"), BASE)
FIRST = plan_set(Patch(name="IT", email_id="it@acme.example"), None)
RESET = plan_reset(BASE)
BEFORE = replace(ADDRESS, may_delete=False)
APPLY_BY = MORNING + timedelta(hours=1)
IN_TIME, TOO_LATE = APPLY_BY - timedelta(seconds=1), APPLY_BY


def request(plan: Plan, step: int = 1) -> ChangeRequest:
    return ChangeRequest(
        id="opaque",
        org="default",
        number=42,
        plan=plan,
        policy=POLICY,
        quorum=2,
        requester=ALICE,
        requester_evidence={},
        reason="Scott has left",
        created_at=MORNING,
        expires_at=MORNING + POLICY.approval_deadline,
        apply_by=APPLY_BY,
        uncertain_since=MORNING,
        step=step,
    )


def made(*outcomes: str, step: int = 1) -> list[Attempt]:
    """Earlier writes; those of other steps are made up of nothing but accepted ones."""
    others = [Attempt("opaque", n, "PUT", MORNING, "accepted", step=n) for n in (1, 2, 3)]
    mine = [Attempt("opaque", 9, "PUT", MORNING, outcome, step=step) for outcome in outcomes]
    return [*(other for other in others if other.step < step), *mine]


WRITE, GO_ON, APPLIED = Move(Next.WRITE), Move(Next.GO_ON), Move(Next.APPLIED)
NEITHER = Move(Next.CONFLICT, "Cliq shows neither the old nor the wanted configuration")
NOT_THE_NEW = Move(
    Next.CONFLICT, "the old configuration was removed, and Cliq does not show the new one"
)
BACK = Move(Next.CONFLICT, "the old configuration was seen to be removed, and Cliq shows it again")


def failed(why: str) -> Move:
    return Move(Next.FAILED, why)


TABLE: list[tuple[str, Plan, int, list[str], MailConfig | None, Move]] = [
    ("sent, and there", ADDRESS, 1, ["ambiguous"], MOVED, APPLIED),
    ("unclear, and without effect", ADDRESS, 1, ["ambiguous"], BASE, WRITE),
    ("cut off, and without effect", ADDRESS, 1, [""], BASE, WRITE),
    ("never sent", ADDRESS, 1, ["not_sent"] * 5, BASE, WRITE),
    ("accepted, and kept", ADDRESS, 1, ["accepted"], BASE, GO_ON),
    ("accepted once, then unclear, and kept", ADDRESS, 1, ["accepted", ""], BASE, GO_ON),
    ("accepted the third time, and kept", ADDRESS, 1, ["", "", "accepted"], BASE, GO_ON),
    ("kept, but for the name", ADDRESS, 1, ["accepted"], RENAMED, NEITHER),
    ("gone instead", ADDRESS, 1, ["accepted"], None, NEITHER),
    (
        "unclear three times",
        ADDRESS,
        1,
        ["ambiguous"] * 3,
        BASE,
        failed("Cliq did not apply the change, though it was sent 3 times"),
    ),
    ("kept, where nothing may be deleted", BEFORE, 1, ["accepted"], BASE, WRITE),
    ("a name that is kept", NAME, 1, ["accepted"], BASE, WRITE),
    ("a first sender that does not appear", FIRST, 1, ["accepted"], None, WRITE),
    ("a reset without effect", RESET, 1, ["accepted"], BASE, WRITE),
    ("a reset", RESET, 1, ["ambiguous"], None, APPLIED),
    ("about to remove", ADDRESS, 2, [], BASE, WRITE),
    ("removed", ADDRESS, 2, ["accepted"], None, GO_ON),
    ("removed by somebody else", ADDRESS, 2, [], None, GO_ON),
    ("removal without effect", ADDRESS, 2, ["accepted"], BASE, WRITE),
    ("the new one comes late", ADDRESS, 2, ["ambiguous"], MOVED, APPLIED),
    ("another one instead of removed", ADDRESS, 2, ["ambiguous"], RENAMED, NEITHER),
    (
        "removal without effect three times",
        ADDRESS,
        2,
        ["ambiguous"] * 3,
        BASE,
        failed("Cliq kept the old address, though its removal was sent 3 times"),
    ),
    ("about to create", ADDRESS, 3, [], None, WRITE),
    ("created", ADDRESS, 3, ["ambiguous"], ANEW, APPLIED),
    ("creation without effect", ADDRESS, 3, ["accepted"], None, WRITE),
    ("created with a key of the old size", BIGGER, 3, ["ambiguous"], ANEW, APPLIED),
    ("another one instead of the new", ADDRESS, 3, ["ambiguous"], RENAMED, NOT_THE_NEW),
    ("the old one is back", ADDRESS, 3, ["ambiguous"], BASE, BACK),
    (
        "creation without effect three times",
        ADDRESS,
        3,
        ["ambiguous"] * 3,
        None,
        failed("Cliq did not apply the change, though it was sent 3 times"),
    ),
]


@pytest.mark.parametrize(
    ("plan", "step", "outcomes", "live", "move"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_what_a_read_after_the_quiet_time_leads_to(
    plan: Plan, step: int, outcomes: list[str], live: MailConfig | None, move: Move
):
    assert next_move(request(plan, step), made(*outcomes, step=step), live, IN_TIME) == move


LATE = ", and the time for applying it has run out"


@pytest.mark.parametrize(
    ("plan", "step", "live", "move"),
    [
        (ADDRESS, 1, BASE, failed(f"Cliq did not apply the change{LATE}")),
        (ADDRESS, 1, MOVED, APPLIED),
        (ADDRESS, 2, BASE, failed(f"Cliq kept the old address{LATE}")),
        (ADDRESS, 2, None, GO_ON),
        (ADDRESS, 3, None, WRITE),
    ],
)
def test_only_before_the_removal_is_there_a_time_to_be_late(
    plan: Plan, step: int, live: MailConfig | None, move: Move
):
    assert next_move(request(plan, step), made("ambiguous", step=step), live, TOO_LATE) == move


@pytest.mark.parametrize(
    ("step", "live", "move"),
    [
        (1, BASE, None),
        (1, MOVED, APPLIED),
        (1, None, None),
        (2, BASE, None),
        (2, None, GO_ON),
        (3, None, None),
        (3, ANEW, APPLIED),
        (3, BASE, None),
    ],
)
def test_what_a_read_right_after_a_write_leads_to(
    step: int, live: MailConfig | None, move: Move | None
):
    assert move_if_reached(request(ADDRESS, step), live) == move


@pytest.mark.parametrize(
    ("plan", "live", "due"),
    [
        (ADDRESS, BASE, Next.WRITE),
        (ADDRESS, MOVED, Next.APPLIED),
        (ADDRESS, RENAMED, Next.STALE),
        (ADDRESS, None, Next.STALE),
        (FIRST, None, Next.WRITE),
        (RESET, None, Next.APPLIED),
        (RESET, RENAMED, Next.STALE),
    ],
)
def test_what_the_read_before_the_first_write_leads_to(
    plan: Plan, live: MailConfig | None, due: Next
):
    assert first_move(request(plan), live).next is due


@pytest.mark.parametrize(
    ("state", "outcomes", "live", "is_late"),
    [
        (State.FAILED, ["ambiguous"], MOVED, True),
        (State.CONFLICT, ["", "ambiguous"], MOVED, True),
        (State.FAILED, ["refused", "not_sent"], MOVED, False),
        (State.FAILED, [], MOVED, False),
        (State.FAILED, ["ambiguous"], BASE, False),
        (State.EXPIRED, ["ambiguous"], MOVED, False),
        (State.APPLIED, ["accepted"], MOVED, False),
    ],
)
def test_what_was_given_up_may_take_effect_late(
    state: State, outcomes: list[str], live: MailConfig, is_late: bool
):
    ended = replace(request(ADDRESS), state=state)

    assert is_late_effect(ended, made(*outcomes), live) is is_late


@pytest.mark.parametrize(("step", "is_late"), [(1, False), (2, True), (3, True)])
def test_a_removal_on_the_way_may_take_effect_late_once_it_was_sent(step: int, is_late: bool):
    ended = replace(request(ADDRESS, step), state=State.CONFLICT)

    assert is_late_effect(ended, made("ambiguous", step=step), None) is is_late
