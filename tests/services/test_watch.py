"""The drift check: what is told, once, and what is never taken for drift."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from bot.adapters.store import schema
from bot.domain.command import Accept
from bot.domain.dkim import Publication
from bot.domain.incident import Kind
from bot.errors import Ambiguous, AuthError, NotSent, PermissionDenied
from tests.fakes import Killed, config, dkim_value
from tests.office import ALICE, BOB, NEW_ADDRESS, ORG, RENAME, Office


@pytest.fixture
async def healthy(office: Office) -> Office:
    """A working sender that was approved, checked once, with its record published."""
    office.dns.publish_key_of(office.cliq.live)
    await office.applied(Accept("as found"))
    await office.watch.check()
    await forget_messages(office)
    return office


async def forget_messages(office: Office) -> None:
    for waiting in await office.store.due_messages(office.clock.now()):
        async with office.store.begin() as tx:
            await tx.finish_message(waiting.message.key, office.clock.now())


async def test_the_first_check_says_what_is_watched_and_nothing_else(office: Office):
    office.dns.publish_key_of(office.cliq.live)

    await office.watch.check()

    watched = await office.incident(Kind.WATCH)
    assert watched is not None
    assert watched.facts["publication"] == "right"
    assert (watched.facts["number"], watched.facts["is_drifted"]) == (None, False)
    assert await office.incident(Kind.RECORD) is None
    assert await office.incident(Kind.OUTSIDE) is None
    assert await office.messages() == []
    card = await office.store.card(watched.id)
    assert card is not None
    assert card.channel == "C0ALERTS"


async def test_without_a_custom_sender_there_is_little_to_watch(office: Office):
    office.cliq.live = None

    await office.watch.check()

    watched = await office.incident(Kind.WATCH)
    assert watched is not None
    assert watched.facts["live"] is None
    assert await office.incident(Kind.RECORD) is None


async def test_a_missing_record_opens_one_message_with_the_record_to_publish(healthy: Office):
    assert healthy.cliq.live is not None
    healthy.dns.withdraw(healthy.cliq.live.dkim_host)

    await healthy.watch.check()

    opened = await healthy.incident(Kind.RECORD)
    assert opened is not None
    assert opened.key == f"missing:{healthy.cliq.live.dkim_host}"
    assert opened.facts["host"] == healthy.cliq.live.dkim_host
    assert opened.facts["value"] == healthy.cliq.live.dkim_value
    assert opened.facts["zone"] == "acme.example"
    assert opened.facts["answers"] == [{"server": "ns1.acme.example", "values": [], "problem": ""}]
    assert await healthy.messages() == []


async def test_the_same_trouble_stays_in_its_message(healthy: Office):
    assert healthy.cliq.live is not None
    healthy.dns.withdraw(healthy.cliq.live.dkim_host)
    await healthy.watch.check()
    opened = await healthy.incident(Kind.RECORD)
    assert opened is not None

    healthy.clock.advance(minutes=15)
    await healthy.watch.check()

    still = await healthy.incident(Kind.RECORD)
    assert still is not None
    assert (still.id, still.rev) == (opened.id, opened.rev + 1)
    assert still.facts["checked_at"] > opened.facts["checked_at"]
    assert await healthy.messages() == []


async def test_another_trouble_is_news_in_the_same_message(healthy: Office):
    live = healthy.cliq.live
    assert live is not None
    healthy.dns.withdraw(live.dkim_host)
    await healthy.watch.check()

    healthy.dns.publish(live.dkim_host, dkim_value(1024, 5))
    await healthy.watch.check()

    changed = await healthy.incident(Kind.RECORD)
    assert changed is not None
    assert changed.key == f"different:{live.dkim_host}"
    assert await healthy.messages() == ["record_changed"]


async def test_the_right_record_resolves_it_and_is_said_once(healthy: Office):
    assert healthy.cliq.live is not None
    healthy.dns.withdraw(healthy.cliq.live.dkim_host)
    await healthy.watch.check()
    healthy.dns.publish_key_of(healthy.cliq.live)

    await healthy.watch.check()
    await healthy.watch.check()

    assert await healthy.incident(Kind.RECORD) is None
    assert await healthy.messages() == ["record_resolved"]


@pytest.mark.parametrize("problem", ["timed out", "server failure"])
async def test_an_unknown_changes_nothing_in_either_direction(healthy: Office, problem: str):
    assert healthy.cliq.live is not None
    healthy.dns.problem = problem
    await healthy.watch.check()
    assert await healthy.incident(Kind.RECORD) is None

    healthy.dns.problem = ""
    healthy.dns.withdraw(healthy.cliq.live.dkim_host)
    await healthy.watch.check()
    opened = await healthy.incident(Kind.RECORD)
    healthy.dns.problem = problem
    await healthy.watch.check()

    assert await healthy.incident(Kind.RECORD) == opened
    assert (await healthy.store.watch(ORG)).publication is Publication.UNKNOWN
    assert await healthy.messages() == []


@pytest.mark.parametrize(
    "edit",
    [
        {"name": "Evil"},
        {"email_id": "evil@acme.example"},
        {"dkim_value": dkim_value(1024, 4)},
        {"dkim_host": "9._domainkey.acme.example"},
    ],
)
async def test_a_change_outside_approval_is_reported(healthy: Office, edit: dict[str, str]):
    before = healthy.cliq.live
    assert before is not None
    healthy.cliq.edit(**edit)
    assert healthy.cliq.live is not None

    await healthy.watch.check()

    opened = await healthy.incident(Kind.OUTSIDE)
    assert opened is not None
    assert opened.facts["approved"] == before.as_dict()
    assert opened.facts["live"] == healthy.cliq.live.as_dict()
    assert opened.facts["number"] == 1
    watched = await healthy.incident(Kind.WATCH)
    assert watched is not None
    assert watched.facts["is_drifted"]


async def test_a_sender_removed_outside_approval_is_reported(healthy: Office):
    healthy.cliq.live = None

    await healthy.watch.check()

    opened = await healthy.incident(Kind.OUTSIDE)
    assert opened is not None
    assert opened.facts["live"] is None


async def test_the_record_of_an_unapproved_key_is_marked_as_such(healthy: Office):
    healthy.cliq.edit(dkim_host="9._domainkey.acme.example")

    await healthy.watch.check()

    opened = await healthy.incident(Kind.RECORD)
    assert opened is not None
    assert opened.facts["is_drifted"]


async def test_accepting_an_outside_change_resolves_it(healthy: Office):
    healthy.cliq.edit(name="New name")
    await healthy.watch.check()

    await healthy.applied(Accept("it was Bob, by hand"))
    await forget_messages(healthy)
    await healthy.watch.check()

    assert await healthy.incident(Kind.OUTSIDE) is None
    assert await healthy.messages() == ["outside_resolved"]


async def test_putting_it_back_by_hand_resolves_it_too(healthy: Office):
    healthy.cliq.edit(name="Evil")
    await healthy.watch.check()
    healthy.cliq.edit(name="Scott Fisher")

    await healthy.watch.check()

    assert await healthy.incident(Kind.OUTSIDE) is None


async def test_before_anything_is_approved_nothing_is_outside_approval(office: Office):
    await office.watch.check()
    office.cliq.edit(name="Edited")

    await office.watch.check()

    assert await office.incident(Kind.OUTSIDE) is None


@pytest.mark.parametrize("field", ["dkim_status", "cname_status"])
async def test_a_status_is_told_once_when_it_moves_in_either_direction(healthy: Office, field: str):
    healthy.cliq.edit(**{field: "not_verified"})
    await healthy.watch.check()
    healthy.clock.advance(minutes=15)
    await healthy.watch.check()
    healthy.clock.advance(minutes=15)
    healthy.cliq.edit(**{field: "verified"})
    await healthy.watch.check()

    due = await healthy.store.due_messages(healthy.clock.now())
    told = [waiting.message.facts for waiting in due]
    assert [(facts["field"], facts["before"], facts["after"]) for facts in told] == [
        (field, "verified", "not_verified"),
        (field, "not_verified", "verified"),
    ]
    assert await healthy.incident(Kind.OUTSIDE) is None


async def test_what_we_applied_ourselves_is_no_news(healthy: Office):
    done = await healthy.applied(
        replace(NEW_ADDRESS, patch=replace(NEW_ADDRESS.patch, cname_status="not_verified"))
    )
    await forget_messages(healthy)

    await healthy.watch.check()

    assert done.observed == healthy.cliq.live
    assert await healthy.incident(Kind.OUTSIDE) is None
    assert await healthy.messages() == []


async def test_a_status_that_moved_while_we_applied_something_else_is_still_told(healthy: Office):
    healthy.cliq.edit(dkim_status="not_verified")
    await healthy.applied(RENAME)
    await forget_messages(healthy)

    await healthy.watch.check()

    assert await healthy.messages() == ["status"]


async def test_a_status_that_moved_before_something_was_accepted_is_still_told(healthy: Office):
    healthy.cliq.edit(name="Edited", cname_status="not_verified")
    await healthy.applied(Accept("fine"))
    await forget_messages(healthy)

    await healthy.watch.check()

    assert await healthy.messages() == ["status"]


@pytest.mark.parametrize(
    "error", [NotSent("GET"), Ambiguous("GET"), AuthError("GET"), PermissionDenied("GET")]
)
async def test_a_reading_that_failed_is_no_drift(healthy: Office, error: Exception):
    before = await healthy.store.watch(ORG)
    healthy.clock.advance(minutes=15)
    healthy.cliq.fail_next_reads(error)

    await healthy.watch.check()

    assert await healthy.store.watch(ORG) == replace(before, last_error=str(error))
    assert await healthy.incident(Kind.OUTSIDE) is await healthy.incident(Kind.RECORD) is None
    watched = await healthy.incident(Kind.WATCH)
    assert watched is not None
    assert watched.facts["error"] == str(error)
    assert await healthy.messages() == []


async def test_the_next_good_reading_clears_the_error(healthy: Office):
    healthy.cliq.fail_next_reads(NotSent("GET"))
    await healthy.watch.check()

    await healthy.watch.check()

    watched = await healthy.incident(Kind.WATCH)
    assert watched is not None
    assert "error" not in watched.facts
    assert (await healthy.store.watch(ORG)).last_error == ""


async def test_a_first_reading_that_fails_opens_nothing(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))

    await office.watch.check()

    assert await office.incident(Kind.WATCH) is None
    assert not (await office.store.watch(ORG)).has_reading


async def test_a_check_that_an_apply_overtakes_is_dropped(healthy: Office):
    before = await healthy.store.watch(ORG)
    await healthy.approved(RENAME)
    healthy.cliq.while_reading = healthy.applier.settle

    await healthy.watch.check()

    after = await healthy.store.watch(ORG)
    assert after.checked_at == before.checked_at
    assert after.reading == healthy.cliq.live
    assert await healthy.incident(Kind.OUTSIDE) is None


async def test_a_vote_during_a_check_does_not_drop_it(healthy: Office):
    request = await healthy.changes.propose(ALICE, NEW_ADDRESS)
    healthy.clock.advance(minutes=15)

    async def vote() -> None:
        await healthy.approve(BOB, request)

    healthy.cliq.while_reading = vote
    await healthy.watch.check()

    assert (await healthy.store.watch(ORG)).checked_at == healthy.clock.now()


async def test_nothing_is_judged_while_a_change_is_being_written(healthy: Office):
    await healthy.approved()
    healthy.cliq.fail_next_write(Killed(), after_effect=True)
    with pytest.raises(Killed):
        await healthy.applier.settle()
    reads = len(healthy.cliq.reads)

    await healthy.watch.check()
    await healthy.applier.settle()
    await healthy.watch.check()

    assert len(healthy.cliq.reads) == reads
    assert await healthy.incident(Kind.OUTSIDE) is None


async def test_a_tick_checks_once_in_each_interval(office: Office):
    await office.watch.tick()
    office.clock.advance(minutes=14, seconds=59)
    await office.watch.tick()
    assert len(office.cliq.reads) == 1

    office.clock.advance(seconds=1)
    await office.watch.tick()
    assert len(office.cliq.reads) == 2


async def test_a_check_that_could_not_be_made_is_repeated_after_a_minute(office: Office):
    office.cliq.fail_next_reads(NotSent("GET"))
    await office.watch.tick()
    office.clock.advance(seconds=59)
    await office.watch.tick()
    assert len(office.cliq.reads) == 1

    office.clock.advance(seconds=1)
    await office.watch.tick()
    office.clock.advance(minutes=1)
    await office.watch.tick()

    assert len(office.cliq.reads) == 2
    assert (await office.store.watch(ORG)).has_reading


async def test_two_checks_at_once_open_one_message(office: Office):
    await asyncio.gather(office.watch.check(), office.watch.check())

    assert len(await office.rows(schema.incident)) == 2


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

    await office.watch.check()

    watched = await office.incident(Kind.WATCH)
    assert watched is not None
    assert watched.facts["next_at"] - watched.facts["checked_at"] == 8 * 60 * 1000


async def test_live_values_that_were_read_are_kept(healthy: Office):
    state = await healthy.store.watch(ORG)

    assert (state.reading, state.publication) == (config(), Publication.RIGHT)
    assert state.read_at == state.checked_at == healthy.clock.now()


async def test_an_alert_that_is_settled_by_accepting_does_not_wait_for_the_next_interval(
    office: Office,
):
    await office.applied()
    office.cliq.edit(name="Acme Support")
    await office.watch.tick()
    assert await office.incident(Kind.OUTSIDE) is not None

    await office.applied(Accept("it was meant"))
    await office.watch.tick()

    assert await office.incident(Kind.OUTSIDE) is None
    reads = office.cliq.reads
    await office.watch.tick()
    assert office.cliq.reads == reads
