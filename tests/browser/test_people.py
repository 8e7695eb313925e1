"""What people meet in Slack, each scenario from the first key to what is on everybody's screen."""

from __future__ import annotations

import re
from typing import Any

from desk import Desk, Sandbox
from playwright.sync_api import expect

from bot.domain.typed import REASON_MAX

ASK = 'set name="Scott F" reason="A shorter name"'
MARKUP = "<!channel> <script>alert(1)</script> <@U0BOB> &amp; *b* \u05e9\u05dc\u05d5\u05dd "


def test_a_guest_is_refused_in_private(desk: Desk) -> None:
    desk.left.type(ASK)
    desk.left.expect_card("Waiting for approval")
    desk.right.be("Mallory")
    desk.right.approve()
    desk.right.expect_private("You are a guest in this workspace")
    desk.left.expect_text("0 of 1 approvals")
    expect(desk.left.messages.get_by_text("You are a guest")).to_have_count(0)


def test_a_wrong_value_in_the_form_is_said_beside_its_field(desk: Desk) -> None:
    desk.left.type("set")
    expect(desk.left.field("Display name")).to_have_value(re.compile("^Scott"))
    desk.left.field("Address").fill("it@acme")
    desk.left.field("Reason").fill("A new start")
    desk.left.dialog.get_by_role("button", name="Ask").click()
    expect(desk.left.field("Address")).to_have_attribute("aria-invalid", "true")
    expect(desk.left.dialog.locator(".error:not(:empty)")).to_contain_text("has no dot")
    expect(desk.left.field("Address")).to_be_focused()

    desk.left.field("Address").fill("it@acme.example")
    desk.left.dialog.get_by_role("button", name="Ask").click()
    expect(desk.left.dialog).to_contain_text("is posted for approval")
    desk.page.keyboard.press("Escape")
    expect(desk.left.dialog).to_be_hidden()
    desk.right.expect_card("Waiting for approval")
    desk.right.expect_text("A new start")


def test_a_rejection_asks_for_its_reason_and_ends_the_request(desk: Desk) -> None:
    desk.left.type(ASK)
    desk.right.click("Reject request")
    desk.right.dialog.get_by_role("button", name="Reject", exact=True).click()
    expect(desk.right.dialog.locator(".error:not(:empty)")).to_have_text(
        "Please complete this required field."
    )
    desk.right.field("Reason").fill("Customers know this name")
    desk.right.dialog.get_by_role("button", name="Reject", exact=True).click()
    desk.left.expect_card("Rejected")
    desk.left.expect_text("Customers know this name")


def test_a_confirm_dialog_can_be_left_without_doing_anything(desk: Desk) -> None:
    desk.left.type(ASK)
    desk.right.click("Approve request")
    expect(desk.right.dialog.get_by_role("button", name="Approve")).to_be_focused()
    desk.page.keyboard.press("Tab")
    desk.page.keyboard.press("Tab")
    expect(desk.right.dialog.get_by_role("button", name="Approve")).to_be_focused()
    desk.page.keyboard.press("Escape")
    expect(desk.right.dialog).to_be_hidden()
    desk.right.expect_text("0 of 1 approvals")


def test_a_killed_bot_finishes_the_request_once_it_runs_again(desk: Desk) -> None:
    desk.left.type('set name="Scott the Second" reason="He is"')
    desk.left.expect_card("Waiting for approval")
    desk.open_drawer()
    desk.break_things("Kill the bot")
    expect(desk.page.locator("#bot-state")).to_have_text("The bot is dead")
    desk.left.type("show")
    desk.left.expect_private("/mailcfg failed because the app did not respond")
    desk.right.approve()
    desk.right.expect_text("mailcfg did not respond.")

    desk.break_things("Start it")
    expect(desk.page.locator("#bot-state")).to_have_text("")
    desk.right.approve()
    desk.left.expect_card("In force")


def test_hostile_text_in_the_form_stays_text_on_the_card(desk: Desk) -> None:
    reason = MARKUP + "x" * (REASON_MAX - len(MARKUP))
    desk.left.type("set")
    desk.left.field("Display name").fill(MARKUP[:40])
    desk.left.field("Reason").fill(reason)
    desk.left.dialog.get_by_role("button", name="Ask").click()
    expect(desk.left.dialog).to_contain_text("is posted for approval")
    expect(desk.right.messages.locator("blockquote").last).to_have_text(reason)
    expect(desk.right.messages.locator("code").last).to_have_text(MARKUP[:40].strip())
    expect(desk.right.messages.locator("script")).to_have_count(0)


def test_hostile_text_in_a_command_is_answered_as_text(desk: Desk) -> None:
    desk.left.type(MARKUP)
    desk.left.expect_private("<!channel>")
    expect(desk.left.messages.locator(".private").last.locator(".mention")).to_have_count(0)


def test_too_long_a_reason_is_refused_with_its_limit(desk: Desk) -> None:
    desk.left.type("set")
    desk.left.field("Reason").fill("x" * (REASON_MAX + 7))
    expect(desk.left.dialog.locator(".left")).to_contain_text(["", "", "-7"])
    desk.left.dialog.get_by_role("button", name="Ask").click()
    expect(desk.left.dialog.locator(".error:not(:empty)")).to_contain_text("no more than")


def test_a_thread_opens_in_the_pane_and_leads_back(desk: Desk) -> None:
    desk.right.root.get_by_role("button", name="replies").first.click()
    expect(desk.right.root.get_by_role("heading", name="Thread")).to_be_visible()
    desk.right.expect_text("In force: set a custom sender")
    expect(desk.right.command).to_be_hidden()
    desk.right.root.get_by_role("button", name="Back to #mail-admin").click()
    expect(desk.right.command).to_be_visible()


def test_the_command_box_has_slacks_hint_and_remembers(desk: Desk, sandbox: Sandbox) -> None:
    hint = re.compile(r"show \| set \| reset \| .* \| help")
    expect(desk.left.command).to_have_attribute("placeholder", hint)
    desk.left.type("/mailcfg show")
    desk.left.expect_private("DKIM status")
    desk.left.command.press("ArrowUp")
    expect(desk.left.command).to_have_value("show")


def test_two_tabs_are_two_people(open_desk: Any) -> None:
    alice, carol = open_desk("#alice/mail-admin"), open_desk("#carol/mail-admin")
    alice.left.type("show")
    alice.left.expect_private("DKIM status")
    alice.left.type(ASK)
    carol.left.expect_card("Waiting for approval")
    expect(carol.left.messages.locator(".private")).to_have_count(0)
