"""What each answer of the Cliq API and of the accounts server means, on bytes."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.cliq.accounts import read_token
from bot.adapters.cliq.answers import Answer, check, read_config
from bot.domain.mail_config import MailConfig
from bot.errors import (
    Ambiguous,
    AuthError,
    BadRequest,
    CliqError,
    MalformedAnswer,
    MethodError,
    NotAcceptable,
    NotFound,
    OAuthConfigError,
    OAuthError,
    OAuthThrottled,
    OAuthUnavailable,
    PermissionDenied,
    RateLimited,
    ReauthRequired,
    ScopeError,
    ServerError,
)

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
READ, UPDATE = "ZohoCliq.Organisation.READ", "ZohoCliq.Organisation.UPDATE"
FIELDS = {
    "email_id": "scott@acme.example",
    "name": "Scott",
    "dkim_host": "1522905413783._domainkey.acme.example",
    "dkim_value": "k=rsa; p=AA",
    "dkim_status": "not_verified",
    "cname_status": "verified",
}


def answer(method: str, status: int, body: object = b"", **headers: str) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Answer(method, status, {k.replace("_", "-"): v for k, v in headers.items()}, raw)


def read(status: int, body: object) -> MailConfig | None:
    return read_config(answer("GET", status, body), now=NOW)


def test_the_six_fields_become_a_configuration() -> None:
    config = read(200, {"url": "/api/v2/mailconfigurations/global", "data": FIELDS})

    assert config == MailConfig(**FIELDS)


def test_unknown_keys_are_ignored_and_unknown_statuses_kept() -> None:
    data = FIELDS | {"dkim_status": "in_progress", "new_key": [1]}

    config = read(200, {"type": "mailconfiguration", "data": data})

    assert config == MailConfig(**FIELDS | {"dkim_status": "in_progress"})


def test_fields_other_than_the_address_may_be_absent() -> None:
    config = read(200, {"data": {"email_id": "scott@acme.example", "name": None}})

    assert config == MailConfig(email_id="scott@acme.example", name="")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {"url": "/api/v2/mailconfigurations/global", "data": {}}),
        (200, {"data": None}),
        (200, {"url": "/api/v2/mailconfigurations/global"}),
        (200, {}),
        (404, {"message": "The URL you've sent is wrong."}),
        (404, b"<html>"),
    ],
)
def test_no_custom_sender_has_many_spellings(status: int, body: object) -> None:
    assert read(status, body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"<html>hello</html>",
        b'{"data": {"email_id": "scott@acme',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"null",
        [FIELDS],
        {"data": [FIELDS]},
        {"data": "scott@acme.example"},
        {"data": {"name": "Scott"}},
        {"data": FIELDS | {"email_id": 5}},
        {"data": FIELDS | {"dkim_value": ["k=rsa"]}},
        {"data": FIELDS | {"name": "\ud800"}},
    ],
)
def test_a_success_that_cannot_be_read_is_malformed(body: object) -> None:
    with pytest.raises(MalformedAnswer):
        read(200, body)


@pytest.mark.parametrize(
    ("method", "status", "body"),
    [
        ("PUT", 200, {"data": FIELDS}),
        ("PUT", 200, {"data": {}}),
        ("PUT", 201, {"data": FIELDS}),
        ("PUT", 204, b""),
        ("DELETE", 204, b""),
        ("DELETE", 200, {"Response Code": "204 No response"}),
        ("DELETE", 200, b"ok"),
    ],
)
def test_these_writes_were_accepted(method: str, status: int, body: object) -> None:
    check(answer(method, status, body), now=NOW)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"data"', b"[]"])
def test_a_put_with_an_unreadable_success_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        check(answer("PUT", 200, body), now=NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"message": "The request cannot be performed."}, BadRequest),
        (400, {"code": "extra_key_found", "message": "x"}, BadRequest),
        (400, {"code": "operation_failed"}, BadRequest),
        (400, {"code": 1002}, BadRequest),
        (400, {"code": "extra_key_found", "message": "throttle limits"}, BadRequest),
        (400, {"code": "request_method_invalid"}, MethodError),
        (401, {"message": "Request was rejected because of invalid AuthToken."}, AuthError),
        (401, {"code": "oauthtoken_invalid"}, AuthError),
        (401, b"\r\n", AuthError),
        (401, {"code": "oauthtoken_scope_invalid"}, ScopeError),
        (403, {"code": "oauthtoken_scope_invalid"}, ScopeError),
        (403, {"message": "The user does not have enough permission"}, PermissionDenied),
        (403, {"code": "not_an_organization_admin"}, PermissionDenied),
        (403, b"<html>", PermissionDenied),
        (404, {"code": "request_url_invalid"}, NotFound),
        (405, {"message": "x"}, MethodError),
        (406, {"message": "x"}, NotAcceptable),
        (408, b"", Ambiguous),
        (409, b"", BadRequest),
        (422, b"", BadRequest),
        (429, {"message": "Too many requests within a certain time frame."}, RateLimited),
        (429, b"", RateLimited),
        (400, {"code": "request_limit_exceeded"}, RateLimited),
        (400, {"code": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"}, RateLimited),
        (403, {"code": "throttle_limit"}, RateLimited),
        (400, {"message": "You have exceeded the URL throttle limits."}, RateLimited),
        (403, {"message": "You have exceeded the URL throttle limits."}, PermissionDenied),
        (301, b"", MalformedAnswer),
        (307, b"", MalformedAnswer),
        (500, {"message": "Cliq server encountered an error"}, ServerError),
        (503, {"code": "request_limit_exceeded"}, ServerError),
        (599, b"\xff", ServerError),
    ],
)
def test_each_refusal_is_its_own_kind(status: int, body: object, kind: type[CliqError]) -> None:
    with pytest.raises(CliqError) as caught:
        check(answer("PUT", status, body), now=NOW)

    assert type(caught.value) is kind
    assert caught.value.method == "PUT"
    assert caught.value.status == status


def test_an_error_keeps_code_and_message_but_shows_a_sentence_of_ours() -> None:
    body = {"code": "input_pattern_mismatch", "message": "Unidentified value"}

    with pytest.raises(BadRequest) as caught:
        check(answer("PUT", 400, body), now=NOW)

    assert (caught.value.code, caught.value.message) == tuple(body.values())
    assert str(caught.value) == (
        "Zoho Cliq refused the values that were sent. Check them, then ask with others."
    )


@pytest.mark.parametrize("body", [b"", {"code": "no_such_config"}])
def test_nothing_to_remove_is_no_refusal(body: object) -> None:
    """A removal that timed out may have had its effect behind the read before the next one."""
    with pytest.raises(Ambiguous, match="there is nothing to remove; a read will tell"):
        check(answer("DELETE", 404, body), now=NOW)


def test_an_address_that_the_api_does_not_have_refuses_a_removal_too() -> None:
    with pytest.raises(NotFound):
        check(answer("DELETE", 404, {"code": "request_url_invalid"}), now=NOW)


@pytest.mark.parametrize(
    ("code", "stored"), [(r"a\u0000b", "a?b"), (r"a\ud800b", "a?b"), ("äöü", "äöü")]
)
def test_a_code_that_no_database_takes_does_not_hide_what_it_came_with(
    code: str, stored: str
) -> None:
    """PostgreSQL takes no NUL, and half of a surrogate pair is no UTF-8."""
    with pytest.raises(PermissionDenied) as caught:
        check(answer("PUT", 403, f'{{"code": "{code}"}}'.encode()), now=NOW)

    assert caught.value.code == stored


@pytest.mark.parametrize(
    ("status", "body", "source"),
    [
        (429, b"", "status"),
        (400, {"code": "request_limit_exceeded"}, "code"),
        (400, {"message": "Exceeded the URL throttle limits."}, "message"),
    ],
)
def test_a_throttle_locks_for_ten_minutes_and_says_how_it_showed(
    status: int, body: object, source: str
) -> None:
    with pytest.raises(RateLimited) as caught:
        check(answer("GET", status, body), now=NOW)

    assert caught.value.retry_at == NOW + timedelta(seconds=600)
    assert caught.value.source == source


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("5", 600),
        ("900", 900),
        ("99999999999999999999", 86400),
        ("9" * 6000, 86400),
        ("Sun, 22 Nov 2026 12:20:00 GMT", 1200),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 600),
        ("soon", 600),
        ("Sun, 22 Nov 99999999999 12:20:00 GMT", 600),
        ("-1", 600),
        ("", 600),
    ],
)
def test_a_longer_retry_after_prolongs_the_lock_up_to_a_day(retry_after: str, seconds: int) -> None:
    with pytest.raises(RateLimited) as caught:
        check(answer("GET", 429, b"", Retry_After=retry_after), now=NOW)

    assert caught.value.retry_at == NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("method", "required"),
    [("GET", READ), ("PUT", UPDATE), ("DELETE", "ZohoCliq.Organisation.DELETE")],
)
def test_a_scope_error_names_the_scope_of_that_call(method: str, required: str) -> None:
    with pytest.raises(ScopeError, match=required) as caught:
        check(answer(method, 401, {"code": "oauthtoken_scope_invalid"}), now=NOW)

    assert caught.value.required == required


@pytest.mark.parametrize(
    ("granted", "kind"),
    [
        (None, PermissionDenied),
        ({READ}, ScopeError),
        ({READ, UPDATE}, PermissionDenied),
        ({"ZohoCliq.Organisation.ALL"}, PermissionDenied),
        ({"zohocliq.organisation.update"}, ScopeError),
    ],
)
def test_a_403_without_a_code_is_a_scope_error_only_if_the_scope_is_known_to_lack(
    granted: set[str] | None, kind: type[CliqError]
) -> None:
    scopes = None if granted is None else frozenset(granted)

    with pytest.raises(kind):
        check(answer("PUT", 403, {"message": "x"}), now=NOW, granted=scopes)


@pytest.mark.parametrize(
    ("method", "kind"), [("GET", AuthError), ("PUT", ScopeError), ("DELETE", ScopeError)]
)
def test_a_401_without_a_code_is_a_scope_error_where_a_new_token_would_not_help(
    method: str, kind: type[CliqError]
) -> None:
    with pytest.raises(kind):
        check(answer(method, 401, {"message": "x"}), now=NOW, granted=frozenset({READ}))


def test_a_403_with_a_code_is_taken_at_its_word() -> None:
    body = {"code": "not_an_organization_admin"}

    with pytest.raises(PermissionDenied):
        check(answer("PUT", 403, body), now=NOW, granted=frozenset({READ}))


@given(
    method=st.sampled_from(["GET", "PUT", "DELETE"]),
    status=st.integers(200, 599),
    body=st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["data", "code", "message", "email_id", "name"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
    retry_after=st.text(max_size=40),
)
def test_no_answer_at_all_raises_anything_but_our_errors(
    method: str, status: int, body: bytes, retry_after: str
) -> None:
    got = answer(method, status, body, Retry_After=retry_after)
    with contextlib.suppress(CliqError):
        read_config(got, now=NOW)
    with contextlib.suppress(CliqError):
        check(got, now=NOW)


def token_body(**fields: object) -> bytes:
    return json.dumps({"access_token": "1000.aa.bb", "expires_in": 3600} | fields).encode()


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3300),
        ("3600", 3300),
        (3_600_000, 3300),
        (300, 150),
        (0, 0),
        (-5, 0),
        (None, 3300),
        ("soon", 3300),
        (float("nan"), 3300),
        (1e300, 86100),
    ],
)
def test_a_token_is_renewed_five_minutes_early_whatever_unit_its_life_has(
    expires_in: object, seconds: int
) -> None:
    token = read_token(200, token_body(expires_in=expires_in), now=NOW)

    assert token.refresh_at == NOW + timedelta(seconds=seconds)
    assert token.secret.get_secret_value() == "1000.aa.bb"


@pytest.mark.parametrize(
    ("scope", "scopes"),
    [
        (f"{READ},{UPDATE}", frozenset({READ, UPDATE})),
        (f"{READ} {UPDATE}", frozenset({READ, UPDATE})),
        ("", None),
        (None, None),
        (5, None),
    ],
)
def test_granted_scopes_are_known_if_the_answer_names_them(
    scope: object, scopes: frozenset[str] | None
) -> None:
    assert read_token(200, token_body(scope=scope), now=NOW).scopes == scopes


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"error": "invalid_code"}, ReauthRequired),
        (400, {"error": "invalid_code"}, ReauthRequired),
        (200, {"error": "invalid_client"}, OAuthConfigError),
        (200, {"error": "invalid_client_secret"}, OAuthConfigError),
        (200, {"error": "invalid_redirect_uri"}, OAuthConfigError),
        (200, {"error": "Access Denied", "status": "failure"}, OAuthThrottled),
        (400, {"error": "Access Denied", "error_description": "Trop"}, OAuthThrottled),
        (429, {}, OAuthThrottled),
        (429, b"", OAuthThrottled),
        (429, b"<html>", OAuthThrottled),
        (200, {"error": "general_error"}, OAuthUnavailable),
        (200, {"error": ["?"]}, OAuthUnavailable),
        (200, {"access_token": None}, OAuthUnavailable),
        (200, {"access_token": 5}, OAuthUnavailable),
        (200, {"access_token": ""}, OAuthUnavailable),
        (200, {"access_token": "a\r\nX: b"}, OAuthUnavailable),
        (200, {"access_token": "\u00e9"}, OAuthUnavailable),
        (200, {}, OAuthUnavailable),
        (200, b"<html>", OAuthUnavailable),
        (200, b"[" * 100_000, OAuthUnavailable),
        (200, b"[]", OAuthUnavailable),
        (302, {"access_token": "1000.aa.bb"}, OAuthUnavailable),
        (500, {"access_token": "1000.aa.bb"}, OAuthUnavailable),
    ],
)
def test_whatever_is_no_token_is_told_apart_by_its_error(
    status: int, body: object, kind: type[OAuthError]
) -> None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    with pytest.raises(OAuthError) as caught:
        read_token(status, raw, now=NOW)

    assert type(caught.value) is kind
