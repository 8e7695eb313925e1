"""What an answer of the Cliq API means: status, headers and bytes in, result or error out.

Pure, so that every odd answer is a row in a table of tests. Judged by status, then by `code`, never
by prose, which is localised and changes; the one exception is said where it is made. Vendor's page:
https://www.zoho.com/cliq/help/restapi/v2/customemail/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

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
    PermissionDenied,
    RateLimited,
    ScopeError,
    ServerError,
)

LOCK = timedelta(seconds=600)
"""How long Zoho locks a throttled call."""
LOCK_MAX = timedelta(days=1)

NOTHING_THERE = (
    "Zoho Cliq says that there is nothing to remove; a read will tell whether that is so."
)

SCOPES = {
    "GET": "ZohoCliq.Organisation.READ",
    "PUT": "ZohoCliq.Organisation.UPDATE",
    "DELETE": "ZohoCliq.Organisation.DELETE",
}
ALL_SCOPES = "ZohoCliq.Organisation.ALL"

_BY_STATUS: Mapping[int, type[CliqError]] = {
    401: AuthError,
    403: PermissionDenied,
    404: NotFound,
    405: MethodError,
    406: NotAcceptable,
    408: Ambiguous,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came; `headers` disregard case, as httpx's do."""

    method: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The decoded body. Raises ValueError."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def object(self) -> dict[str, Any]:
        """The body if it is a JSON object, else {}: for errors, whose body may be anything."""
        try:
            body = self.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def text_of(self, key: str) -> str | None:
        """What stands there, fit to be stored: the outcome of a write must not be lost to odd text."""
        value = self.object().get(key)
        if not isinstance(value, str | int):
            return None
        return str(value).encode(errors="replace").decode().replace("\0", "?")


def read_config(
    answer: Answer, *, now: datetime, granted: frozenset[str] | None = None
) -> MailConfig | None:
    """The configuration in the answer to a GET; None is "no custom sender".

    `granted` are the scopes of the token, where they are known. Raises CliqError.
    """
    if answer.status == 404:
        return None
    check(answer, now=now, granted=granted)
    body = _readable(answer)
    data = body.get("data")
    if data is None or data == {}:
        return None
    if not isinstance(data, dict):
        raise _malformed(answer)
    return _config(answer, data)


def check(answer: Answer, *, now: datetime, granted: frozenset[str] | None = None) -> None:
    """Return if the answer says that the call was accepted. Raises CliqError.

    An accepted PUT has a readable body, if any; a DELETE may say what it likes.
    """
    if 200 <= answer.status < 300:
        if answer.method == "PUT" and answer.status != 204:
            _readable(answer)
        return
    raise _error(answer, now, granted)


def is_scope_problem(answer: Answer) -> bool:
    """Whether the token is sound but lacks a scope, so that a new one would not help."""
    return (answer.text_of("code") or "").lower().endswith("scope_invalid")


def _error(answer: Answer, now: datetime, granted: frozenset[str] | None) -> CliqError:
    code, message = answer.text_of("code"), answer.text_of("message")
    about: dict[str, Any] = {"status": answer.status, "code": code, "message": message}
    source = _throttle_source(answer.status, code, message)
    if source is not None:
        retry_at = now + _lock_time(answer.headers.get("Retry-After"), now)
        return RateLimited(answer.method, retry_at=retry_at, source=source, **about)
    if _lacks_scope(answer, granted):
        return ScopeError(answer.method, required=SCOPES[answer.method], **about)
    if answer.status >= 500:
        return ServerError(answer.method, **about)
    if answer.status < 400:
        return MalformedAnswer(
            answer.method,
            sentence="Zoho Cliq answered with a redirect, which mailcfg never follows; check "
            "CLIQ_API_URL.",
            **about,
        )
    if answer.status == 400 and code == "request_method_invalid":
        return MethodError(answer.method, **about)
    if answer.status == 404 and answer.method == "DELETE" and code != "request_url_invalid":
        # To a GET it would mean "no custom sender": what was to be removed may be gone already.
        return Ambiguous(answer.method, sentence=NOTHING_THERE, **about)
    return _BY_STATUS.get(answer.status, BadRequest)(answer.method, **about)


def _throttle_source(status: int, code: str | None, message: str | None) -> str | None:
    """By what the answer shows itself as a throttle: `status`, `code` or `message`; None if not.

    The message counts only for a 400 without a code: such answers were seen, and nothing else in
    them tells the throttle from a refusal of the values.
    """
    if status == 429:
        return "status"
    if not 400 <= status < 500:
        return None
    if code is not None:
        word = code.lower()
        return "code" if word == "request_limit_exceeded" or "throttle" in word else None
    if status == 400 and "throttle limits" in (message or "").lower():
        return "message"
    return None


def _lock_time(retry_after: str | None, now: datetime) -> timedelta:
    """The documented lock, or the longer one that `Retry-After` asks for (RFC 9110 section 10.2.3)."""
    return min(max(LOCK, _asked_wait(retry_after or "", now)), LOCK_MAX)


def _asked_wait(text: str, now: datetime) -> timedelta:
    if text.strip().isdecimal():
        return timedelta(seconds=min(float(text), LOCK_MAX.total_seconds()))
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # no date, or one in a year that does not exist
        return timedelta(0)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now


def _lacks_scope(answer: Answer, granted: frozenset[str] | None) -> bool:
    if answer.status not in {401, 403} or answer.method not in SCOPES:
        return False
    if is_scope_problem(answer):
        return True
    # Without a code it may also mean that the user is no admin, or that the token is dead; only the
    # scopes can tell, and a new token would have no others.
    if answer.text_of("code") is not None or granted is None:
        return False
    return granted.isdisjoint({SCOPES[answer.method], ALL_SCOPES})


def _readable(answer: Answer) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError as error:
        raise _malformed(answer) from error
    if not isinstance(body, dict):
        raise _malformed(answer)
    return body


def _config(answer: Answer, data: dict[str, Any]) -> MailConfig:
    """Unknown keys are ignored, unknown statuses kept; only the address must be there."""
    values = {f.name: data.get(f.name) or "" for f in fields(MailConfig)}
    if not values["email_id"] or not all(map(_is_sound_text, values.values())):
        raise _malformed(answer)
    return MailConfig(**values)


def _is_sound_text(value: object) -> bool:
    """Text that can be stored and sent: JSON can also spell halves of surrogate pairs."""
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _malformed(answer: Answer) -> MalformedAnswer:
    return MalformedAnswer(answer.method, status=answer.status)
