"""The emulated accounts server: refresh, exchange, revocation, and their limits."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from cliq_bench import Zoho, served_zoho

DENIED = {
    "error": "Access Denied",
    "error_description": "You have made too many requests continuously. Please try again after "
    "some time.",
    "status": "failure",
}
ALL_THREE = "ZohoCliq.Organisation.READ ZohoCliq.Organisation.UPDATE ZohoCliq.Organisation.DELETE"


@pytest.fixture
async def zoho() -> AsyncIterator[Zoho]:
    async with served_zoho() as it:
        yield it


async def refreshed(zoho: Zoho) -> str:
    token: str = (await zoho.tokens()).json()["access_token"]
    return token


async def test_a_refresh_token_gives_an_access_token_and_no_new_refresh_token(zoho: Zoho) -> None:
    answer = await zoho.tokens()

    body = answer.json()
    assert answer.status_code == 200
    assert (await zoho.get(token=body.pop("access_token"))).status_code == 200
    assert body == {
        "api_domain": "https://www.zohoapis.com",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": ALL_THREE,
    }


async def test_access_tokens_have_zohos_shape(zoho: Zoho) -> None:
    prefix, first, second = (await refreshed(zoho)).split(".")

    assert (prefix, len(first), len(second)) == ("1000", 32, 32)


async def test_parameters_may_stand_in_the_query(zoho: Zoho) -> None:
    mine = zoho.emulator.state.credentials
    answer = await zoho.http.post(
        "/oauth/v2/token",
        params={
            "grant_type": "refresh_token",
            "refresh_token": mine.refresh_token,
            "client_id": mine.client_id,
            "client_secret": mine.client_secret,
        },
    )

    assert "access_token" in answer.json()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client_id": "1000.NOBODY"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "1000.dead.token"}, "invalid_code"),
        ({"grant_type": "password"}, "general_error"),
        ({"grant_type": "authorization_code", "code": "1000.no.code"}, "invalid_code"),
    ],
)
async def test_errors_come_with_status_200(zoho: Zoho, wrong: dict[str, str], error: str) -> None:
    answer = await zoho.tokens(**wrong)

    assert (answer.status_code, answer.json()) == (200, {"error": error})


async def test_a_client_of_another_data_centre_is_unknown(zoho: Zoho) -> None:
    foreign = next(c for c in zoho.emulator.state.clients.values() if c.dc == "eu")

    answer = await zoho.tokens(client_id=foreign.id, client_secret=foreign.secret)

    assert answer.json() == {"error": "invalid_client"}


async def test_a_body_too_large_to_be_read_is_no_client(zoho: Zoho) -> None:
    answer = await zoho.tokens(padding="x" * 2_000_000)

    assert (answer.status_code, answer.json()) == (200, {"error": "invalid_client"})


async def exchange(zoho: Zoho, code: str, **more: str) -> httpx.Response:
    return await zoho.tokens(grant_type="authorization_code", code=code, **more)


async def test_a_code_gives_a_refresh_token_once(zoho: Zoho) -> None:
    code = zoho.emulator.issue_code()
    first = (await exchange(zoho, code)).json()
    second = (await exchange(zoho, code)).json()

    assert second == {"error": "invalid_code"}
    assert (await zoho.get(token=first["access_token"])).status_code == 200
    again = await zoho.tokens(refresh_token=first["refresh_token"])
    assert "access_token" in again.json()


async def test_a_code_lives_for_two_minutes(zoho: Zoho) -> None:
    early, late = zoho.emulator.issue_code(), zoho.emulator.issue_code()
    zoho.advance(119)
    assert "access_token" in (await exchange(zoho, early)).json()
    zoho.advance(1)
    assert (await exchange(zoho, late)).json() == {"error": "invalid_code"}


async def test_a_code_of_a_consent_page_needs_its_redirect_address(zoho: Zoho) -> None:
    code = zoho.emulator.issue_code(redirect_uri="https://bot.example/callback")

    answer = await exchange(zoho, code, redirect_uri="https://evil.example/")

    assert answer.json() == {"error": "invalid_redirect_uri"}


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


async def test_with_throttle_off_refreshing_has_no_limit(zoho: Zoho) -> None:
    zoho.switch(throttle=False)
    bodies = [(await zoho.tokens()).json() for _ in range(15)]

    assert all("access_token" in body for body in bodies)


async def test_of_eleven_live_access_tokens_the_oldest_dies(zoho: Zoho) -> None:
    zoho.switch(throttle=False)
    tokens = [await refreshed(zoho) for _ in range(11)]
    statuses = [(await zoho.get(token=token)).status_code for token in tokens]

    assert statuses == [401] + [200] * 10
    assert (await zoho.get()).status_code == 200


async def test_revoking_a_refresh_token_kills_its_access_tokens(zoho: Zoho) -> None:
    access = await refreshed(zoho)
    refresh = zoho.emulator.state.credentials.refresh_token

    answer = await zoho.http.post("/oauth/v2/token/revoke", data={"token": refresh})

    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    assert (await zoho.get(token=access)).status_code == 401
    assert (await zoho.tokens()).json() == {"error": "invalid_code"}


async def test_revoking_an_access_token_kills_it_alone(zoho: Zoho) -> None:
    one, other = await refreshed(zoho), await refreshed(zoho)

    await zoho.http.post("/oauth/v2/token/revoke", data={"token": one})

    assert (await zoho.get(token=one)).status_code == 401
    assert (await zoho.get(token=other)).status_code == 200


async def test_revoking_an_unknown_token_is_a_400(zoho: Zoho) -> None:
    answer = await zoho.http.post("/oauth/v2/token/revoke", data={"token": "1000.no.token"})

    assert answer.status_code == 400
