"""The emulated accounts server: refresh, exchange, revocation, and their limits."""

from __future__ import annotations

from dataclasses import asdict

import httpx
import pytest
from cliq_bench import Zoho

DENIED = {
    "error": "Access Denied",
    "error_description": "You have made too many requests continuously. Please try again after "
    "some time.",
    "status": "failure",
}
ALL_THREE = "ZohoCliq.Organisation.READ ZohoCliq.Organisation.UPDATE ZohoCliq.Organisation.DELETE"


async def refreshed(zoho: Zoho) -> str:
    token: str = (await zoho.tokens()).json()["access_token"]
    return token


async def test_a_refresh_token_gives_an_access_token_and_no_new_refresh_token(zoho: Zoho) -> None:
    answer = await zoho.tokens()

    body = answer.json()
    assert answer.status_code == 200
    token = body.pop("access_token")
    assert [len(part) for part in token.split(".")] == [4, 32, 32]
    assert (await zoho.get(token=token)).status_code == 200
    assert body == {
        "api_domain": "https://www.zohoapis.com",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": ALL_THREE,
    }


async def test_parameters_may_stand_in_the_query(zoho: Zoho) -> None:
    mine = asdict(zoho.emulator.state.credentials)
    del mine["access_token"]
    query = mine | {"grant_type": "refresh_token"}
    answer = await zoho.http.post("/oauth/v2/token", params=query)

    assert "access_token" in answer.json()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client_id": "1000.NOBODY"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "1000.dead.token"}, "invalid_code"),
        ({"grant_type": "password"}, "general_error"),
        ({"padding": "x" * 2_000_000}, "invalid_client"),
        ({"grant_type": "authorization_code", "code": "1000.no.code"}, "invalid_code"),
    ],
)
async def test_errors_come_with_status_200(zoho: Zoho, wrong: dict[str, str], error: str) -> None:
    answer = await zoho.tokens(**wrong)

    assert (answer.status_code, answer.json()) == (200, {"error": error})


async def exchange(zoho: Zoho, code: str, **more: str) -> httpx.Response:
    return await zoho.tokens(grant_type="authorization_code", code=code, **more)


async def test_a_code_gives_a_refresh_token_once(zoho: Zoho) -> None:
    code = zoho.emulator.issue_code()
    first = (await exchange(zoho, code)).json()
    second = (await exchange(zoho, code)).json()
    elsewhere = zoho.emulator.issue_code(redirect_uri="https://bot.example/callback")
    third = await exchange(zoho, elsewhere, redirect_uri="https://evil.example/")

    assert second == {"error": "invalid_code"}
    assert third.json() == {"error": "invalid_redirect_uri"}
    assert (await zoho.get(token=first["access_token"])).status_code == 200
    again = await zoho.tokens(refresh_token=first["refresh_token"])
    assert "access_token" in again.json()


async def test_a_code_lives_for_two_minutes(zoho: Zoho) -> None:
    early, late = zoho.emulator.issue_code(), zoho.emulator.issue_code()
    zoho.advance(119)
    assert "access_token" in (await exchange(zoho, early)).json()
    zoho.advance(1)
    assert (await exchange(zoho, late)).json() == {"error": "invalid_code"}


async def test_the_eleventh_refresh_is_denied_for_the_rest_of_ten_minutes(zoho: Zoho) -> None:
    await refreshed(zoho)
    zoho.advance(300)
    for _ in range(9):
        await refreshed(zoho)

    denied = await zoho.tokens()
    assert (denied.status_code, denied.json()) == (200, DENIED)
    zoho.advance(299)
    assert (await zoho.tokens()).json() == DENIED
    zoho.advance(1)
    assert "access_token" in (await zoho.tokens()).json()


async def test_of_eleven_live_access_tokens_the_oldest_dies(zoho: Zoho) -> None:
    zoho.switch(throttle=False)
    tokens = [await refreshed(zoho) for _ in range(11)]
    statuses = [(await zoho.get(token=token)).status_code for token in tokens]

    assert statuses == [401] + [200] * 10
    assert (await zoho.get()).status_code == 200


@pytest.mark.parametrize(
    ("which", "status", "answers"),
    [
        ("refresh", (200, {"status": "success"}), [401, 401]),
        ("access", (200, {"status": "success"}), [401, 200]),
        ("unknown", (400, {"status": "failure", "error": "invalid_token"}), [200, 200]),
    ],
)
async def test_revoking_an_access_token_kills_it_alone_and_a_refresh_token_all_of_its_own(
    zoho: Zoho, which: str, status: tuple[int, dict[str, str]], answers: list[int]
) -> None:
    access = [await refreshed(zoho), await refreshed(zoho)]
    refresh = zoho.emulator.state.credentials.refresh_token
    token = {"refresh": refresh, "access": access[0], "unknown": "1000.no.token"}[which]

    answer = await zoho.http.post("/oauth/v2/token/revoke", data={"token": token})

    assert (answer.status_code, answer.json()) == status
    assert [(await zoho.get(token=each)).status_code for each in access] == answers
    assert ("error" in (await zoho.tokens()).json()) is (which == "refresh")
