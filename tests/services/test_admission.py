"""Approvers by usergroup, and whether there are enough of them: people are counted, not ids."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.domain.change import State, VoteKind
from bot.domain.policy import OTHER_TEAM, Actor, Facts
from bot.errors import AlreadyOpen, CouldNotCheck, GroupTrouble, NotAllowed, SettingsError
from tests.fakes import TEAM
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

GROUP = "S0MAIL"
TOO_FEW = (
    "This change needs 2 approvals, and besides you there is 1 approver. Let somebody who is no "
    "approver ask, or have whoever runs mailcfg add one to MAILCFG_APPROVERS."
)


@pytest.fixture
def grouped(office: Office) -> Office:
    """Bob and Carol approve as members of a group; no person is listed."""
    office.directory.groups[GROUP] = (BOB.user, CAROL.user)
    office.restart(approvers=(GROUP,))
    return office


def members(office: Office, *people: str) -> None:
    office.directory.groups[GROUP] = people


async def refusals(office: Office) -> list[Any]:
    return [json.loads(row.body) for row in await office.audit() if row.kind == "refused"]


async def test_the_members_of_a_group_approve_and_the_evidence_names_the_group(grouped: Office):
    done = await grouped.applied(NEW_ADDRESS)

    assert done.state is State.APPLIED
    by_bob = done.decisions[0].evidence
    assert (by_bob["groups"], by_bob["matched"], by_bob["verdict"]) == ([GROUP], GROUP, "ok")
    assert by_bob["policy"] == grouped.policy.fingerprint()


async def test_a_member_of_a_group_of_approvers_may_ask_as_any_approver(grouped: Office):
    members(grouped, BOB.user, CAROL.user, ERIN.user)

    assert (await grouped.changes.propose(ERIN, NEW_ADDRESS)).requester == ERIN


async def test_whoever_is_not_in_the_group_is_refused_with_the_grounds_in_the_audit(
    grouped: Office,
):
    request = await grouped.changes.propose(ALICE, RENAME)

    with pytest.raises(NotAllowed) as refused:
        await grouped.approve(ERIN, request)

    assert refused.value.code == "not_approver"
    kept = (await refusals(grouped))[-1]["evidence"]
    assert (kept["user"], kept["groups"], kept["matched"]) == (ERIN.user, [], None)
    assert (kept["verdict"], kept["policy"]) == ("not_approver", grouped.policy.fingerprint())


async def test_whoever_has_left_the_group_may_not_vote(grouped: Office):
    request = await grouped.changes.propose(ALICE, RENAME)
    members(grouped, CAROL.user)

    with pytest.raises(NotAllowed) as refused:
        await grouped.approve(BOB, request)

    assert refused.value.code == "not_approver"


@pytest.mark.parametrize("kind", list(VoteKind))
async def test_a_group_that_cannot_be_read_refuses_the_vote(grouped: Office, kind: VoteKind):
    request = await grouped.changes.propose(ALICE, RENAME)
    grouped.directory.unreadable = GROUP

    with pytest.raises(CouldNotCheck):
        await grouped.changes.decide(BOB, request.id, kind, "because")

    assert (await grouped.now(request)).decisions == ()
    assert (await refusals(grouped))[-1]["code"] == "CouldNotCheck"


async def test_leaving_the_group_between_the_vote_and_the_write_takes_the_vote_back(
    grouped: Office,
):
    request = await grouped.approved(NEW_ADDRESS)
    members(grouped, CAROL.user)

    await grouped.applier.settle()

    ended = await grouped.now(request)
    assert (ended.state, ended.end_reason) == (
        State.CANCELLED,
        "an approver is no longer eligible",
    )
    assert grouped.cliq.sent == 0


async def test_right_before_the_write_nothing_that_was_read_earlier_is_good_enough(
    grouped: Office,
):
    await grouped.approved(NEW_ADDRESS)
    before = list(grouped.directory.afresh)

    await grouped.applier.settle()

    assert before == []
    assert grouped.directory.afresh == [ALICE.user, BOB.user, CAROL.user]


async def test_a_group_that_cannot_be_read_before_the_write_parks_the_approval(grouped: Office):
    request = await grouped.approved(NEW_ADDRESS)
    grouped.directory.unreadable = GROUP
    await grouped.applier.settle()
    parked = await grouped.now(request)
    sent = grouped.cliq.sent

    grouped.directory.unreadable = None
    grouped.clock.advance(minutes=1)
    await grouped.applier.settle()

    assert (parked.state, sent) == (State.APPROVED, 0)
    assert (await grouped.now(request)).state is State.APPLIED


async def test_a_vote_must_be_valid_under_the_frozen_group_and_under_todays_list(office: Office):
    office.directory.groups = {GROUP: (BOB.user,), "S0NEW": (CAROL.user,)}
    office.restart(approvers=(GROUP, ERIN.user))
    request = await office.changes.propose(ALICE, RENAME)
    office.restart(approvers=("S0NEW", BOB.user))

    with pytest.raises(NotAllowed):
        await office.approve(CAROL, request)
    with pytest.raises(NotAllowed):
        await office.approve(ERIN, request)

    assert (await office.approve(BOB, request)).state is State.APPROVED
    await office.applier.settle()
    assert (await office.now(request)).state is State.APPLIED


@pytest.mark.parametrize("unfit", [MALLORY, ROBOT, GONE, OUTSIDER])
async def test_a_member_who_may_do_nothing_here_neither_votes_nor_counts(
    grouped: Office, unfit: Any
):
    members(grouped, BOB.user, unfit.user)
    request = await grouped.changes.propose(ALICE, RENAME)
    with pytest.raises(NotAllowed):
        await grouped.approve(unfit, request)
    await grouped.changes.withdraw(ALICE)

    with pytest.raises(NotAllowed, match="besides you there is 1 approver") as refused:
        await grouped.changes.propose(ALICE, NEW_ADDRESS)

    assert str(refused.value) == TOO_FEW


async def test_the_requester_does_not_count_as_a_member_of_the_group(grouped: Office):
    with pytest.raises(NotAllowed) as refused:
        await grouped.changes.propose(BOB, NEW_ADDRESS)

    assert (refused.value.code, str(refused.value)) == ("too_few_approvers", TOO_FEW)


async def test_somebody_listed_by_name_and_by_group_counts_once(grouped: Office):
    members(grouped, BOB.user)
    grouped.restart(approvers=(BOB.user, GROUP))

    with pytest.raises(NotAllowed, match="there is 1 approver"):
        await grouped.changes.propose(ALICE, NEW_ADDRESS)


async def test_no_more_people_are_looked_up_than_are_needed(grouped: Office):
    members(grouped, *(person.user for person in (BOB, CAROL, ERIN)))

    await grouped.changes.propose(ALICE, RENAME)

    assert grouped.directory.asked == [ALICE.user, BOB.user]


async def test_an_approver_who_is_gone_or_a_group_that_is_breaks_no_request(office: Office):
    office.directory.forget(CAROL)
    office.restart(approvers=(CAROL.user, "S0GONE", BOB.user))

    assert (await office.applied(RENAME)).state is State.APPLIED


async def test_whether_there_are_enough_is_not_guessed(office: Office):
    office.directory.unreadable = CAROL.user

    with pytest.raises(CouldNotCheck):
        await office.changes.propose(ALICE, NEW_ADDRESS)

    assert await office.changes.pending() is None


async def test_a_request_whose_time_is_up_does_not_stand_in_the_way_of_the_next(office: Office):
    old = await office.changes.propose(ALICE, RENAME)
    office.clock.advance(hours=25)

    new = await office.changes.propose(ALICE, RENAME)

    assert ((await office.now(old)).state, new.number) == (State.EXPIRED, 2)


async def test_a_request_that_still_waits_does(office: Office):
    await office.changes.propose(ALICE, RENAME)

    with pytest.raises(AlreadyOpen):
        await office.changes.propose(ALICE, NEW_ADDRESS)


@pytest.mark.parametrize("action", ["show", "pending", "details"])
async def test_who_may_not_even_look_is_in_the_audit(office: Office, action: str):
    looks: dict[str, Any] = {
        "show": office.look.show,
        "pending": office.look.pending,
        "details": lambda actor: office.look.request(actor, "some id"),
    }

    with pytest.raises(NotAllowed):
        await looks[action](MALLORY)

    kept = (await refusals(office))[-1]
    assert (kept["action"], kept["code"]) == (action, "guest")
    assert kept["evidence"]["is_guest"]


async def test_somebody_of_another_workspace_is_turned_away_without_a_look_up(office: Office):
    with pytest.raises(NotAllowed) as refused:
        await office.admission.turn_away(OUTSIDER, "approve", OTHER_TEAM)

    assert str(refused.value) == OTHER_TEAM.sentence
    assert office.directory.asked == []
    kept = (await refusals(office))[-1]
    assert (kept["code"], kept["evidence"]["team"]) == ("other_team", OUTSIDER.team)


async def test_enough_approvers_are_worth_no_word(office: Office):
    office.restart(approvers=(BOB.user, CAROL.user, ERIN.user))

    assert await office.admission.check_settings() == []


async def test_just_enough_approvers_are_worth_a_warning(office: Office):
    assert await office.admission.check_settings() == [
        "MAILCFG_APPROVERS names just 2 who may approve, as many as a change can need: one that an "
        "approver asks for cannot be approved."
    ]


async def test_a_listed_person_who_is_gone_is_worth_a_warning(office: Office):
    office.restart(approvers=(GONE.user, BOB.user, CAROL.user, ERIN.user, "U0NEVER"))

    assert await office.admission.check_settings() == [
        "MAILCFG_APPROVERS lists U0GONE, who is gone, a guest or a bot and cannot approve.",
        "MAILCFG_APPROVERS lists U0NEVER, who is gone, a guest or a bot and cannot approve.",
    ]


@pytest.mark.parametrize(("people", "who"), [((), "nobody who"), ((BOB.user,), "only 1 who")])
async def test_too_few_in_the_group_stop_the_start(
    grouped: Office, people: tuple[str, ...], who: str
):
    members(grouped, *people, MALLORY.user, GONE.user)

    with pytest.raises(SettingsError) as refused:
        await grouped.admission.check_settings()

    assert refused.value.faults == (
        f"MAILCFG_APPROVERS names {who} may approve, but a change can need 2 approvals: add full, "
        "active members of this workspace, or lower MAILCFG_APPROVALS_SENSITIVE.",
    )


async def test_a_group_that_does_not_exist_stops_the_start(office: Office):
    office.restart(approvers=(BOB.user, CAROL.user, "S0GONE"))

    with pytest.raises(SettingsError) as refused:
        await office.admission.check_settings()

    assert refused.value.faults == (
        "MAILCFG_APPROVERS has the group S0GONE: Slack knows no such group.",
    )


async def test_slack_out_of_reach_is_no_reason_not_to_start(grouped: Office):
    grouped.directory.is_reachable = False

    with pytest.raises(CouldNotCheck) as waits:
        await grouped.admission.check_settings()

    assert not isinstance(waits.value, GroupTrouble)


async def test_somebody_who_cannot_be_looked_up_is_not_counted_as_missing(office: Office):
    office.directory.unreadable = BOB.user

    with pytest.raises(CouldNotCheck):
        await office.admission.check_settings()


async def test_where_it_only_watches_nobody_is_needed(office: Office):
    office.restart(approvers=(), watch_only=True)

    assert await office.admission.check_settings() == []
    assert office.directory.asked == []


async def test_two_ids_of_one_person_are_one_approver(office: Office):
    for user in (BOB.user, "W0BOB"):
        office.directory.add(Facts(Actor(TEAM, user, enterprise_user="W0BOB")))
    office.restart(approvers=(BOB.user, "W0BOB"))

    with pytest.raises(NotAllowed, match="there is 1 approver"):
        await office.changes.propose(ALICE, NEW_ADDRESS)
