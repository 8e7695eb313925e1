"""How the emulated Cliq speaks: its switches, the two profiles made of them, and its refusals.

Zoho's page documents one behaviour; public clients report another. `documented` is the page's,
`observed` is what those clients saw, and every difference is a switch, so that a client can be held
against each alone. Source: zoho.com/cliq/help/restapi/v2/customemail/.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from aiohttp import web

ALLOWED_METHODS = ("GET", "PUT", "DELETE")
PLACEHOLDER = {"Response Code": "204 No response"}
"""The body that the page shows for DELETE, which has none."""


def _switch(meaning: str, *, on: bool = False) -> Any:
    """A field of `Switches`; `meaning` is shown to whoever may turn it."""
    return field(default=on, metadata={"meaning": meaning})


@dataclass(frozen=True, slots=True)
class Switches:
    """Every deviation from the plainest Cliq, each off unless said otherwise."""

    error_codes: bool = _switch("Error bodies carry `code` beside `message`.")
    blank_401: bool = _switch("A call without a token gets two blank bytes of HTML.")
    scope_401: bool = _switch("A missing scope is a 401, not a 403.")
    throttle_400: bool = _switch("Throttled calls get 400, not 429.")
    method_400: bool = _switch("A method that does not exist gets 400, not 405.")
    sticky_email: bool = _switch(
        "PUT of another address over a configured one answers 200 and changes nothing."
    )
    oauth_throttle_400: bool = _switch("The throttled token endpoint answers 400, not 200.")
    cliq_admin_allowed: bool = _switch("The role “Cliq Admin” is enough.")
    strict_put: bool = _switch("PUT always needs `name`, `email_id` and `cname_status`.")
    fixed_window: bool = _switch(
        "Calls are counted per calendar minute, not over the last 60 seconds."
    )
    extend_lock: bool = _switch("Each locked call starts the 600 seconds again.")
    retry_after: bool = _switch("Throttled answers say `Retry-After`.")
    delete_placeholder: bool = _switch(
        "DELETE answers 200 and the page's placeholder instead of 204."
    )
    demote_on_loss: bool = _switch(
        "`dkim_status` falls back when the record disappears from the zone."
    )
    wrong_key_size: bool = _switch("A key is made of the other size than asked.")
    throttle: bool = _switch("The limits on calls and on token requests hold.", on=True)


PROFILES: dict[str, Switches] = {
    "documented": Switches(),
    "observed": Switches(
        error_codes=True,
        blank_401=True,
        scope_401=True,
        throttle_400=True,
        method_400=True,
        sticky_email=True,
        oauth_throttle_400=True,
    ),
}


def profile_switches(profile: str) -> Switches:
    """The switches of a profile. Raises ValueError with a sentence."""
    if profile not in PROFILES:
        raise ValueError(f"there is no profile {profile!r}; there are {', '.join(PROFILES)}")
    return PROFILES[profile]


def turned(switches: Switches, changes: Mapping[str, object]) -> Switches:
    """`switches` with some set anew. Raises ValueError with a sentence."""
    known = [f.name for f in fields(Switches)]
    for name, value in changes.items():
        if name not in known:
            raise ValueError(f"there is no switch {name!r}; there are {', '.join(known)}")
        if not isinstance(value, bool):
            raise ValueError(f"the switch {name!r} is true or false")
    return replace(switches, **{name: bool(value) for name, value in changes.items()})


def meanings() -> dict[str, str]:
    """What each switch does, in a sentence."""
    return {each.name: each.metadata["meaning"] for each in fields(Switches)}


def read_switches(words: Sequence[str]) -> dict[str, bool]:
    """Switches as a command line names them: `name`, `name=on` or `name=off`. Raises ValueError."""
    changes = {}
    for word in words:
        name, _, position = word.partition("=")
        if position not in {"", "on", "off"}:
            raise ValueError(f"the switch {name!r} is on or off, not {position!r}")
        changes[name] = position != "off"
    turned(Switches(), changes)
    return changes


def sentence(error: ValueError) -> str:
    """What one of these errors says, as a sentence of its own."""
    said = str(error)
    return f"{said[:1].upper()}{said[1:]}."


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as a value. Without a body there is no content type either."""

    status: int
    body: bytes = b""
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: Any, headers: dict[str, str] | None = None) -> Answer:
        return cls(status, json.dumps(value).encode(), "application/json", headers or {})

    def response(self) -> web.Response:
        headers = dict(self.headers)
        if self.content_type:
            headers["Content-Type"] = f"{self.content_type};charset=UTF-8"
        return web.Response(status=self.status, body=self.body or None, headers=headers)


