"""The life of a request: every move from every state, the votes, the digest and the seal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.change import (
    OPEN,
    Attempt,
    ChangeRequest,
    Decision,
    Seal,
    State,
    VoteKind,
    is_untouched,
    people_still_for,
)
from bot.domain.mail_config import Patch
from bot.domain.policy import Actor, Facts
from bot.domain.posture import Dmarc
from bot.domain.preflight import Preflight
from bot.domain.sender_plans import SetPlan, plan_set
from bot.domain.stored import from_milliseconds, milliseconds
from bot.errors import AlreadySettled, NotAllowed
from tests.fakes import MORNING, TEAM, config
from tests.office import ALICE, BOB, CAROL, ERIN, POLICY, SEAL

BASE = config()
SOON = MORNING + timedelta(minutes=1)
MUCH_LATER = MORNING + timedelta(days=3)


def request(**changes: object) -> ChangeRequest:
    bare = ChangeRequest(
        id="opaque",
        org="default",
        number=42,
        plan=plan_set(Patch.of(email_id="it@acme.example"), BASE),
        policy=POLICY,
        quorum=2,
        requester=ALICE,
        requester_evidence={},
        reason="Scott has left",
        created_at=MORNING,
        expires_at=MORNING + POLICY.approval_deadline,
    )
    made = replace(bare, **changes)  # type: ignore[arg-type]
    return replace(made, digest=made.compute_digest())


def vote(
    voter: Actor = BOB, kind: VoteKind = VoteKind.APPROVE, of: ChangeRequest | None = None
) -> Decision:
    mac = SEAL.sign(of or request(), voter, kind, SOON)
    return Decision(voter, kind, SOON, "", {}, mac)


PENDING = request()
ONE_VOTE = PENDING.approve(vote(BOB), SOON, 2)
APPROVED = ONE_VOTE.approve(vote(CAROL), SOON, 2)
APPLYING = APPROVED.claim(MUCH_LATER)
SENT = APPLYING.mark_sent()
UNCERTAIN = SENT.become_uncertain(SOON, SOON, "no answer")
ENDS = {
    State.APPLIED: SENT.apply(SOON, BASE, "written"),
    State.REJECTED: PENDING.reject(vote(BOB, VoteKind.REJECT), SOON),
    State.CANCELLED: PENDING.withdraw(SOON),
    State.EXPIRED: PENDING.expire(MUCH_LATER),
    State.STALE: APPLYING.go_stale(SOON, None),
    State.FAILED: APPLYING.fail(SOON, "refused"),
    State.CONFLICT: APPLYING.conflict(SOON, "neither", None),
}
STATES = {
    State.PENDING: PENDING,
    State.APPROVED: APPROVED,
    State.APPLYING: APPLYING,
    State.UNCERTAIN: UNCERTAIN,
} | ENDS

Move = Callable[[ChangeRequest], ChangeRequest]
MOVES: dict[str, Move] = {
    "approve": lambda r: r.approve(vote(ERIN), SOON, 1),
    "reject": lambda r: r.reject(vote(ERIN, VoteKind.REJECT), SOON),
    "withdraw": lambda r: r.withdraw(SOON),
    "expire": lambda r: r.expire(MUCH_LATER),
    "claim": lambda r: r.claim(MUCH_LATER),
    "mark_sent": lambda r: r.mark_sent(),
    "park": lambda r: r.park(SOON, "locked"),
    "become_uncertain": lambda r: r.become_uncertain(SOON, SOON, "no answer"),
    "apply": lambda r: r.apply(SOON, BASE, "written"),
    "go_stale": lambda r: r.go_stale(SOON, BASE),
    "fail": lambda r: r.fail(SOON, "refused"),
    "cancel_ineligible": lambda r: r.cancel_ineligible(SOON, "an approver is no longer eligible"),
    "conflict": lambda r: r.conflict(SOON, "neither", BASE),
    "go_on": lambda r: r.go_on(SOON),
}
ALLOWED = {
    (State.PENDING, "approve"): State.PENDING,
    (State.PENDING, "reject"): State.REJECTED,
    (State.PENDING, "withdraw"): State.CANCELLED,
    (State.PENDING, "expire"): State.EXPIRED,
    (State.APPROVED, "reject"): State.REJECTED,
    (State.APPROVED, "withdraw"): State.CANCELLED,
    (State.APPROVED, "expire"): State.EXPIRED,
    (State.APPROVED, "claim"): State.APPLYING,
    (State.UNCERTAIN, "claim"): State.APPLYING,
    (State.UNCERTAIN, "conflict"): State.CONFLICT,
    (State.APPLYING, "mark_sent"): State.APPLYING,
    (State.APPLYING, "park"): State.APPROVED,
    (State.APPLYING, "become_uncertain"): State.UNCERTAIN,
    (State.APPLYING, "apply"): State.APPLIED,
    (State.APPLYING, "go_stale"): State.STALE,
    (State.APPLYING, "fail"): State.FAILED,
    (State.APPLYING, "cancel_ineligible"): State.CANCELLED,
    (State.APPLYING, "conflict"): State.CONFLICT,
    (State.APPLYING, "go_on"): State.UNCERTAIN,
}
FORBIDDEN = [(s, m) for s in State for m in MOVES if (s, m) not in ALLOWED]


def test_the_table_speaks_of_every_state():
    assert {state: one.state for state, one in STATES.items()} == {s: s for s in State}


@pytest.mark.parametrize(("start", "move", "end"), [(*k, v) for k, v in ALLOWED.items()])
def test_an_allowed_move_leads_on_and_counts(start: State, move: str, end: State):
    before = STATES[start]
    after = MOVES[move](before)

    assert (after.state, after.rev) == (end, before.rev + 1)
    assert after.is_open is (end in OPEN)
    assert (after.ended_at is None) is after.is_open


@pytest.mark.parametrize(("start", "move"), FORBIDDEN)
def test_any_other_move_is_refused(start: State, move: str):
    with pytest.raises(AlreadySettled):
        MOVES[move](STATES[start])


@pytest.mark.parametrize(
    ("start", "sentence"),
    [
        (State.APPROVED, "#42 already has the approvals it needs."),
        (State.APPLYING, "#42 is already being applied."),
        (State.UNCERTAIN, "#42 is already being applied."),
        (State.APPLIED, "#42 has ended: it is in force."),
        (State.REJECTED, "#42 has ended: it was rejected."),
        (State.CANCELLED, "#42 has ended: it was cancelled."),
        (State.EXPIRED, "#42 has ended: its time ran out."),
        (State.STALE, "#42 has ended: the configuration had changed meanwhile."),
        (State.FAILED, "#42 has ended: it failed."),
        (State.CONFLICT, "#42 has ended: it needs a person."),
    ],
)
def test_who_comes_too_late_to_approve_is_told_why(start: State, sentence: str):
    with pytest.raises(AlreadySettled) as caught:
        STATES[start].approve(vote(ERIN), SOON, 2)

    assert str(caught.value) == sentence


def test_a_vote_below_the_quorum_keeps_it_pending():
    assert (ONE_VOTE.state, ONE_VOTE.approvals) == (State.PENDING, (vote(BOB),))
    assert ONE_VOTE.approved_at is None


def test_the_last_vote_approves_it_and_starts_the_time_to_apply():
    assert APPROVED.state is State.APPROVED
    assert APPROVED.apply_by == SOON + POLICY.apply_within


def test_the_larger_quorum_counts():
    assert ONE_VOTE.approve(vote(CAROL), SOON, 3).state is State.PENDING
    assert ONE_VOTE.approve(vote(CAROL), SOON, 1).state is State.APPROVED
    assert PENDING.approve(vote(BOB), SOON, 1).state is State.PENDING


@pytest.mark.parametrize("kind", list(VoteKind))
def test_nobody_votes_twice(kind: VoteKind):
    again = vote(BOB, kind)
    second_id = vote(Actor("T0SECOND", BOB.user), kind)

    for repeated in (again, second_id):
        with pytest.raises(AlreadySettled, match=r"You have already approved this, at 09:01 UTC\."):
            MOVES_OF[kind](ONE_VOTE, repeated)


MOVES_OF = {
    VoteKind.APPROVE: lambda r, v: r.approve(v, SOON, 2),
    VoteKind.REJECT: lambda r, v: r.reject(v, SOON),
}


@pytest.mark.parametrize("kind", list(VoteKind))
@pytest.mark.parametrize("requester", [ALICE, Actor("T0SECOND", ALICE.user)])
def test_the_requester_has_no_vote(kind: VoteKind, requester: Actor):
    with pytest.raises(NotAllowed, match="You asked for this change"):
        MOVES_OF[kind](PENDING, vote(requester, kind))


def test_a_vote_after_the_deadline_does_not_count():
    with pytest.raises(AlreadySettled, match="#42 has ended: its time ran out"):
        PENDING.approve(vote(), PENDING.expires_at, 2)


def test_an_approved_request_cannot_be_withdrawn_after_its_time():
    assert APPROVED.apply_by is not None
    with pytest.raises(AlreadySettled, match="its time ran out"):
        APPROVED.withdraw(APPROVED.apply_by)


def test_time_runs_out_on_the_dot():
    moment = timedelta(milliseconds=1)
    assert not PENDING.is_overdue(PENDING.expires_at - moment)
    assert PENDING.is_overdue(PENDING.expires_at)
    assert APPROVED.apply_by is not None
    assert not APPROVED.is_overdue(APPROVED.apply_by - moment)
    assert APPROVED.is_overdue(APPROVED.apply_by)
    assert not UNCERTAIN.is_overdue(MUCH_LATER)


def test_expiry_says_which_time_it_was():
    assert ENDS[State.EXPIRED].end_reason == "the approvals did not come in time"
    assert APPROVED.expire(MUCH_LATER).end_reason == "it could not be applied in time"


def test_a_rejection_is_kept_with_its_request():
    assert ENDS[State.REJECTED].rejection == vote(BOB, VoteKind.REJECT)
    assert PENDING.rejection is None


def test_a_parked_request_is_due_when_its_time_comes():
    parked = APPLYING.park(MUCH_LATER, "locked")

    assert (parked.state, parked.waits_for) == (State.APPROVED, "locked")
    assert not parked.is_due(MUCH_LATER - timedelta(seconds=1))
    assert parked.is_due(MUCH_LATER)
    assert APPROVED.is_due(SOON)
    assert not PENDING.is_due(SOON)


def test_what_may_have_been_written_is_never_just_approved_again():
    resolving = UNCERTAIN.claim(MUCH_LATER)

    assert resolving.park(SOON, "locked").state is State.UNCERTAIN


REMOVED = replace(APPLYING.go_on(SOON), step=3)


def test_between_two_steps_it_is_due_at_once():
    removing = APPLYING.go_on(SOON)

    assert (removing.state, removing.step) == (State.UNCERTAIN, 2)
    assert (removing.not_before, removing.uncertain_since) == (SOON, SOON)
    assert removing.is_due(SOON)
    assert (removing.has_removed, REMOVED.has_removed) == (False, True)


def test_once_the_old_configuration_is_removed_nothing_is_as_it_was():
    setting = REMOVED.claim(MUCH_LATER)
    failed = setting.fail(SOON, "Cliq said no.")

    assert setting.park(SOON, "locked").state is State.UNCERTAIN
    assert (failed.state, failed.observed, failed.was_read) == (State.CONFLICT, None, True)
    assert failed.end_reason == (
        "the old configuration is removed, and the new one is not set: Cliq said no."
    )
    assert not REMOVED.is_overdue(MUCH_LATER)


def test_a_configuration_that_was_created_anew_is_approved_with_its_new_key():
    anew = config("it@acme.example", bits=2048, which=1, selector="1800000000000")
    meddled = replace(anew, name="Evil")

    assert REMOVED.claim(MUCH_LATER).apply(SOON, meddled, "written").approved_config == anew
    assert SENT.apply(SOON, anew, "written").approved_config != anew


def test_a_step_that_the_plan_does_not_have_makes_no_request():
    with pytest.raises(ValueError, match="there is no step 4"):
        replace(PENDING, step=4)
    with pytest.raises(ValueError, match="there is no step 2"):
        request(plan=plan_set(Patch.of(name="IT"), BASE), step=2)


def test_the_first_uncertainty_is_remembered():
    again = UNCERTAIN.claim(MUCH_LATER).become_uncertain(MUCH_LATER, MUCH_LATER, "still nothing")

    assert (again.uncertain_since, again.not_before) == (SOON, MUCH_LATER)


def test_a_claim_clears_what_it_waited_for():
    claimed = UNCERTAIN.claim(MUCH_LATER)

    assert (claimed.sent, claimed.waits_for) == (False, "")
    assert SENT.sent


VOTERS = [ALICE, BOB, CAROL, ERIN, Actor("T0SECOND", BOB.user), Actor(TEAM, "U0B", "U0BOB")]
ANY_MOVE = st.one_of(
    st.sampled_from(sorted(MOVES)),
    st.tuples(st.sampled_from(VOTERS), st.sampled_from(VoteKind)),
)


AS_IF_NOTHING_HAPPENED = {State.APPROVED, State.EXPIRED, State.FAILED}


@given(st.lists(ANY_MOVE, max_size=40))
def test_no_sequence_of_moves_breaks_the_rules(moves: list[str | tuple[Actor, VoteKind]]):
    current = PENDING
    for move in moves:
        before = current
        current = tried(current, move)
        assert before.is_open or current is before
        assert current.rev == before.rev + (current is not before)
        assert current.state is not State.APPLIED or before.state is State.APPLYING
        assert current.state is not State.APPLYING or is_well_supported(current)
        assert not (current.has_removed and current.state in AS_IF_NOTHING_HAPPENED)


def tried(current: ChangeRequest, move: str | tuple[Actor, VoteKind]) -> ChangeRequest:
    try:
        if isinstance(move, str):
            return MOVES[move](current) if move != "approve" else current
        return MOVES_OF[move[1]](current, vote(*move))
    except (AlreadySettled, NotAllowed, ValueError):
        return current


def is_well_supported(current: ChangeRequest) -> bool:
    people = {"U0BOB" if "U0BOB" in (d.voter.user, d.voter.enterprise_user) else d.voter.user
              for d in current.approvals}  # fmt: skip
    return len(people) >= 2 and ALICE.user not in people and current.rejection is None


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"org": "other"},
        {"plan": plan_set(Patch.of(email_id="evil@acme.example"), BASE)},
        {"plan": SetPlan(replace(BASE, name="Other"), PENDING.plan.wanted)},  # type: ignore[union-attr]
        {"plan": replace(PENDING.plan, may_delete=False)},  # type: ignore[arg-type]
        {"digest_version": 1},
        {"policy": replace(POLICY, approvers=(*POLICY.approvers, ERIN.user))},
        {"policy": replace(POLICY, requesters=("*",))},
        {"policy": replace(POLICY, approvals=2)},
        {"policy": replace(POLICY, approvals_sensitive=1)},
        {"policy": replace(POLICY, approval_deadline=timedelta(hours=25))},
        {"policy": replace(POLICY, apply_within=timedelta(hours=25))},
        {"policy": replace(POLICY, watch_only=True)},
        {"quorum": 1},
        {"requester": ERIN},
        {"requester": Actor(TEAM, ALICE.user, "W0ALICE")},
        {"reason": "because"},
        {"digest": "0" * 64},
        {"created_at": MORNING + timedelta(milliseconds=1)},
        {"expires_at": MORNING + timedelta(days=9)},
        {"apply_by": MORNING + timedelta(days=9)},
        {"apply_by": None},
        {"state": State.PENDING},
    ],
)
def test_a_changed_field_of_a_stored_request_is_noticed(change: dict[str, object]):
    assert is_untouched(APPROVED, SEAL)
    assert not is_untouched(replace(APPROVED, **change), SEAL)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"voter": ERIN},
        {"voter": Actor(TEAM, BOB.user, "W0BOB")},
        {"kind": VoteKind.REJECT},
        {"at": SOON + timedelta(milliseconds=1)},
        {"mac": "0" * 64},
        {"mac": ""},
        {"mac": "ü"},
    ],
)
def test_a_changed_field_of_a_stored_vote_is_noticed(change: dict[str, object]):
    first, second = APPROVED.decisions
    forged = replace(APPROVED, decisions=(replace(first, **change), second))  # type: ignore[arg-type]

    assert not is_untouched(forged, SEAL)


def test_a_request_of_an_earlier_version_is_held_to_what_that_version_sealed():
    early = request(digest_version=1)
    early = replace(early, digest=early.compute_digest())
    late = replace(early, created_at=MORNING + timedelta(hours=1))

    assert early.compute_digest() != PENDING.compute_digest()
    assert is_untouched(early, SEAL)
    assert is_untouched(late, SEAL)


def test_a_vote_cast_after_the_deadline_does_not_hold():
    assert not is_untouched(replace(APPROVED, expires_at=SOON), SEAL)


def test_a_state_that_nobody_voted_for_is_noticed():
    for state in (State.APPROVED, State.APPLYING, State.UNCERTAIN):
        assert not is_untouched(replace(PENDING, state=state), SEAL)
        forged = replace(PENDING, state=state, apply_by=MORNING + POLICY.apply_within)
        assert not is_untouched(forged, SEAL)


def test_a_vote_cannot_be_moved_to_another_request():
    other = request(id="another", decisions=APPROVED.decisions)

    assert not is_untouched(other, SEAL)


def test_a_rejected_request_that_was_set_back_is_noticed():
    rejection = vote(ERIN, VoteKind.REJECT)
    set_back = replace(APPROVED, decisions=(*APPROVED.decisions, rejection))

    assert not is_untouched(set_back, SEAL)


def test_a_seal_of_an_earlier_key_still_holds_and_a_foreign_one_does_not():
    rotated = Seal((b"new", *SEAL.keys))

    assert is_untouched(APPROVED, rotated)
    assert not is_untouched(APPROVED, Seal((b"new",)))
    assert rotated.holds_text("text", SEAL.sign_text("text"))
    assert not rotated.holds_text("another text", SEAL.sign_text("text"))


def test_a_seal_does_not_show_its_keys():
    assert "thirty-two" not in repr(SEAL)


def test_the_same_wish_has_the_same_intent_whatever_the_base():
    moved = replace(BASE, dkim_status="not_verified")
    same = request(id="another", plan=plan_set(Patch.of(email_id="it@acme.example"), moved))

    assert same.intent() == PENDING.intent()
    assert request(requester=ERIN).intent() != PENDING.intent()


def test_what_dns_said_when_it_was_asked_is_sealed_with_it():
    bare = plan_set(Patch.of(dkim_key_size=2048), BASE)
    reject = Dmarc("acme.example", 1, "reject")
    shown = replace(bare, preflight=Preflight("acme.example", ("ns1.acme.example",), 1, reject))
    milder = replace(
        shown, preflight=replace(shown.preflight, dmarc=replace(reject, policy="none"))
    )
    digests = {request(plan=plan).compute_digest() for plan in (bare, shown, milder)}

    assert len(digests) == 3
    assert {request(plan=plan).intent() for plan in (bare, shown, milder)} == {
        request(plan=bare).intent()
    }


def test_a_request_without_a_preflight_has_the_digest_that_it_always_had():
    plan = plan_set(Patch.of(dkim_key_size=2048), BASE)

    assert plan.target_json() == plan.wanted.as_dict()


def test_each_person_still_for_it_counts_once():
    second_id = Facts(Actor("T0SECOND", BOB.user))
    voters = [Facts(BOB), second_id, Facts(ALICE), Facts(ERIN), Facts(CAROL, is_guest=True)]

    assert people_still_for(APPROVED, voters, POLICY) == (BOB,)


def test_a_vote_must_be_valid_under_the_rules_then_and_now():
    voters = [Facts(BOB), Facts(CAROL)]
    narrower = replace(POLICY, approvers=(CAROL.user,))
    wider = replace(POLICY, approvers=(*POLICY.approvers, ERIN.user))

    assert people_still_for(APPROVED, voters, narrower) == (CAROL,)
    assert people_still_for(APPROVED, [Facts(ERIN)], wider) == ()


@pytest.mark.parametrize(
    ("outcome", "may_have_effect"),
    [("", True), ("accepted", True), ("ambiguous", True), ("not_sent", False), ("refused", False)],
)
def test_only_what_surely_had_no_effect_does_not_count_as_sent(outcome: str, may_have_effect: bool):
    assert Attempt("opaque", 1, "PUT", MORNING, outcome).may_have_effect is may_have_effect


@given(st.integers(min_value=0, max_value=10**14))
def test_times_are_kept_to_the_millisecond(stamp: int):
    assert milliseconds(from_milliseconds(stamp)) == stamp
