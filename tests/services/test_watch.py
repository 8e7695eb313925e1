"""The watch on its timelines: what is told, when, once; and what is never taken for trouble.

Every interval is a quarter of an hour. `healthy` begins at nine with all in order.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete

from bot.adapters.store import schema
from bot.domain.change import ChangeRequest, State
from bot.domain.command import Accept, Reset, Set
from bot.domain.dns_answers import Status
from bot.domain.incident import Incident, Kind
from bot.domain.mail_config import Patch
from bot.errors import Ambiguous, AuthError, CliqError, NotSent, PermissionDenied
from bot.ports import Message
from tests.fakes import FakeDns, Killed, config, dkim_value
from tests.office import ALICE, BOB, NEW_ADDRESS, ORG, RENAME, Office

IS_LONG_ON_POSTGRESQL = True

NS1, NS2 = FakeDns.SERVERS
NEW_DOMAIN = Set(Patch(email_id="it@mail.acme.example"), "a domain of its own")


@pytest.fixture
async def healthy(office: Office) -> Office:
    """A working sender that was approved, checked once, with its record published."""
    office.dns.publish_key_of(office.cliq.live)
    await office.applied(Accept("as found"))
    await office.watch.tick()
    await forget_messages(office)
    return office


async def forget_messages(office: Office) -> None:
    """Those that are put off as well."""
    await office.tamper(delete(schema.outbox))


async def told(office: Office) -> list[Message]:
    return [w.message for w in await office.store.due_messages(office.org, office.clock.now())]


def break_record(office: Office) -> None:
    assert office.cliq.live is not None
    office.dns.withdraw(office.cliq.live.dkim_host)


async def alert(office: Office) -> Incident | None:
    return await office.incident(Kind.ALERT)


async def opened(office: Office) -> Incident:
    """The alert, which must be there."""
    found = await alert(office)
    assert found is not None
    return found


async def watched(office: Office) -> dict[str, Any]:
    line = await office.incident(Kind.WATCH)
    assert line is not None
    return line.facts


async def test_the_first_check_says_what_is_watched_and_nothing_else(office: Office):
    office.dns.publish_key_of(office.cliq.live)

    await office.watch.tick()

    line = await office.incident(Kind.WATCH)
    assert line is not None
    assert line.facts["dns"] == "DKIM in order at 2 of 2 servers"
    assert (line.facts["number"], line.facts["is_drifted"]) == (None, False)
    assert await alert(office) is None
    assert await office.messages() == []
    card = await office.store.card(office.org, line.id)
    assert card is not None
    assert card.channel == "C0ALERTS"


async def test_without_a_custom_sender_there_is_little_to_watch(office: Office):
    office.cliq.live = None

    await office.watch.tick()

    assert (await watched(office))["live"] is None
    assert await alert(office) is None
    assert office.dns.asked == []


async def test_a_tick_checks_once_in_each_interval(office: Office):
    await office.watch.tick()
    office.clock.advance(minutes=14, seconds=59)
    await office.watch.tick()
    assert len(office.cliq.reads) == 1

    office.clock.advance(seconds=1)
    await office.watch.tick()
    assert len(office.cliq.reads) == 2


async def test_late_intervals_fall_together(office: Office):
    await office.watch.tick()
    office.clock.advance(days=3)

    await office.watch.tick()
    await office.watch.tick()

    assert len(office.cliq.reads) == 2
    assert len(await office.rows(schema.slot)) == 2


async def test_an_interval_that_was_checked_before_a_restart_is_not_checked_again(office: Office):
    await office.watch.tick()
    office.restart()

    await office.watch.tick()

    assert len(office.cliq.reads) == 1


async def test_the_next_check_is_announced_for_the_next_interval(office: Office):
    office.clock.advance(minutes=7)

    await office.watch.tick()

    facts = await watched(office)
    assert facts["next_at"] - facts["checked_at"] == 8 * 60 * 1000


async def test_what_was_read_is_kept(healthy: Office):
    state = await healthy.store.watch(ORG)

    assert state.reading == config()
    assert state.last_pass.line == "DKIM in order at 2 of 2 servers"
    assert state.read_at == state.last_pass.at == healthy.clock.now()


async def test_one_bad_check_alerts_nobody_and_the_second_does(healthy: Office):
    break_record(healthy)

    await healthy.passes()
    assert await alert(healthy) is None

    await healthy.passes()
    found = await opened(healthy)
    assert found.opened_at == healthy.clock.now() - timedelta(minutes=15)
    assert found.facts["heading"] == "DKIM broken: no record"
    assert await healthy.messages() == []


async def test_an_alert_has_the_record_to_publish_and_what_each_server_holds(healthy: Office):
    live = healthy.cliq.live
    assert live is not None
    break_record(healthy)
    await healthy.passes(2)

    facts = (await opened(healthy)).facts
    zone = "acme.example"
    assert facts["record"] == {"name": live.dkim_host, "value": live.dkim_value, "zone": zone}
    assert facts["is_approved"]
    assert facts["servers"] == [
        f"{NS1}: knows no such name",
        f"{NS2}: knows no such name",
        "resolver 192.0.2.53:53: knows no such name",
    ]


async def test_the_same_trouble_stays_in_its_message(healthy: Office):
    break_record(healthy)
    await healthy.passes(2)
    first = await opened(healthy)

    await healthy.passes()

    still = await opened(healthy)
    assert (still.id, still.rev) == (first.id, first.rev + 1)
    assert still.facts["checked_at"] > first.facts["checked_at"]
    assert await healthy.messages() == []


async def test_another_trouble_is_news_in_the_thread_once_it_is_seen_twice(healthy: Office):
    live = healthy.cliq.live
    assert live is not None
    break_record(healthy)
    await healthy.passes(2)
    first = await opened(healthy)

    healthy.dns.publish(live.dkim_host, dkim_value(1024, 5))
    await healthy.passes()
    assert await healthy.messages() == []

    await healthy.passes()
    assert await healthy.messages() == ["alert_changed"]
    assert (await opened(healthy)).id == first.id
    assert (await opened(healthy)).facts["heading"] == "DKIM broken: another key is published"


async def test_an_alert_ends_after_an_hour_in_order_and_says_so_once(healthy: Office):
    break_record(healthy)
    await healthy.passes(2)
    healthy.dns.publish_key_of(healthy.cliq.live)

    await healthy.passes(4)
    facts = (await opened(healthy)).facts
    assert not facts["is_bad"]
    assert facts["ends_at"] == facts["checked_at"] + 15 * 60 * 1000
    assert await healthy.messages() == []

    await healthy.passes(2)
    assert await alert(healthy) is None
    assert await healthy.messages() == ["alert_resolved"]


async def test_an_alert_that_lasts_is_brought_to_mind_once_a_day(healthy: Office):
    break_record(healthy)
    await healthy.passes(2 + 2 * 24 * 4)

    assert await healthy.messages() == ["alert_reminder", "alert_reminder"]


async def test_the_third_alert_within_a_day_is_told_as_flapping(healthy: Office):
    live = healthy.cliq.live
    for _ in range(3):
        break_record(healthy)
        await healthy.passes(2)
        healthy.dns.publish_key_of(live)
        await healthy.passes(5)

    facts = (await opened(healthy)).facts
    assert facts["is_flapping"]
    assert await healthy.messages() == ["alert_resolved", "alert_resolved"]
    await healthy.passes(20)
    assert await alert(healthy) is None


async def test_each_event_is_audited(healthy: Office):
    break_record(healthy)
    await healthy.passes(2)
    healthy.dns.publish_key_of(healthy.cliq.live)
    await healthy.passes(5)

    events = [row.body for row in await healthy.audit() if row.kind == "incident"]
    assert events == ['{"event":"opened:DKIM_MISSING"}', '{"event":"resolved:DKIM_MISSING"}']


async def test_one_failed_look_up_alerts_nobody(healthy: Office):
    healthy.dns.fail(Status.TIMED_OUT)
    await healthy.passes()
    healthy.dns.fail(None)
    await healthy.passes(3)

    assert await alert(healthy) is None
    assert await healthy.messages() == []


@pytest.mark.parametrize("server", [NS1, NS2, FakeDns.RESOLVER])
async def test_a_server_that_loses_its_packets_alerts_nobody(healthy: Office, server: str):
    healthy.dns.fail(Status.TIMED_OUT, server)
    await healthy.passes(8)

    assert await alert(healthy) is None
    assert await healthy.messages() == []


@pytest.mark.parametrize("failing", [(FakeDns.RESOLVER,), (NS1, FakeDns.RESOLVER), (NS1, NS2)])
async def test_a_server_failure_alone_alerts_nobody(healthy: Office, failing: tuple[str, ...]):
    healthy.dns.fail(Status.SERVFAIL, *failing)
    await healthy.passes(8)

    assert await alert(healthy) is None
    assert await healthy.messages() == []


@pytest.mark.parametrize("status", [Status.TIMED_OUT, Status.UNREACHABLE])
async def test_an_unknown_changes_nothing_in_either_direction(healthy: Office, status: Status):
    break_record(healthy)
    await healthy.passes()
    healthy.dns.fail(status)
    await healthy.passes(8)
    assert await alert(healthy) is None

    healthy.dns.fail(None)
    await healthy.passes()
    first = await opened(healthy)
    healthy.dns.publish_key_of(healthy.cliq.live)
    healthy.dns.fail(status)
    await healthy.passes(8)

    still = await opened(healthy)
    assert still.facts["heading"] == first.facts["heading"]
    assert still.facts["servers"] == first.facts["servers"]
    assert still.facts["unknown"].startswith("Could not check 1700000000000._domainkey.acme")
    assert await healthy.messages() == []


async def test_our_own_change_in_flight_alerts_nobody_and_is_no_tick(healthy: Office):
    await healthy.approved(NEW_DOMAIN)
    healthy.cliq.fail_next_write(Killed(), after_effect=True)
    with pytest.raises(Killed):
        await healthy.applier.settle()
    await forget_messages(healthy)
    reads = len(healthy.cliq.reads)

    await healthy.passes(3)

    assert len(healthy.cliq.reads) == reads
    assert await alert(healthy) is None
    assert await healthy.messages() == []


async def test_a_check_that_an_apply_overtakes_is_dropped(healthy: Office):
    await healthy.approved(RENAME)
    healthy.cliq.while_reading = healthy.applier.settle

    await healthy.passes()

    state = await healthy.store.watch(ORG)
    assert state.last_pass.at == healthy.clock.now() - timedelta(minutes=15)
    assert state.reading == healthy.cliq.live
    assert await alert(healthy) is None


async def test_a_vote_during_a_check_does_not_drop_it(healthy: Office):
    request = await healthy.changes.propose(ALICE, NEW_ADDRESS)

    async def vote() -> None:
        await healthy.approve(BOB, request)

    healthy.cliq.while_reading = vote
    await healthy.passes()

    assert (await healthy.store.watch(ORG)).last_pass.at == healthy.clock.now()


async def test_a_record_that_our_own_change_needs_may_be_missing_for_four_hours(healthy: Office):
    await healthy.applied(NEW_DOMAIN)
    await forget_messages(healthy)

    await healthy.passes(15)
    assert await alert(healthy) is None

    await healthy.passes(2)
    facts = (await opened(healthy)).facts
    assert facts["heading"] == "DKIM record not published yet"
    assert facts["is_approved"]


async def test_a_record_that_was_seen_and_is_gone_again_is_no_expected_gap(healthy: Office):
    await healthy.applied(NEW_DOMAIN)
    healthy.dns.publish_key_of(healthy.cliq.live)
    healthy.cliq.edit(dkim_status="verified")
    await healthy.passes()

    break_record(healthy)
    await healthy.passes(2)

    assert (await opened(healthy)).facts["heading"] == "DKIM broken: no record"


async def test_at_the_wrong_name_is_told_though_the_change_is_ours(healthy: Office):
    await healthy.applied(NEW_DOMAIN)
    live = healthy.cliq.live
    assert live is not None
    healthy.dns.publish(f"{live.dkim_host}.acme.example", live.dkim_value)

    await healthy.passes(2)

    facts = (await opened(healthy)).facts
    assert facts["heading"] == "DKIM broken: published at the wrong name"
    assert f"is published at {live.dkim_host}.acme.example instead" in facts["said"][0]["sentence"]


@pytest.mark.parametrize(
    "edit",
    [
        {"name": "Evil"},
        {"email_id": "evil@acme.example"},
        {"dkim_value": dkim_value(1024, 4)},
        {"dkim_host": "9._domainkey.acme.example"},
    ],
)
async def test_a_change_outside_approval_is_told_at_once(healthy: Office, edit: dict[str, str]):
    before = healthy.cliq.live
    assert before is not None
    healthy.cliq.edit(**edit)
    assert healthy.cliq.live is not None

    await healthy.passes()

    facts = (await opened(healthy)).facts
    assert facts["heading"] == "Changed outside approval"
    assert facts["approved"] == before.as_dict()
    assert facts["live"] == healthy.cliq.live.as_dict()
    assert facts["number"] == 1
    assert (await watched(healthy))["is_drifted"]
    assert await healthy.messages() == []


async def test_a_write_that_zoho_carries_out_after_it_was_given_up_is_told_as_a_late_effect(
    healthy: Office,
):
    request = await healthy.approved(RENAME)
    for _ in range(3):
        healthy.cliq.fail_next_write(Ambiguous("PUT"))
        await healthy.applier.settle()
        healthy.clock.advance(seconds=36)
    await healthy.applier.settle()
    assert (await healthy.now(request)).state is State.FAILED
    healthy.cliq.edit(name="Acme Support")

    await healthy.passes()

    assert (await opened(healthy)).facts["late"] == request.number
    (body,) = [row.body for row in await healthy.audit() if '"outside"' in row.body]
    assert json.loads(body)["late"] == request.number


async def stopped_on_the_way(office: Office, step: int, *errors: CliqError) -> ChangeRequest:
    """How a change of an address that Cliq keeps has ended, one step of which met these errors."""
    office.cliq.keeps_address = True
    request = await office.approved(NEW_ADDRESS)
    while (await office.now(request)).is_open:
        if (await office.now(request)).step == step and errors:
            for error in errors:
                office.cliq.fail_next_write(error)
            errors = ()
        await office.applier.settle()
        office.clock.advance(seconds=31)
    return await office.now(request)


async def test_a_removal_that_zoho_carries_out_after_it_was_given_up_is_a_late_effect_too(
    healthy: Office,
):
    request = await stopped_on_the_way(healthy, 2, *[Ambiguous("DELETE")] * 3)
    healthy.cliq.live = None

    await healthy.passes()

    assert request.state is State.FAILED
    assert (await opened(healthy)).facts["late"] == request.number


async def test_what_our_own_removal_left_is_blamed_on_nobody_else(healthy: Office):
    request = await stopped_on_the_way(healthy, 3, PermissionDenied("PUT", status=403))

    await healthy.passes()

    assert (request.state, healthy.cliq.live) == (State.CONFLICT, None)
    assert (await opened(healthy)).facts["late"] == request.number


async def test_what_nothing_was_sent_for_is_no_late_effect(healthy: Office):
    request = await healthy.changes.propose(ALICE, RENAME)
    await healthy.reject(BOB, request)
    healthy.cliq.edit(name="Acme Support")

    await healthy.passes()

    assert (await opened(healthy)).facts["late"] is None


async def test_a_sender_removed_outside_approval_is_told_at_once(healthy: Office):
    healthy.cliq.live = None

    await healthy.passes()

    assert (await opened(healthy)).facts["live"] is None


async def test_a_record_of_a_key_that_nobody_approved_is_never_to_be_published(healthy: Office):
    healthy.cliq.edit(dkim_host="9._domainkey.acme.example")

    for _ in range(4):
        await healthy.passes()
        facts = (await opened(healthy)).facts
        assert facts["record"]["name"] == "9._domainkey.acme.example"
        assert not facts["is_approved"]
        assert facts["said"][0]["fix"].startswith("Do not publish until accepted.")


async def test_an_alert_on_the_same_drift_takes_its_message_over(healthy: Office):
    healthy.cliq.edit(name="Evil")
    await healthy.passes()
    first = await opened(healthy)
    assert not first.facts["is_confirmed"]

    await healthy.passes()

    still = await opened(healthy)
    assert still.id == first.id
    assert still.facts["is_confirmed"]
    assert await healthy.messages() == []


async def test_drift_behind_a_wait_for_zoho_is_still_an_alert(healthy: Office):
    healthy.cliq.edit(name="Evil", dkim_status="not_verified")
    await healthy.passes(2 + 24 * 4)

    assert (await opened(healthy)).facts["is_confirmed"]
    assert await healthy.messages() == ["status", "alert_reminder"]


async def test_the_next_change_outside_approval_is_said_in_the_thread(healthy: Office):
    healthy.cliq.edit(name="Evil")
    await healthy.passes()
    healthy.cliq.edit(name="Worse")
    await healthy.passes(2)

    (line,) = await told(healthy)
    assert (line.kind, line.subject) == ("outside", (await opened(healthy)).id)


async def test_a_change_outside_approval_is_not_hidden_in_the_thread_of_another_alert(
    healthy: Office,
):
    break_record(healthy)
    await healthy.passes(2)
    healthy.cliq.edit(name="Evil")
    await healthy.passes()

    (notice,) = await told(healthy)
    assert (notice.kind, notice.subject) == ("outside", None)
    assert (await opened(healthy)).facts["heading"] == "Changed outside approval"


async def test_what_is_put_back_before_a_second_check_ends_at_once(healthy: Office):
    healthy.cliq.edit(name="Evil")
    await healthy.passes()
    healthy.cliq.edit(name="Scott Fisher")
    await healthy.passes()

    assert await alert(healthy) is None
    assert await healthy.messages() == ["alert_resolved"]


async def test_the_same_change_made_anew_is_told_anew(healthy: Office):
    for name in ("Evil", "Scott Fisher", "Evil"):
        healthy.cliq.edit(name=name)
        await healthy.passes()

    events = [row.body for row in await healthy.audit() if '"outside"' in row.body]
    assert len(events) == 2
    assert len([row for row in await healthy.rows(schema.incident) if row.kind == "alert"]) == 2


async def test_accepting_settles_it_without_waiting_for_the_next_interval(healthy: Office):
    healthy.cliq.edit(name="Acme Support")
    await healthy.passes()

    await healthy.applied(Accept("it was meant"))
    await healthy.watch.tick()

    assert await alert(healthy) is None
    reads = len(healthy.cliq.reads)
    await healthy.watch.tick()
    assert len(healthy.cliq.reads) == reads


async def test_an_address_that_cliq_keeps_in_lower_case_is_the_one_that_was_asked_for(
    healthy: Office,
):
    request = await healthy.approved(Set(Patch(email_id="IT@acme.example"), "in capitals"))
    healthy.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await healthy.applier.settle()
    healthy.cliq.edit(email_id="it@acme.example")
    healthy.clock.advance(seconds=36)
    await healthy.applier.settle()

    await healthy.passes()

    assert (await healthy.now(request)).state is State.APPLIED
    assert await alert(healthy) is None


async def test_another_spelling_by_somebody_else_is_shown_and_can_be_accepted(healthy: Office):
    healthy.cliq.edit(email_id="SCOTT@acme.example")
    await healthy.passes()

    facts = (await opened(healthy)).facts
    assert (facts["live"]["email_id"], facts["is_outside"]) == ("SCOTT@acme.example", True)
    accepted = await healthy.applied(Accept("it is the same"))
    await healthy.passes()

    assert [(c.label, c.old, c.new) for c in accepted.plan.diff()] == [
        ("Address", "scott@acme.example", "SCOTT@acme.example")
    ]
    assert accepted.state is State.APPLIED
    assert not (await watched(healthy))["is_drifted"]


async def test_an_accepted_change_is_watched_for_an_hour_if_it_was_confirmed(healthy: Office):
    healthy.cliq.edit(name="Acme Support")
    await healthy.passes(2)
    await healthy.applied(Accept("it was meant"))
    await healthy.watch.tick()

    assert not (await opened(healthy)).facts["is_bad"]
    await healthy.passes(5)
    assert await alert(healthy) is None


async def test_before_anything_is_approved_nothing_is_outside_approval(office: Office):
    office.dns.publish_key_of(office.cliq.live)
    await office.watch.tick()
    office.cliq.edit(name="Edited")

    await office.passes(3)

    assert await alert(office) is None


@pytest.mark.parametrize("field", ["dkim_status", "cname_status"])
async def test_a_status_is_told_at_once_and_once_in_either_direction(healthy: Office, field: str):
    healthy.cliq.edit(**{field: "not_verified"})
    await healthy.passes(2)
    healthy.cliq.edit(**{field: "verified"})
    await healthy.passes(2)

    assert [
        (m.facts["field"], m.facts["before"], m.facts["after"]) for m in await told(healthy)
    ] == [
        (field, "verified", "not_verified"),
        (field, "not_verified", "verified"),
    ]
    assert [m.facts["is_right"] for m in await told(healthy)] == [True, True]
    assert await alert(healthy) is None


async def test_what_we_applied_ourselves_is_no_news(healthy: Office):
    wish = replace(NEW_ADDRESS, patch=replace(NEW_ADDRESS.patch, cname_status="not_verified"))
    done = await healthy.applied(wish)
    await forget_messages(healthy)

    await healthy.passes()

    assert done.observed == healthy.cliq.live
    assert await alert(healthy) is None
    assert "status" not in await healthy.messages()


@pytest.mark.parametrize("wish", [RENAME, Accept("fine")])
async def test_a_status_that_moved_while_something_else_was_applied_is_still_told(
    healthy: Office, wish: Any
):
    healthy.cliq.edit(dkim_status="not_verified", name="Edited")
    await healthy.applied(wish)
    await forget_messages(healthy)

    await healthy.passes()

    assert await healthy.messages() == ["status"]


@pytest.mark.parametrize(
    "error", [NotSent("GET"), Ambiguous("GET"), AuthError("GET"), PermissionDenied("GET")]
)
async def test_a_reading_that_failed_is_no_drift(healthy: Office, error: Exception):
    before = await healthy.store.watch(ORG)
    healthy.cliq.fail_next_reads(error)

    await healthy.passes()

    after = await healthy.store.watch(ORG)
    assert (after.reading, after.read_at) == (before.reading, before.read_at)
    assert after.last_error == str(error)
    assert after.last_pass.line == before.last_pass.line
    assert await alert(healthy) is None
    facts = await watched(healthy)
    assert facts["error"].startswith("Could not check: ")
    assert facts["error"].endswith("Last known: in order (09:00 UTC).")
    assert facts["live"] is not None
    assert await healthy.messages() == []


async def test_a_reading_that_failed_leaves_an_alert_as_it_is(healthy: Office):
    healthy.cliq.edit(name="Evil")
    await healthy.passes()
    healthy.cliq.fail_next_reads(NotSent("GET"))
    await healthy.passes()

    facts = (await opened(healthy)).facts
    assert facts["is_outside"]
    assert facts["unknown"].startswith("Could not check: ")


async def test_a_reading_that_failed_is_tried_again_after_a_minute_for_the_same_interval(
    healthy: Office,
):
    healthy.cliq.edit(name="Evil")
    await healthy.passes()
    healthy.clock.advance(minutes=15)
    healthy.cliq.fail_next_reads(NotSent("GET"))
    reads = len(healthy.cliq.reads)
    await healthy.watch.tick()
    healthy.clock.advance(seconds=59)
    await healthy.watch.tick()
    assert len(healthy.cliq.reads) == reads + 1

    healthy.clock.advance(seconds=1)
    await healthy.watch.tick()
    await healthy.watch.tick()

    assert len(healthy.cliq.reads) == reads + 2
    assert (await opened(healthy)).facts["is_confirmed"]
    assert "error" not in {k for k, v in (await watched(healthy)).items() if v}
    ticks = (await healthy.store.watch(ORG)).alert.recent
    assert [tick.at.minute for tick in ticks] == [0, 15, 30]


async def test_a_first_reading_that_fails_opens_nothing(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))

    await office.watch.tick()

    assert await office.incident(Kind.WATCH) is None
    assert not (await office.store.watch(ORG)).has_reading


async def test_six_hours_without_an_answer_are_said_once_and_so_is_the_end(healthy: Office):
    healthy.dns.fail(Status.TIMED_OUT)
    await healthy.passes(24)
    assert await healthy.messages() == []

    await healthy.passes(8)
    (silence,) = await told(healthy)
    assert (silence.kind, silence.subject) == ("cannot_check", None)
    assert silence.facts["said"] == (
        "Could not check 1700000000000._domainkey.acme.example since 09:15 UTC: ns1.acme.example, "
        "ns2.acme.example and resolver 192.0.2.53:53 timed out. Last known: in order (09:00 UTC)."
    )

    healthy.dns.fail(None)
    await healthy.passes(2)
    assert await healthy.messages() == ["cannot_check", "checks_resumed"]


async def test_a_check_on_demand_is_no_tick(healthy: Office):
    break_record(healthy)
    for _ in range(4):
        await healthy.watch.check_now()

    assert await alert(healthy) is None
    assert (await watched(healthy))["dns"] == "DKIM broken: no record; right at 0 of 2 servers"


async def test_a_check_on_demand_renders_the_alert_anew_and_forecasts_its_end(healthy: Office):
    break_record(healthy)
    await healthy.passes(2)
    healthy.dns.publish_key_of(healthy.cliq.live)
    healthy.clock.advance(minutes=5)

    await healthy.watch.check_now()

    facts = (await opened(healthy)).facts
    assert not facts["is_bad"]
    assert facts["ends_at"] == facts["checked_at"] + 60 * 60 * 1000


async def test_a_check_on_demand_tells_what_is_told_at_once(healthy: Office):
    healthy.cliq.edit(name="Evil", dkim_status="not_verified")

    await healthy.watch.check_now()

    assert (await opened(healthy)).facts["is_outside"]
    assert await healthy.messages() == ["status"]


async def test_a_restart_neither_repeats_nor_loses_an_alert(healthy: Office):
    break_record(healthy)
    for _ in range(7):
        await healthy.passes(minutes=14)
        healthy.restart()
        await healthy.watch.tick()

    alerts = [row for row in await healthy.rows(schema.incident) if row.kind == "alert"]
    assert len(alerts) == 1
    assert await healthy.messages() == []


async def test_two_checks_at_once_open_one_message(office: Office):
    await asyncio.gather(office.watch.check_now(), office.watch.check_now())

    assert len(await office.rows(schema.incident)) == 1


async def test_two_replicas_that_find_the_same_tell_it_once(healthy: Office):
    other = Office(healthy.store, clock=healthy.clock, cliq=healthy.cliq, dns=healthy.dns)
    other._ids = healthy._ids
    other.start()
    healthy.cliq.edit(name="Evil", dkim_status="not_verified")

    await asyncio.gather(healthy.watch.check_now(), other.watch.check_now())

    assert await healthy.messages() == ["status"]
    alerts = [row for row in await healthy.rows(schema.incident) if row.kind == "alert"]
    assert len(alerts) == 1


async def followed(office: Office) -> dict[str, Any]:
    """The newest checklist's values, open or not."""
    rows = [r for r in await office.rows(schema.incident) if r.kind == "checklist"]
    row = await office.store.subject(office.org, max(r.id for r in rows))
    assert isinstance(row, Incident)
    values: dict[str, Any] = row.facts["checklist"]
    return values


