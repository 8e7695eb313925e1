"""Starting and ending a sandbox from the command line, with pages open or in the way."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from desk import Desk, Sandbox
from playwright.sync_api import Browser, expect

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-this-test"
PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_SCREENSHOT = 200_000


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bot", "sandbox", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_ctrl_c_ends_it_cleanly_while_a_page_is_open(browser: Browser) -> None:
    with Sandbox.started() as sandbox:
        Desk.visited(browser.new_page(), sandbox.url)
        sandbox.process.send_signal(signal.SIGINT)
        _, complaints = sandbox.process.communicate(timeout=10)
        assert (sandbox.process.returncode, complaints) == (0, "")


def test_a_kept_world_is_there_again_after_a_restart(browser: Browser, tmp_path: Path) -> None:
    with Sandbox.started("--data", str(tmp_path)) as sandbox:
        desk = Desk.visited(browser.new_page(), sandbox.url)
        desk.left.type('set name="Scott F" reason="A shorter name"')
        desk.left.expect_card("Waiting for approval")
    expect(desk.page.locator("#bot-state")).to_contain_text("Not connected")
    with Sandbox.started("--data", str(tmp_path)) as sandbox:
        desk = Desk.visited(browser.new_page(), sandbox.url)
        desk.right.approve()
        desk.left.expect_card("In force")


def test_an_address_that_others_can_reach_needs_a_token() -> None:
    refused = run("--host", "0.0.0.0")
    assert refused.returncode == 2
    assert refused.stderr.startswith("Others can reach 0.0.0.0, so the page needs a token. Add")


def test_a_short_token_is_refused() -> None:
    refused = run("--token", "short")
    assert (refused.returncode, refused.stderr[:33]) == (2, "--token needs 16 characters or mo")


def test_with_a_token_the_printed_address_opens_the_page(browser: Browser) -> None:
    with Sandbox.started("--token", TOKEN) as sandbox:
        assert sandbox.url.endswith(f"/?token={TOKEN}")
        stranger, friend = browser.new_page(), browser.new_page()
        refusal = stranger.goto(sandbox.url.partition("?")[0])
        assert refusal is not None
        assert refusal.status == 401
        Desk.visited(friend, sandbox.url)
        assert TOKEN not in friend.url


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = run("--port", str(taken.getsockname()[1]))
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "in use" in refused.stderr


@pytest.mark.usefixtures("browser")
def test_the_screenshot_can_be_made_and_is_small(tmp_path: Path) -> None:
    picture = tmp_path / "sandbox.png"
    script = ROOT / "docs" / "screenshot.py"
    subprocess.run([sys.executable, str(script), str(picture)], timeout=60, check=True)
    made = picture.read_bytes()
    assert made.startswith(PNG)
    assert int.from_bytes(made[16:20], "big") == 1280
    assert len(made) < LARGEST_SCREENSHOT
