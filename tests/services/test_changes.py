"""Asking, approving, rejecting, withdrawing, expiring: who may, what is stored, what is said."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from bot.domain.change import State, VoteKind
from bot.domain.command import Accept, Reset, Set
from bot.domain.mail_config import Patch
from bot.domain.policy import Actor
from bot.errors import (
    AlreadyOpen,
    AlreadySettled,
    BadValue,
    CouldNotCheck,
    InputError,
    NoChange,
    NotAllowed,
    NotSent,
    Refusal,
    UnknownRequest,
)
from tests.office import (
    ALICE,
    BOB,
    CAROL,
    ERIN,
    GONE,
    MALLORY,
    NEW_ADDRESS,
    OUTSIDER,
    RENAME,
    ROBOT,
    Office,
)

NOT_APPROVER = "You are not among the approvers of this workspace's sender."
STRANGER = "You are not a member of this workspace; only its members may do this."
GUEST = "You are a guest in this workspace; only full members may do this."
DELETED = "Your account in this workspace is deactivated."
BOT = "Bots may not do this; a person must."
OWN = "You asked for this change, so someone else must decide on it."
COULD_NOT = "Could not check your membership; try again."


async def test_a_change_approved_by_two_people_is_applied_with_one_write(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, request)
    await office.approve(CAROL, request)

    await office.applier.settle()

    done = await office.now(request)
    assert (done.number, done.state, done.effect) == (1, State.APPLIED, "written")
    assert [write.method for write in office.cliq.writes] == ["PUT"]
    assert done.observed == office.cliq.live
    assert await office.messages() == ["approved", "approved", "result", "outcome"]
    assert await office.audited() == [
        "proposed", "approved", "approved", "claimed", "intent", "accepted", "applied",
    ]  # fmt: skip


async def test_an_ordinary_change_takes_one_approval(office: Office):
    request = await office.changes.propose(ALICE, RENAME)

    approved = await office.approve(BOB, request)

    assert (request.quorum, approved.state) == (1, State.APPROVED)


async def test_a_clock_that_is_behind_that_of_an_earlier_vote_looks_like_no_tampering(
    office: Office,
):
    """Two replicas differ by a few seconds, and a machine's clock may be set back."""
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.clock.advance(seconds=10)
    await office.approve(BOB, request)
    office.clock.advance(seconds=-5)
    await office.approve(CAROL, request)

    await office.applier.settle()

    done = await office.now(request)
    assert (done.state, done.end_reason) == (State.APPLIED, "")


async def test_nothing_is_written_before_the_last_approval(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, request)

    await office.applier.settle()

    assert (await office.now(request)).state is State.PENDING
    assert office.cliq.sent == 0


