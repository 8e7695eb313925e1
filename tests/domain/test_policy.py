"""Who may look, ask and decide: every actor against every action."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.policy import (
    Actor,
    Facts,
    Policy,
    evidence,
    may_decide,
    may_propose,
    may_show,
    who_may_decide,
)
from tests.fakes import TEAM
from tests.office import ALICE, BOB, CAROL, ERIN, POLICY

BOB_ON_GRID = Actor(TEAM, "U0BOB2", enterprise_user="W0BOB")
GRID = Policy(approvers=("W0BOB", CAROL.user), requesters=(ALICE.user,))

STRANGER = "You are not a member of this workspace; only its members may do this."
DELETED = "Your account in this workspace is deactivated."
BOT = "Bots may not do this; a person must."
GUEST = "You are a guest in this workspace; only full members may do this."
NOT_REQUESTER = (
    "You are not among those who may ask for changes. Ask whoever runs mailcfg to add your Slack id "
    "U0ERIN to MAILCFG_REQUESTERS."
)
NOT_APPROVER = "You are not among the approvers of this workspace's sender."
OWN = "You asked for this change, so someone else must decide on it."


@pytest.mark.parametrize(
    ("facts", "show", "propose", "decide"),
    [
        (Facts(ALICE), "ok", "ok", "own_request"),
        (Facts(BOB), "ok", "ok", "ok"),
        (Facts(CAROL), "ok", "ok", "ok"),
        (Facts(ERIN), "ok", "not_requester", "not_approver"),
        (Facts(BOB, is_guest=True), "guest", "guest", "guest"),
        (Facts(BOB, is_bot=True), "bot", "bot", "bot"),
        (Facts(BOB, is_deleted=True), "deleted", "deleted", "deleted"),
        (Facts(BOB, is_stranger=True), "other_team", "other_team", "other_team"),
        (Facts(Actor("T0OTHER", BOB.user), is_stranger=True), "other_team", "other_team", "other_team"),
        (Facts(Actor("T0OTHER", ALICE.user)), "ok", "ok", "own_request"),
    ],
)  # fmt: skip
def test_what_each_person_may_do(facts: Facts, show: str, propose: str, decide: str):
    assert may_show(facts).code == show
    assert may_propose(facts, POLICY).code == propose
    assert may_decide(facts, POLICY, requester=ALICE).code == decide


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (Facts(ALICE), OWN),
        (Facts(ERIN), NOT_APPROVER),
        (Facts(BOB, is_guest=True), GUEST),
        (Facts(BOB, is_bot=True), BOT),
        (Facts(BOB, is_deleted=True), DELETED),
        (Facts(BOB, is_stranger=True), STRANGER),
    ],
)
def test_who_may_not_decide_is_told_why(facts: Facts, sentence: str):
    assert may_decide(facts, POLICY, requester=ALICE).sentence == sentence


def test_who_may_not_ask_is_told_whom_to_ask():
    assert may_propose(Facts(ERIN), POLICY).sentence == NOT_REQUESTER


def test_an_approver_never_decides_on_an_own_request_not_even_under_a_second_id():
    assert may_decide(Facts(BOB), POLICY, requester=BOB).code == "own_request"
    second = Facts(Actor(TEAM, "W0BOB", enterprise_user=None))
    assert may_decide(second, GRID, requester=BOB_ON_GRID).code == "own_request"


def test_an_approver_may_be_listed_by_the_grid_wide_id():
    assert may_decide(Facts(BOB_ON_GRID), GRID, requester=ALICE).is_allowed


BY_GROUP = Policy(approvers=("S0MAIL", BOB.user), requesters=(ALICE.user,))


@pytest.mark.parametrize(
    ("facts", "propose", "decide", "matched"),
    [
        (Facts(CAROL, groups=("S0MAIL",)), "ok", "ok", "S0MAIL"),
        (Facts(CAROL, groups=("S0OTHER", "S0MAIL")), "ok", "ok", "S0MAIL"),
        (Facts(BOB), "ok", "ok", BOB.user),
        (Facts(BOB, groups=("S0MAIL",)), "ok", "ok", "S0MAIL"),
        (Facts(CAROL), "not_requester", "not_approver", None),
        (Facts(CAROL, groups=("S0OTHER",)), "not_requester", "not_approver", None),
        (Facts(ALICE, groups=("S0MAIL",)), "ok", "own_request", "S0MAIL"),
        (Facts(CAROL, groups=("S0MAIL",), is_guest=True), "guest", "guest", "S0MAIL"),
        (Facts(CAROL, groups=("S0MAIL",), is_bot=True), "bot", "bot", "S0MAIL"),
        (Facts(CAROL, groups=("S0MAIL",), is_deleted=True), "deleted", "deleted", "S0MAIL"),
        (Facts(CAROL, groups=("S0MAIL",), is_stranger=True), "other_team", "other_team", "S0MAIL"),
    ],
)
def test_a_usergroup_stands_for_who_is_in_it(
    facts: Facts, propose: str, decide: str, matched: str | None
):
    assert may_propose(facts, BY_GROUP).code == propose
    assert may_decide(facts, BY_GROUP, requester=ALICE).code == decide
    assert BY_GROUP.approver_entry(facts) == matched


def test_a_group_lets_nobody_ask_where_it_is_no_approver():
    assert may_propose(Facts(ERIN, groups=("S0MAIL",)), POLICY).code == "not_requester"


def test_each_person_counts_once_and_only_where_every_rule_allows_it():
    two_ids = Facts(Actor(TEAM, "W0BOB", "W0BOB")), Facts(Actor(TEAM, "U0BOB", "W0BOB"))
    everyone = Policy(approvers=("W0BOB", "U0BOB", CAROL.user, ERIN.user, ALICE.user))
    people = (*two_ids, Facts(CAROL), Facts(ERIN, is_guest=True), Facts(ALICE))

    assert who_may_decide(people, (everyone,), ALICE) == (two_ids[0].actor, CAROL)
    assert who_may_decide(people, (everyone, Policy((CAROL.user,))), ALICE) == (CAROL,)


def test_only_the_usergroups_among_the_approvers_are_asked_about():
    assert BY_GROUP.groups == ("S0MAIL",)
    assert POLICY.groups == ()


def test_with_a_star_every_full_member_may_ask_and_nobody_else():
    everyone = Policy(approvers=(BOB.user,), requesters=("*",))

    assert may_propose(Facts(ERIN), everyone).is_allowed
    assert may_propose(Facts(ERIN, is_guest=True), everyone).code == "guest"
    assert may_decide(Facts(ERIN), everyone, requester=ALICE).code == "not_approver"


def test_without_requesters_only_approvers_may_ask():
    approvers_only = Policy(approvers=(BOB.user,))

    assert may_propose(Facts(BOB), approvers_only).is_allowed
    assert may_propose(Facts(ALICE), approvers_only).code == "not_requester"


def test_where_it_only_watches_nobody_may_ask():
    watching = Policy(approvers=(BOB.user,), watch_only=True)

    verdict = may_propose(Facts(BOB), watching)
    assert verdict.code == "watch_only"
    assert verdict.sentence == "This deployment only watches: nobody can ask for changes here."


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        (BOB, BOB, True),
        (BOB, CAROL, False),
        (BOB_ON_GRID, Actor(TEAM, "W0BOB"), True),
        (BOB_ON_GRID, Actor("T0SECOND", "U0ELSE", enterprise_user="W0BOB"), True),
        (BOB_ON_GRID, Actor(TEAM, "U0BOB2"), True),
        (BOB_ON_GRID, BOB, False),
    ],
)
def test_a_person_is_recognised_under_each_id(one: Actor, other: Actor, is_same: bool):
    assert one.is_same_person(other) is is_same
    assert other.is_same_person(one) is is_same


def test_a_sensitive_change_never_takes_fewer_approvals():
    assert POLICY.quorum(is_sensitive=False) == 1
    assert POLICY.quorum(is_sensitive=True) == 2
    assert Policy((), approvals=3, approvals_sensitive=2).quorum(is_sensitive=True) == 3


def test_the_requester_is_not_among_the_approvers_of_an_own_request():
    assert POLICY.approvers_for(BOB) == (CAROL.user,)
    assert POLICY.approvers_for(ALICE) == (BOB.user, CAROL.user)
    assert GRID.approvers_for(BOB_ON_GRID) == (CAROL.user,)


def test_a_policy_comes_back_from_its_stored_form():
    odd = Policy(("U1", "W2"), ("*",), 2, 3, timedelta(hours=1), timedelta(minutes=5), True)

    assert Policy.from_dict(odd.as_dict()) == odd


def test_equal_rules_have_one_fingerprint():
    same = Policy(POLICY.approvers, POLICY.requesters)
    assert same.fingerprint() == POLICY.fingerprint()
    assert Policy(POLICY.approvers).fingerprint() != POLICY.fingerprint()


def test_the_grounds_of_a_verdict_are_the_facts_the_entry_that_matched_and_the_rules():
    facts = Facts(CAROL, groups=("S0MAIL",), is_guest=True)
    grounds = evidence(facts, BY_GROUP, may_decide(facts, BY_GROUP, ALICE))

    assert grounds == facts.as_dict() | {
        "matched": "S0MAIL",
        "policy": BY_GROUP.fingerprint(),
        "verdict": "guest",
    }


def test_the_evidence_holds_who_and_what_slack_said():
    said = Facts(BOB_ON_GRID, is_guest=True, fetched_at="2026-03-02T09:00:00Z").as_dict()

    assert said == {
        "team": TEAM,
        "user": "U0BOB2",
        "enterprise_user": "W0BOB",
        "is_deleted": False,
        "is_bot": False,
        "is_guest": True,
        "is_stranger": False,
        "groups": [],
        "fetched_at": "2026-03-02T09:00:00Z",
    }
