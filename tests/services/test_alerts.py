"""People's part of an alert: who may have it checked again or snooze it, and what that does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.adapters.store import schema
from bot.domain.command import Accept
from bot.domain.incident import AlertBody, Incident
from bot.errors import AlreadySettled, NotAllowed, Refusal
from tests.fakes import Killed
from tests.office import ALICE, BOB, ERIN, MALLORY, ORG, RENAME, Office

IS_LONG_ON_POSTGRESQL = True

DAY = timedelta(days=1)


@pytest.fixture
async def broken(office: Office) -> Office:
    """An alert is open: the record of the approved sender is missing."""
    await office.applied(Accept("as found"))
    await office.watch.tick()
    await office.passes()
    return office


async def said(office: Office) -> list[str]:
    """What the alert's thread was told."""
    return [kind for kind in await office.messages() if kind.startswith("alert")]


async def alert(office: Office) -> Incident[AlertBody]:
    found = await office.incident(AlertBody)
    assert found is not None
    return found


async def test_a_snooze_silences_the_reminder_and_nothing_else(broken: Office):
    row = await alert(broken)
    until = await broken.alerts.snooze(BOB, row.id, 7 * DAY)
    assert until == broken.clock.now() + 7 * DAY

    await broken.passes(24 * 4 * 3)
    assert await said(broken) == []

    broken.dns.publish_key_of(broken.cliq.live)
    await broken.passes(5)
    assert await said(broken) == ["alert_resolved"]


async def test_when_a_snooze_is_over_people_are_reminded_again(broken: Office):
    await broken.alerts.snooze(BOB, (await alert(broken)).id, DAY + timedelta(hours=1))

    await broken.passes(24 * 4 + 3)
    assert await said(broken) == []
    await broken.passes()
    assert await said(broken) == ["alert_reminder"]


async def test_a_snooze_is_shown_and_audited(broken: Office):
    row = await alert(broken)
    await broken.alerts.snooze(BOB, row.id, DAY)

    assert (await alert(broken)).rev == row.rev + 1
    assert (await alert(broken)).body.snoozed_until is not None
    entry = (await broken.audit())[-1]
    assert (entry.kind, entry.actor) == ("incident", BOB.principal)
    assert entry.body == '{"event":"snoozed","until":"2026-03-03T09:15:00Z"}'


@pytest.mark.parametrize("who", [ALICE, BOB])
async def test_requesters_and_approvers_may_snooze(broken: Office, who):
    await broken.alerts.snooze(who, (await alert(broken)).id, DAY)

    assert (await alert(broken)).body.snoozed_until is not None


@pytest.mark.parametrize("who", [ERIN, MALLORY])
async def test_nobody_else_may_and_the_refusal_is_audited(broken: Office, who):
    row = await alert(broken)

    with pytest.raises(NotAllowed):
        await broken.alerts.snooze(who, row.id, DAY)

    assert await alert(broken) == row
    assert (await broken.audited())[-1] == "refused"


async def test_an_approver_may_snooze_where_nobody_may_ask(broken: Office):
    broken.restart(watch_only=True)

    await broken.alerts.snooze(BOB, (await alert(broken)).id, DAY)
    with pytest.raises(NotAllowed, match="This deployment only watches"):
        await broken.alerts.snooze(ALICE, (await alert(broken)).id, DAY)


async def test_a_button_of_an_alert_that_has_ended_snoozes_nothing(broken: Office):
    row = await alert(broken)
    broken.dns.publish_key_of(broken.cliq.live)
    await broken.passes(5)

    with pytest.raises(AlreadySettled, match="This alert has ended"):
        await broken.alerts.snooze(BOB, row.id, DAY)


async def test_a_snooze_that_meets_a_check_loses_neither(broken: Office):
    row = await alert(broken)

    async def snooze() -> None:
        await broken.alerts.snooze(BOB, row.id, DAY)

    broken.cliq.while_reading = snooze
    await broken.passes()

    incident = (await broken.store.watch(ORG)).alert.incident
    assert incident is not None
    assert incident.snoozed_until is not None
    assert (await alert(broken)).body.checked_at == row.body.checked_at + timedelta(minutes=15)
    assert (await alert(broken)).body.snoozed_until is not None


async def test_any_full_member_may_have_it_checked_again(broken: Office):
    broken.dns.publish_key_of(broken.cliq.live)

    check, ends_at = await broken.alerts.check_again(ERIN)

    assert check.found.ids[0] != "DKIM_MISSING"
    assert ends_at == broken.clock.now() + timedelta(hours=1)


async def test_a_guest_may_not_have_it_checked(broken: Office):
    reads = len(broken.cliq.reads)

    with pytest.raises(NotAllowed):
        await broken.alerts.check_again(MALLORY)

    assert len(broken.cliq.reads) == reads


async def test_nothing_is_checked_while_a_change_is_being_written(broken: Office):
    await broken.approved(RENAME)
    broken.cliq.fail_next_write(Killed())
    with pytest.raises(Killed):
        await broken.applier.settle()

    with pytest.raises(Refusal, match="A change is being written to Cliq just now"):
        await broken.alerts.check_again(ERIN)

    assert len([r for r in await broken.rows(schema.incident) if r.kind == "alert"]) == 1
