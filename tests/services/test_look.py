"""Looking without changing anything: who may, and what they see."""

from __future__ import annotations

import pytest

from bot.domain.command import Accept
from bot.domain.policy import Actor
from bot.errors import CouldNotCheck, NotAllowed, NotSent, Refusal
from tests.fakes import config
from tests.office import (
    ALICE,
    BOB,
    ERIN,
    GONE,
    MALLORY,
    NEW_ADDRESS,
    OUTSIDER,
    ROBOT,
    Office,
)


async def test_a_member_sees_what_is_live_and_what_was_approved(office: Office):
    await office.applied(Accept("as found"))
    await office.watch.tick()

    overview = await office.look.show(ERIN)

    assert overview.live == config()
    assert overview.approved is not None
    assert (overview.approved.number, overview.is_drifted) == (1, False)
    assert overview.watch.last_pass.at == office.clock.now()


async def test_a_change_outside_approval_is_seen_at_once(office: Office):
    await office.applied(Accept("as found"))
    office.cliq.edit(name="Evil")

    assert (await office.look.show(ERIN)).is_drifted
    assert not (await office.look.record(ERIN)).is_approved


async def test_before_any_approval_nothing_is_drift(office: Office):
    overview = await office.look.show(ERIN)

    assert (overview.approved, overview.is_drifted) == (None, False)


@pytest.mark.parametrize("actor", [MALLORY, ROBOT, GONE, OUTSIDER])
async def test_who_is_no_full_member_sees_nothing(office: Office, actor: Actor):
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    reads = len(office.cliq.reads)

    for looking in (
        office.look.show(actor),
        office.look.record(actor),
        office.look.pending(actor),
        office.look.request(actor, request.id),
    ):
        with pytest.raises(NotAllowed):
            await looking
    assert len(office.cliq.reads) == reads


async def test_who_cannot_be_checked_sees_nothing(office: Office):
    office.directory.is_reachable = False

    with pytest.raises(CouldNotCheck):
        await office.look.show(ALICE)


async def test_an_api_out_of_reach_is_said(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))

    with pytest.raises(NotSent, match="Zoho Cliq cannot be reached"):
        await office.look.show(ALICE)


async def test_the_record_to_publish_is_that_of_the_live_key(office: Office):
    await office.applied(Accept("as found"))

    publishing = await office.look.record(ERIN)

    live = config()
    assert (publishing.record.name, publishing.record.value) == (live.dkim_host, live.dkim_value)
    assert publishing.record.relative_name == "1700000000000._domainkey"
    assert publishing.is_approved


async def test_without_a_custom_sender_there_is_no_record(office: Office):
    office.cliq.live = None

    with pytest.raises(Refusal) as caught:
        await office.look.record(ERIN)

    assert str(caught.value) == (
        "Cliq's system sender is in use, so there is no record to publish."
    )


async def test_the_open_request_is_shown(office: Office):
    assert await office.look.pending(ERIN) is None

    request = await office.changes.propose(ALICE, NEW_ADDRESS)

    assert await office.look.pending(ERIN) == await office.look.request(ERIN, request.id)


@pytest.mark.parametrize(
    ("actor", "may"),
    [
        (ALICE, (True, True, False)),
        (BOB, (True, True, True)),
        (ERIN, (True, False, False)),
        (MALLORY, (False, False, False)),
        (OUTSIDER, (False, False, False)),
    ],
)
async def test_each_person_learns_what_they_may_do(
    office: Office, actor: Actor, may: tuple[bool, bool, bool]
):
    standing = await office.look.standing(actor)

    assert (standing.may_show, standing.may_propose, standing.may_approve) == may


async def test_where_it_only_watches_nobody_may_ask(office: Office):
    office.restart(watch_only=True)

    assert not (await office.look.standing(BOB)).may_propose
