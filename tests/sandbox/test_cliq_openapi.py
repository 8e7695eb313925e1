"""The emulator holds what its own OpenAPI document says: Schemathesis looks for the contrary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cliq_bench import PATH
from cliq_fuzz import authorization, fuzzed, schema_of, served_in_a_thread

from bot.sandbox.cliq.profile import ALLOWED_METHODS, PROFILES
from bot.sandbox.cliq.serving import ServedCliq
from tests.soak.options import SOAK, Soak

SEED = 20261122
EXAMPLES = 120
"""Generated bodies, about half of them meant to be refused."""
FEW = {
    "seed": SEED,
    "generation": {"deterministic": True, "max-examples": EXAMPLES},
    "phases": {"stateful": {"max-steps": 12, "generation": {"max-examples": 30}}},
}
PAIRS = ("PUT GET", "GET DELETE", "DELETE GET", "DELETE PUT")
"""Calls that must have followed one another: the links of the document are really followed."""


@pytest.fixture
def served() -> Iterator[ServedCliq]:
    with served_in_a_thread() as emulated:
        yield emulated


def document(served: ServedCliq) -> dict[str, Any]:
    described: dict[str, Any] = httpx.get(f"{served.url}/openapi.json").json()
    return described


@pytest.mark.parametrize(("profile", "wrong_method"), [("documented", 405), ("observed", 400)])
def test_no_call_in_any_order_contradicts_the_document(profile: str, wrong_method: int) -> None:
    with served_in_a_thread(profile) as served:
        found = fuzzed(schema_of(served, profile, **FEW))

    assert found.violations == []
    assert found.answers["PUT", 200] >= 50
    assert found.answers["PUT", 400] >= 10
    assert found.answers["PUT", 401] >= 1
    assert found.answers["PATCH", wrong_method] >= 1
    assert all(found.sequences(pair) for pair in PAIRS)


def test_with_strict_put_no_call_contradicts_the_document(served: ServedCliq) -> None:
    served.emulator.set_profile(switches={"strict_put": True})
    found = fuzzed(schema_of(served, **{**FEW, "phases": {"stateful": {"enabled": False}}}))

    assert found.violations == []
    assert found.answers["PUT", 200] >= 50
    assert found.answers["PUT", 400] >= 10


@pytest.mark.soak
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_contradicts_the_document_for_a_long_time(
    request: pytest.FixtureRequest, profile: str
) -> None:
    soak: Soak = request.config.stash[SOAK]
    long = {
        "seed": soak.seed,
        "max-time": soak.count("fuzz"),
        "generation": {"database": "none"},
        "phases": {"stateful": {"max-steps": 12}},
    }
    with served_in_a_thread(profile) as served:
        found = fuzzed(schema_of(served, profile, **long))

    successes = {method: found.successes(method) for method in ALLOWED_METHODS}
    whole = found.sequences("PUT GET DELETE GET")
    soak.report(
        f"fuzz of the emulated Cliq, {profile}",
        f"{sum(found.answers.values())} calls, 2xx of {successes['GET']} GET, "
        f"{successes['PUT']} PUT, {successes['DELETE']} DELETE, "
        f"{len(found.scenarios)} stateful scenarios ({whole} with PUT GET DELETE GET), "
        f"{len(found.violations)} violations",
    )
    assert found.violations == []
    assert min(successes.values()) >= 10  # how many fit into the time is the machine's affair
    assert max(status for _, status in found.answers) < 500
    assert all(found.sequences(pair) for pair in PAIRS)


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


def test_the_document_follows_the_observed_profile(served: ServedCliq) -> None:
    served.emulator.set_profile("observed")
    described = document(served)

    answers = described["paths"][PATH]["get"]["responses"]
    assert set(answers) == {"200", "400", "401", "403", "404", "406", "500"}
    assert answers["401"]["content"]["text/html"]["schema"]["const"] == "\r\n"
    assert described["components"]["schemas"]["Error"]["required"] == ["code", "message"]


def test_what_put_requires_follows_the_switch(served: ServedCliq) -> None:
    merging = document(served)["components"]["schemas"]["Arguments"]
    served.emulator.set_profile(switches={"strict_put": True})
    strict = document(served)["components"]["schemas"]["Arguments"]

    assert (merging["minProperties"], "required" in merging) == (1, False)
    assert strict["required"] == ["name", "email_id", "cname_status"]


def test_deletes_placeholder_is_in_the_document_where_it_is_answered(served: ServedCliq) -> None:
    served.emulator.set_profile(switches={"delete_placeholder": True})
    call = schema_of(served, **FEW)[PATH]["DELETE"].Case(headers=authorization(served))

    assert call.call_and_validate().json() == {"Response Code": "204 No response"}
