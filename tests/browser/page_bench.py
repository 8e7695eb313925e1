"""How much a new message costs an open page: 1,000 cards in the channel, 20 open tabs.

`.venv/bin/python tests/browser/page_bench.py` prints main-thread milliseconds per new message in one
tab; the aim is under 100.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from bot.sandbox import world
from bot.sandbox.listening import listen
from bot.sandbox.page.server import PageServer
from bot.sandbox.stage import Stage, open_stage

OLD_CARDS, NEW_CARDS, TABS = 1000, 20, 20
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


class NoBot:
    is_running = False

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


@contextmanager
def served() -> Iterator[tuple[Stage, str]]:
    """A stage and its page, in a thread of their own."""
    ready: Future[tuple[Stage, str]] = Future()

    async def serve() -> None:
        stage, page = await open_stage(), PageServer(None, "show | set")
        page.show(stage, NoBot())
        listening = await listen(page.app, "127.0.0.1", 0)
        ready.set_result((stage, listening.url))
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    yield ready.result()


def card(number: int) -> dict[str, Any]:
    def mrkdwn(text: str) -> dict[str, Any]:
        return {"type": "section", "text": {"type": "mrkdwn", "text": text}}

    label = {"type": "plain_text", "text": f"Waiting for approval: request #{number}"}
    buttons = [
        {"type": "button", "action_id": word, "text": {"type": "plain_text", "text": word}}
        for word in ("approve", "reject", "details", "withdraw")
    ]
    return {
        "channel": world.ADMIN_CHANNEL,
        "text": f"#{number} waits for approval",
        "blocks": [
            {"type": "header", "text": label},
            mrkdwn(f"<@{world.ALICE.id}> asks to *change sender address* · acme"),
            mrkdwn("*Address:* `old@acme.example` → `new@acme.example`\n_Unchanged: name_"),
            mrkdwn("*0 of 2 approvals*\nWaiting until <!date^1795000000^{date_short}|then>"),
            {"type": "actions", "elements": buttons},
        ],
    }


def post(stage: Stage, number: int) -> str:
    """The ts of the new message."""
    headers = {
        "Authorization": f"Bearer {stage.workspace.state.credentials.bot_token}",
        "Content-Type": "application/json",
    }
    body = json.dumps(card(number)).encode()
    request = urllib.request.Request(f"{stage.slack.url}/api/chat.postMessage", body, headers)
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["ts"])


ARRIVED = """
(ts) => new Promise((resolve) => {
  const seen = () => document.querySelector(`#left [data-ts="${ts}"]`) && resolve();
  new MutationObserver(seen).observe(document.querySelector("#left .messages"), {childList: true});
  seen();
})
"""
DISTANCE_FROM_END = """
() => {
  const log = document.querySelector("#left .messages");
  return log.scrollHeight - log.scrollTop - log.clientHeight;
}
"""


def main_thread_seconds(session: CDPSession) -> float:
    """Processor seconds of this tab's main thread since its metrics were enabled."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return next(float(m["value"]) for m in metrics if m["name"] == "ThreadTime")


def opened(page: Page, url: str) -> Page:
    """Without `expect`, which describes the whole page to itself while it waits."""
    page.goto(url)
    page.wait_for_selector(".message", state="attached")
    return page


def main() -> None:
    with served() as (stage, url), sync_playwright() as playwright:
        for number in range(OLD_CARDS):
            post(stage, number)
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        context = chromium.new_context(viewport={"width": 1280, "height": 800})
        pages = [opened(context.new_page(), url) for _ in range(TABS)]
        sessions = [context.new_cdp_session(page) for page in pages]
        for session in sessions:
            session.send("Performance.enable")
        before = [main_thread_seconds(session) for session in sessions]
        for number in range(OLD_CARDS, OLD_CARDS + NEW_CARDS):
            ts = post(stage, number)
            for page in pages:
                page.evaluate(ARRIVED, ts)
        spent = [
            (main_thread_seconds(session) - start) * 1000 / NEW_CARDS
            for session, start in zip(sessions, before, strict=True)
        ]
        away = max(page.evaluate(DISTANCE_FROM_END) for page in pages)
        print(
            f"{OLD_CARDS} cards, {TABS} tabs: {sum(spent) / TABS:.1f} ms of main thread for a new "
            f"message in a tab on average, {max(spent):.1f} ms in the slowest tab; "
            f"{away:.0f} px from the end"
        )
        chromium.close()


if __name__ == "__main__":
    main()
