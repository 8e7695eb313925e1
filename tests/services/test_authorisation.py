"""Who may do what: every cell of `samples/authorisation.csv`, which was written by hand."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.domain.change import ChangeRequest, VoteKind
from bot.domain.command import Set
from bot.domain.mail_config import Patch
from bot.domain.policy import Actor, Facts
from bot.errors import (
    AlreadyOpen,
    AlreadySettled,
    CouldNotCheck,
    MailcfgError,
    NotAllowed,
)
from tests.fakes import TEAM
from tests.office import ALICE, BOB, CAROL, ERIN, RENAME, Office

IS_LONG_ON_POSTGRESQL = True

TABLE = Path(__file__).parents[1] / "samples" / "authorisation.csv"
GRID = replace(ALICE, enterprise_user="E0ALICE")
FORMER = Actor(TEAM, "U0FORMER")
ACTORS = {
    "member": Facts(ERIN),
    "approver": Facts(BOB),
    "requester": Facts(GRID),
    "former approver": Facts(FORMER),
    "guest": Facts(Actor(TEAM, "U0GUEST"), is_guest=True),
    "single-channel guest": Facts(Actor(TEAM, "U0SINGLE"), is_guest=True),
    "stranger": Facts(Actor(TEAM, "U0STRANGER"), is_stranger=True),
    "other team": Facts(Actor("T0OTHER", "U0OTHER"), is_stranger=True),
    "bot": Facts(Actor(TEAM, "U0BOT"), is_bot=True),
    "deactivated": Facts(Actor(TEAM, "U0DELETED"), is_deleted=True),
    "second id of the requester": Facts(Actor(TEAM, "W0ALICE", "E0ALICE")),
    "unreadable": Facts(Actor(TEAM, "U0UNREADABLE")),
}
CELLS = [
    (row["actor"], row["action"], state, row[state])
    for row in csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())
    for state in ("open", "decided", "expired")
]
ANOTHER = Set(Patch(name="Another name"), "a wish of one's own")


def test_the_table_has_every_cell():
    assert len(CELLS) == len({cell[:3] for cell in CELLS}) == 12 * 6 * 3
    assert {cell[0] for cell in CELLS} == set(ACTORS)


@pytest.mark.parametrize(("who", "action", "state", "expected"), CELLS)
async def test_authorisation(office: Office, who: str, action: str, state: str, expected: str):
    request = await request_in(office, state)
    actor = ACTORS[who].actor
    before = await office.now(request)
    office.directory.unreadable = actor.user if who == "unreadable" else None

    found = await attempt(office, action, actor, request)

    assert found == expected
    assert (await office.now(request) == before) or expected == "ok"
    assert ("refused" in await office.audited()) == (found not in OK)


@pytest.mark.parametrize(
    ("who", "action", "state", "expected"), [cell for cell in CELLS if cell[0] == "approver"]
)
async def test_an_approver_by_usergroup_is_an_approver(
    office: Office, who: str, action: str, state: str, expected: str
):
    office.directory.groups["S0MAIL"] = (BOB.user,)
    request = await request_in(office, state, approver="S0MAIL")

    assert await attempt(office, action, ACTORS[who].actor, request) == expected


OK = {"ok", "same"}


async def request_in(office: Office, state: str, approver: str = BOB.user) -> ChangeRequest:
    for facts in ACTORS.values():
        office.directory.add(facts)
    office.restart(approvers=(approver, CAROL.user, FORMER.user))
    request = await office.changes.propose(ALICE, RENAME)
    office.restart(approvers=(approver, CAROL.user))
    if state == "decided":
        await office.reject(CAROL, request)
    if state == "expired":
        office.clock.advance(hours=25)
        await office.changes.expire()
    return await office.now(request)


async def attempt(office: Office, action: str, actor: Actor, request: ChangeRequest) -> str:
    """What comes of it: "ok", "same" request, or the word for the refusal."""
    try:
        done: Any = await ACTIONS[action](office, actor, request)
    except NotAllowed as refusal:
        return refusal.code
    except MailcfgError as refusal:
        return WORDS[type(refusal)]
    return "same" if done == request else "ok"


WORDS: dict[type[MailcfgError], str] = {
    AlreadyOpen: "open",
    AlreadySettled: "settled",
    CouldNotCheck: "could_not_check",
}
ACTIONS: dict[str, Any] = {
    "show": lambda o, actor, r: o.look.show(actor),
    "propose": lambda o, actor, r: o.changes.propose(actor, ANOTHER),
    "withdraw": lambda o, actor, r: o.changes.withdraw(actor, r.id),
    "approve": lambda o, actor, r: o.changes.decide(actor, r.id, VoteKind.APPROVE),
    "reject": lambda o, actor, r: o.changes.decide(actor, r.id, VoteKind.REJECT, "no"),
    "re-request": lambda o, actor, r: o.changes.propose_again(actor, r.id),
}
