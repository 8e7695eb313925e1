"""Applying what was approved: once, or honestly not at all, whatever the API says."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from bot.adapters.store import schema
from bot.domain.change import State
from bot.domain.command import Accept, Reset, Set
from bot.domain.incident import AlertBody
from bot.domain.mail_config import MailConfig, Patch
from bot.domain.policy import Actor, Facts
from bot.domain.stored import milliseconds
from bot.errors import (
    AlreadySettled,
    Ambiguous,
    AuthError,
    BadRequest,
    BudgetSpent,
    CliqError,
    MalformedAnswer,
    NotSent,
    OAuthThrottled,
    PermissionDenied,
    RateLimited,
    ReauthRequired,
    ScopeError,
    ServerError,
    Tampered,
)
from bot.ports import Purpose
from tests.fakes import MORNING, TEAM, Killed, config
from tests.office import ALICE, BOB, CAROL, ERIN, NEW_ADDRESS, RENAME, Office

QUIET = timedelta(seconds=35).total_seconds()
IN_TEN = MORNING + timedelta(minutes=10)


def written(office: Office) -> list[str]:
    return [write.method for write in office.cliq.writes]


async def settle_after(office: Office, **span: float) -> None:
    office.clock.advance(**span)
    await office.applier.settle()


async def test_without_a_request_there_is_nothing_to_do(office: Office):
    await office.applier.settle()

    assert office.cliq.reads == []


async def test_a_reset_removes_the_sender(office: Office):
    done = await office.applied(Reset("we close"))

    assert (done.state, done.effect, done.observed) == (State.APPLIED, "written", None)
    assert (written(office), office.cliq.live) == (["DELETE"], None)


async def test_a_first_sender_is_set(office: Office):
    office.cliq.live = None

    done = await office.applied(Set(Patch("IT", "it@acme.example"), "a start"))

    assert done.state is State.APPLIED
    assert done.observed is not None
    assert done.observed.email_id == "it@acme.example"


async def test_accepting_writes_nothing(office: Office):
    done = await office.applied(Accept("as found"))

    assert (done.state, done.effect, done.observed) == (State.APPLIED, "none", config())
    assert office.cliq.sent == 0


async def test_what_was_to_be_accepted_and_moved_is_out_of_date(office: Office):
    request = await office.approved(Accept("as found"))
    office.cliq.edit(name="Edited")

    await office.applier.settle()

    assert (await office.now(request)).state is State.STALE


@pytest.mark.parametrize(
    "edit",
    [
        {"name": "Edited"},
        {"email_id": "evil@acme.example"},
        {"cname_status": "not_verified"},
        {"dkim_value": "k=rsa; p=AAAA"},
    ],
)
async def test_a_base_that_moved_is_never_overwritten(office: Office, edit: dict[str, str]):
    request = await office.approved()
    office.cliq.edit(**edit)

    await office.applier.settle()

    done = await office.now(request)
    assert (done.state, done.observed) == (State.STALE, office.cliq.live)
    assert office.cliq.sent == 0


async def test_a_base_that_was_removed_is_never_written_again(office: Office):
    request = await office.approved()
    office.cliq.live = None

    await office.applier.settle()

    assert (await office.now(request)).state is State.STALE
    assert office.cliq.sent == 0


async def test_what_is_already_in_place_is_not_written(office: Office):
    request = await office.approved()
    office.cliq.edit(email_id="it@acme.example")

    await office.applier.settle()

    done = await office.now(request)
    assert (done.state, done.effect) == (State.APPLIED, "none")
    assert office.cliq.sent == 0


async def test_a_target_with_more_changed_around_it_is_not_taken_as_approved(office: Office):
    request = await office.approved(RENAME)
    office.cliq.edit(name="Acme Support", email_id="evil@acme.example")

    await office.applier.settle()

    assert (await office.now(request)).state is State.STALE
    assert await office.changes.baseline() is None


async def test_a_moved_dkim_status_is_no_moved_base(office: Office):
    request = await office.approved()
    office.cliq.edit(dkim_status="not_verified")

    await office.applier.settle()

    assert (await office.now(request)).state is State.APPLIED


UNKNOWN = [Ambiguous("PUT"), ServerError("PUT", status=500), MalformedAnswer("PUT", status=200)]


@pytest.mark.parametrize("error", UNKNOWN, ids=lambda e: type(e).__name__)
async def test_a_time_out_after_the_effect_ends_in_force_with_one_write(
    office: Office, error: CliqError
):
    request = await office.approved()
    office.cliq.fail_next_write(error, after_effect=True)

    await office.applier.settle()
    waiting = await office.now(request)
    await settle_after(office, seconds=QUIET - 1)
    assert await office.now(request) == waiting
    await settle_after(office, seconds=1)

    assert (waiting.state, waiting.waits_for) == (State.UNCERTAIN, str(error))
    assert (await office.now(request)).state is State.APPLIED
    assert (written(office), office.cliq.sent) == (["PUT"], 1)


async def test_a_time_out_before_the_effect_is_sent_again_once(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))

    await office.applier.settle()
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert (written(office), office.cliq.sent) == (["PUT"], 2)


async def test_after_three_sends_without_effect_it_has_failed(office: Office):
    request = await office.approved()
    for _ in range(3):
        office.cliq.fail_next_write(Ambiguous("PUT"))

    await office.applier.settle()
    for _ in range(4):
        await settle_after(office, seconds=QUIET)

    done = await office.now(request)
    assert (done.state, done.end_reason) == (
        State.FAILED,
        "Cliq did not apply the change, though it was sent 3 times",
    )
    assert (done.observed, office.cliq.sent) == (config(), 3)


async def test_a_write_that_is_accepted_and_not_applied_is_never_called_in_force(office: Office):
    request = await office.approved(RENAME)
    office.cliq.ignores_writes = True

    await office.applier.settle()
    waiting = await office.now(request)
    for _ in range(4):
        await settle_after(office, seconds=QUIET)

    assert (waiting.state, waiting.sent) == (State.UNCERTAIN, True)
    assert waiting.waits_for == "Zoho Cliq accepted the change but does not show it (name)."
    assert (await office.now(request)).state is State.FAILED
    assert office.cliq.sent == 3


async def test_it_is_not_sent_again_after_its_time(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))

    await office.applier.settle()
    await settle_after(office, minutes=60)

    done = await office.now(request)
    assert (done.state, done.end_reason) == (
        State.FAILED,
        "Cliq did not apply the change, and the time for applying it has run out",
    )
    assert office.cliq.sent == 1


async def test_it_is_not_sent_again_for_people_who_no_longer_may(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    await office.applier.settle()
    office.directory.change(BOB, is_deleted=True)

    await settle_after(office, seconds=QUIET)

    done = await office.now(request)
    assert (done.state, done.end_reason) == (
        State.FAILED,
        "Cliq did not apply the change, and an approver is no longer eligible",
    )
    assert office.cliq.sent == 1


async def test_it_is_not_sent_again_before_people_could_be_checked(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    await office.applier.settle()
    office.directory.is_reachable = False

    await settle_after(office, seconds=QUIET)
    assert (await office.now(request)).state is State.UNCERTAIN
    office.directory.is_reachable = True
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert office.cliq.sent == 2


async def test_neither_base_nor_target_needs_a_person(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    await office.applier.settle()
    office.cliq.edit(email_id="third@acme.example")

    await settle_after(office, seconds=QUIET)

    done = await office.now(request)
    assert (done.state, done.observed) == (State.CONFLICT, office.cliq.live)
    assert done.end_reason == "Cliq shows neither the old nor the wanted configuration"
    assert office.cliq.sent == 1


async def test_an_unclear_reset_is_settled_by_reading(office: Office):
    request = await office.approved(Reset("we close"))
    office.cliq.fail_next_write(Ambiguous("DELETE"), after_effect=True)

    await office.applier.settle()
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["DELETE"]


async def test_a_read_back_that_fails_is_repeated_and_never_a_second_write(office: Office):
    request = await office.approved()

    async def then_fail() -> None:
        office.cliq.fail_next_reads(ServerError("GET", status=502))

    office.cliq.while_reading = then_fail
    await office.applier.settle()
    assert (await office.now(request)).state is State.UNCERTAIN
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert office.cliq.sent == 1


async def test_what_cannot_be_found_out_for_a_day_needs_a_person(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await office.applier.settle()
    office.cliq.fail_next_reads(*[PermissionDenied("GET", status=403)] * 3)

    await settle_after(office, seconds=QUIET)
    first = await office.now(request)
    assert first.not_before == office.clock.now() + timedelta(seconds=QUIET)
    await settle_after(office, minutes=10)
    second = await office.now(request)
    assert second.not_before == office.clock.now() + timedelta(minutes=5)
    await settle_after(office, hours=24)

    assert first.state is second.state is State.UNCERTAIN
    done = await office.now(request)
    assert (done.state, done.end_reason) == (
        State.CONFLICT,
        "what the write did could not be found out for a day",
    )


NO_EFFECT = [
    NotSent("PUT"),
    AuthError("PUT", status=401),
    ReauthRequired(),
]
LOCKED = [
    RateLimited("PUT", retry_at=IN_TEN, source="zoho"),
    BudgetSpent("PUT", retry_at=IN_TEN),
    OAuthThrottled(retry_at=IN_TEN),
]


@pytest.mark.parametrize("error", NO_EFFECT, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("at", ["read", "write"])
async def test_what_had_no_effect_is_parked_and_goes_on(office: Office, error: Exception, at: str):
    request = await office.approved()
    order = {"read": office.cliq.fail_next_reads, "write": office.cliq.fail_next_write}
    order[at](error)

    await office.applier.settle()
    parked = await office.now(request)
    await settle_after(office, seconds=29)
    assert await office.now(request) == parked
    await settle_after(office, seconds=1)

    assert (parked.state, parked.waits_for) == (State.APPROVED, str(error))
    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


@pytest.mark.parametrize("error", LOCKED, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("at", ["read", "write"])
async def test_a_locked_api_is_left_alone_until_it_is_free(
    office: Office, error: Exception, at: str
):
    request = await office.approved()
    order = {"read": office.cliq.fail_next_reads, "write": office.cliq.fail_next_write}
    order[at](error)

    await office.applier.settle()
    calls = len(office.cliq.reads) + office.cliq.sent
    await settle_after(office, minutes=9, seconds=59)
    assert len(office.cliq.reads) + office.cliq.sent == calls
    await settle_after(office, seconds=1)

    assert (await office.now(request)).state is State.APPLIED


async def test_a_write_leaves_soon_after_it_was_stored_since_the_quiet_time_counts_from_then(
    office: Office,
):
    await office.approved()

    await office.applier.settle()

    assert office.cliq.send_by == [office.clock.elapsed() + 5]


async def test_a_write_leaves_early_enough_to_end_within_its_lease(office: Office):
    await office.approved()

    async def think() -> None:
        office.clock.advance(seconds=43)

    office.cliq.while_reading = think
    claimed_at = office.clock.elapsed()
    await office.applier.settle()

    assert office.cliq.send_by == [claimed_at + 45]


async def test_what_was_never_sent_may_be_tried_more_than_three_times(office: Office):
    request = await office.approved()
    for _ in range(5):
        office.cliq.fail_next_write(NotSent("PUT"))

    await office.applier.settle()
    for _ in range(5):
        await settle_after(office, seconds=30)

    assert (await office.now(request)).state is State.APPLIED


async def test_a_lock_while_settling_keeps_it_uncertain(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    office.cliq.fail_next_write(RateLimited("PUT", retry_at=IN_TEN, source="zoho"))

    await office.applier.settle()
    await settle_after(office, seconds=QUIET)
    locked = await office.now(request)
    await settle_after(office, minutes=10)

    assert (locked.state, locked.not_before) == (State.UNCERTAIN, IN_TEN)
    assert (await office.now(request)).state is State.APPLIED


REFUSED = [
    PermissionDenied("PUT", status=403),
    ScopeError("PUT", required="ZohoCliq.Organisation.UPDATE", status=401),
    BadRequest("PUT", status=400),
]


@pytest.mark.parametrize("error", REFUSED, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("at", ["read", "write"])
async def test_a_definite_no_fails_and_says_why(office: Office, error: CliqError, at: str):
    request = await office.approved()
    order = {"read": office.cliq.fail_next_reads, "write": office.cliq.fail_next_write}
    order[at](error)

    await office.applier.settle()

    done = await office.now(request)
    assert (done.state, done.end_reason) == (State.FAILED, str(error))
    assert (written(office), office.cliq.live) == ([], config())


async def test_a_failed_attempt_keeps_what_the_api_said(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(PermissionDenied("PUT", status=403, code="not_an_admin"))

    await office.applier.settle()

    (attempt,) = await office.store.attempts(request)
    assert (attempt.outcome, attempt.status, attempt.code) == ("refused", 403, "not_an_admin")


@pytest.mark.parametrize("after_effect", [True, False])
async def test_a_process_that_dies_in_the_middle_of_a_write_leaves_no_second_one(
    office: Office, after_effect: bool
):
    request = await office.approved()
    office.cliq.fail_next_write(Killed(), after_effect=after_effect)
    with pytest.raises(Killed):
        await office.applier.settle()

    office.restart()
    await office.applier.settle()
    taken_over = await office.now(request)
    await settle_after(office, seconds=QUIET)

    assert taken_over.state is State.UNCERTAIN
    assert taken_over.waits_for == "mailcfg was stopped while the change was being written"
    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


async def test_a_process_that_dies_before_the_write_has_sent_nothing(office: Office):
    request = await office.approved()
    office.cliq.fail_next_reads(Killed())
    with pytest.raises(Killed):
        await office.applier.settle()

    office.restart()
    await office.applier.settle()
    assert (await office.now(request)).state is State.APPROVED
    await office.applier.settle()

    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


async def test_a_process_that_dies_before_the_read_back_reads_again(office: Office):
    request = await office.approved()

    async def then_die() -> None:
        office.cliq.fail_next_reads(Killed())

    office.cliq.while_reading = then_die
    with pytest.raises(Killed):
        await office.applier.settle()
    assert (await office.now(request)).sent

    office.restart()
    await office.applier.settle()
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


async def test_a_process_that_dies_while_settling_settles_again(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await office.applier.settle()
    office.cliq.fail_next_reads(Killed())
    office.clock.advance(seconds=QUIET)
    with pytest.raises(Killed):
        await office.applier.settle()

    office.restart()
    await office.applier.settle()
    assert (await office.now(request)).state is State.UNCERTAIN
    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


async def test_two_who_settle_at_once_write_once(office: Office):
    request = await office.approved()

    await asyncio.gather(office.applier.settle(), office.applier.settle())

    assert (await office.now(request)).state is State.APPLIED
    assert written(office) == ["PUT"]


async def test_a_claim_that_comes_first_stops_a_withdrawal(office: Office):
    request = await office.approved()
    office.cliq.while_reading = lambda: refused_withdrawal(office)

    await office.applier.settle()

    assert (await office.now(request)).state is State.APPLIED


async def refused_withdrawal(office: Office) -> None:
    with pytest.raises(AlreadySettled, match=r"^#1 is already being applied\.$"):
        await office.changes.withdraw(ALICE)


@pytest.mark.parametrize("claims_first", [True, False])
async def test_a_withdrawal_and_a_claim_at_once_have_one_winner(office: Office, claims_first: bool):
    request = await office.approved()
    rivals = [office.applier.settle(), office.changes.withdraw(ALICE)]

    await asyncio.gather(*rivals[:: 1 if claims_first else -1], return_exceptions=True)

    done = (await office.now(request)).state
    assert (done, office.cliq.sent) in {(State.APPLIED, 1), (State.CANCELLED, 0)}


FAR_OFF = milliseconds(MORNING + timedelta(days=1000))
FORGED_TARGET = (
    '{"asked":["email_id"],"cname_status":"verified","dkim_key_size":null,'
    '"email_id":"evil@acme.example","name":"Scott Fisher"}'
)


@pytest.mark.parametrize(
    "column",
    [
        {"target_json": FORGED_TARGET},
        {"quorum": 1},
        {"reason": "never said"},
        {"requester_json": '{"enterprise_user":null,"team":"T0ACME","user":"U0ERIN"}'},
        {"digest": "0" * 64},
    ],
)
async def test_a_request_that_was_tampered_with_is_not_sent(office: Office, column: dict[str, Any]):
    request = await office.approved()
    await office.tamper(update(schema.request).values(**column))

    await office.applier.settle()

    done = await office.now(request)
    assert (done.state, office.cliq.sent) == (State.FAILED, 0)
    assert done.end_reason == "the stored request is not the one that was approved"
    assert (await office.audited())[-1] == "tampered"


async def test_a_vote_that_was_tampered_with_is_not_counted(office: Office):
    request = await office.approved()
    await office.tamper(update(schema.decision).values(mac="0" * 64))

    await office.applier.settle()

    assert (await office.now(request)).state is State.FAILED
    assert office.cliq.sent == 0


async def test_a_state_that_was_set_by_hand_is_no_approval(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.tamper(update(schema.request).values(state="APPROVED", apply_by=FAR_OFF))

    await office.applier.settle()

    assert (await office.now(request)).state is State.FAILED
    assert office.cliq.sent == 0


async def test_an_uncertainty_that_was_set_by_hand_is_no_approval(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    uncertain = {"state": "UNCERTAIN", "uncertain_since": 1, "apply_by": FAR_OFF}
    await office.tamper(update(schema.request).values(**uncertain))

    await office.applier.settle()

    assert (await office.now(request)).state is State.CONFLICT
    assert office.cliq.sent == 0


async def test_a_rejection_that_was_undone_by_hand_stays_one(office: Office):
    request = await office.approved(RENAME)
    await office.reject(CAROL, request)
    await office.tamper(update(schema.request).values(state="APPROVED", ended_at=None))

    await office.applier.settle()

    assert (await office.now(request)).state is State.FAILED
    assert office.cliq.sent == 0


async def test_a_request_tampered_with_after_a_send_needs_a_person(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    await office.applier.settle()
    await office.tamper(update(schema.request).values(target_json=FORGED_TARGET))

    await settle_after(office, seconds=QUIET)

    assert (await office.now(request)).state is State.CONFLICT
    assert office.cliq.sent == 1


@pytest.mark.parametrize(
    "column",
    [{"policy_json": "{}"}, {"target_json": "{"}, {"base_json": "[]"}, {"apply_by": 10**15}],
)
async def test_a_row_that_cannot_be_read_sends_nothing(office: Office, column: dict[str, Any]):
    await office.approved()
    await office.tamper(update(schema.request).values(**column))

    with pytest.raises(Tampered) as caught:
        await office.applier.settle()

    assert str(caught.value) == "Request #1 cannot be read: its row in the database is damaged."
    assert office.cliq.sent == 0


@pytest.mark.parametrize("who", [ALICE, BOB, CAROL])
@pytest.mark.parametrize("flag", ["is_deleted", "is_guest", "is_bot", "is_stranger"])
async def test_people_are_looked_at_again_before_it_is_written(
    office: Office, who: Actor, flag: str
):
    request = await office.approved()
    office.directory.change(who, **{flag: True})

    await office.applier.settle()

    done = await office.now(request)
    expected = "the requester may no longer ask for changes"
    expected = expected if who == ALICE else "an approver is no longer eligible"
    assert (done.state, done.end_reason) == (
        State.CANCELLED,
        expected,
    )
    assert office.cliq.sent == 0


@pytest.mark.parametrize("who", [ALICE, BOB])
async def test_a_person_whom_slack_no_longer_knows_does_not_count(office: Office, who: Actor):
    request = await office.approved()
    office.directory.forget(who)

    await office.applier.settle()

    assert (await office.now(request)).state is State.CANCELLED


@pytest.mark.parametrize(
    "policy",
    [
        {"approvers": (BOB.user, ERIN.user)},
        {"approvals_sensitive": 3},
        {"requesters": (ERIN.user,)},
        {"watch_only": True},
    ],
)
async def test_rules_that_became_narrower_count_before_it_is_written(
    office: Office, policy: dict[str, Any]
):
    request = await office.approved()
    office.restart(**policy)

    await office.applier.settle()

    assert (await office.now(request)).state is State.CANCELLED
    assert office.cliq.sent == 0


async def test_a_requester_who_has_become_one_of_the_approvers_does_not_count(office: Office):
    """The workspace joins an Enterprise Grid while the request waits: its people get a second id."""
    office.restart(approvers=(BOB.user, "W0ALICE"))
    request = await office.changes.propose(ALICE, RENAME)
    on_the_grid = Actor(TEAM, "W0ALICE", "W0ALICE")
    office.directory.add(Facts(on_the_grid))
    await office.approve(on_the_grid, request)
    office.directory.add(Facts(replace(ALICE, enterprise_user="W0ALICE")))

    await office.applier.settle()

    assert (await office.now(request)).state is State.CANCELLED
    assert office.cliq.sent == 0


async def test_people_who_cannot_be_checked_make_it_wait(office: Office):
    request = await office.approved()
    office.directory.is_reachable = False

    await office.applier.settle()
    parked = await office.now(request)
    assert (parked.state, office.cliq.sent) == (State.APPROVED, 0)
    office.directory.is_reachable = True
    await settle_after(office, seconds=30)

    assert (await office.now(request)).state is State.APPLIED


async def test_nothing_new_is_begun_while_nobody_can_be_asked_who_may_approve(office: Office):
    request = await office.approved()

    await office.applier.settle(may_begin=False)

    assert (await office.now(request)).state is State.APPROVED
    assert office.cliq.reads == [Purpose.LOOK]


async def test_what_was_sent_is_settled_even_then(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await office.applier.settle()
    office.clock.advance(seconds=QUIET)

    await office.applier.settle(may_begin=False)

    assert (await office.now(request)).state is State.APPLIED


async def test_another_key_size_than_asked_is_in_force_with_a_warning(office: Office):
    request = await office.approved(Set(Patch(dkim_key_size=2048), "stronger"))
    office.cliq.makes_bits = 1024

    await office.applier.settle()

    done = await office.now(request)
    assert done.state is State.APPLIED
    assert done.plan.warnings(done.observed) == (
        "Cliq made a key of 1024 bits, 2048 were asked for.",
    )


async def test_each_write_follows_a_read_that_showed_its_base(office: Office):
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"))
    await office.applier.settle()
    await settle_after(office, seconds=QUIET)

    (write,) = office.cliq.writes
    base: MailConfig | None = request.plan.base
    assert write.last_read == write.before == base


NEW_ADDRESS_AGAIN = Set(Patch(email_id="mail@acme.example"), "a better name")
KEY_OF_A_STRANGER = {
    "dkim_host": "999._domainkey.acme.example",
    "dkim_value": "k=rsa; p=Zm9yZWlnbg",
}


async def test_a_name_that_somebody_set_together_with_another_key_is_not_already_in_place(
    office: Office,
):
    request = await office.approved(RENAME)
    office.cliq.edit(name="Acme Support", **KEY_OF_A_STRANGER)

    await office.applier.settle()

    assert (await office.now(request)).state is State.STALE
    assert office.cliq.sent == 0


async def test_what_somebody_else_changed_behind_an_unclear_write_is_not_approved_with_it(
    office: Office,
):
    await office.applied()
    request = await office.approved(NEW_ADDRESS_AGAIN)
    office.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await office.applier.settle()
    office.cliq.edit(name="Evil Corp")

    await settle_after(office, seconds=QUIET)
    office.clock.advance(minutes=15)
    await office.watch.tick()

    assert (await office.now(request)).state is State.APPLIED
    assert await office.incident(AlertBody) is not None
