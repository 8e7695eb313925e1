"""The drawer: what is broken there reaches the real bot, and what it says reaches the panes."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk
from playwright.sync_api import expect

TIME_OUT_MS = 20_000
"""Longer than the bot waits for an answer of Cliq."""


def with_drawer(desk: Desk) -> Desk:
    desk.right.go("mail-alerts")
    desk.open_drawer()
    return desk


def test_a_broken_record_is_reported_and_its_repair_too(desk: Desk) -> None:
    with_drawer(desk)
    desk.do_wrong("loses four characters in the middle")
    check(desk, 2)
    desk.right.expect_card("DKIM broken: the record is damaged")
    desk.break_things("Publish the DKIM record")
    check(desk, 1)
    desk.right.expect_card("Fixed, being watched")
    check(desk, 5)
    desk.right.expect_text("is in order: both authoritative servers and one resolver hold")
    desk.right.expect_text("DKIM verified · CNAME verified · DKIM in order at 2 of 2 servers")


def test_reminders_are_snoozed_and_an_alert_is_checked_again_from_its_buttons(desk: Desk) -> None:
    with_drawer(desk)
    desk.do_wrong("types the zone twice in the name")
    check(desk, 2)
    desk.right.expect_card("DKIM broken: published at the wrong name")
    desk.right.messages.get_by_label("Snooze…").last.select_option(label="1 day")
    desk.right.expect_text("Reminders are snoozed until")
    desk.break_things("Publish the DKIM record")
    desk.right.click("Check again")
    desk.right.expect_text("The alert is watched until")
    desk.right.expect_card("Fixed, being watched")
    check(desk, 5)


def test_what_was_changed_outside_approval_can_be_accepted_from_the_menu(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("New display name").fill("Accounts Payable")
    desk.break_things("Change display name")
    check(desk, 1)
    desk.right.expect_card("Changed outside approval")
    desk.right.messages.get_by_label("More actions").last.click()
    desk.right.messages.get_by_role("button", name="Accept change…").last.click()
    expect(desk.right.dialog).to_contain_text("Nothing is written to Cliq.")
    desk.tidy()
    desk.drawer.get_by_label("New display name").fill("Scott Fisher")
    desk.break_things("Change display name")
    check(desk, 1)


def check(desk: Desk, times: int) -> None:
    for _ in range(times):
        desk.break_things("Check now")


def test_a_name_server_that_is_down_is_seen_on_the_wire(desk: Desk) -> None:
    with_drawer(desk)
    state = desk.drawer.get_by_label("State of ns2")
    state.select_option("silent")
    desk.break_things("Check now")
    expect(desk.drawer.locator(".wire li", has_text="bot → DNS ns2").first).to_contain_text(
        "no answer"
    )
    state.select_option("")
    expect(state).to_have_value("")


def test_an_edit_in_cliq_is_reported_as_outside_approval(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("New display name").fill("Mr <b>Evil</b>")
    desk.break_things("Change display name")
    expect(desk.drawer.get_by_label("Answer of the API")).to_contain_text('"Mr <b>Evil</b>"')
    desk.break_things("Check now")
    desk.right.expect_card("Changed outside approval")
    desk.right.expect_text("Mr <b>Evil</b>")

    desk.drawer.get_by_label("New display name").fill("Scott Fisher")
    desk.break_things("Change display name")
    desk.break_things("Check now")
    desk.right.expect_text("What is live is what was approved")


def test_a_call_that_fails_is_seen_on_the_wire_and_made_again(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("What happens to it").select_option("server_error")
    desk.drawer.get_by_label("Which call").select_option("GET")
    desk.break_things("Plan it")
    expect(desk.drawer.locator(".faults")).to_have_text("Planned: the next GET meets status")
    desk.left.type("show")
    desk.left.expect_private("DKIM status")
    expect(desk.drawer.locator(".faults li")).to_have_count(0)
    expect(desk.drawer.locator(".wire .bad").first).to_have_text("500")


def test_a_lock_is_shown_until_it_is_lifted(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("What happens to it").select_option("lock")
    desk.break_things("Plan it")
    expect(desk.drawer.locator(".faults")).to_contain_text("Locked until")
    desk.break_things("Lift the lock, forget the faults")
    expect(desk.drawer.locator(".faults li")).to_have_count(0)


def approved_while(desk: Desk, fault: str, name: str) -> None:
    """Alice asks for another name, Bob approves; the next write meets this fault."""
    desk.left.type(f'set name="{name}" reason="clearer"')
    desk.left.expect_card("Waiting for approval")
    desk.open_drawer()
    desk.drawer.get_by_label("What happens to it").select_option(fault)
    desk.drawer.get_by_label("Which call").select_option("PUT")
    desk.break_things("Plan it")
    desk.right.approve()


def test_a_change_waits_while_zoho_is_locked_and_says_until_when(desk: Desk) -> None:
    approved_while(desk, "lock", "Locked Out")
    desk.left.expect_card("Approved")
    desk.left.expect_text("Waits until")
    desk.break_things("+15 min")
    desk.left.expect_card("In force")


@pytest.mark.soak  # a real time-out is waited for
def test_a_time_out_after_the_effect_ends_in_force_without_a_second_write(desk: Desk) -> None:
    desk.open_drawer()
    writes = desk.drawer.locator(".wire .what").get_by_text("PUT /api")
    expect(desk.drawer.locator(".wire li").first).to_be_visible()
    before = writes.count()
    desk.open_drawer()
    approved_while(desk, "timeout_after_effect", "Timed Out")
    heading = desk.left.messages.get_by_role("heading").last
    expect(heading).to_contain_text("Outcome unknown", timeout=TIME_OUT_MS)
    desk.break_things("+15 min")
    desk.left.expect_card("In force")
    expect(writes).to_have_count(before + 1)


def test_cliq_can_be_made_to_behave_as_clients_have_seen_it(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("Profile").select_option("clients have observed it")
    expect(desk.drawer.get_by_label("Cliq keeps the old address")).to_be_checked()
    desk.drawer.get_by_text("Every other switch").click()
    expect(desk.drawer.get_by_label("A missing scope is a 401, not a 403.")).to_be_checked()
    desk.drawer.get_by_label("Throttled answers say").check()
    desk.page.reload()
    with_drawer(desk)
    expect(desk.drawer.get_by_label("Throttled answers say")).to_be_checked()


def test_cliq_can_be_made_to_keep_the_old_address(desk: Desk) -> None:
    with_drawer(desk)
    switch = desk.drawer.get_by_label("Cliq keeps the old address when another one is set")
    expect(switch).not_to_be_checked()
    switch.check()
    desk.page.reload()
    with_drawer(desk)
    expect(desk.drawer.get_by_label("Cliq keeps the old address")).to_be_checked()


def test_the_zone_can_be_edited_by_hand(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("Name of the new record").fill("www.acme.example")
    desk.drawer.get_by_label("Value of the new record").fill("hello")
    desk.break_things("Add")
    value = desk.drawer.get_by_label("Value of TXT www.acme.example")
    expect(value).to_have_value("hello")
    value.fill("good bye")
    value.press("Enter")
    expect(desk.drawer.get_by_label("Value of TXT www.acme.example")).to_have_value("good bye")
    desk.break_things("Remove TXT www.acme.example")
    expect(desk.drawer.get_by_label("Value of TXT www.acme.example")).to_have_count(0)


def test_a_record_elsewhere_is_refused_with_a_sentence(desk: Desk) -> None:
    with_drawer(desk)
    desk.drawer.get_by_label("Name of the new record").fill("www.other.example")
    desk.drawer.get_by_label("Value of the new record").fill("hello")
    desk.break_things("Add")
    expect(desk.drawer.get_by_role("status").nth(1)).to_contain_text("is not in the zone")


def test_the_wire_shows_every_hop_and_no_secret(desk: Desk) -> None:
    with_drawer(desk)
    desk.left.type("show")
    desk.left.expect_private("DKIM status")
    wire = desk.drawer.locator(".wire")
    expect(wire).to_contain_text("alice: /mailcfg show")
    expect(wire).to_contain_text("GET /api/v2/mailconfigurations/global")
    assert not [word for word in ("xoxb-", "xapp-", "Bearer", "1000.") if word in wire.inner_text()]


def test_a_day_can_pass(open_desk: Any) -> None:
    desk = open_desk()
    before = desk.page.locator("#clock").inner_text()
    desk.page.get_by_role("button", name="+1 day").first.click()
    expect(desk.page.locator("#clock")).not_to_have_text(before)
