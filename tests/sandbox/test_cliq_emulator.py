"""The emulated Cliq in its documented profile, as a client on the wire meets it."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cliq_bench import PATH, WHOLE, Zoho, bits, served_zoho
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.errors import PortInUse
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.profile import SENTENCES, Switches
from bot.sandbox.cliq.serving import start
from bot.sandbox.cliq.state import State

NOON_MS = 1795348800000
"""2026-11-22T12:00:00Z, where the tests' clock stands, in milliseconds."""
BAD_REQUEST = (
    "The request cannot be performed. Usually because of malformed parameter or missing parameter."
)


@pytest.fixture
async def zoho() -> AsyncIterator[Zoho]:
    async with served_zoho() as it:
        yield it


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


async def test_get_with_nothing_configured_has_empty_data(empty_zoho: Zoho) -> None:
    answer = await empty_zoho.get()

    assert answer.status_code == 200
    assert answer.json() == {"url": PATH, "data": {}}


async def test_delete_answers_204_without_a_byte_and_may_be_repeated(zoho: Zoho) -> None:
    answers = [await zoho.delete(), await zoho.delete()]

    assert [(a.status_code, a.content) for a in answers] == [(204, b""), (204, b"")]
    assert await zoho.data() == {}


async def test_put_answers_as_get_does(zoho: Zoho) -> None:
    answer = await zoho.put({**WHOLE, "dkim_key_size": 1024})

    assert answer.status_code == 200
    assert answer.json() == (await zoho.get()).json()
    assert answer.json()["data"]["email_id"] == "it@acme.example"


async def test_a_partial_put_merges_into_what_is_configured(zoho: Zoho) -> None:
    before = await zoho.data()

    await zoho.put({"name": "Help desk"})

    assert await zoho.data() == {**before, "name": "Help desk"}


@pytest.mark.parametrize("missing", ["name", "email_id", "cname_status"])
async def test_with_nothing_configured_put_needs_three_fields(
    empty_zoho: Zoho, missing: str
) -> None:
    body = {name: value for name, value in WHOLE.items() if name != missing}

    answer = await empty_zoho.put(body)

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})
    assert await empty_zoho.data() == {}


async def test_a_first_key_has_1024_bits_unless_asked_otherwise(empty_zoho: Zoho) -> None:
    await empty_zoho.put(WHOLE)

    assert bits(await empty_zoho.data()) == 1024


async def test_same_domain_and_size_keep_selector_key_and_status(zoho: Zoho) -> None:
    zoho.emulator.edit(dkim_status="verified")
    before = await zoho.data()
    zoho.advance(60)

    await zoho.put({"email_id": "it@ACME.example", "dkim_key_size": 2048})

    assert await zoho.data() == {**before, "email_id": "it@ACME.example"}


async def test_another_key_size_makes_a_new_key_under_a_new_selector(zoho: Zoho) -> None:
    zoho.emulator.edit(dkim_status="verified")
    before = await zoho.data()
    zoho.advance(60)

    await zoho.put({"dkim_key_size": 1024})

    after = await zoho.data()
    assert bits(after) == 1024
    assert after["dkim_host"] == f"{NOON_MS + 60_000}._domainkey.acme.example"
    assert after["dkim_value"] != before["dkim_value"]
    assert after["dkim_status"] == "not_verified"


async def test_another_domain_makes_a_new_key_and_unverifies_both_statuses(zoho: Zoho) -> None:
    zoho.emulator.edit(dkim_status="verified")
    before = await zoho.data()

    await zoho.put({"email_id": "scott@other.example"})

    after = await zoho.data()
    assert after["dkim_host"].endswith("._domainkey.other.example")
    assert after["dkim_host"] != before["dkim_host"]
    assert bits(after) == 1024
    assert (after["dkim_status"], after["cname_status"]) == ("not_verified", "not_verified")


async def test_a_stated_cname_status_is_kept_as_sent_on_another_domain(zoho: Zoho) -> None:
    await zoho.put({"email_id": "scott@other.example", "cname_status": "verified"})

    assert (await zoho.data())["cname_status"] == "verified"


async def test_two_keys_in_the_same_millisecond_get_neighbouring_selectors(zoho: Zoho) -> None:
    await zoho.put({"dkim_key_size": 1024})
    first = await zoho.data()
    await zoho.put({"dkim_key_size": 2048})
    second = await zoho.data()

    assert first["dkim_host"].startswith(f"{NOON_MS + 1}.")
    assert second["dkim_host"].startswith(f"{NOON_MS + 2}.")


async def test_an_international_domain_is_kept_as_sent_and_encoded_in_the_host(
    zoho: Zoho,
) -> None:
    await zoho.put({"email_id": "it@bücher.example"})

    data = await zoho.data()
    assert data["email_id"] == "it@bücher.example"
    assert data["dkim_host"].endswith("._domainkey.xn--bcher-kva.example")


async def test_the_private_key_of_an_issued_record_stays_reachable(zoho: Zoho) -> None:
    before = await zoho.data()
    await zoho.put({"dkim_key_size": 1024})

    private = load_pem_private_key(
        zoho.emulator.state.keys[before["dkim_host"]].encode(), password=None
    )

    assert private.key_size == 2048


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
    [b"", b"not json", b'{"dkim_key_size": 2048.0}', b'{"name": NaN}', b"\xff", b"[" * 100_000],
    ids=["empty", "no JSON", "2048.0", "NaN", "no UTF-8", "too deep"],
)
async def test_put_refuses_bytes_that_are_no_arguments(zoho: Zoho, content: bytes) -> None:
    answer = await zoho.call("PUT", content=content)

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})


