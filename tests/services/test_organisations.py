"""Two organisations in one database: to each an id of the other is as unknown as none at all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bot.domain.change import VoteKind
from bot.errors import MailcfgError
from bot.services.audit import verify
from tests.office import ALICE, BOB, RENAME, Office

Ask = Callable[[Office, str], Awaitable[Any]]
ASKING: list[Ask] = [
    lambda other, name: other.look.request(BOB, name),
    lambda other, name: other.look.story(BOB, name),
    lambda other, name: other.changes.decide(BOB, name, VoteKind.APPROVE),
    lambda other, name: other.changes.check_may_decide(BOB, name, VoteKind.REJECT),
    lambda other, name: other.changes.withdraw(ALICE, name),
    lambda other, name: other.changes.propose_again(ALICE, name),
]


@pytest.mark.parametrize("ask", ASKING)
async def test_a_request_of_another_organisation_is_as_unknown_as_one_that_does_not_exist(
    office: Office, ask: Ask
):
    other = Office(office.store, org="another")
    theirs = await office.changes.propose(ALICE, RENAME)

    assert await outcome(ask(other, theirs.id)) == await outcome(ask(other, "made up"))
    assert await office.now(theirs) == theirs
    assert (await verify(office.store, office.org, office.seal)).problem == ""


async def outcome(asked: Awaitable[Any]) -> Any:
    try:
        return await asked
    except MailcfgError as refusal:
        return type(refusal), str(refusal)
