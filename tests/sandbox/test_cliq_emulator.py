"""The emulated Cliq in its documented profile, as a client on the wire meets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cliq_bench import PATH, WHOLE, Zoho, bits, served_zoho
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.profile import SENTENCES, Switches
from bot.sandbox.cliq.state import State

NOON_MS = 1795348800000
"""2026-11-22T12:00:00Z, where the tests' clock stands, in milliseconds."""
OLD_HOST = f"{NOON_MS}._domainkey.acme.example"
NEW_SELECTOR = f"{NOON_MS + 60_000}._domainkey."
OTHER = {"email_id": "scott@other.example"}
BAD_REQUEST = (
    "The request cannot be performed. Usually because of malformed parameter or missing parameter."
)


@pytest.fixture
async def empty_zoho() -> AsyncIterator[Zoho]:
    async with served_zoho(configured=False) as it:
        yield it


async def test_get_shows_the_seed_configuration_in_the_six_fields(zoho: Zoho) -> None:
    answer = await zoho.get()

    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json()) == {"url", "data"}
    assert answer.json()["url"] == PATH
    data = answer.json()["data"]
    assert set(data) == {
        *("email_id", "name", "cname_status"),
        *("dkim_status", "dkim_host", "dkim_value"),
    }
    assert (data["email_id"], data["name"]) == ("scott@acme.example", "Scott Fisher")
    assert (data["cname_status"], data["dkim_status"]) == ("verified", "not_verified")
    assert data["dkim_host"] == f"{NOON_MS}._domainkey.acme.example"
    assert bits(data) == 2048


async def test_delete_answers_204_without_a_byte_and_may_be_repeated(zoho: Zoho) -> None:
    answers = [await zoho.delete(), await zoho.delete()]

    assert [(a.status_code, a.content) for a in answers] == [(204, b""), (204, b"")]
    assert (await zoho.get()).json() == {"url": PATH, "data": {}}


async def test_a_partial_put_merges_into_what_is_configured(zoho: Zoho) -> None:
    before = await zoho.data()

    answer = await zoho.put({"name": "Help desk"})

    assert await zoho.data() == {**before, "name": "Help desk"}
    assert answer.json() == (await zoho.get()).json()


@pytest.mark.parametrize("missing", ["name", "email_id", "cname_status"])
async def test_with_nothing_configured_put_needs_three_fields(
    empty_zoho: Zoho, missing: str
) -> None:
    body = {name: value for name, value in WHOLE.items() if name != missing}

    answer = await empty_zoho.put(body)

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})
    assert await empty_zoho.data() == {}


@pytest.mark.parametrize(
    ("body", "size", "host", "statuses"),
    [
        (
            {"email_id": "it@ACME.example", "dkim_key_size": 2048},
            2048,
            OLD_HOST,
            "verified verified",
        ),
        ({"dkim_key_size": 1024}, 1024, NEW_SELECTOR + "acme.example", "not_verified verified"),
        (OTHER, 1024, NEW_SELECTOR + "other.example", "not_verified not_verified"),
        (
            OTHER | {"cname_status": "verified", "dkim_key_size": 2048},
            *(2048, NEW_SELECTOR + "other.example", "not_verified verified"),
        ),
        (
            {"email_id": "it@bücher.example"},
            *(1024, NEW_SELECTOR + "xn--bcher-kva.example", "not_verified not_verified"),
        ),
    ],
)
async def test_another_domain_or_key_size_makes_a_new_key_to_be_verified_anew(
    zoho: Zoho, body: dict[str, Any], size: int, host: str, statuses: str
) -> None:
    zoho.emulator.edit(dkim_status="verified")
    before = await zoho.data()
    zoho.advance(60)

    await zoho.put(body)

    after = await zoho.data()
    assert (bits(after), after["dkim_host"]) == (size, host)
    assert f"{after['dkim_status']} {after['cname_status']}" == statuses
    assert (after["dkim_value"] == before["dkim_value"]) is (host == OLD_HOST)
    assert after["email_id"] == body.get("email_id", before["email_id"])
    private = load_pem_private_key(zoho.emulator.state.keys[before["dkim_host"]].encode(), None)
    assert private.key_size == 2048


