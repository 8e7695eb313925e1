"""What follows a change to its real end, and when its missing record is no surprise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.change import ChangeRequest
from bot.domain.checklist import Checklist, News, Pass, begin, key_applied_at, step
from bot.domain.mail_config import Patch
from bot.domain.sender_plans import AcceptPlan, ResetPlan, plan_set
from tests.domain.test_change import SENT
from tests.fakes import MORNING, config

BASE = config()
LIVE = config("it@mail.acme.example", which=1, dkim_status="not_verified")
VERIFIED = replace(LIVE, dkim_status="verified")
SENT_NEW = replace(SENT, plan=plan_set(Patch.of(email_id="it@mail.acme.example"), BASE))
APPLIED = SENT_NEW.apply(MORNING, LIVE, "written")


def at(minutes: int) -> timedelta:
    return timedelta(minutes=minutes)


def started() -> Checklist:
    checklist = begin(APPLIED)
    assert checklist is not None
    return checklist


def after(*passes: Pass) -> tuple[Checklist, list[News | None]]:
    """The checklist after these passes, stored and read back between any two, and all its news."""
    checklist, told = started(), []
    for seen in passes:
        checklist, news = step(checklist, seen)
        checklist = Checklist.from_dict(json.loads(json.dumps(checklist.as_dict())))
        told.append(news)
    return checklist, told


def seen(minutes: int, live: object = LIVE, **servers: bool | None) -> Pass:
    return Pass(MORNING + at(minutes), live, servers)  # type: ignore[arg-type]


def ticked(checklist: Checklist) -> dict[str, bool]:
    return {server.name: server.seen_at is not None for server in checklist.servers}


def test_a_change_is_done_once_each_server_has_the_record_and_zoho_says_verified():
    checklist, told = after(
        seen(15, ns1=False, ns2=False),
        seen(30, ns1=True, ns2=False),
        seen(45, ns1=True, ns2=True),
        seen(60, ns1=True, ns2=True),
        seen(75, VERIFIED, ns1=True, ns2=True),
    )

    assert told == [News.PROGRESS, News.PROGRESS, News.PROGRESS, None, News.COMPLETE]
    assert [server.seen_at for server in checklist.servers] == [
        MORNING + at(30),
        MORNING + at(45),
    ]
    assert (checklist.in_force_at, checklist.verified_at) == (MORNING, MORNING + at(75))
    assert checklist.is_complete


def test_it_is_said_once_that_it_is_done():
    _, told = after(seen(15, VERIFIED, ns1=True), seen(30, VERIFIED, ns1=True), seen(45, ns1=False))

    assert told == [News.COMPLETE, None, None]


def test_zoho_may_verify_before_the_last_server_has_the_record():
    checklist, told = after(
        seen(15, VERIFIED, ns1=True, ns2=False), seen(30, VERIFIED, ns1=True, ns2=True)
    )

    assert told == [News.PROGRESS, News.COMPLETE]
    assert checklist.verified_at == MORNING + at(15)


def test_a_server_that_does_not_answer_changes_nothing():
    checklist, told = after(seen(15, ns1=True, ns2=False), seen(30, ns1=None, ns2=None))

    assert told == [News.PROGRESS, None]
    assert ticked(checklist) == {"ns1": True, "ns2": False}


def test_a_server_that_never_answered_does_not_hold_up_the_end():
    checklist, told = after(seen(15, VERIFIED, ns1=True, ns2=None))

    assert told == [News.COMPLETE]
    assert ticked(checklist) == {"ns1": True, "ns2": False}


def test_a_server_that_lacked_the_record_and_fell_silent_does():
    _, told = after(seen(15, ns1=True, ns2=False), seen(30, VERIFIED, ns1=True, ns2=None))

    assert told == [News.PROGRESS, News.PROGRESS]


def test_a_server_that_lost_the_record_is_unticked():
    checklist, told = after(seen(15, ns1=True), seen(30, ns1=False))

    assert told == [News.PROGRESS, News.PROGRESS]
    assert ticked(checklist) == {"ns1": False}


def test_a_verified_that_zoho_takes_back_is_unticked():
    checklist, told = after(seen(15, VERIFIED, ns1=False), seen(30, ns1=False))

    assert told == [News.PROGRESS, News.PROGRESS]
    assert checklist.verified_at is None
    assert checklist.waits_for_zoho


def test_a_server_that_no_longer_serves_the_zone_is_left_out():
    checklist, _ = after(seen(15, ns1=True, old=False), seen(30, ns1=True))

    assert ticked(checklist) == {"ns1": True}


def test_servers_that_could_not_be_found_out_this_time_stay():
    checklist, _ = after(seen(15, ns1=True), seen(30))

    assert ticked(checklist) == {"ns1": True}


def test_where_none_of_the_zones_servers_can_be_reached_the_resolvers_decide():
    right = replace(seen(15, VERIFIED, ns1=None), resolvers=True)
    wrong = replace(right, resolvers=False)
    none = replace(right, resolvers=None)

    assert after(right)[1] == [News.COMPLETE]
    assert after(wrong)[1] == [News.PROGRESS]
    assert after(none)[1] == [News.PROGRESS]
    assert after(replace(right, live=LIVE), wrong)[0].resolvers_at is None


def test_what_the_resolvers_hold_is_remembered():
    right = replace(seen(15), resolvers=True)

    assert after(right, seen(30, VERIFIED))[1] == [News.PROGRESS, News.COMPLETE]


@pytest.mark.parametrize(
    "live",
    [
        None,
        BASE,
        replace(LIVE, dkim_value=BASE.dkim_value),
        replace(LIVE, dkim_host="2._domainkey.mail.acme.example"),
    ],
)
def test_another_key_ends_the_wait(live: object):
    checklist, told = after(seen(15, ns1=True), seen(30, live, ns1=True), seen(45, VERIFIED))

    assert told == [News.PROGRESS, News.SUPERSEDED, None]
    assert checklist.is_superseded
    assert not checklist.is_complete
    assert not checklist.waits_for_zoho


def test_removing_the_sender_leaves_nothing_to_wait_for():
    assert begin(replace(SENT, plan=ResetPlan(BASE)).apply(MORNING, None, "written")) is None


def test_a_key_that_our_apply_brought_is_known_as_ours():
    assert key_applied_at(APPLIED, LIVE) == MORNING
    assert key_applied_at(APPLIED, VERIFIED) == MORNING


def test_the_first_sender_brings_a_key_of_ours():
    first = replace(SENT, plan=plan_set(Patch.of(email_id=LIVE.email_id, name="Acme"), None))

    assert key_applied_at(first.apply(MORNING, LIVE, "written"), LIVE) == MORNING


RENAMED = replace(BASE, name="Acme")


@pytest.mark.parametrize(
    ("applied", "live"),
    [
        (None, LIVE),
        (APPLIED, None),
        (APPLIED, BASE),
        (APPLIED, replace(LIVE, dkim_value=BASE.dkim_value)),
        (SENT_NEW.apply(MORNING, LIVE, "none"), LIVE),
        (replace(SENT, plan=AcceptPlan(BASE, LIVE)).apply(MORNING, LIVE, "none"), LIVE),
        (SENT.apply(MORNING, RENAMED, "written"), RENAMED),
        (replace(SENT, plan=ResetPlan(BASE)).apply(MORNING, None, "written"), LIVE),
    ],
    ids=[
        "nothing was ever applied",
        "the sender was removed since",
        "another host is live",
        "another key is live",
        "it was in place already",
        "it was accepted, not written",
        "the key stayed as it was",
        "we removed it",
    ],
)
def test_what_our_apply_did_not_bring_has_no_grace(applied: ChangeRequest | None, live: object):
    assert key_applied_at(applied, live) is None  # type: ignore[arg-type]
