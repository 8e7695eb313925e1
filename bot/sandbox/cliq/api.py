"""Cliq's API: every check in Zoho's order, then one of three calls.

The order is: token, throttle, path, method, scope, organisation and role, Accept, body, action. It
holds for every path and method, so an unknown path without a token is a 401, and a call answered
4xx has been counted.
"""

from __future__ import annotations

import math

from aiohttp import web

from bot.sandbox.cliq import config
from bot.sandbox.cliq.config import PATH, envelope
from bot.sandbox.cliq.profile import (
    ALLOWED_METHODS,
    DEAD_TOKEN,
    INACTIVE,
    MALFORMED,
    MISSING_SCOPE,
    NO_TOKEN,
    NOT_ACCEPTABLE,
    NOT_ADMIN,
    OUTSIDER,
    PLACEHOLDER,
    THROTTLED,
    UNKNOWN_PATH,
    WRONG_METHOD,
    Answer,
    Refused,
)
from bot.sandbox.cliq.sender import CustomSender
from bot.sandbox.cliq.state import ALL_SCOPE, SCOPES, AccessToken, Role, State
from bot.sandbox.clock import AdjustableClock

SCHEMES = ("bearer", "zoho-oauthtoken")
SCOPE_OF_METHOD = dict(zip(("GET", "PUT", "DELETE"), SCOPES, strict=True))


def bearer(request: web.Request) -> str | None:
    """The token of either header scheme; None if there is none."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() in SCHEMES else None


class CliqApi:
    """Answers calls on behalf of the users in `state`."""

    def __init__(self, state: State, clock: AdjustableClock, sender: CustomSender) -> None:
        self._state = state
        self._clock = clock
        self._sender = sender

    async def answer(self, request: web.Request, body: bytes | None) -> Answer:
        """The answer to a call; `body` None is one too large to be read."""
        try:
            token = self._token(request)
            self._count(token.user, request)
            _check_address(request)
            _check_scope(token, request.method)
            self._check_user(token.user)
            if not config.accepts_json(",".join(request.headers.getall("Accept", []))):
                raise Refused(NOT_ACCEPTABLE)
            return await self._act(request, body, token.user)
        except Refused as refused:
            return refused.refusal.answer(self._state.switches, refused.headers)

    def _token(self, request: web.Request) -> AccessToken:
        given = bearer(request)
        if given is None:
            raise Refused(NO_TOKEN)
        token = self._state.live_token(given, self._clock.now())
        if token is None:
            raise Refused(DEAD_TOKEN)
        return token

    def _count(self, user: str, request: web.Request) -> None:
        switches, now = self._state.switches, self._clock.now()
        left = self._state.throttle.admit(user, request.method, request.path, now, switches)
        if left is not None:
            seconds = str(math.ceil(left.total_seconds()))
            raise Refused(THROTTLED, {"Retry-After": seconds} if switches.retry_after else None)

    def _check_user(self, user_id: str) -> None:
        user = self._state.users[user_id]
        if user.organisation is None:
            raise Refused(OUTSIDER)
        if not user.active:
            raise Refused(INACTIVE)
        is_enough = {Role.ADMIN}
        if self._state.switches.cliq_admin_allowed:
            is_enough.add(Role.CLIQ_ADMIN)
        if user.role not in is_enough:
            raise Refused(NOT_ADMIN)

    async def _act(self, request: web.Request, body: bytes | None, user: str) -> Answer:
        match request.method:
            case "GET":
                return Answer.json(200, envelope(self._sender.read()))
            case "PUT":
                if body is None:
                    raise Refused(MALFORMED)
                arguments = config.parsed(body, request.headers.get("Content-Type"))
                after = await self._sender.put(user, arguments)
                return Answer.json(200, envelope(after))
            case _:
                self._sender.delete(user)
                if self._state.switches.delete_placeholder:
                    return Answer.json(200, PLACEHOLDER)
                return Answer(204)


def _check_address(request: web.Request) -> None:
    if request.path != PATH:
        raise Refused(UNKNOWN_PATH)
    if request.method not in ALLOWED_METHODS:
        raise Refused(WRONG_METHOD)


def _check_scope(token: AccessToken, method: str) -> None:
    if not {SCOPE_OF_METHOD[method], ALL_SCOPE} & set(token.scopes):
        raise Refused(MISSING_SCOPE)