async def test_two_keys_in_the_same_millisecond_get_neighbouring_selectors(zoho: Zoho) -> None:
    await zoho.put({"dkim_key_size": 1024})
    first = await zoho.data()
    await zoho.put({"dkim_key_size": 2048})
    second = await zoho.data()

    assert first["dkim_host"].startswith(f"{NOON_MS + 1}.")
    assert second["dkim_host"].startswith(f"{NOON_MS + 2}.")


BAD_BODIES: dict[str, Any] = {
    "unknown key": {"field1": "value1", "field2": "value2"},
    "known and unknown key": {**WHOLE, "dkim_status": "verified"},
    "nothing": {},
    "a list": [WHOLE],
    "null": None,
    "a string": "name",
    "key size as text": {**WHOLE, "dkim_key_size": "2048"},
    "key size that does not exist": {**WHOLE, "dkim_key_size": 4096},
    "key size true": {**WHOLE, "dkim_key_size": True},
    "key size null": {**WHOLE, "dkim_key_size": None},
    "unknown status": {**WHOLE, "cname_status": "pending"},
    "status in capitals": {**WHOLE, "cname_status": "Verified"},
    "name null": {**WHOLE, "name": None},
    "name empty": {**WHOLE, "name": ""},
    "name blank": {**WHOLE, "name": " \t\u00a0"},
    "name a number": {**WHOLE, "name": 7},
    "address without @": {**WHOLE, "email_id": "acme.example"},
    "address with two @": {**WHOLE, "email_id": "a@b@acme.example"},
    "address without a dotted domain": {**WHOLE, "email_id": "it@localhost"},
    "address with a blank": {**WHOLE, "email_id": "i t@acme.example"},
    "address with an empty label": {**WHOLE, "email_id": "it@acme..example"},
    "address ending in a newline": {**WHOLE, "email_id": "it@acme.example\n"},
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
async def test_put_refuses_what_the_page_does_not_allow(zoho: Zoho, body: Any) -> None:
    before = await zoho.data()

    answer = await zoho.put(body)

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})
    assert await zoho.data() == before


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"not json", b'{"dkim_key_size": 2048.0}', b'{"name": NaN}', b"\xff"),
        *(b"[" * 100_000, b'{"name": "%b"}' % (b"x" * 2_000_000)),
    ],
    ids=["empty", "no JSON", "2048.0", "NaN", "no UTF-8", "too deep", "too large"],
)
async def test_put_refuses_bytes_that_are_no_arguments(zoho: Zoho, content: bytes) -> None:
    answer = await zoho.call("PUT", content=content)

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 400),
        ("text/plain", 400),
        (None, 200),
    ],
)
async def test_put_takes_only_json_by_its_content_type(
    zoho: Zoho, content_type: str | None, status: int
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = await zoho.call("PUT", content=json.dumps(WHOLE).encode(), headers=headers)

    assert (answer.request.headers.get("Content-Type"), answer.status_code) == (
        content_type,
        status,
    )


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/*;q=0.1", 200),
        ("text/html", 406),
        (None, 200),
    ],
)
async def test_an_accept_header_that_excludes_json_is_a_406(
    zoho: Zoho, accept: str | None, status: int
) -> None:
    del zoho.http.headers["Accept"]
    answer = await zoho.get(headers={"Accept": accept} if accept else {})

    assert answer.status_code == status


@pytest.mark.parametrize("scheme", ["Bearer", "Zoho-oauthtoken", "bearer"])
async def test_both_header_schemes_are_accepted(zoho: Zoho, scheme: str) -> None:
    token = zoho.emulator.state.credentials.access_token
    answer = await zoho.get(headers={"Authorization": f"{scheme} {token}"})

    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Basic YTpi"}, {"Authorization": "Bearer 1000.a.b"}],
    ids=["none", "another scheme", "an unknown token"],
)
async def test_without_a_live_token_every_path_and_method_is_a_401(
    zoho: Zoho, headers: dict[str, str]
) -> None:
    calls = [("GET", PATH), ("PATCH", PATH), ("GET", "/nowhere"), ("GET", "/oauth/v2/token")]
    answers = [await zoho.http.request(*call, headers=headers) for call in calls]

    assert {a.status_code for a in answers} == {401}
    assert {a.json()["message"] for a in answers} == {
        "Request was rejected because of invalid AuthToken."
    }


async def test_an_access_token_lives_for_an_hour(zoho: Zoho) -> None:
    zoho.advance(3599)
    assert (await zoho.get()).status_code == 200
    zoho.advance(1)
    assert (await zoho.get()).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PATCH", "HEAD", "OPTIONS", "TRACE"])
async def test_other_methods_are_a_405_that_names_the_allowed_ones(zoho: Zoho, method: str) -> None:
    answer = await zoho.call(method)

    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, PUT, DELETE"


@pytest.mark.parametrize(
    "path",
    ["/", "/api/v2/nowhere", f"{PATH}/", "/a%0Ab", "//", "/api/v3/mailconfigurations/global"],
)
async def test_an_unknown_path_is_a_404_whatever_the_method(zoho: Zoho, path: str) -> None:
    answers = [await zoho.call(method, path) for method in ("GET", "PATCH")]

    assert [a.status_code for a in answers] == [404, 404]
    assert answers[0].json()["message"].startswith("The URL you've sent is wrong.")


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("ZohoCliq.Organisation.READ", {"GET"}),
        ("ZohoCliq.Organisation.UPDATE", {"PUT"}),
        ("ZohoCliq.Organisation.DELETE", {"DELETE"}),
        ("ZohoCliq.Organisation.ALL", {"GET", "PUT", "DELETE"}),
        ("zohocliq.organisation.all", set()),
        ("ZohoCliq.Channels.READ", set()),
    ],
)
async def test_each_method_needs_its_scope(zoho: Zoho, scope: str, allowed: set[str]) -> None:
    token = zoho.emulator.issue_access_token("admin", [scope]).token

    answers = {
        "GET": await zoho.get(token=token),
        "PUT": await zoho.put(WHOLE, token=token),
        "DELETE": await zoho.delete(token=token),
    }

    assert {method for method, a in answers.items() if a.is_success} == allowed
    assert {a.status_code for a in answers.values() if not a.is_success} <= {403}


async def test_checks_run_path_method_scope_role_accept_body(zoho: Zoho) -> None:
    wrong_accept = {"Accept": "text/html"}
    no_scope = zoho.emulator.issue_access_token("member", ["x"]).token
    member = zoho.emulator.issue_access_token("member").token
    bad = {"nonsense": 1}

    assert (await zoho.call("PATCH", "/x", token=no_scope)).status_code == 404
    assert (await zoho.call("PATCH", token=no_scope)).status_code == 405
    assert (await zoho.put(bad, token=no_scope, headers=wrong_accept)).status_code == 403
    assert (await zoho.put(bad, token=member, headers=wrong_accept)).status_code == 403
    refused = await zoho.put(bad, headers=wrong_accept)
    assert refused.status_code == 406
    assert refused.json()["message"].startswith("The response has been received but")
    assert (await zoho.put(bad)).status_code == 400


@pytest.mark.parametrize(
    ("zones", "status"),
    [
        (["{}"], "verified"),
        (["v=DKIM1; {}"], "verified"),
        (["{}", ""], "verified"),  # what was verified stays so when the record goes
        (["{}|{}"], "not_verified"),
        (["{}|v=spf1 -all"], "not_verified"),
        (["k=rsa; p=AAAA"], "not_verified"),
        ([""], "not_verified"),
    ],
)
async def test_dkim_turns_verified_once_the_zone_has_the_record_and_no_other(
    zoho: Zoho, zones: list[str], status: str
) -> None:
    record = await zoho.data()
    for values in zones:
        texts = values.replace("{}", record["dkim_value"]).split("|") if values else []
        zoho.emulator.set_zone({record["dkim_host"].upper() + ".": texts})
        assert (await zoho.put({"name": "IT"})).json()["data"]["dkim_status"] == status
    assert (await zoho.data())["dkim_status"] == status


async def test_the_zone_may_be_somebody_elses() -> None:
    zone: dict[str, list[str]] = {}
    async with served_zoho(lookup_txt=lambda name: zone.get(name, [])) as zoho:
        record = await zoho.data()
        zone[record["dkim_host"]] = [record["dkim_value"]]

        assert (await zoho.data())["dkim_status"] == "verified"


async def test_the_oracle_sees_the_writes_that_took_effect_and_no_others(zoho: Zoho) -> None:
    await zoho.get()
    await zoho.put({"name": "IT"})
    await zoho.put({"name": ""})
    zoho.emulator.edit(name="Somebody else")
    await zoho.delete()

    put, delete = zoho.emulator.writes()
    assert (put.method, put.user, put.body) == ("PUT", "admin", {"name": "IT"})
    assert put.after is not None
    assert put.after["name"] == "IT"
    assert (delete.method, delete.body, delete.after) == ("DELETE", None, None)


async def test_puts_at_the_same_time_all_take_effect(zoho: Zoho) -> None:
    sizes = [1024, 2048] * 5
    answers = await asyncio.gather(*(zoho.put({"dkim_key_size": size}) for size in sizes))

    assert {a.status_code for a in answers} == {200}
    assert len(zoho.emulator.writes()) == 10


async def test_the_request_log_holds_no_secret(zoho: Zoho) -> None:
    mine = zoho.emulator.state.credentials
    await zoho.get()
    await zoho.tokens()
    await zoho.http.post(f"/oauth/v2/token?client_secret={mine.client_secret}")
    await zoho.call("GET", f"/{mine.access_token}")
    await zoho.put({"name": mine.refresh_token})

    seen = repr(zoho.emulator.log.all())
    assert [r.method for r in zoho.emulator.log.all()] == ["GET", "POST", "POST", "GET", "PUT"]
    assert mine.access_token not in seen
    assert mine.refresh_token not in seen
    assert mine.client_secret not in seen


async def test_a_sandbox_goes_on_from_disk_where_it_stopped(tmp_path: Path) -> None:
    kept = tmp_path / "state.json"
    async with served_zoho() as zoho:
        await zoho.put({"name": "Kept"})
        fresh = (await zoho.tokens()).json()["access_token"]
        before = await zoho.data()
        key = zoho.emulator.state.keys[before["dkim_host"]]
        kept.write_text(json.dumps(zoho.emulator.state.dump()))

    async with served_zoho(configured=False) as zoho:
        zoho.emulator.state.become(State.loaded(json.loads(kept.read_text())))

        assert (await zoho.get(token=fresh)).json()["data"] == before
        assert zoho.emulator.state.keys[before["dkim_host"]] == key


def test_a_dump_of_something_else_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="this is no state of the emulated Cliq"):
        State.loaded({"people": []})


def test_an_unknown_profile_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match="there is no profile 'real'; there are documented, obs"):
        CliqEmulator(profile="real")


async def test_without_a_control_token_there_is_no_control_endpoint() -> None:
    async with served_zoho(control_token=None, configured=False) as zoho:
        answer = await zoho.control("GET", "state")
        known = await zoho.call("GET", "/__control/state")

        assert (answer.status_code, answer.json()) == (401, {"message": SENTENCES[401]})
        assert (known.status_code, known.json()) == (404, {"message": SENTENCES[404]})


async def test_a_reset_leaves_the_switches_as_they_were_at_the_start() -> None:
    emulator = CliqEmulator(configured=False, switches={"throttle": False})
    emulator.set_profile("observed", {"strict_put": True})

    emulator.reset()

    assert emulator.state.switches == Switches(throttle=False)


async def test_keys_are_made_where_none_are_given() -> None:
    async with served_zoho(keys=None, configured=False) as zoho:
        await zoho.put(WHOLE)

        assert bits(await zoho.data()) == 1024
