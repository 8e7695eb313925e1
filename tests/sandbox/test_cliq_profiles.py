"""The emulated Cliq as public clients saw it: profile `observed`, and each switch alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cliq_bench import WHOLE, Zoho, bits, served_zoho

from bot.sandbox.cliq.faults import Fault, FaultKind


@pytest.fixture
async def zoho() -> AsyncIterator[Zoho]:
    async with served_zoho() as it:
        yield it


@pytest.fixture
async def observed() -> AsyncIterator[Zoho]:
    async with served_zoho(profile="observed") as it:
        yield it


def said(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_observed_without_a_token_two_blank_bytes_of_html(observed: Zoho) -> None:
    answer = await observed.http.get("/")

    assert (answer.status_code, len(answer.content), answer.text.strip()) == (401, 2, "")
    assert answer.headers["Content-Type"].startswith("text/html")


async def test_observed_dead_token(observed: Zoho) -> None:
    answer = await observed.get(token="1000.dead.token")

    assert answer.status_code == 401
    assert answer.json() == {
        "code": "oauthtoken_invalid",
        "message": "Invalid OAuth token passed.",
    }


async def test_observed_missing_scope(observed: Zoho) -> None:
    token = observed.emulator.issue_access_token("admin", ["ZohoCliq.Channels.READ"]).token

    assert said(await observed.get(token=token)) == (401, "oauthtoken_scope_invalid")


@pytest.mark.parametrize(
    ("user", "code"),
    [
        ("member", "not_an_organization_admin"),
        ("cliq_admin", "not_an_organization_admin"),
        ("inactive", "inactive_appaccount_user"),
        ("outsider", "not_zoho_organization_user"),
    ],
)
async def test_observed_wrong_user(observed: Zoho, user: str, code: str) -> None:
    token = observed.emulator.issue_access_token(user).token

    assert said(await observed.get(token=token)) == (403, code)


async def test_observed_throttle(observed: Zoho) -> None:
    for _ in range(21):
        answer = await observed.get()

    assert answer.status_code == 400
    assert answer.json() == {
        "code": "request_limit_exceeded",
        "message": "You have exceeded the URL throttle limits.",
    }


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (
            {"content": 1},
            "extra_key_found",
            "'content' is an extra key in the JSON Object.",
        ),
        (
            {"cname_status": "x"},
            "input_pattern_mismatch",
            "Unidentified value passed for the 'cname_status' key",
        ),
    ],
)
async def test_observed_bad_body(
    observed: Zoho, body: dict[str, Any], code: str, message: str
) -> None:
    answer = await observed.put(body)

    assert (answer.status_code, answer.json()) == (400, {"code": code, "message": message})


async def test_observed_wrong_method_and_path(observed: Zoho) -> None:
    assert said(await observed.call("POST")) == (400, "request_method_invalid")
    assert said(await observed.call("GET", "/nowhere")) == (404, "request_url_invalid")


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
    observed.emulator.faults.add(Fault(fault, method="PUT"))

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


async def test_observed_token_endpoint_throttles_with_a_400(observed: Zoho) -> None:
    for _ in range(11):
        answer = await observed.tokens()

    assert (answer.status_code, answer.json()["error"]) == (400, "Access Denied")


async def test_error_codes_alone_keep_the_documented_statuses(zoho: Zoho) -> None:
    zoho.switch(error_codes=True)

    assert said(await zoho.call("PATCH")) == (405, "request_method_invalid")


async def test_a_status_switch_alone_adds_no_code(zoho: Zoho) -> None:
    zoho.switch(method_400=True)
    answer = await zoho.call("PATCH")

    assert answer.status_code == 400
    assert answer.json() == {"message": "The HTTP Method you are trying is invalid."}
    assert "Allow" not in answer.headers


async def test_cliq_admin_allowed(zoho: Zoho) -> None:
    zoho.switch(cliq_admin_allowed=True)
    statuses = {
        user: (await zoho.get(token=zoho.emulator.issue_access_token(user).token)).status_code
        for user in ("cliq_admin", "member")
    }

    assert statuses == {"cliq_admin": 200, "member": 403}


async def test_strict_put_never_merges(zoho: Zoho) -> None:
    zoho.switch(strict_put=True)

    assert (await zoho.put({"name": "IT"})).status_code == 400
    assert (await zoho.put(WHOLE)).status_code == 200


async def test_delete_placeholder(zoho: Zoho) -> None:
    zoho.switch(delete_placeholder=True)
    answer = await zoho.delete()

    assert (answer.status_code, answer.json()) == (200, {"Response Code": "204 No response"})
    assert await zoho.data() == {}


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
