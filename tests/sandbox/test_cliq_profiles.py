"""The emulated Cliq as public clients saw it: profile `observed`, and each switch alone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from cliq_bench import WHOLE, Zoho, bits, served_zoho

from bot.sandbox.cliq.faults import Fault, FaultKind

Call = Callable[[Zoho], Awaitable[httpx.Response]]


@pytest.fixture
async def observed() -> AsyncIterator[Zoho]:
    async with served_zoho(profile="observed") as it:
        yield it


def as_user(user: str, *scopes: str) -> Call:
    async def call(zoho: Zoho) -> httpx.Response:
        token = zoho.emulator.issue_access_token(user, scopes or ["ZohoCliq.Organisation.ALL"])
        return await zoho.get(token=token.token)

    return call


def repeated(times: int, call: Call) -> Call:
    async def calls(zoho: Zoho) -> httpx.Response:
        return [await call(zoho) for _ in range(times)][-1]

    return calls


async def test_observed_without_a_token_two_blank_bytes_of_html(observed: Zoho) -> None:
    answer = await observed.http.get("/")

    assert (answer.status_code, len(answer.content), answer.text.strip()) == (401, 2, "")
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize(
    ("call", "status", "code", "message"),
    [
        (
            lambda zoho: zoho.get(token="1000.dead.token"),
            *(401, "oauthtoken_invalid", "Invalid OAuth token passed."),
        ),
        (as_user("admin", "ZohoCliq.Channels.READ"), 401, "oauthtoken_scope_invalid", "The OAuth"),
        (as_user("member"), 403, "not_an_organization_admin", "The user does not have"),
        (as_user("cliq_admin"), 403, "not_an_organization_admin", "The user does not have"),
        (as_user("inactive"), 403, "inactive_appaccount_user", "The user does not have"),
        (as_user("outsider"), 403, "not_zoho_organization_user", "The user does not have"),
        (
            repeated(21, lambda zoho: zoho.get()),
            *(400, "request_limit_exceeded", "You have exceeded the URL throttle limits."),
        ),
        (
            lambda zoho: zoho.put({"content": 1}),
            *(400, "extra_key_found", "'content' is an extra key in the JSON Object."),
        ),
        (
            lambda zoho: zoho.put({"cname_status": "x"}),
            *(400, "input_pattern_mismatch", "Unidentified value passed for the 'cname_status'"),
        ),
        (lambda zoho: zoho.call("POST"), 400, "request_method_invalid", "The HTTP Method you"),
        (lambda zoho: zoho.call("GET", "/nowhere"), 404, "request_url_invalid", "The URL you've"),
    ],
)
async def test_observed_refusals(
    observed: Zoho, call: Call, status: int, code: str, message: str
) -> None:
    answer = await call(observed)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].startswith(message)


async def test_observed_token_endpoint_throttles_with_a_400(observed: Zoho) -> None:
    answer = await repeated(11, lambda zoho: zoho.tokens())(observed)

    assert (answer.status_code, answer.json()["error"]) == (400, "Access Denied")


async def test_observed_put_of_another_address_changes_nothing(observed: Zoho) -> None:
    before = (await observed.get()).json()

    answer = await observed.put({**WHOLE, "dkim_key_size": 1024})

    assert (answer.status_code, answer.json()) == (200, before)
    assert (await observed.get()).json() == before
    assert observed.emulator.writes() == []


@pytest.mark.parametrize("fault", [FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.RESET_AFTER_EFFECT])
async def test_observed_put_of_another_address_changes_nothing_unheard_either(
    observed: Zoho, fault: FaultKind
) -> None:
    before = (await observed.get()).json()
    observed.emulator.faults.plan(Fault(fault, method="PUT"))

    with pytest.raises(httpx.TransportError):
        await observed.put(WHOLE, timeout=0.2)

    assert (await observed.get()).json() == before
    assert observed.emulator.writes() == []


async def test_observed_put_of_the_same_address_or_after_delete_takes_effect(
    observed: Zoho,
) -> None:
    await observed.put({"email_id": "Scott@acme.example", "name": "Scott"})
    assert (await observed.data())["name"] == "Scott"

    await observed.delete()
    await observed.put(WHOLE)
    assert (await observed.data())["email_id"] == "it@acme.example"


@pytest.mark.parametrize(
    ("switch", "call", "status", "body"),
    [
        (
            "error_codes",
            lambda zoho: zoho.call("PATCH"),
            *(405, {"code": "request_method_invalid"}),
        ),
        (
            "method_400",
            lambda zoho: zoho.call("PATCH"),
            *(400, {"message": "The HTTP Method you are trying is invalid."}),
        ),
        ("cliq_admin_allowed", as_user("cliq_admin"), 200, {}),
        ("cliq_admin_allowed", as_user("member"), 403, {}),
        ("strict_put", lambda zoho: zoho.put({"name": "IT"}), 400, {}),
        ("strict_put", lambda zoho: zoho.put(WHOLE), 200, {}),
        (
            "delete_placeholder",
            lambda zoho: zoho.delete(),
            *(200, {"Response Code": "204 No response"}),
        ),
    ],
)
async def test_a_switch_alone(
    zoho: Zoho, switch: str, call: Call, status: int, body: dict[str, Any]
) -> None:
    zoho.switch(**{switch: True})
    answer = await call(zoho)

    assert answer.status_code == status
    assert body.items() <= answer.json().items()
    assert ("code" in answer.json()) is (switch == "error_codes")
    assert ("Allow" in answer.headers) is (status == 405)


async def test_demote_on_loss(zoho: Zoho) -> None:
    zoho.switch(demote_on_loss=True)
    record = await zoho.data()
    zoho.emulator.set_zone({record["dkim_host"]: [record["dkim_value"]]})
    assert (await zoho.data())["dkim_status"] == "verified"
    zoho.emulator.set_zone({})
    assert (await zoho.data())["dkim_status"] == "not_verified"


async def test_wrong_key_size(zoho: Zoho) -> None:
    zoho.switch(wrong_key_size=True)
    await zoho.put({"email_id": "it@other.example", "dkim_key_size": 2048})

    assert bits(await zoho.data()) == 1024
