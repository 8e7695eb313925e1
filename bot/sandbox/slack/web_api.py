"""The emulated Web API over HTTP: tokens, scopes, planned faults, the request log; and `response_url`.

What each method does is in `methods`.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

from aiohttp import web

from bot.sandbox.exchanges import WireLog
from bot.sandbox.faults import Faults
from bot.sandbox.slack.faults import Fault, FaultKind, Request
from bot.sandbox.slack.methods import LONGEST_POST, METHODS, Arguments, Method, content
from bot.sandbox.slack.records import Json, Message, ResponseUrl, SlackError
from bot.sandbox.slack.state import State

LARGEST_BODY = 2 * 1024 * 1024
MOST_REQUESTS = 10_000
RESPONSE_URL = "response_url"

Answer = web.StreamResponse


class WebApi:
    """Answers `/api/{method}` and `/response/…`. `requests` is what was asked lately, oldest
    first."""

    def __init__(self, state: State, faults: Faults[Fault], wire_log: WireLog) -> None:
        self._state = state
        self._faults = faults
        self._wire_log = wire_log
        self.requests: list[Request] = []

    def routes(self) -> list[web.RouteDef]:
        return [
            web.route("*", "/api/{method}", self._take),
            web.post("/response/{rest:.+}", self._take),
        ]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        """A call or an answer to a response_url, under whatever fault is planned for it."""
        method = request.match_info.get("method", RESPONSE_URL)
        fault, arguments = (
            self._faults.take(lambda fault: fault.fits(method)),
            await _arguments(request),
        )
        token = _bearer(request) or str(arguments.pop("token", ""))
        if fault is not None and fault.kind is not FaultKind.LOST_ANSWER:
            self._log(method, arguments, fault.kind)
            return _misbehave(request, fault)
        if method == RESPONSE_URL:
            error, response = self._respond(request.path, Arguments(arguments))
        else:
            error, response = self._answer(method, Arguments(arguments), token)
        self._log(method, arguments, error)
        return _hang_up(request) if fault is not None else response

    def _answer(self, name: str, arguments: Arguments, token: str) -> tuple[str | None, Answer]:
        error, answer = None, Json()
        try:
            method = METHODS.get(name)
            if method is None:
                raise SlackError("unknown_method", f"not emulated: {name}", req_method=name)
            self._check_token(method, token)
            self._check_scope(method)
            answer = {"ok": True, **method.run(self._state, arguments)}
        except SlackError as refusal:
            error, answer = refusal.code, refusal.answer()
        headers = {"X-OAuth-Scopes": ",".join(self._state.scopes)}
        return error, web.json_response(answer, headers=headers)

    def _check_token(self, method: Method, token: str) -> None:
        credentials = self._state.credentials
        right, wrong = credentials.bot_token, credentials.app_token
        if method.takes_app_token:
            right, wrong = wrong, right
        if not token:
            raise SlackError("not_authed")
        if hmac.compare_digest(token.encode(), wrong.encode()):
            raise SlackError("not_allowed_token_type")
        if not hmac.compare_digest(token.encode(), right.encode()):
            raise SlackError("invalid_auth")

    def _check_scope(self, method: Method) -> None:
        if method.scopes and not set(method.scopes) & set(self._state.scopes):
            raise SlackError(
                "missing_scope",
                needed=",".join(method.scopes),
                provided=",".join(self._state.scopes),
            )

    def _respond(self, path: str, arguments: Arguments) -> tuple[str | None, Answer]:
        try:
            self._take_response(path, arguments)
            return None, web.Response(text="ok")
        except SlackError as refusal:
            is_gone = refusal.code in ("used_url", "expired_url", "not_found")
            status = 404 if is_gone else 400
            return refusal.code, web.json_response(refusal.answer(), status=status)

    def _take_response(self, path: str, arguments: Arguments) -> None:
        target = self._state.response_urls.get(path)
        if target is None:
            raise SlackError("not_found")
        if self._state.clock.now().timestamp() >= target.expires:
            raise SlackError("expired_url")
        if target.uses_left < 1:
            raise SlackError("used_url")
        answer_through(self._state, target, arguments)
        self._state.response_urls[path] = replace(target, uses_left=target.uses_left - 1)

    def _log(self, method: str, arguments: Json, error: str | None) -> None:
        self.requests.append(Request(method, arguments, error))
        del self.requests[:-MOST_REQUESTS]
        detail = str(arguments.get("text") or "")
        self._wire_log.began("bot", "Slack", method, detail=detail, outcome=error or "ok")


def answer_through(state: State, target: ResponseUrl, arguments: Arguments) -> None:
    """Carry out what was sent to a response_url; raises SlackError.

    After a command the answer is private unless it says otherwise. After a click it takes the place
    of the message, unless it says `replace_original: false` or chooses a `response_type`; then it is
    a message of its own, for the whole channel unless it says otherwise
    (https://api.slack.com/legacy/interactive-message-field-guide).
    """
    original = state.messages.get((target.channel, target.ts or ""))
    if arguments.flag("delete_original") and original is not None:
        state.drop_message(original.channel, original.ts)
        return
    text, blocks = content(arguments, longest=LONGEST_POST)
    if original is not None and _replaces(arguments):
        new_blocks = state.with_ids(blocks)
        edited = state.next_ts()
        state.put_message(replace(original, text=text, blocks=new_blocks, edited=edited))
        return
    state.post(_separate(state, target, arguments, text, blocks))


def _replaces(arguments: Arguments) -> bool:
    if arguments.get("replace_original") is None:
        return not arguments.text("response_type")
    return arguments.flag("replace_original")


def _separate(
    state: State, target: ResponseUrl, arguments: Arguments, text: str, blocks: list[Json]
) -> Message:
    usual = "ephemeral" if target.ts is None else "in_channel"
    is_public = (arguments.text("response_type") or usual) == "in_channel"
    return state.app_message(
        target.channel,
        text,
        blocks,
        thread_ts=arguments.text("thread_ts") or target.thread_ts,
        ephemeral_to=None if is_public else target.user,
    )


async def _arguments(request: web.Request) -> Json:
    """What came in the query and in the body, which may be a form or JSON."""
    arguments: Json = dict(request.query)
    body = await request.text()
    if request.content_type == "application/json" or body.startswith("{"):
        return arguments | _json_object(body)
    form: Mapping[str, object] = await request.post()
    return arguments | dict(form)


def _json_object(body: str) -> Json:
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _misbehave(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.kind is FaultKind.RATELIMITED:
        headers = {"Retry-After": str(fault.retry_after)}
        return web.json_response(SlackError("ratelimited").answer(), status=429, headers=headers)
    if fault.kind is FaultKind.SERVER_ERROR:
        return web.Response(text="Internal Server Error", status=500)
    if fault.kind is FaultKind.ERROR:
        return web.json_response(SlackError(fault.error).answer())
    return _hang_up(request)


def _hang_up(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return web.Response()
