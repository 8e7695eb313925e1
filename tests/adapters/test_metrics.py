"""What Prometheus is told, as its own parser reads it."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from bot.adapters.metrics import MOST_WORDS, Metrics, Reading
from bot.domain.change import State
from bot.errors import Ambiguous
from bot.ports import Backlog, BudgetStanding
from tests.fakes import MORNING, FakeClock
from tests.office import ALICE, BOB, CAROL, NEW_ADDRESS, RENAME, Office

FREE = BudgetStanding(0)
QUIET = Backlog(requests={}, messages=0, oldest_message=None, cards_due=0)


def reading(
    clock: FakeClock | None = None,
    backlog: Backlog = QUIET,
    budget: BudgetStanding = FREE,
) -> Reading:
    now = (clock or FakeClock()).now()
    return Reading(now, backlog, budget, now - timedelta(minutes=4), is_ready=True)


def samples(metrics: Metrics, at: Reading | None = None) -> dict[str, float]:
    """Every sample under its name and labels, as `name{label=value}`."""
    page = metrics.page(at or reading()).decode()
    found = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_a_change_is_counted_move_by_move(office: Office):
    metrics = Metrics()
    office.store.on_move = metrics.moved
    request = await office.changes.propose(ALICE, NEW_ADDRESS)
    office.clock.advance(minutes=10)
    await office.approve(BOB, request)
    await office.approve(CAROL, request)
    await office.applier.settle()

    told = samples(metrics)
    assert told["mailcfg_request_moves_total{state=APPROVED}"] == 1
    assert told["mailcfg_request_moves_total{state=APPLIED}"] == 1
    assert told["mailcfg_apply_outcomes_total{state=APPLIED}"] == 1
    assert told["mailcfg_decision_seconds_sum{state=APPROVED}"] == 600
    assert told["mailcfg_decision_seconds_bucket{le=300.0,state=APPROVED}"] == 0
    assert told["mailcfg_decision_seconds_bucket{le=900.0,state=APPROVED}"] == 1
    assert told["mailcfg_ambiguous_writes_total"] == 0


async def test_a_rejection_is_a_decision_too(office: Office):
    metrics = Metrics()
    office.store.on_move = metrics.moved
    request = await office.changes.propose(ALICE, RENAME)
    office.clock.advance(seconds=30)
    await office.reject(BOB, request)

    assert samples(metrics)["mailcfg_decision_seconds_sum{state=REJECTED}"] == 30


async def test_a_move_that_was_not_committed_is_not_counted(office: Office):
    metrics = Metrics()
    office.store.on_move = metrics.moved
    request = await office.changes.propose(ALICE, RENAME)
    moved = request.withdraw(office.clock.now())
    with suppress(RuntimeError):
        async with office.store.begin(office.org) as tx:
            await tx.replace(request, moved)
            raise RuntimeError("the connection is lost")

    assert samples(metrics)["mailcfg_request_moves_total{state=CANCELLED}"] == 0


async def test_an_unclear_write_is_counted_once_however_often_it_is_looked_at(office: Office):
    metrics = Metrics()
    office.store.on_move = metrics.moved
    request = await office.approved()
    office.cliq.fail_next_write(Ambiguous("PUT"), after_effect=True)
    await office.applier.settle()
    office.clock.advance(minutes=2)
    office.cliq.fail_next_reads(Ambiguous("PUT"))
    await office.applier.settle()
    office.clock.advance(minutes=10)
    await office.applier.settle()

    assert (await office.now(request)).state is State.APPLIED
    assert samples(metrics)["mailcfg_ambiguous_writes_total"] == 1


def test_gauges_say_what_the_rows_say():
    backlog = Backlog({"PENDING": 1}, 2, "result:x", 3)
    budget = BudgetStanding(5, MORNING)
    told = samples(Metrics(), reading(backlog=backlog, budget=budget))

    assert told["mailcfg_requests{state=PENDING}"] == 1
    assert told["mailcfg_requests{state=UNCERTAIN}"] == 0
    assert told["mailcfg_outbox_messages"] == 2
    assert told["mailcfg_cards_due"] == 3
    assert told["mailcfg_api_budget_used"] == 5
    assert told["mailcfg_api_locked_until_seconds"] == MORNING.timestamp()
    assert told["mailcfg_check_age_seconds"] == 240
    assert told["mailcfg_ready"] == 1


def test_the_outbox_ages_until_its_oldest_message_is_sent(clock: FakeClock):
    metrics = Metrics()
    first = Backlog({}, 2, "first", 0)
    second = Backlog({}, 1, "second", 0)

    def age(backlog: Backlog) -> float:
        return samples(metrics, reading(clock, backlog))["mailcfg_outbox_oldest_seconds"]

    assert age(first) == 0
    clock.advance(seconds=40)
    assert age(first) == 40
    assert age(second) == 0
    clock.advance(seconds=5)
    assert age(second) == 5
    assert age(QUIET) == 0


def test_whatever_slack_answers_the_words_are_bounded():
    metrics = Metrics()
    metrics.slack_fault("chat.update", "ratelimited")
    metrics.slack_fault("chat.update", "<html>\nsomebody@acme.example")
    for n in range(2 * MOST_WORDS):
        metrics.slack_fault("chat.update", f"word_{n}")

    told = samples(metrics)
    assert told["mailcfg_slack_errors_total{error=ratelimited,method=chat.update}"] == 1
    assert told["mailcfg_slack_errors_total{error=other,method=chat.update}"] == MOST_WORDS + 2
    assert len([name for name in told if "slack_errors_total" in name]) == MOST_WORDS + 1


async def test_calls_to_zoho_are_counted_as_they_are_sent_and_answered():
    metrics = Metrics()
    hooks = {"request": [metrics.zoho_asked], "response": [metrics.zoho_answered]}
    answers = iter([200, 200, 429])

    def zoho(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(next(answers))

    async with httpx.AsyncClient(transport=httpx.MockTransport(zoho), event_hooks=hooks) as http:
        await http.post("https://accounts.example/oauth/v2/token")
        await http.get("https://cliq.example/api/v2/mailconfigurations/global")
        await http.get("https://cliq.example/api/v2/mailconfigurations/global")
        with suppress(httpx.ReadTimeout):
            await http.put("https://cliq.example/api/v2/mailconfigurations/global")

    told = samples(metrics)
    assert told["mailcfg_token_requests_total"] == 1
    assert told["mailcfg_token_answers_total{status=200}"] == 1
    assert told["mailcfg_api_calls_total{method=GET}"] == 2
    assert told["mailcfg_api_answers_total{method=GET,status=429}"] == 1
    assert told["mailcfg_api_calls_total{method=PUT}"] == 1
    assert not [name for name in told if name.startswith("mailcfg_api_answers_total{method=PUT")]


def test_two_bots_in_one_process_count_for_themselves():
    one, other = Metrics(), Metrics()
    one.loop_failed("watch")

    assert samples(one)["mailcfg_loop_failures_total{loop=watch}"] == 1
    assert "mailcfg_loop_failures_total{loop=watch}" not in samples(other)


def test_the_readme_lists_every_metric_and_no_other():
    readme = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
    told = {
        line.split()[2]
        for line in Metrics().page(reading()).decode().splitlines()
        if "TYPE" in line
    }
    counted = {name for name in told if not name.endswith("_created")}
    assert set(re.findall(r"`(mailcfg_[a-z_]+)(?:\{[a-z,]+\})?`", readme)) == counted