async def test_a_checklist_follows_a_change_to_its_end(healthy: Office):
    done = await healthy.applied(NEW_DOMAIN)
    await healthy.watch.tick()
    values = await followed(healthy)
    assert [name for name, _, _ in values["servers"]] == [NS1, NS2]
    assert [at for _, at, _ in values["servers"]] == [None, None]

    await forget_messages(healthy)
    healthy.dns.publish_key_of(healthy.cliq.live)
    await healthy.passes()
    assert all(at for _, at, _ in (await followed(healthy))["servers"])
    assert await healthy.messages() == []

    healthy.cliq.edit(dkim_status="verified")
    await healthy.passes(2)
    assert [(m.kind, m.subject) for m in await told(healthy)] == [
        ("followed", done.id),
        ("followed_dm", done.id),
    ]
    assert (await followed(healthy))["ended_at"] is not None
    assert await healthy.store.open_incidents(ORG, Kind.CHECKLIST) == []


async def test_two_changes_in_a_row_are_each_followed(healthy: Office):
    await healthy.applied(NEW_DOMAIN)
    await healthy.watch.tick()
    await healthy.applied(RENAME)
    await forget_messages(healthy)
    healthy.dns.publish_key_of(healthy.cliq.live)
    healthy.cliq.edit(dkim_status="verified")

    await healthy.passes()

    assert await healthy.messages() == ["followed", "followed_dm"] * 2


async def test_another_key_ends_a_checklist_without_a_word(healthy: Office):
    await healthy.applied(NEW_DOMAIN)
    await healthy.applied(Set(Patch(email_id="it@post.acme.example"), "not that one"))
    await forget_messages(healthy)

    await healthy.watch.tick()

    assert len(await healthy.store.open_incidents(ORG, Kind.CHECKLIST)) == 1
    assert await healthy.messages() == []


async def test_a_strict_policy_is_said_at_once_in_the_thread_of_the_change(healthy: Office):
    healthy.dns.policy = "v=DMARC1; p=reject"
    done = await healthy.applied(NEW_DOMAIN)
    await forget_messages(healthy)

    await healthy.watch.tick()
    await healthy.passes(2)

    (line,) = await told(healthy)
    assert (line.kind, line.subject) == ("dmarc", done.id)
    assert line.facts["said"] == "Policy p=reject: receivers may reject these mails."


async def test_a_removed_sender_leaves_nothing_to_follow(healthy: Office):
    before = len(await healthy.rows(schema.incident))
    await healthy.applied(Reset("enough"))

    assert len(await healthy.rows(schema.incident)) == before
