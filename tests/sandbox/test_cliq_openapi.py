"""The emulator holds what its own OpenAPI document says: Schemathesis looks for the contrary."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from cliq_bench import PATH, keys
from schemathesis.engine import events, from_schema
from schemathesis.schemas import BaseSchema

from bot.sandbox.cliq import ServedCliq, start

SEED = 20261122
EXAMPLES = 120
"""Generated bodies, about half of them meant to be refused."""


@pytest.fixture
def served() -> Iterator[ServedCliq]:
    """An emulator without limits in a thread of its own, since Schemathesis blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    emulated = asyncio.run_coroutine_threadsafe(start(keys=keys()), loop).result()
    emulated.emulator.set_profile(switches={"throttle": False})
    yield emulated
    asyncio.run_coroutine_threadsafe(emulated.close(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def document(served: ServedCliq) -> dict[str, Any]:
    described: dict[str, Any] = httpx.get(f"{served.url}/openapi.json").json()
    return described


def authorization(served: ServedCliq) -> dict[str, str]:
    return {"Authorization": f"Bearer {served.emulator.credentials.access_token}"}


def schema_of(served: ServedCliq) -> BaseSchema:
    config = schemathesis.Config.from_dict(
        {
            "seed": SEED,
            "headers": authorization(served),
            "generation": {"deterministic": True, "max-examples": EXAMPLES},
        }
    )
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json", config=config)


def violations(schema: BaseSchema) -> list[str]:
    """What Schemathesis finds wrong, with every check and every phase that it has by default."""
    found = []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            found += [
                f"{check.name}: {check.failure_info.failure}"
                for checks in event.recorder.checks.values()
                for check in checks
                if check.failure_info is not None
            ]
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.append(repr(event))
    return found


def statuses(served: ServedCliq) -> Counter[tuple[str, int | None]]:
    return Counter((seen.method, seen.status) for seen in served.emulator.requests)


def test_with_strict_put_no_call_in_any_order_contradicts_the_document(
    served: ServedCliq,
) -> None:
    served.emulator.set_profile(switches={"strict_put": True})

    assert violations(schema_of(served)) == []
    assert statuses(served)["PUT", 200] >= 50
    assert statuses(served)["PUT", 400] >= 10
    assert statuses(served)["PATCH", 405] >= 1
    assert statuses(served)["PUT", 401] >= 1


def test_while_something_is_configured_no_get_or_put_contradicts_the_document(
    served: ServedCliq,
) -> None:
    schema = schema_of(served).include(method=["GET", "PUT"])

    assert violations(schema) == []
    assert statuses(served)["PUT", 200] >= 50
    assert statuses(served)["PUT", 400] >= 10


def test_no_delete_contradicts_the_document(served: ServedCliq) -> None:
    assert violations(schema_of(served).include(method="DELETE")) == []
    assert served.emulator.configuration is None


@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 204)])
def test_fifty_calls_without_arguments_hold_what_the_document_says(
    served: ServedCliq, method: str, status: int
) -> None:
    call = schema_of(served)[PATH][method].Case(headers=authorization(served))

    for _ in range(50):
        call.call_and_validate()

    assert statuses(served)[method, status] == 50


def test_the_document_needs_no_token_and_names_every_error(served: ServedCliq) -> None:
    described = document(served)

    calls = described["paths"][PATH]
    assert described["openapi"].startswith("3.1")
    errors = {"400", "401", "403", "404", "405", "406", "429", "500"}
    assert {method: set(call["responses"]) - errors for method, call in calls.items()} == {
        "get": {"200"},
        "put": {"200"},
        "delete": {"204"},
    }
    assert all(errors <= set(call["responses"]) for call in calls.values())
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_what_put_requires_follows_the_switch(served: ServedCliq) -> None:
    merging = document(served)["components"]["schemas"]["Arguments"]
    served.emulator.set_profile(switches={"strict_put": True})
    strict = document(served)["components"]["schemas"]["Arguments"]

    assert (merging["minProperties"], "required" in merging) == (1, False)
    assert strict["required"] == ["name", "email_id", "cname_status"]
