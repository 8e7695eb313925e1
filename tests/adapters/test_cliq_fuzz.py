"""Whatever Zoho answers, the client ends in a result or in an error of the tree, never in anything else."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from bot.adapters.cliq.accounts import read_grant, read_token
from bot.adapters.cliq.answers import Answer, check, read_config
from bot.errors import MailcfgError
from tests.soak.options import SOAK, Soak

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FEW, MANY = 3_000, 100_000
SENDER = {
    "url": "/api/v2/mailconfigurations/global",
    "data": {
        "email_id": "scott.fisher@zylkerorg.gq",
        "name": "Scott",
        "dkim_host": "1522905413783._domainkey.zylkerorg.gq",
        "dkim_value": "k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC",
        "dkim_status": "not_verified",
        "cname_status": "verified",
    },
}
THROTTLED = "You have exceeded the URL throttle limits."
SEEN: list[tuple[int, object]] = [
    (200, SENDER),
    (200, {"type": "mailconfiguration", **SENDER}),
    (200, {"url": "/api/v2/mailconfigurations/global", "data": {}}),
    (200, {"Response Code": "204 No response"}),
    (204, b""),
    (400, {"message": "The request cannot be performed. Usually because of malformed parameter."}),
    (400, {"code": "request_limit_exceeded", "message": THROTTLED}),
    (400, {"code": "URL_ROLLING_THROTTLES_LIMIT_EXCEEDED"}),
    (400, {"message": THROTTLED}),
    (400, {"code": "extra_key_found", "message": "'content' is an extra key in the JSON Object."}),
    (400, {"code": "input_pattern_mismatch"}),
    (400, {"code": "request_method_invalid"}),
    (400, {"code": "operation_failed"}),
    (401, {"code": "oauthtoken_invalid", "message": "Invalid OAuth token passed."}),
    (401, {"code": "oauthtoken_scope_invalid"}),
    (401, b"\r\n"),
    (403, {"code": "inactive_appaccount_user"}),
    (403, {"code": "not_an_organization_admin"}),
    (404, {"code": "request_url_invalid"}),
    (429, {"message": "Too many requests within a certain time frame."}),
    (500, {"message": "Cliq server encountered an error which prevents it from fulfilling it."}),
    (502, b"<html><body><h1>502 Bad Gateway</h1></body></html>"),
    (
        200,
        {"access_token": "1000.a.b", "expires_in": 3600, "api_domain": "https://www.zohoapis.com"},
    ),
    (200, {"access_token": "1000.a.b", "refresh_token": "1000.c.d", "expires_in": 3_600_000}),
    (200, {"error": "invalid_code"}),
    (200, {"error": "invalid_client"}),
    (400, {"error": "Access Denied", "error_description": "You have made too many requests"}),
]
"""What the vendor's pages print and public clients report."""

STATUSES = [*range(200, 209), *range(300, 309), *range(400, 452), *range(500, 512), 520, 599, 0, 99]
ODD = [None, True, 0, -1, 1e308, float("nan"), "", "\ud800", "\x00", "x" * 5000, [], {}, [[]], "é"]
WAITS = ["", "5", "-1", "soon", "9" * 5000, "Sun, 22 Nov 2026 12:20:00 GMT", "1e9", "\u0663", "٣٤"]
WAITS += ["Mon, 01 Jan 0001 00:00:00 +2359", "Fri, 31 Dec 9999 23:59:59 -2359", "\x00"]
READERS: list[Callable[[Answer], object]] = [
    lambda answer: read_config(answer, now=NOW),
    lambda answer: read_config(answer, now=NOW, granted=frozenset()),
    lambda answer: check(answer, now=NOW),
    lambda answer: read_token(answer.status, answer.body, now=NOW),
    lambda answer: read_grant(answer.status, answer.body, now=NOW),
]


def spoilt(value: object, dice: random.Random) -> object:
    """The same shape with something odd somewhere in it."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        key = dice.choice(list(value))
        return value | {key: spoilt(value[key], dice)}
    return dice.choice(ODD)


def body(seen: object, dice: random.Random) -> bytes:
    raw = seen if isinstance(seen, bytes) else json.dumps(seen).encode()
    match dice.randrange(6):
        case 0:
            return raw
        case 1 | 2:
            return json.dumps(
                spoilt(seen, dice) if isinstance(seen, dict) else seen.decode()
            ).encode()
        case 3:
            return raw[: dice.randrange(len(raw) + 1)]
        case 4:
            at = dice.randrange(len(raw) + 1)
            return raw[:at] + dice.randbytes(dice.randrange(1, 9)) + raw[at:]
        case _:
            return dice.randbytes(dice.randrange(40)) or b"[" * 50_000


def case(dice: random.Random) -> Answer:
    status, seen = dice.choice(SEEN)
    if dice.random() < 0.5:
        status = dice.choice(STATUSES)
    headers = {"Retry-After": dice.choice(WAITS)} if dice.random() < 0.5 else {}
    return Answer(dice.choice(["GET", "PUT", "DELETE"]), status, headers, body(seen, dice))


def outcome(read: Callable[[Answer], object], answer: Answer) -> str:
    """ "result", or the name of an error of the tree; anything else that is raised gets out."""
    try:
        read(answer)
    except MailcfgError as error:
        return type(error).__name__ if str(error) else ""
    return "result"


@pytest.mark.parametrize("cases", [FEW, pytest.param(MANY, marks=pytest.mark.soak)])
def test_every_answer_ends_in_a_result_or_an_error_of_the_tree(
    request: pytest.FixtureRequest, cases: int
):
    soak: Soak = request.config.stash[SOAK]
    dice, ends = soak.random("answers"), Counter[str]()
    for _ in range(cases):
        answer = case(dice)
        ends[outcome(dice.choice(READERS), answer)] += 1

    assert len(ends) >= 15
    assert "" not in ends
    told = ", ".join(f"{count} {name}" for name, count in ends.most_common())
    soak.report("answers", f"{cases} cases: {told}")


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("status", "seen"), SEEN)
def test_what_was_seen_in_the_wild_ends_in_a_result_or_an_error_of_the_tree(
    read: Callable[[Answer], object], status: int, seen: object
):
    raw = seen if isinstance(seen, bytes) else json.dumps(seen).encode()

    for method in ("GET", "PUT", "DELETE"):
        assert outcome(read, Answer(method, status, {}, raw))