async def test_put_refuses_a_body_beyond_any_measure(zoho: Zoho) -> None:
    answer = await zoho.put({"name": "x" * 2_000_000})

    assert (answer.status_code, answer.json()) == (400, {"message": BAD_REQUEST})


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("application/x-www-form-urlencoded", 400),
        ("text/plain", 400),
    ],
)
async def test_put_takes_only_json_by_its_content_type(
    zoho: Zoho, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    answer = await zoho.call("PUT", content=json.dumps(WHOLE), headers=headers)

    assert answer.status_code == status


async def test_put_without_a_content_type_is_taken(zoho: Zoho) -> None:
    answer = await zoho.call("PUT", content=json.dumps(WHOLE).encode())

    assert "content-type" not in answer.request.headers
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/*;q=0.1", 200),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
    ],
)
async def test_an_accept_header_that_excludes_json_is_a_406(
    zoho: Zoho, accept: str, status: int
) -> None:
    answer = await zoho.get(headers={"Accept": accept})

    assert answer.status_code == status


async def test_a_406_comes_in_json_and_stops_a_delete(zoho: Zoho) -> None:
    answer = await zoho.delete(headers={"Accept": "text/html"})

    assert answer.status_code == 406
    assert answer.json()["message"].startswith("The response has been received but")
    assert await zoho.data() != {}


async def test_without_an_accept_header_the_answer_comes(zoho: Zoho) -> None:
    del zoho.http.headers["Accept"]

    assert (await zoho.get()).status_code == 200


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


@pytest.mark.parametrize("user", ["cliq_admin", "member", "inactive", "outsider"])
async def test_only_an_active_full_admin_of_the_organisation_may_call(
    zoho: Zoho, user: str
) -> None:
    answer = await zoho.get(token=zoho.emulator.issue_access_token(user).token)

    assert answer.status_code == 403
    assert answer.json()["message"].startswith("The user does not have enough permission")


async def test_checks_run_path_method_scope_role_accept_body(zoho: Zoho) -> None:
    wrong_accept = {"Accept": "text/html"}
    no_scope = zoho.emulator.issue_access_token("member", ["x"]).token
    member = zoho.emulator.issue_access_token("member").token
    bad = {"nonsense": 1}

    assert (await zoho.call("PATCH", "/x", token=no_scope)).status_code == 404
    assert (await zoho.call("PATCH", token=no_scope)).status_code == 405
    assert (await zoho.put(bad, token=no_scope, headers=wrong_accept)).status_code == 403
    assert (await zoho.put(bad, token=member, headers=wrong_accept)).status_code == 403
    assert (await zoho.put(bad, headers=wrong_accept)).status_code == 406
    assert (await zoho.put(bad)).status_code == 400


async def test_the_host_header_is_not_judged(zoho: Zoho) -> None:
    assert (await zoho.get(headers={"Host": "cliq.zoho.com"})).status_code == 200


async def test_a_chunked_body_is_read(zoho: Zoho) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"name":'
        yield b' "In pieces"}'

    answer = await zoho.call("PUT", content=chunks())

    assert answer.request.headers["Transfer-Encoding"] == "chunked"
    assert answer.json()["data"]["name"] == "In pieces"


async def test_dkim_turns_verified_once_the_zone_has_the_record(zoho: Zoho) -> None:
    record = await zoho.data()
    zoho.emulator.set_zone(
        {record["dkim_host"].upper() + ".": [f"v=DKIM1; {record['dkim_value']}"]}
    )

    assert (await zoho.data())["dkim_status"] == "verified"
    assert (await zoho.put({"name": "IT"})).json()["data"]["dkim_status"] == "verified"


async def test_dkim_stays_verified_when_the_record_goes(zoho: Zoho) -> None:
    record = await zoho.data()
    zoho.emulator.set_zone({record["dkim_host"]: [record["dkim_value"]]})
    await zoho.get()
    zoho.emulator.set_zone({})

    assert (await zoho.data())["dkim_status"] == "verified"


async def test_dkim_is_not_verified_by_a_wrong_or_a_second_record(zoho: Zoho) -> None:
    record = await zoho.data()
    right, host = record["dkim_value"], record["dkim_host"]

    for values in ([right, right], [right, "v=spf1 -all"], ["k=rsa; p=AAAA"], []):
        zoho.emulator.set_zone({host: values})
        assert (await zoho.data())["dkim_status"] == "not_verified"


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


async def test_an_edit_in_the_admin_panel_shows_at_once(zoho: Zoho) -> None:
    zoho.emulator.edit(email_id="boss@acme.example", dkim_status="expired")

    data = await zoho.data()
    assert (data["email_id"], data["dkim_status"]) == ("boss@acme.example", "expired")


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


async def test_the_dotenv_lines_name_everything_a_client_needs() -> None:
    served = await start(CliqEmulator(configured=False), control_token="ct")
    await served.close()
    mine = served.emulator.state.credentials

    assert served.dotenv() == [
        f"CLIQ_API_URL={served.url}",
        f"ZOHO_ACCOUNTS_URL={served.url}",
        f"ZOHO_CLIENT_ID={mine.client_id}",
        f"ZOHO_CLIENT_SECRET={mine.client_secret}",
        f"ZOHO_REFRESH_TOKEN={mine.refresh_token}",
        f"CLIQ_ACCESS_TOKEN={mine.access_token}",
        f"CLIQ_CONTROL_URL={served.url}/__control",
        "CLIQ_CONTROL_TOKEN=ct",
    ]


async def test_a_taken_port_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"Port {port}"):
            await start(CliqEmulator(configured=False), port=port)


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


async def test_keys_are_made_when_none_are_ready() -> None:
    async with served_zoho(keys=None, configured=False) as zoho:
        await zoho.put(WHOLE)

        assert bits(await zoho.data()) == 1024
