"""The check by hand: who may, what it finds, and that it moves nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.adapters.store import schema
from bot.domain.command import Accept
from bot.domain.findings import FindingId, Role, State
from bot.domain.incident import Kind
from bot.domain.policy import Actor
from bot.domain.report import explanation
from bot.errors import CouldNotCheck, NotAllowed, NotSent
from bot.ports import Purpose
from tests.fakes import config
from tests.office import ERIN, GONE, MALLORY, NEW_ADDRESS, OUTSIDER, ROBOT, Office

ID = FindingId


async def test_a_member_learns_that_all_is_well(office: Office):
    await office.applied(Accept("as found"))
    office.dns.publish_key_of(office.cliq.live)

    found = await office.check.check(ERIN)

    assert found.diagnosis.state is State.OK
    assert ID.DKIM_MISSING not in found.diagnosis.ids
    assert found.is_approved
    assert office.cliq.reads[-1] is Purpose.LOOK


async def test_a_missing_record_is_found_with_the_record_to_publish(office: Office):
    await office.applied(Accept("as found"))

    found = await office.check.check(ERIN)

    assert found.diagnosis.ids[:2] == (ID.DKIM_MISSING, ID.STATUS_STALE)
    assert found.diagnosis.record is not None
    assert found.diagnosis.record.relative_name == "1700000000000._domainkey"


async def test_a_change_outside_approval_is_found(office: Office):
    await office.applied(Accept("as found"))
    office.cliq.edit(name="Evil")

    found = await office.check.check(ERIN)

    assert ID.CONFIG_DRIFT in found.diagnosis.ids
    assert not found.is_approved


async def test_before_any_approval_nothing_is_drift_and_nothing_approved(office: Office):
    found = await office.check.check(ERIN)

    assert not found.diagnosis.of(Role.DRIFT)
    assert not found.is_approved


async def test_our_own_change_in_flight_is_no_drift(office: Office):
    await office.applied(Accept("as found"))
    request = await office.approved(NEW_ADDRESS)
    async with office.store.begin(office.org) as tx:
        await tx.replace(request, request.claim(office.clock.now() + timedelta(minutes=1)))
    office.cliq.edit(email_id="it@acme.example")

    found = await office.check.check(ERIN)

    assert not found.diagnosis.of(Role.DRIFT)


async def test_without_a_sender_dns_is_not_asked(office: Office):
    office.cliq.live = None

    found = await office.check.check(ERIN)

    assert (found.diagnosis.state, office.dns.surveyed) == (State.NOT_APPLICABLE, [])


async def test_a_dns_that_does_not_answer_is_unknown_and_never_missing(office: Office):
    office.dns.problem = "time-out"

    assert (await office.check.check(ERIN)).diagnosis.ids == (ID.DNS_UNKNOWN, ID.KEY_WEAK)


async def test_it_says_when_it_was_made_and_when_the_next_one_is(office: Office):
    office.clock.advance(minutes=7)

    found = await office.check.check(ERIN)

    assert found.at == office.clock.now()
    assert found.next_at == found.at + timedelta(minutes=8)


async def test_a_check_by_hand_is_no_tick_and_opens_nothing(office: Office):
    tables = (schema.slot, schema.outbox, schema.audit)
    before = [await office.rows(table) for table in tables]

    for _ in range(4):
        await office.check.check(ERIN)

    assert [await office.rows(table) for table in tables] == before
    assert await office.incident(Kind.ALERT) is None


async def test_what_a_check_by_hand_finds_is_shown_anew_at_once(office: Office):
    await office.check.check(ERIN)
    office.dns.publish_key_of(office.cliq.live)

    await office.check.check(ERIN)

    line = await office.incident(Kind.WATCH)
    assert line is not None
    assert "in order at 2 of 2 servers" in line.facts["dns"]


@pytest.mark.parametrize("actor", [MALLORY, ROBOT, GONE, OUTSIDER])
async def test_who_is_no_full_member_may_not_check_and_that_is_audited(
    office: Office, actor: Actor
):
    with pytest.raises(NotAllowed) as caught:
        await office.check.check(actor)

    (entry,) = await office.audit()
    assert (entry.kind, entry.actor) == ("refused", actor.principal)
    assert '"action":"check"' in entry.body
    assert str(caught.value) in entry.body
    assert office.cliq.reads == []


async def test_who_cannot_be_looked_up_may_not_check_and_that_is_audited(office: Office):
    office.directory.is_reachable = False

    with pytest.raises(CouldNotCheck):
        await office.check.check(ERIN)

    assert await office.audited() == ["refused"]


async def test_an_api_out_of_reach_is_said(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))

    found = (await office.check.check(ERIN)).diagnosis

    assert found.state is State.UNKNOWN
    assert "Zoho Cliq cannot be reached" in explanation(found)


async def test_unusable_data_of_zohos_own_is_said_without_asking_dns(office: Office):
    office.cliq.live = replace(config(), dkim_value="k=rsa; p=")

    found = await office.check.check(ERIN)

    assert found.diagnosis.ids == (ID.API_INVALID,)
    assert office.dns.surveyed == []
