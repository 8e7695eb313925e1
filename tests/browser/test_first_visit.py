"""The checklist, followed as somebody would who has never seen it."""

from __future__ import annotations

from typing import Any

import pytest
from desk import Desk, Sandbox
from playwright.sync_api import Browser, expect

SHIFTS = """
() => new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(list.getEntries().map((entry) => entry.value)))
    .observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => resolve([])));
})
"""
WEIGHT = """
() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .map((entry) => [new URL(entry.name).origin, entry.decodedBodySize])
"""
BUDGET_BYTES = 150 * 1024


def test_a_newcomer_follows_the_checklist_to_its_end(desk: Desk) -> None:
    desk.press("Type it for me")
    desk.left.command.press("Enter")
    desk.left.expect_card("Waiting for approval: change sender address")
    desk.right.expect_card("Waiting for approval: change sender address")
    desk.left.expect_private("It needs 2 approvals from @Bob, @Carol")
    desk.expect_ticked("Ask for a change")

    desk.left.approve()
    desk.left.expect_private("someone else must decide")
    desk.expect_ticked("Ask for a change", "Try to approve it yourself")
    desk.right.expect_text("0 of 2 approvals")

    desk.right.approve()
    desk.left.expect_text("1 of 2 approvals")
    desk.press("Show me Carol")
    desk.right.approve()
    desk.left.expect_card("In force")
    desk.right.expect_card("In force")

    desk.press("Publish it, and check")
    desk.right.expect_text("DKIM in order at 2 of 2 servers")

    desk.press("Break it, and check twice")
    desk.right.expect_card("DKIM broken: no record")
    expect(desk.left.root.get_by_role("button", name="mail-alerts unread")).to_be_visible()
    expect(desk.page.locator(".checklist li.done")).to_have_count(5)

    desk.press("Put it right, and wait")
    desk.right.expect_text("is in order: both authoritative servers and one resolver")


def test_nothing_shifts_while_the_page_loads(open_desk: Any) -> None:
    desk = open_desk()
    assert sum(desk.page.evaluate(SHIFTS)) < 0.01


def test_the_whole_page_weighs_little_and_comes_from_one_address(
    desk: Desk, sandbox: Sandbox
) -> None:
    loaded = desk.page.evaluate(WEIGHT)
    assert sum(size for _, size in loaded) < BUDGET_BYTES
    assert {origin for origin, _ in loaded} == {sandbox.url}


@pytest.mark.parametrize("place", ["#carol/mail-alerts+mallory/mail-admin", "#carol/dm"])
def test_who_is_where_stands_in_the_address(open_desk: Any, place: str) -> None:
    desk = open_desk(place)
    expect(desk.left.root.get_by_label("Who you are")).to_have_value("U0CAROL")
    desk.page.reload()
    expect(desk.left.root.get_by_label("Who you are")).to_have_value("U0CAROL")


def test_a_phone_shows_one_person_at_a_time(open_desk: Any) -> None:
    desk = open_desk(width=390, height=844)
    expect(desk.right.root).to_be_hidden()
    desk.left.be("Bob Ito")
    desk.left.go("mail-alerts")
    desk.left.expect_text("Watching")
    assert desk.page.evaluate("document.documentElement.scrollWidth") == 390


def test_nothing_can_be_pressed_before_there_is_a_pane_to_type_into(
    browser: Browser, sandbox: Sandbox
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(sandbox.url)
    expect(page.locator(".checklist button:visible")).to_have_count(0)
    context.close()
