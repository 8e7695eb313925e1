"""What Prometheus is told: counters of what this process did, and gauges read from the rows.

The services know nothing of it: counters hang on what the store commits, what the HTTP client sends
and what Slack refuses; the gauges come from one reading of the database at each scrape. Every bot
has a registry of its own. Labels are words of a known set, never a name, an address or a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import httpx
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

from bot.domain.change import OPEN, ChangeRequest, State
from bot.ports import Backlog, BudgetStanding

CONTENT_TYPE = CONTENT_TYPE_LATEST
MINUTE, HOUR = 60.0, 3600.0
DECISION_BUCKETS = (MINUTE, 5 * MINUTE, 15 * MINUTE, HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR)
DECIDED = frozenset({State.APPROVED, State.REJECTED})
MOST_WORDS = 50
"""How many different error words of Slack are told apart; a broken proxy can answer anything."""
OTHER = "other"
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_ ]{0,39}")


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that is a gauge, as it is at one moment."""

    now: datetime
    backlog: Backlog
    budget: BudgetStanding
    checked_at: datetime | None
    is_ready: bool


class Metrics:
    """The metrics of one bot."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges = _Gauges()
        self._registry.register(self._gauges)
        self._words: set[str] = set()
        self._moves = self._counter("request_moves", "Moves of requests into a state.", "state")
        for state in State:
            self._moves.labels(state)  # from nought, so that the first one is an increase
        self._decision = Histogram(
            "mailcfg_decision_seconds",
            "From the proposal of a request to its decision.",
            ["state"],
            registry=self._registry,
            buckets=DECISION_BUCKETS,
        )
        self._applied = self._counter(
            "apply_outcomes", "How the applying of approved requests ended.", "state"
        )
        self._ambiguous = self._counter("ambiguous_writes", "Changes whose outcome was unclear.")
        self._calls = self._counter("api_calls", "Calls to the mail configuration API.", "method")
        self._answers = self._counter(
            "api_answers", "Answers of the mail configuration API.", "method", "status"
        )
        self._tokens = self._counter("token_requests", "Requests for an access token.")
        self._token_answers = self._counter(
            "token_answers", "Answers to requests for an access token.", "status"
        )
        self._slack = self._counter("slack_errors", "Failed Slack calls.", "method", "error")
        self._others = Gauge(
            "mailcfg_slack_other_connections",
            "Socket Mode connections of the app beside this process, when it last connected.",
            registry=self._registry,
        )
        self._loops = self._counter("loop_failures", "Rounds of a loop that failed.", "loop")

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"mailcfg_{name}", meaning, labels, registry=self._registry)

    def page(self, reading: Reading) -> bytes:
        """The whole exposition, in CONTENT_TYPE."""
        self._gauges.reading = reading
        return generate_latest(self._registry)

    def moved(self, old: ChangeRequest, new: ChangeRequest) -> None:
        """A request was moved, and that is committed."""
        if old.state is not new.state:
            self._moves.labels(new.state).inc()
        if old.state is State.PENDING and new.state in DECIDED:
            decided = new.approved_at or new.ended_at or new.created_at
            self._decision.labels(new.state).observe((decided - new.created_at).total_seconds())
        if old.state is State.APPLYING and not new.is_open:
            self._applied.labels(new.state).inc()
        if old.uncertain_since is None and new.uncertain_since is not None:
            self._ambiguous.inc()

    def slack_fault(self, method: str, error: str) -> None:
        self._slack.labels(method, self._bounded(error)).inc()

    def others(self, count: int) -> None:
        self._others.set(count)

    def loop_failed(self, loop: str) -> None:
        self._loops.labels(loop).inc()

    async def zoho_asked(self, request: httpx.Request) -> None:
        """A request hook of the HTTP client."""
        if _is_for_token(request):
            self._tokens.inc()
        else:
            self._calls.labels(request.method).inc()

    async def zoho_answered(self, response: httpx.Response) -> None:
        """A response hook of the HTTP client. What is asked and never answered timed out."""
        if _is_for_token(response.request):
            self._token_answers.labels(response.status_code).inc()
        else:
            self._answers.labels(response.request.method, response.status_code).inc()

    def _bounded(self, word: str) -> str:
        if word not in self._words:
            if len(self._words) >= MOST_WORDS or not _WORD.fullmatch(word):
                return OTHER
            self._words.add(word)
        return word


def _is_for_token(request: httpx.Request) -> bool:
    return request.url.path.endswith("/oauth/v2/token")


class _Gauges:
    """A collector over the newest reading."""

    def __init__(self) -> None:
        self.reading: Reading | None = None
        self._oldest: tuple[str, datetime] | None = None

    def collect(self) -> Iterator[Metric]:
        if self.reading is None:
            return
        now, backlog = self.reading.now, self.reading.backlog
        yield _by_state({state: backlog.requests.get(state, 0) for state in sorted(OPEN)})
        yield _gauge("cards_due", "Cards in Slack older than what they show.", backlog.cards_due)
        yield _gauge("outbox_messages", "One-time messages not sent yet.", backlog.messages)
        yield _gauge(
            "outbox_oldest_seconds",
            "For how long this process has seen the oldest of them waiting.",
            self._waited(backlog.oldest_message, now),
        )
        yield from self._of_budget(self.reading.budget)
        if self.reading.checked_at is not None:
            age = (now - self.reading.checked_at).total_seconds()
            yield _gauge("check_age_seconds", "Since the last check that succeeded.", age)
        yield _gauge("ready", "1 if /readyz says so.", self.reading.is_ready)

    def _of_budget(self, budget: BudgetStanding) -> Iterator[Metric]:
        yield _gauge("api_budget_used", "API calls that count against the limit now.", budget.used)
        until = budget.locked_until.timestamp() if budget.locked_until else 0
        yield _gauge(
            "api_locked_until_seconds", "Until when the API is locked; 0: it is not.", until
        )

    def _waited(self, oldest: str | None, now: datetime) -> float:
        """No row says when a message was put there, so it counts from when it was first seen."""
        if oldest is None:
            self._oldest = None
            return 0.0
        if self._oldest is None or self._oldest[0] != oldest:
            self._oldest = (oldest, now)
        return (now - self._oldest[1]).total_seconds()


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"mailcfg_{name}", meaning, value=value)


def _by_state(requests: dict[State, int]) -> Metric:
    family = GaugeMetricFamily("mailcfg_requests", "Open requests by state.", labels=["state"])
    for state, count in requests.items():
        family.add_metric([str(state)], count)
    return family
