"""What a person has before them, in their words: a desk with two panes, a checklist and a drawer."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Locator, Page, expect

CLOSE_FORMS = (
    "() => document.querySelectorAll('dialog.form .dialog-head button').forEach((b) => b.click())"
)


@dataclass(frozen=True)
class Sandbox:
    """`mailcfg sandbox` as its own process."""

    process: subprocess.Popen[str]
    url: str

    @classmethod
    @contextmanager
    def started(cls, *options: str) -> Iterator[Sandbox]:
        command = [sys.executable, "-m", "bot", "sandbox", "--port", "0", *options]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        address = next((line for line in process.stdout if line.startswith("http")), None)
        assert address is not None, process.communicate()[1]
        try:
            yield cls(process, address.strip())
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=10)


def do(url: str, doing: str, given: dict[str, Any] | None = None) -> None:
    """Do what the page would do, without it."""
    headers = {"Content-Type": "application/json", "Origin": url}
    request = urllib.request.Request(
        f"{url}/do/{doing}", json.dumps(given or {}).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request) as answer:
        answer.read()


class Pane:
    """One person's Slack."""

    def __init__(self, root: Locator) -> None:
        self.root = root
        self.messages = root.locator(".messages")
        self.command = root.get_by_role("textbox", name="/mailcfg command")
        self.dialog = root.get_by_role("dialog")

    def type(self, text: str) -> None:
        self.command.fill(text)
        self.command.press("Enter")

    def be(self, name: str) -> None:
        self.root.get_by_label("Who you are in this pane").select_option(label=name)

    def go(self, channel: str) -> None:
        self.root.get_by_role("navigation").get_by_role("button", name=channel).click()

    def click(self, button: str) -> None:
        """A button of the newest card that has it."""
        self.messages.get_by_role("button", name=button).last.click()

    def approve(self) -> None:
        self.click("Approve request")
        self.dialog.get_by_role("button", name="Approve").click()

    def expect_card(self, heading: str) -> None:
        """The newest card says so."""
        expect(self.messages.get_by_role("heading").last).to_contain_text(heading)

    def expect_private(self, text: str) -> None:
        """The newest answer that only this person sees."""
        expect(self.messages.locator(".private").last).to_contain_text(text)

    def expect_text(self, text: str) -> None:
        expect(self.messages.get_by_text(text).last).to_be_visible()

    def field(self, label: str) -> Locator:
        return self.dialog.get_by_label(label)


class Desk:
    """The whole page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.left = Pane(page.locator("#left"))
        self.right = Pane(page.locator("#right"))
        self.drawer = page.locator("#world")

    @classmethod
    def visited(cls, page: Page, url: str) -> Desk:
        page.goto(url)
        expect(page.locator(".message").first).to_be_visible()
        return cls(page)

    def tidy(self) -> None:
        """Close whatever form is open, since it would still be there for the next visitor."""
        self.page.evaluate(CLOSE_FORMS)
        expect(self.page.locator("dialog.form")).to_have_count(0)

    def press(self, button: str) -> None:
        """One of the checklist's buttons."""
        self.page.locator(".checklist").get_by_role("button", name=button).click()

    def expect_ticked(self, *steps: str) -> None:
        expect(self.page.locator(".checklist .done .title")).to_have_text(list(steps))

    def open_drawer(self) -> None:
        self.drawer.locator("summary").first.click()

    def do_wrong(self, what: str) -> None:
        """Somebody publishes the DKIM record, and makes a mistake."""
        self.drawer.get_by_label("What somebody does wrong").select_option(label=what)
        self.break_things("Do it wrong")

    def break_things(self, button: str) -> None:
        self.drawer.get_by_role("button", name=button, exact=True).click()
