"""No secret of a deployment comes out anywhere, in a story with everything that can go wrong."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest
import structlog

from bot import logs, settings
from bot.sandbox.cliq_faults import Fault, FaultKind, Target
from bot.sandbox.slack_faults import Fault as SlackFault
from bot.sandbox.slack_faults import FaultKind as SlackFaultKind
from tests.scenarios.play import ALERTS, ALICE, BOB, CAROL, MALLORY, SECRET_KEY, Play

Log = Callable[[], str]


@pytest.fixture
def log(empty_play: Play) -> Iterator[Log]:
    """The log at its most talkative, as `mailcfg run` writes it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    known = settings.secrets_of(settings.from_values(empty_play.environment()))
    logs.configure("DEBUG", "json", known)
    written = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def canaries(play: Play) -> set[str]:
    """Every secret that the far ends have handed out by now, and ours."""
    slack, zoho = play.slack._state, play.cliq.state
    return {
        SECRET_KEY,
        slack.credentials.bot_token,
        slack.credentials.app_token,
        slack.credentials.signing_secret,
        slack.credentials.verification_token,
        zoho.credentials.client_secret,
        zoho.credentials.refresh_token,
        *zoho.access_tokens,
        *slack.response_urls,
        *slack.tickets,
        *slack.triggers,
    }


def found(secrets: set[str], text: str) -> list[str]:
    return sorted(secret for secret in secrets if secret in text)


async def everything_goes_wrong(play: Play) -> None:
    await play.types(ALICE, "show")
    await play.types(ALICE, "set dkim=512")
    await play.types(MALLORY, "show")
    await play.clicks(MALLORY, "approve", await play.asks())
    play.slack.plan_fault(SlackFault("users.info", SlackFaultKind.DROPPED, times=2))
    await play.clicks(BOB, "approve")
    await play.clicks(BOB, "approve")
    play.spoil(FaultKind.RESET_AFTER_EFFECT, "PUT")
    play.slack.plan_fault(SlackFault("chat.update", SlackFaultKind.RATELIMITED))
    play.slack.plan_fault(SlackFault("response_url", SlackFaultKind.DROPPED))
    await play.slack.click(CAROL.id, play.card().channel, play.card().ts, "approve")
    await play.until(lambda: play.cliq.writes(), "the write")
    play.passes(timedelta(hours=2))
    await play.shows("In force")
    for kind, code in ((FaultKind.STATUS, 401), (FaultKind.STATUS, 500), (FaultKind.HTML, None)):
        play.cliq.faults.add(Fault(kind, 3, "GET", code=code))
        await play.types(ALICE, "show")
        play.cliq.faults.clear()
    view = await play.asks_in_form(ALICE)
    await play.slack.submit(ALICE.id, view.id, {"email_id": "x", "reason": "x"})
    play.cliq.faults.add(Fault(FaultKind.STATUS, 2, path=Target.TOKEN, code=500))
    play.passes(timedelta(hours=2))
    await play.shows("Could not check", ALERTS)
    play.cliq.state.refresh_tokens.clear()
    await play.types(ALICE, "show")
    await our_own_fault(play)


async def our_own_fault(play: Play) -> None:
    """A traceback in the log."""
    assert play.bot is not None
    async with play.bot.parts.store._engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE request RENAME TO lost")
    await play.types(ALICE, "pending")


@pytest.mark.parametrize("transport", ["socket", "http"])
async def test_no_secret_appears_in_logs_database_or_slack(
    empty_play: Play, transport: str, log: Log
):
    play = empty_play
    await play.start(transport=transport, MAILCFG_LOG_LEVEL="DEBUG")
    play.be_impatient()
    await everything_goes_wrong(play)
    secrets = canaries(play)
    await play.stop()

    written = log()
    assert "Traceback" in written
    assert found(secrets, written) == []

    stored = b"".join(file.read_bytes() for file in play.folder.glob("mailcfg.db*"))
    assert b"Scott has left" in stored
    assert [s for s in secrets if s.encode() in stored] == []

    asked = json.dumps([request.arguments for request in play.slack.requests])
    assert "Waiting for approval" in asked
    assert found(secrets - set(play.slack._state.triggers), asked) == []

    messages = json.dumps(play.slack.dump()["messages"])
    assert "fault of its own" in messages
    assert found(secrets, messages) == []


async def test_what_is_not_signed_by_slack_is_not_logged(empty_play: Play, log: Log):
    play = empty_play
    bot = await play.start(transport="http", MAILCFG_LOG_LEVEL="DEBUG")
    body = b"command=%2Fmailcfg&text=show&user_id=U0ALICE&team_id=T0ACME&token=canary"
    genuine = play.slack.sign(body)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{bot.port}") as client:
        for headers, content in (({}, body), (genuine, body + b"1"), (genuine, body + b"\xff")):
            await client.post("/slack/events", content=content, headers=headers)

    assert "canary" not in log()
    assert "Traceback" not in log()