async def test_a_request_keeps_who_asked_for_what_and_why(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    stored = await office.now(request)
    assert (stored.requester, stored.reason) == (ALICE, "Scott has left")
    assert stored.plan.base == office.cliq.live
    assert stored.requester_evidence["user"] == ALICE.user
    assert stored.digest == stored.compute_digest()
    assert await office.store.card(office.org, request.id) is not None


@pytest.mark.parametrize(
    ("actor", "code", "sentence"),
    [
        (ALICE, "own_request", OWN),
        (ERIN, "not_approver", NOT_APPROVER),
        (MALLORY, "guest", GUEST),
        (ROBOT, "bot", BOT),
        (GONE, "deleted", DELETED),
        (OUTSIDER, "other_team", STRANGER),
        (Actor("T0OTHER", ALICE.user), "own_request", OWN),
        (Actor("T0ACME", "U0NOBODY"), "unknown", "Slack does not know you."),
    ],
)
@pytest.mark.parametrize("kind", list(VoteKind))
async def test_who_may_not_decide_is_refused_and_nothing_changes(
    office: Office, actor: Actor, code: str, sentence: str, kind: VoteKind
):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    with pytest.raises(NotAllowed) as caught:
        await office.changes.decide(actor, request.id, kind, "because")

    assert (caught.value.code, str(caught.value)) == (code, sentence)
    assert await office.now(request) == await untouched(office, request.id)
    assert await office.messages() == []
    entry = (await office.audit())[-1]
    assert (entry.kind, entry.request_id, entry.actor) == ("refused", request.id, actor.principal)
    body = json.loads(entry.body)
    assert (body["action"], body["code"], body["sentence"]) == (kind, code, sentence)


async def untouched(office: Office, request_id: str) -> object:
    stored = await office.store.request(office.org, request_id)
    assert stored is not None
    assert (stored.state, stored.rev, stored.decisions) == (State.PENDING, 1, ())
    return stored


async def test_the_refusal_names_the_requester_to_the_requester(office: Office):
    request = await office.changes.propose(BOB, RENAME)

    with pytest.raises(NotAllowed, match="someone else must decide"):
        await office.approve(BOB, request)


@pytest.mark.parametrize("actor", [BOB, ERIN, MALLORY, OUTSIDER])
async def test_only_the_requester_withdraws(office: Office, actor: Actor):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    with pytest.raises(NotAllowed) as caught:
        await office.changes.withdraw(actor, request.id)

    assert str(caught.value) == (
        "Only the person who asked for #1 can withdraw it; an approver can reject it."
    )
    await untouched(office, request.id)
    assert await office.audited() == ["proposed", "refused"]


@pytest.mark.parametrize("actor", [ERIN, MALLORY, ROBOT, GONE, OUTSIDER])
async def test_who_may_not_ask_gets_no_request(office: Office, actor: Actor):
    with pytest.raises(NotAllowed):
        await office.changes.propose(actor, NEW_ADDRESS)

    assert await office.changes.pending() is None
    assert await office.audited() == ["refused"]
    assert office.cliq.reads == []


async def test_nobody_is_let_through_who_cannot_be_checked(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.directory.is_reachable = False

    with pytest.raises(CouldNotCheck, match=COULD_NOT):
        await office.approve(BOB, request)
    with pytest.raises(CouldNotCheck, match=COULD_NOT):
        await office.changes.propose(ALICE, RENAME)

    await untouched(office, request.id)
    assert await office.audited() == ["proposed", "refused", "refused"]


async def test_a_second_vote_of_the_same_person_is_refused(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.approve(BOB, request)

    with pytest.raises(AlreadySettled, match=r"You have already approved this, at 09:00 UTC\."):
        await office.approve(BOB, request)

    assert len((await office.now(request)).decisions) == 1
    assert await office.audited() == ["proposed", "approved", "refused"]


async def test_a_vote_on_an_unknown_request_is_refused(office: Office):
    with pytest.raises(UnknownRequest) as caught:
        await office.changes.decide(BOB, "made up", VoteKind.APPROVE)

    assert str(caught.value) == (
        "I do not know that request. See the open one with `/mailcfg pending`."
    )
    assert await office.audited() == ["refused"]


async def test_the_rules_of_today_count_as_well_as_those_it_was_asked_under(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.restart(approvers=(CAROL.user, ERIN.user))

    for actor in (BOB, ERIN):
        with pytest.raises(NotAllowed, match=NOT_APPROVER):
            await office.approve(actor, request)


async def test_a_quorum_that_was_raised_meanwhile_counts(office: Office):
    request = await office.changes.propose(ALICE, RENAME)
    office.restart(approvals=2)

    assert (await office.approve(BOB, request)).state is State.PENDING
    assert (await office.approve(CAROL, request)).state is State.APPROVED


async def test_one_no_ends_it_with_its_reason(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    rejected = await office.reject(BOB, request, "not before Friday")

    stored = await office.now(request)
    assert stored.state is rejected.state is State.REJECTED
    assert stored.rejection is not None
    assert (stored.rejection.voter, stored.rejection.reason) == (BOB, "not before Friday")
    assert await office.messages() == ["rejected", "outcome"]


async def test_a_no_needs_a_reason(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    with pytest.raises(BadValue, match="A reason is needed"):
        await office.reject(BOB, request, "  ")

    await untouched(office, request.id)


async def test_an_approved_request_can_still_be_rejected(office: Office):
    request = await office.approved(RENAME)

    await office.reject(CAROL, request)
    await office.applier.settle()

    assert (await office.now(request)).state is State.REJECTED
    assert office.cliq.sent == 0


async def test_the_requester_takes_a_request_back(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    await office.changes.withdraw(ALICE)

    done = await office.now(request)
    assert (done.state, done.end_reason) == (State.CANCELLED, "withdrawn by the requester")
    assert await office.changes.pending() is None


async def test_without_an_open_request_there_is_nothing_to_withdraw(office: Office):
    with pytest.raises(Refusal, match="No request is open, so there is nothing"):
        await office.changes.withdraw(ALICE)


async def test_a_request_that_has_ended_takes_no_vote(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)

    with pytest.raises(AlreadySettled, match="#1 has ended: it was cancelled"):
        await office.approve(BOB, request)


async def test_approvals_that_do_not_come_in_time_end_it(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    office.clock.advance(hours=23, minutes=59)
    await office.changes.expire()
    assert (await office.now(request)).state is State.PENDING

    office.clock.advance(minutes=1)
    await office.changes.expire()
    done = await office.now(request)
    assert (done.state, done.end_reason) == (
        State.EXPIRED,
        "the approvals did not come in time",
    )
    assert await office.messages() == ["expired", "outcome"]


async def test_an_approval_that_could_not_be_used_in_time_ends(office: Office):
    request = await office.approved()

    office.clock.advance(minutes=60)
    await office.applier.settle()
    await office.changes.expire()

    assert (await office.now(request)).state is State.EXPIRED
    assert office.cliq.sent == 0


async def test_a_vote_that_comes_with_the_deadline_is_late(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.clock.advance(hours=24)

    with pytest.raises(AlreadySettled, match="its time ran out"):
        await office.approve(BOB, request)


async def test_a_vote_and_the_deadline_at_once_leave_one_of_them(office: Office):
    request = await office.changes.propose(ALICE, RENAME)
    office.clock.advance(hours=24)

    await asyncio.gather(office.changes.expire(), office.changes.expire())

    assert (await office.now(request)).state is State.EXPIRED
    assert await office.audited() == ["proposed", "expired"]


async def test_a_second_open_request_is_refused(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)

    with pytest.raises(AlreadyOpen) as caught:
        await office.changes.propose(BOB, RENAME)

    assert str(caught.value) == (
        "Request #1 is still open, and there is one at a time. See it with `/mailcfg pending`; "
        "whoever asked for it can `/mailcfg withdraw` it."
    )
    assert await office.audited() == ["proposed", "refused"]


async def test_the_same_wish_again_is_the_same_request(office: Office):
    first = await office.changes.propose(ALICE, NEW_ADDRESS)

    again = await office.changes.propose(ALICE, replace(NEW_ADDRESS, reason="as I said"))

    assert again == await office.now(first)
    assert await office.audited() == ["proposed"]


async def test_the_same_wish_twice_at_once_is_one_request(office: Office):
    both = await asyncio.gather(
        office.changes.propose(ALICE, NEW_ADDRESS), office.changes.propose(ALICE, NEW_ADDRESS)
    )

    assert both[0].id == both[1].id


async def test_an_ended_request_makes_room_for_the_next_number(office: Office):
    await office.changes.propose(ALICE, NEW_ADDRESS)
    await office.changes.withdraw(ALICE)

    assert (await office.changes.propose(BOB, RENAME)).number == 2


async def test_an_empty_change_is_refused(office: Office):
    with pytest.raises(NoChange) as caught:
        await office.changes.propose(ALICE, Set(Patch(name="Scott Fisher"), "x"))

    assert str(caught.value) == (
        "Nothing would change: the live configuration already has these values."
    )
    assert await office.audited() == ["refused"]


async def test_without_a_sender_there_is_nothing_to_reset_and_more_to_say_for_a_set(
    office: Office,
):
    office.cliq.live = None

    with pytest.raises(NoChange, match="Cliq's system sender is already in use"):
        await office.changes.propose(ALICE, Reset("x"))
    with pytest.raises(InputError, match="so `name=…` is needed as well"):
        await office.changes.propose(ALICE, NEW_ADDRESS)


async def test_what_was_accepted_needs_no_accepting(office: Office):
    await office.applied(Accept("as found"))

    with pytest.raises(NoChange, match=r"Nothing to accept: what is live is what was approved\."):
        await office.changes.propose(ALICE, Accept("again"))


async def test_too_few_approvers_besides_the_requester_is_said_at_once(office: Office):
    with pytest.raises(NotAllowed) as caught:
        await office.changes.propose(BOB, NEW_ADDRESS)

    assert str(caught.value) == (
        "This change needs 2 approvals, and besides you there is 1 approver. Let somebody who is "
        "no approver ask, or have whoever runs mailcfg add one to MAILCFG_APPROVERS."
    )
    assert await office.audited() == ["refused"]


async def test_where_it_only_watches_nobody_asks(office: Office):
    office.restart(watch_only=True)

    for wish in (NEW_ADDRESS, Reset("x"), Accept("x")):
        with pytest.raises(NotAllowed, match="This deployment only watches"):
            await office.changes.propose(ALICE, wish)


async def test_an_api_that_cannot_be_read_leaves_no_request(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))

    with pytest.raises(NotSent, match="Zoho Cliq cannot be reached; nothing was sent"):
        await office.changes.propose(ALICE, NEW_ADDRESS)

    assert await office.changes.pending() is None


async def test_two_last_votes_at_once_approve_once(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    await asyncio.gather(office.approve(BOB, request), office.approve(CAROL, request))

    done = await office.now(request)
    assert (done.state, len(done.decisions), done.rev) == (State.APPROVED, 2, 3)


async def test_two_clicks_of_one_person_at_once_count_once(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    clicks = [office.approve(BOB, request), office.approve(BOB, request)]
    results = await asyncio.gather(*clicks, return_exceptions=True)

    assert [type(result) for result in results].count(AlreadySettled) == 1
    assert len((await office.now(request)).decisions) == 1


async def test_yes_and_no_at_once_leave_one_of_them(office: Office):
    request = await office.changes.propose(ALICE, RENAME)

    await asyncio.gather(
        office.approve(BOB, request), office.reject(CAROL, request), return_exceptions=True
    )

    done = await office.now(request)
    assert done.state is State.REJECTED or (done.rejection is None and len(done.decisions) == 1)


async def test_a_form_asks_for_what_differs_from_what_it_showed(office: Office):
    live, base = await office.changes.sealed_base(ALICE)
    office.cliq.edit(name="Edited meanwhile")
    assert live is not None

    filled_in = Set(Patch(name="Acme Support", email_id=live.email_id), "clearer")
    request = await office.changes.propose_over(ALICE, filled_in, base)

    assert request.plan.base == live
    assert [change.label for change in request.plan.diff()] == ["Display name"]


async def test_a_form_over_a_base_that_moved_is_out_of_date_when_applied(office: Office):
    _, base = await office.changes.sealed_base(ALICE)
    request = await office.changes.propose_over(ALICE, RENAME, base)
    office.cliq.edit(cname_status="not_verified")
    await office.approve(BOB, request)

    await office.applier.settle()

    assert (await office.now(request)).state is State.STALE


AGAIN = "Close the form and open it again with `/mailcfg set`."


async def test_a_form_that_was_tampered_with_is_refused(office: Office):
    _, base = await office.changes.sealed_base(ALICE)
    forged = base.replace("scott@", "evil@")

    for damaged in (forged, "", "[]", "nonsense", '{"base": "{}", "mac": "ü"}'):
        with pytest.raises(Refusal) as caught:
            await office.changes.propose_over(ALICE, RENAME, damaged)
        assert str(caught.value) == f"This form is damaged. {AGAIN}"

    assert await office.audited() == ["refused"] * 5


async def test_a_form_older_than_ten_minutes_is_refused(office: Office):
    _, base = await office.changes.sealed_base(ALICE)
    office.clock.advance(minutes=10, seconds=1)

    with pytest.raises(Refusal) as caught:
        await office.changes.propose_over(ALICE, RENAME, base)

    assert str(caught.value) == f"This form is older than ten minutes. {AGAIN}"


async def test_a_form_is_for_those_who_may_ask(office: Office):
    with pytest.raises(NotAllowed):
        await office.changes.sealed_base(ERIN)


@pytest.mark.parametrize("wish", [NEW_ADDRESS, Reset("we close"), Accept("as found")])
async def test_an_ended_request_can_be_asked_for_again(office: Office, wish: Set | Reset | Accept):
    first = await office.changes.propose(ALICE, wish)
    await office.changes.withdraw(ALICE)

    second = await office.changes.propose_again(ALICE, first.id)
    await office.changes.withdraw(ALICE)
    third = await office.changes.propose_again(ALICE, second.id)

    assert (third.number, third.plan) == (3, first.plan)
    assert third.reason == f"Again: {wish.reason}"


async def test_what_was_approved_last_can_be_asked_for_again(office: Office):
    await office.applied(Accept("as found"))
    office.cliq.edit(name="Evil")

    request = await office.changes.propose_restore(ALICE, "put it back")

    assert [(c.label, c.old, c.new) for c in request.plan.diff()] == [
        ("Display name", "Evil", "Scott Fisher")
    ]


async def test_an_approved_absence_can_be_restored_too(office: Office):
    before, office.cliq.live = office.cliq.live, None
    await office.applied(Accept("none"))
    office.cliq.live = before

    request = await office.changes.propose_restore(ALICE, "it was none")

    assert request.plan.operation == "reset"


async def test_before_any_approval_there_is_nothing_to_restore(office: Office):
    with pytest.raises(Refusal, match="Nothing has been approved yet, so there is nothing to"):
        await office.changes.propose_restore(ALICE, "put it back")


async def test_a_refusal_can_be_had_before_the_reason_is_asked_for(office: Office):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    await office.changes.check_may_decide(BOB, request.id, VoteKind.REJECT)
    with pytest.raises(NotAllowed, match=NOT_APPROVER):
        await office.changes.check_may_decide(ERIN, request.id, VoteKind.REJECT)