SENTENCES = {
    400: "The request cannot be performed. Usually because of malformed parameter or missing "
    "parameter.",
    401: "Request was rejected because of invalid AuthToken.",
    403: "The user does not have enough permission or possibly not an user of the respective "
    "organization to access the resource.",
    404: "The URL you've sent is wrong. It's possible that the resource you've requested has been "
    "moved to another URL.",
    405: "The requested resource does not support the HTTP method used. For example, requesting "
    "List of all customers API with PUT as the HTTP method.",
    406: "The response has been received but the requested response type is not supported by the "
    "browser.",
    429: "Too many requests within a certain time frame.",
    500: "Cliq server encountered an error which prevents it from fulfilling the request.",
}
"""The page's eight messages, word for word."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One way in which Cliq says no.

    `status` is the documented one. `code` and, where it is known, `observed` (the sentence) are
    what public clients saw. `switch` names the switch that gives the answer `observed_status`.
    """

    status: int
    code: str
    observed: str = ""
    switch: str = ""
    observed_status: int = 0

    def answer(self, switches: Switches, headers: dict[str, str] | None = None) -> Answer:
        if self is NO_TOKEN and switches.blank_401:
            return Answer(401, b"\r\n", "text/html")
        is_switched = bool(self.switch) and getattr(switches, self.switch)
        status = self.observed_status if is_switched else self.status
        says_observed = self.observed and (is_switched or switches.error_codes)
        body = {"message": self.observed if says_observed else SENTENCES[self.status]}
        if switches.error_codes:
            body = {"code": self.code, **body}
        allow = {"Allow": ", ".join(ALLOWED_METHODS)} if status == 405 else {}
        return Answer.json(status, body, allow | (headers or {}))


class Refused(Exception):
    """Ends the handling of a call with `refusal`."""

    def __init__(self, refusal: Refusal, headers: dict[str, str] | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.headers = headers


NO_TOKEN = Refusal(401, "oauthtoken_invalid")
DEAD_TOKEN = Refusal(401, "oauthtoken_invalid", "Invalid OAuth token passed.")
THROTTLED = Refusal(
    429,
    "request_limit_exceeded",
    "You have exceeded the URL throttle limits.",
    "throttle_400",
    400,
)
UNKNOWN_PATH = Refusal(404, "request_url_invalid")
WRONG_METHOD = Refusal(
    405,
    "request_method_invalid",
    "The HTTP Method you are trying is invalid.",
    "method_400",
    400,
)
MISSING_SCOPE = Refusal(
    403,
    "oauthtoken_scope_invalid",
    "The OAuth token passed does not have the required scope.",
    "scope_401",
    401,
)
OUTSIDER = Refusal(403, "not_zoho_organization_user")
INACTIVE = Refusal(403, "inactive_appaccount_user")
NOT_ADMIN = Refusal(403, "not_an_organization_admin")
NOT_ACCEPTABLE = Refusal(406, "not_acceptable")
MALFORMED = Refusal(400, "operation_failed")
FAULT = Refusal(500, "internal_server_error")


_OF_STATUS = {
    refusal.status: refusal
    for refusal in (
        MALFORMED,
        DEAD_TOKEN,
        NOT_ADMIN,
        UNKNOWN_PATH,
        WRONG_METHOD,
        NOT_ACCEPTABLE,
        THROTTLED,
        FAULT,
    )
}


def answer_of_status(status: int, switches: Switches) -> Answer:
    """An error answer with exactly this status, with the body that goes best with it."""
    return replace(_OF_STATUS.get(status, FAULT).answer(switches), status=status)


def extra_key(name: str) -> Refusal:
    return Refusal(400, "extra_key_found", f"'{name}' is an extra key in the JSON Object.")


def bad_value(name: str) -> Refusal:
    return Refusal(400, "input_pattern_mismatch", f"Unidentified value passed for the '{name}' key")
