"""What an operator sees of a running bot: metrics, readiness, and the lines of its log."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from bot.sandbox.cliq.faults import FaultKind
from bot.sandbox.slack.faults import Fault as SlackFault
from bot.sandbox.slack.faults import FaultKind as SlackFaultKind
from bot.sandbox.stage import CHECK_EVERY
from tests.scenarios.play import ALERTS, ALICE, BOB, MOVE, RENAME, SECRET_KEY, Play
from tests.scenarios.processes import until

Lines = list[MutableMapping[str, Any]]


@pytest.fixture
def logged() -> Iterator[Lines]:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        yield lines


async def get(play: Play, path: str) -> httpx.Response:
    assert play.bot is not None
    async with httpx.AsyncClient() as http:
        return await http.get(f"http://127.0.0.1:{play.bot.port}{path}")


async def metric(play: Play, name: str, **labels: str) -> float | None:
    page = (await get(play, "/metrics")).text
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name == f"mailcfg_{name}" and sample.labels == labels:
                return sample.value
    return None


async def test_metrics_tell_the_story_of_a_change(play: Play):
    await play.says(await play.approved(MOVE), "In force")

    assert await metric(play, "requests", state="PENDING") == 0
    assert await metric(play, "request_moves_total", state="APPLIED") == 1
    assert await metric(play, "apply_outcomes_total", state="APPLIED") == 1
    assert await metric(play, "decision_seconds_count", state="APPROVED") == 1
    assert await metric(play, "api_calls_total", method="PUT") == 1
    assert await metric(play, "token_requests_total") == 1
    assert (await metric(play, "api_budget_used") or 0) > 2
    assert await metric(play, "ready") == 1


async def test_other_connections_of_the_app_are_counted_and_warned_of(play: Play, logged: Lines):
    assert await metric(play, "slack_other_connections") == 0
    await play.stop()
    play.slack.delivery.sockets.add_ghost()

    await play.start()

    assert await metric(play, "slack_other_connections") == 1
    (line,) = [line for line in logged if "other connections" in line["event"]]
    assert line["others"] == 1


async def test_a_connection_that_slack_renews_is_not_taken_for_another(play: Play, logged: Lines):
    def times_connected() -> int:
        return [asked.method for asked in play.slack.requests].count("apps.connections.open")

    before = times_connected()
    await play.slack.delivery.sockets.disconnect()
    await play.until(lambda: times_connected() > before, "a new connection")
    await play.until(lambda: play.slack.delivery.sockets.count == 1, "the end of the old one")
    await play.types(ALICE, "help")

    assert await metric(play, "slack_other_connections") == 0
    assert [line for line in logged if "other connections" in line["event"]] == []


async def test_metrics_name_nobody_and_hold_no_secret(play: Play):
    await play.says(await play.approved(MOVE), "In force")
    answer = await get(play, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=")
    hidden = (
        "acme",
        "U0",
        "C0",
        "T0",
        "xox",
        "1000.",
        SECRET_KEY,
        play.slack.state.credentials.bot_token,
    )
    assert [word for word in hidden if word in answer.text] == []


async def test_metrics_show_when_a_locked_api_opens_again(play: Play):
    play.spoil(FaultKind.STATUS, code=429)
    await play.types(ALICE, "show")
    until = await metric(play, "api_locked_until_seconds") or 0
    assert until > play.stage.clock.now().timestamp()


async def test_metrics_count_what_slack_refuses(play: Play):
    fault = SlackFault("chat.postMessage", SlackFaultKind.ERROR, error="channel_not_found")
    play.slack.faults.plan(fault)
    await play.types(ALICE, MOVE)
    labels = {"method": "chat.postMessage", "error": "channel_not_found"}
    assert await metric(play, "slack_errors_total", **labels) == 1


async def test_it_is_not_ready_while_no_check_has_succeeded_for_three_intervals(
    play: Play, logged: Lines
):
    async def said(event: str) -> Lines:
        return [line for line in logged if line["event"] == event]

    play.spoil(FaultKind.HTML, next=100)
    for _ in range(4):
        play.passes(CHECK_EVERY)
    await until(lambda: a_moment_later(play, said), "the alarm")
    answer = await get(play, "/readyz")
    assert (answer.status_code, answer.json()["checks"]) == (503, False)
    assert (await metric(play, "check_age_seconds") or 0) > 3 * CHECK_EVERY.total_seconds()

    play.cliq.faults.clear()
    play.passes(CHECK_EVERY)
    await until(lambda: said("checks resumed"), "the all-clear")
    assert (await get(play, "/readyz")).json()["checks"] is True
    assert len(await said("no check has succeeded for three intervals")) == 1


def a_moment_later(play: Play, said: Any) -> Any:
    play.passes(timedelta(seconds=20))
    return said("no check has succeeded for three intervals")


async def test_a_bot_that_has_slept_makes_its_check_before_it_raises_the_alarm(
    play: Play, logged: Lines
):
    reads = play.stage.reads
    play.passes(timedelta(days=3))
    await play.until(lambda: play.stage.reads > reads, "the check")

    assert [line["event"] for line in logged if line["log_level"] == "error"] == []


async def test_every_line_of_a_change_carries_its_number(play: Play, logged: Lines):
    await play.says(await play.approved(RENAME), "In force")
    moves = [(line["change"], line["after"]) for line in logged if line["event"] == "moved"]
    assert moves == [(1, "APPROVED"), (1, "APPLYING"), (1, "APPLIED")]
    put = next(line for line in logged if line.get("method") == "PUT")
    assert put["change"] == 1


async def test_a_check_between_two_changes_carries_no_number(play: Play, logged: Lines):
    await play.says(await play.approved(RENAME), "In force")
    logged.clear()
    play.cliq.edit(name="Somebody Else", email_id="scott@acme.example")
    play.passes(CHECK_EVERY)
    await play.shows("Changed outside approval", ALERTS)
    reads = [line for line in logged if line.get("method") == "GET"]
    assert reads
    assert [line for line in reads if "change" in line] == []


async def test_what_fails_while_deciding_is_logged_with_its_reference_and_the_change(
    play: Play, logged: Lines
):
    card = await play.asks(MOVE)
    assert play.bot is not None
    async with play.bot.deployment.store._engine.begin() as connection:
        await connection.exec_driver_sql("ALTER TABLE audit RENAME TO lost")
    await play.clicks(BOB, "approve", card)
    (line,) = [line for line in logged if line["event"] == "could not be done"]
    assert play.private(BOB)[-1].endswith(f"(ref {line['ref']})")
    assert line["change"] == 1
