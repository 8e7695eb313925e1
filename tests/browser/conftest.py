"""A real Chromium before a real sandbox. Both live for one module: Playwright keeps an event loop in
this thread while it runs, so it must be gone before asynchronous tests come."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from desk import Desk, Sandbox, do

pytest.importorskip("playwright", reason="pip install -e '.[test]' brings Playwright")

from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

WAIT_MS = 10_000
HOW_TO_ENABLE = "no Chromium: `apt-get install -y chromium`, or any that is called chromium on PATH"


def is_fault(line: ConsoleMessage) -> bool:
    """Whether the page did something wrong; the browser also writes down each refused request."""
    return line.type == "error" and "status of 409" not in line.text


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        pytest.fail(HOW_TO_ENABLE) if os.environ.get("CI") == "true" else pytest.skip(HOW_TO_ENABLE)
    expect.set_options(timeout=WAIT_MS)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def sandbox(browser: Browser) -> Iterator[Sandbox]:
    with Sandbox.started() as running:
        yield running


@pytest.fixture
def open_desk(browser: Browser, sandbox: Sandbox) -> Iterator[Any]:
    """Opens desks; afterwards each must be free of errors, and no request is left open."""
    desks: list[Desk] = []
    errors: list[str] = []

    def opened(place: str = "", width: int = 1280, height: int = 800, **options: Any) -> Desk:
        size = {"width": width, "height": height}
        context = browser.new_context(viewport=size, **options)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if is_fault(line) else None)
        desks.append(Desk.visited(page, f"{sandbox.url}/{place}"))
        return desks[-1]

    yield opened
    for desk in desks:
        desk.tidy()
        desk.page.context.close()
    do(sandbox.url, "start_bot")
    do(sandbox.url, "lift_lock")
    do(sandbox.url, "profile", {"profile": "documented"})
    do(sandbox.url, "advance", {"seconds": 75})  # the next test has all calls to Cliq again
    do(sandbox.url, "command", {"as": "U0ALICE", "channel": "C0MAILADMIN", "text": "withdraw"})
    assert errors == []


@pytest.fixture
def desk(open_desk: Any) -> Desk:
    return open_desk()


@pytest.fixture
def page(desk: Desk) -> Page:
    return desk.page
