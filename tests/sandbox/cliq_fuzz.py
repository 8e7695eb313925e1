"""Schemathesis against a served Cliq emulator: how it is pointed at one, what it did and found."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from cliq_bench import keys
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import RecordedScenario
from schemathesis.engine.run import PhaseName
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.schemas import BaseSchema

from bot.sandbox.cliq.config import REQUIRED
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.serving import ServedCliq, start

LEFT_OUT = {"documented": [], "observed": ["unsupported_method"]}
"""Checks: a method that does not exist is HTTP's 405, and what clients of Cliq saw is a 400."""


@contextmanager
def served_in_a_thread(profile: str = "documented") -> Iterator[ServedCliq]:
    """An emulator without limits in a thread of its own, since Schemathesis blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    starting = start(CliqEmulator(keys=keys(), profile=profile))
    emulated = asyncio.run_coroutine_threadsafe(starting, loop).result()
    emulated.emulator.set_profile(switches={"throttle": False})
    try:
        yield emulated
    finally:
        asyncio.run_coroutine_threadsafe(emulated.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def authorization(served: ServedCliq) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.emulator.state.credentials.access_token}"}


def schema_of(served: ServedCliq, profile: str = "documented", **config: Any) -> BaseSchema:
    """The document, to be called as the admin, with every check that the profile can hold."""
    checks = {name: {"enabled": False} for name in LEFT_OUT[profile]}
    config = {"headers": authorization(served), "checks": checks, **config}
    schema = schemathesis.openapi.from_url(
        f"{served.url}/openapi.json", config=schemathesis.Config.from_dict(config)
    )

    def filter_failure(
        context: HookContext, failure: Failure, case: Case, response: Response
    ) -> bool:
        return not _is_owed_to_the_state(served, failure, case)

    schema.hook(filter_failure)
    return schema


def _is_owed_to_the_state(served: ServedCliq, failure: Failure, case: Case) -> bool:
    """Whether a PUT was refused because nothing is configured yet and it did not say everything.

    What is required depends on the state, which a document cannot say: one `required` is for all
    calls. A refused PUT changes nothing, so what is configured now was configured before.
    """
    return (
        isinstance(failure, RejectedPositiveData)
        and failure.status_code == 400
        and case.method == "PUT"
        and served.emulator.configuration is None
        and not case.body.keys() >= set(REQUIRED)
    )


@dataclass
class Fuzzed:
    """What a run did: answers by method and status, and what followed what in stateful scenarios.

    A scenario is told by the methods of its successful calls, in their order.
    """

    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    scenarios: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def successes(self, method: str) -> int:
        return sum(n for (m, status), n in self.answers.items() if m == method and status < 300)

    def sequences(self, methods: str) -> int:
        """In how many scenarios these calls follow one another."""
        return sum(methods in scenario for scenario in self.scenarios)

    def note(self, event: events.EngineEvent) -> None:
        if isinstance(event, events.ScenarioFinished):
            self._note_scenario(
                event.recorder, is_stateful=event.phase is PhaseName.STATEFUL_TESTING
            )
        if isinstance(event, events.NonFatalError | events.FatalError):
            self.violations.append(repr(event))

    def _note_scenario(self, seen: RecordedScenario, *, is_stateful: bool) -> None:
        answers = [
            (call.request.method, call.response.status_code)
            for call in seen.interactions.values()
            if call.response is not None
        ]
        self.answers.update(answers)
        if is_stateful:
            self.scenarios.append(" ".join(m for m, status in answers if status < 300))
        self.violations += [
            f"{check.name}: {check.failure_info.failure}"
            for checks in seen.checks.values()
            for check in checks
            if check.failure_info is not None
        ]


def fuzzed(schema: BaseSchema) -> Fuzzed:
    """Run every phase that Schemathesis has by default."""
    run = Fuzzed()
    for event in from_schema(schema).execute():
        run.note(event)
    return run
