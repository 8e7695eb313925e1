"""Typed methods as calls that take JSON, and a far end's control endpoint made from them.

A method's signature says what its call takes: names, types, bounds and what may be left out, by
pydantic. What does not fit, an unknown name included, is refused with a sentence.
"""

from __future__ import annotations

import hmac
import inspect
import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import AwareDatetime, Field, FiniteFloat, ValidationError, validate_call

from bot.errors import InputError
from bot.sandbox.clock import AdjustableClock

CONTROL_PREFIX = "/__control"
MOST_SECONDS = 36_525 * 86_400
REFUSALS = (ValueError, InputError)
"""What a method raises if it cannot be done; the sentence is shown as it is."""

Json = dict[str, Any]
Call = Callable[[Json], Awaitable[Any]]
Id = Annotated[str, Field(alias="id")]
Count = Annotated[int, Field(strict=True, ge=1)]


def typed(act: Callable[..., Any]) -> Call:
    """`act` as a call that takes its arguments from JSON. Raises ValueError with a sentence."""
    checked = validate_call(act)

    async def call(given: Json) -> Any:
        try:
            answer = checked(**given)
            return await answer if inspect.isawaitable(answer) else answer
        except ValidationError as error:
            raise ValueError("; ".join(map(_sentence, error.errors()))) from error

    return call


def _sentence(fault: Any) -> str:
    where = f"`{'.'.join(map(str, fault['loc']))}`"
    if fault["type"].startswith("missing"):
        return f"{where} is missing"
    if fault["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"there is no {where} to say here"
    return f"{where}: {fault['msg'][:1].lower()}{fault['msg'][1:]}"


def control_app(control: object, token: str, *, only_from_here: bool = False) -> web.Application:
    """What `control` can do, to be mounted under `CONTROL_PREFIX` for those who know the token.

    Its method `get_sees` answers `GET sees`, `put_users_id` answers `PUT users/{id}`. A call's
    arguments come from the path, the query and the body; its answer is JSON. `only_from_here`
    refuses callers on other machines.
    """
    acts = {_route(name): act for name, act in methods_of(control)}
    app = web.Application(middlewares=[_guard(token, only_from_here), _unknown(acts)])
    for name, act in acts.items():
        verb, _, path = name.partition(" ")
        app.router.add_route(verb, f"/{path}", _answering(typed(act)))
    return app


def methods_of(it: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Those whose name has no underscore in front."""
    for name, method in inspect.getmembers(it, inspect.ismethod):
        if not name.startswith("_"):
            yield name, method


def _route(name: str) -> str:
    verb, _, path = name.partition("_")
    return f"{verb.upper()} {re.sub('_id$', '/{id}', path)}"


def _answering(call: Call) -> Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            given = {**request.query, **await _body(request), **request.match_info}
            return web.json_response(text=as_text(await call(given)))
        except REFUSALS as refusal:
            return refused(str(refusal), 400)

    return answer


async def _body(request: web.Request) -> Json:
    """The JSON object of a call; an empty body is `{}`. Raises ValueError with a sentence."""
    sent = await request.read()
    try:
        body = json.loads(sent) if sent.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ValueError(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def as_text(value: Any) -> str:
    """JSON of plain values, dataclasses and times."""
    return json.dumps(
        value, default=lambda it: it.isoformat() if hasattr(it, "isoformat") else asdict(it)
    )


def refused(sentence: str, status: int) -> web.Response:
    return web.json_response({"error": sentence}, status=status)


def _guard(token: str, only_from_here: bool) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if only_from_here and not _is_loopback(request.remote or ""):
            return refused("the control endpoint answers callers on its own machine only", 403)
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            return refused("control token missing or wrong", 401)
        return await handler(request)

    return guard


def _is_loopback(address: str) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None)
    return bool((mapped or caller).is_loopback)


def _unknown(known: Iterable[str]) -> Any:
    @web.middleware
    async def unknown(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            asked = f"{request.method} {request.path}"
            return refused(f"there is no {asked}; there are {', '.join(known)}", error.status)

    return unknown


class ClockControl:
    """The calls that every far end with a clock has."""

    def __init__(self, clock: AdjustableClock) -> None:
        self._clock = clock

    def get_clock(self) -> Json:
        return {"now": self._clock.now()}

    def post_clock(
        self,
        advance_seconds: FiniteFloat | None = None,
        to: Annotated[AwareDatetime | None, Field(alias="set")] = None,
    ) -> Json:
        """Forwards by some seconds, or to a time such as 2026-01-31T12:00Z."""
        if (advance_seconds is None) == (to is None):
            raise ValueError("give either `advance_seconds`, a number, or `set`, a time")
        ahead = (to - self._clock.now()).total_seconds() if to else advance_seconds or 0
        if ahead > MOST_SECONDS:
            raise ValueError("the clock moves at most a hundred years at a time")
        self._clock.advance(timedelta(seconds=max(ahead, -1)))
        return self.get_clock()
