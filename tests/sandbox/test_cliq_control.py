"""The control endpoint of the emulated Zoho, and the faults it plans."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from cliq_bench import Zoho, bits, served_zoho

from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.faults import Fault, FaultKind
from bot.sandbox.cliq.profile import SENTENCES
from bot.sandbox.cliq.serving import start


async def plan(zoho: Zoho, fault: str, **more: Any) -> None:
    answer = await zoho.control("POST", "faults", {"fault": fault, **more})
    assert answer.status_code == 200, answer.text


async def test_state_shows_everything_with_tokens_masked(zoho: Zoho) -> None:
    await zoho.tokens()
    zoho.emulator.issue_code()
    answer = await zoho.control("GET", "state")

    state, mine = answer.json(), zoho.emulator.state.credentials
    assert state["organisations"]["acme"]["configuration"]["email_id"] == "scott@acme.example"
    assert set(state["users"]) == {"admin", "cliq_admin", "member", "inactive", "outsider"}
    assert mine.client_id in {client["id"] for client in state["clients"]}
    assert len(state["access_tokens"]) == 2
    assert len(state["codes"]) == 1
    assert state["now"] == "2026-11-22T12:00:00+00:00"
    assert "BEGIN PRIVATE KEY" in next(iter(state["keys"].values()))
    assert mine.access_token not in answer.text
    assert mine.refresh_token not in answer.text
    assert mine.client_secret not in answer.text
    assert f"{mine.access_token[:9]}…" in {token["token"] for token in state["access_tokens"]}


async def test_reset_goes_back_to_the_seed_with_the_same_credentials(zoho: Zoho) -> None:
    seed = await zoho.data()
    await zoho.put({"email_id": "it@other.example"})
    await zoho.control("PUT", "profile", {"profile": "observed"})
    await plan(zoho, "status", code=500)
    for _ in range(21):
        await zoho.delete()

    await zoho.control("POST", "reset")

    assert await zoho.data() == seed
    assert zoho.emulator.writes() == []
    assert [r.method for r in zoho.emulator.log.all()] == ["GET"]
    assert "access_token" in (await zoho.tokens()).json()


async def test_a_profile_and_single_switches_are_set_together_or_apart(zoho: Zoho) -> None:
    body = {"profile": "observed", "switches": {"sticky_email": False, "retry_after": True}}
    await zoho.control("PUT", "profile", body)
    answer = await zoho.control("PUT", "profile", {"switches": {"throttle": False}})

    assert answer.json()["profile"] == "observed"
    names = ("error_codes", "sticky_email", "retry_after", "throttle")
    assert [answer.json()["switches"][name] for name in names] == [True, False, True, False]


async def test_the_clock_moves_by_seconds_and_to_a_time(zoho: Zoho) -> None:
    moved = await zoho.control("POST", "clock", {"advance_seconds": 600})
    put = await zoho.control("POST", "clock", {"set": "2026-11-23T12:00:00Z"})

    assert moved.json() == {"now": "2026-11-22T12:10:00+00:00"}
    assert put.json() == {"now": "2026-11-23T12:00:00+00:00"}


async def test_tokens_of_any_user_and_scope_are_forged_and_expired(zoho: Zoho) -> None:
    body = {"user": "member", "scopes": ["ZohoCliq.Organisation.READ"]}
    token = (await zoho.control("POST", "tokens", body)).json()["token"]
    assert (await zoho.get(token=token)).status_code == 403

    expired = await zoho.control("DELETE", "tokens", {"token": token})
    assert expired.status_code == 200
    assert (await zoho.get(token=token)).status_code == 401


async def test_codes_are_forged(zoho: Zoho) -> None:
    code = (await zoho.control("POST", "codes", {"user": "admin"})).json()["code"]

    answer = await zoho.tokens(grant_type="authorization_code", code=code)

    assert "refresh_token" in answer.json()


async def test_a_users_role_and_activity_change(zoho: Zoho) -> None:
    demoted = await zoho.control("PUT", "users/admin", {"role": "member"})
    assert demoted.json()["role"] == "member"
    assert (await zoho.get()).status_code == 403

    await zoho.control("PUT", "users/admin", {"role": "admin", "active": False})
    assert (await zoho.get()).status_code == 403
    await zoho.control("PUT", "users/admin", {"active": True})
    assert (await zoho.get()).status_code == 200


async def test_another_administrators_edit_may_force_what_no_put_can(zoho: Zoho) -> None:
    forced = {"name": "Panel", "dkim_status": "verified", "cname_status": "expired"}
    answer = await zoho.control("PUT", "configuration", {**forced, "dkim_value": "p="})

    assert await zoho.data() == answer.json()
    assert answer.json().items() >= {**forced, "dkim_value": "p="}.items()


async def test_an_empty_edit_unsets_and_a_full_one_sets_again(zoho: Zoho) -> None:
    await zoho.control("PUT", "configuration", {})
    assert await zoho.data() == {}
    half = await zoho.control("PUT", "configuration", {"name": "IT"})
    assert half.json()["error"].endswith("so email_id and name are both needed")

    fresh = {"email_id": "it@acme.example", "name": "IT"}
    await zoho.control("PUT", "configuration", fresh)
    data = await zoho.data()
    assert data.items() >= fresh.items()
    assert data["dkim_value"].startswith("k=rsa; p=")


async def test_the_zone_decides_the_dkim_status(zoho: Zoho) -> None:
    record = await zoho.data()
    host, value = record["dkim_host"], record["dkim_value"]
    records = [
        {"name": host, "type": "TXT", "values": [value]},
        {"name": host, "type": "CAA", "values": ['0 issue "ca.example"']},
    ]

    await zoho.control("PUT", "zone", {"records": records})

    assert (await zoho.data())["dkim_status"] == "verified"


async def test_the_request_log_tells_who_called_what_and_what_was_written(zoho: Zoho) -> None:
    await zoho.get()
    await zoho.http.get("/nowhere")
    await zoho.put({"name": "IT"})
    seen = (await zoho.control("GET", "requests")).json()

    assert seen["counters"] == {"GET 200": 1, "GET 401": 1, "PUT 200": 1}
    put = seen["requests"][-1]
    assert (put["method"], put["user"], put["body"]) == ("PUT", "admin", '{"name":"IT"}')
    assert put["token"] == f"{zoho.emulator.state.credentials.access_token[:9]}…"
    assert seen["writes"][0]["body"] == {"name": "IT"}


async def test_the_request_log_cuts_short_a_token_that_is_none_of_the_emulators(zoho: Zoho) -> None:
    for token in ("1000.REAL.token", "xoxb-real-token", "1000.dead"):
        await zoho.get(token=token)
    seen = (await zoho.control("GET", "requests")).json()

    assert [each["token"] for each in seen["requests"]] == ["1000…", "xoxb…", "1000…"]


@pytest.mark.parametrize("value", ["", "k=rsa; p=nonsense", "k=rsa; p=MA0wBgYEKgMEBQMDAAEC"])
async def test_a_put_over_a_forced_record_that_holds_no_known_key_makes_one(
    zoho: Zoho, value: str
) -> None:
    await zoho.control("PUT", "configuration", {"dkim_value": value})
    answer = await zoho.put({"dkim_key_size": 2048})

    assert answer.status_code == 200
    assert bits(answer.json()["data"]) == 2048


async def test_a_zone_kept_elsewhere_is_not_set_here() -> None:
    async with served_zoho(lookup_txt=lambda name: [], configured=False) as zoho:
        answer = await zoho.control("PUT", "zone", {"records": []})

        assert answer.json()["error"].startswith("this emulator looks at another zone")


async def test_a_status_fault_hits_the_next_calls_of_its_method_without_effect(
    zoho: Zoho,
) -> None:
    await plan(zoho, "status", code=503, method="PUT", next=2)

    assert (await zoho.get()).status_code == 200
    statuses = [(await zoho.put({"name": "IT"})).status_code for _ in range(3)]
    assert statuses == [503, 503, 200]
    assert len(zoho.emulator.writes()) == 1


async def test_a_fault_may_let_calls_pass_first(zoho: Zoho) -> None:
    await plan(zoho, "status", code=503, method="GET", skip=1)
    await plan(zoho, "status", code=500, method="GET")

    assert [(await zoho.get()).status_code for _ in range(3)] == [500, 503, 200]


@pytest.mark.parametrize(
    ("fault", "method", "meets", "left"),
    [
        ("delay", "PUT", 200, "IT"),
        ("status", "PUT", 500, "Scott Fisher"),
        ("html", "PUT", 200, "Scott Fisher"),
        ("redirect", "PUT", 302, "Scott Fisher"),
        ("timeout_before_effect", "PUT", httpx.ReadTimeout, "Scott Fisher"),
        ("timeout_after_effect", "PUT", httpx.ReadTimeout, "IT"),
        ("reset_after_effect", "DELETE", httpx.NetworkError, None),
        ("truncated", "PUT", httpx.RemoteProtocolError, "IT"),
        ("truncated", "DELETE", httpx.NetworkError, None),
    ],
)
async def test_what_a_client_meets_and_what_is_done_all_the_same(
    zoho: Zoho, fault: str, method: str, meets: Any, left: str | None
) -> None:
    await plan(zoho, fault, method=method, seconds=0.05)
    call = zoho.put({"name": "IT"}, timeout=0.3) if method == "PUT" else zoho.delete()
    if isinstance(meets, int):
        assert (await call).status_code == meets
    else:
        with pytest.raises(meets):
            await call

    assert (await zoho.data()).get("name") == left
    noted = zoho.emulator.log.all()[0]
    assert (noted.fault, noted.status) == (fault, meets if isinstance(meets, int) else noted.status)


@pytest.mark.parametrize(
    ("fault", "more", "header", "value"),
    [
        ("status", {"code": 401}, "Content-Type", "application/json"),
        ("html", {}, "Content-Type", "text/html"),
        ("redirect", {}, "Location", "/signin"),
    ],
)
async def test_what_comes_instead_of_an_answer(
    zoho: Zoho, fault: str, more: dict[str, int], header: str, value: str
) -> None:
    await plan(zoho, fault, **more)
    answer = await zoho.get()

    assert answer.headers[header].startswith(value)
    if answer.status_code == 401:
        assert answer.json()["message"] == SENTENCES[401]


async def test_faults_of_the_token_endpoint_leave_the_api_alone(zoho: Zoho) -> None:
    await plan(zoho, "status", code=500, path="token")

    assert (await zoho.get()).status_code == 200
    assert (await zoho.tokens()).status_code == 500
    assert (await zoho.tokens()).status_code == 200


async def test_faults_not_yet_met_are_shown_and_cleared(zoho: Zoho) -> None:
    await plan(zoho, "html", next=3)
    assert (await zoho.control("GET", "state")).json()["faults"][0]["next"] == 3

    await zoho.control("DELETE", "faults")
    assert (await zoho.get()).headers["Content-Type"].startswith("application/json")


async def test_closing_the_server_ends_a_held_call() -> None:
    served = await start(CliqEmulator(configured=False))
    served.emulator.faults.plan(Fault(FaultKind.TIMEOUT_BEFORE_EFFECT))
    async with httpx.AsyncClient(base_url=served.url) as http:
        held = asyncio.create_task(http.get("/"))
        while not served.emulator.log.all():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await served.close()

        with pytest.raises(httpx.RemoteProtocolError):
            await held
