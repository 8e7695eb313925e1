"""What is told at once: a status that moved by itself, and a change outside approval."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.mail_config import MailConfig
from bot.domain.notices import (
    REMEMBERED_MAX,
    Reading,
    StatusChange,
    outside_approval,
    status_changes,
)
from tests.fakes import MORNING, config, dkim_value

LATER = MORNING + timedelta(minutes=15)
LIVE = config()
PENDING = replace(LIVE, dkim_status="not_verified")


def moved(before: MailConfig | None, after: MailConfig | None, **rest: object) -> list[str]:
    found = status_changes(Reading(MORNING, before), Reading(LATER, after), **rest)  # type: ignore[arg-type]
    return [f"{change.field}: {change.before} -> {change.after}" for change in found]


def test_a_status_that_moves_is_told_in_either_direction():
    assert moved(LIVE, PENDING) == ["dkim_status: verified -> not_verified"]
    assert moved(PENDING, LIVE) == ["dkim_status: not_verified -> verified"]


def test_both_statuses_may_move_at_once():
    both = replace(PENDING, cname_status="not_verified")
    told = status_changes(Reading(MORNING, LIVE), Reading(LATER, both))

    assert told == (
        StatusChange("dkim_status", "verified", "not_verified", LATER),
        StatusChange("cname_status", "verified", "not_verified", LATER),
    )


def test_a_status_that_stays_is_no_news():
    assert moved(LIVE, replace(LIVE, name="Acme")) == []


def test_a_verified_that_a_checklist_waits_for_is_told_there():
    assert moved(PENDING, LIVE, is_awaited=True) == []
    assert moved(LIVE, PENDING, is_awaited=True) == ["dkim_status: verified -> not_verified"]
    cname = replace(LIVE, cname_status="not_verified")
    assert moved(cname, LIVE, is_awaited=True) == ["cname_status: not_verified -> verified"]


@pytest.mark.parametrize(("before", "after"), [(None, LIVE), (LIVE, None), (None, None)])
def test_a_sender_that_comes_or_goes_has_no_status_that_moved(
    before: MailConfig | None, after: MailConfig | None
):
    assert moved(before, after) == []


def test_another_host_or_domain_has_a_status_of_its_own():
    other = config("it@acme.test", dkim_status="not_verified", cname_status="not_verified")
    new_host = replace(PENDING, dkim_host="2._domainkey.acme.example", cname_status="not_verified")

    assert moved(LIVE, other) == []
    assert moved(LIVE, new_host) == ["cname_status: verified -> not_verified"]


APPROVED, DRIFT = True, False
EVIL = replace(LIVE, name="Evil")
WORSE = replace(LIVE, name="Worse")


def notices(*readings: tuple[MailConfig | None, bool]) -> list[bool]:
    told: tuple[str, ...] = ()
    said = []
    for live, is_approved in readings:
        told, is_news = outside_approval(told, live, is_approved)
        said.append(is_news)
    return said


def test_the_first_reading_that_shows_a_change_outside_approval_is_told_once():
    assert notices((LIVE, APPROVED), (EVIL, DRIFT), (EVIL, DRIFT)) == [False, True, False]


def test_a_removed_sender_is_a_change_too():
    assert notices((None, DRIFT), (None, DRIFT)) == [True, False]


def test_each_live_configuration_is_told_once():
    assert notices((EVIL, DRIFT), (WORSE, DRIFT), (EVIL, DRIFT)) == [True, True, False]


def test_a_change_made_again_after_it_was_undone_is_told_again():
    assert notices((EVIL, DRIFT), (LIVE, APPROVED), (EVIL, DRIFT)) == [True, False, True]


@pytest.mark.parametrize(
    "other",
    [
        replace(EVIL, email_id="boss@acme.example"),
        replace(EVIL, email_id="scott@acme.test"),
        replace(EVIL, dkim_host="2._domainkey.acme.example"),
        replace(EVIL, dkim_value=dkim_value(2048)),
    ],
)
def test_a_configuration_is_another_by_address_name_host_or_key(other: MailConfig):
    assert notices((EVIL, DRIFT), (other, DRIFT)) == [True, True]


@pytest.mark.parametrize(
    "same",
    [
        replace(EVIL, dkim_status="not_verified", cname_status="not_verified"),
        replace(EVIL, email_id="scott@ACME.example"),
        replace(EVIL, dkim_host=EVIL.dkim_host.upper()),
        replace(EVIL, dkim_value=EVIL.dkim_value.replace("; ", ";")),
    ],
)
def test_a_configuration_is_the_same_by_status_case_or_spacing(same: MailConfig):
    assert notices((EVIL, DRIFT), (same, DRIFT)) == [True, False]


def test_what_is_remembered_does_not_grow_for_ever():
    told: tuple[str, ...] = ()
    for n in range(3 * REMEMBERED_MAX):
        told, is_news = outside_approval(told, replace(LIVE, name=f"Evil {n}"), DRIFT)
        assert is_news
    assert len(told) == REMEMBERED_MAX
