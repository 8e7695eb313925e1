"""Makes docs/sandbox.png: the sandbox in a browser, with a request that waits for approval.

Needs Playwright and a Chromium on PATH: `.venv/bin/python docs/screenshot.py [FILE]`.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).with_name("sandbox.png")
SIZE = {"width": 1280, "height": 800}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


def main() -> None:
    picture = Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURE
    command = [sys.executable, "-m", "bot", "sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sandbox:  # noqa: S603  (ours)
        try:
            take(address_of(sandbox), picture)
        finally:
            sandbox.send_signal(signal.SIGINT)


def address_of(sandbox: subprocess.Popen[str]) -> str:
    assert sandbox.stdout is not None
    return next(line.strip() for line in sandbox.stdout if line.startswith("http"))


def take(address: str, picture: Path) -> None:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = chromium.new_page(viewport=SIZE, color_scheme="light", reduced_motion="reduce")
        page.goto(address)
        ask(page)
        page.screenshot(path=picture, animations="disabled", caret="hide")
        chromium.close()


def ask(page: Page) -> None:
    """The first steps of the checklist, until Bob has approved and Carol has not."""
    page.get_by_role("button", name="Type it for me").click()
    page.locator("#left .composer input").press("Enter")
    approve(page, "#left")
    page.locator("#left .private").get_by_text("someone else must decide").wait_for()
    approve(page, "#right")
    page.locator("#right").get_by_text("1 of 2 approvals").wait_for()
    page.locator("#left").get_by_text("1 of 2 approvals").wait_for()
    card = page.locator("#right article").filter(has_text="Waiting for approval")
    card.evaluate("card => card.scrollIntoView({block: 'start'})")
    page.mouse.move(0, 0)


def approve(page: Page, pane: str) -> None:
    page.locator(pane).get_by_role("button", name="Approve request").last.click()
    page.locator(pane).get_by_role("dialog").get_by_role("button", name="Approve").click()


if __name__ == "__main__":
    main()
