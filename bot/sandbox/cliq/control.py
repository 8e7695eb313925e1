"""The emulated Zoho's control endpoint: turn switches, move time, forge tokens, plan faults, look on.

Everything is JSON under `/__control`, for callers on this machine who know the start-up token. What
it does, `CliqEmulator` does; this file reads bodies and says in a sentence what is wrong with them.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler
from pydantic import (
    AliasChoices,
    AwareDatetime,
    BaseModel,
    Field,
    FiniteFloat,
    StrictBool,
    ValidationError,
)

from bot.sandbox.cliq.config import shown
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.log import masked
from bot.sandbox.cliq.state import ADMIN, ALL_SCOPE, SCOPES, Role, User
from bot.sandbox.listening import CONTROL_PREFIX, bad_control, control_body, control_guard

if TYPE_CHECKING:
    from bot.sandbox.cliq.emulator import CliqEmulator

MOST_SECONDS = 3652 * 86_400

Call = Callable[[web.Request], Awaitable[web.Response]]


class _Body(BaseModel, extra="forbid"):
    """The body of a control call; an unknown key is refused, since it is a slip."""


class _Profile(_Body):
    profile: str | None = None
    switches: dict[str, StrictBool] = {}


class _Lock(_Body):
    user: str
    locked: StrictBool


class _Clock(_Body):
    advance_seconds: FiniteFloat | None = None
    set: AwareDatetime | None = None

    def ahead_of(self, now: datetime) -> timedelta:
        """How far to move. Raises HTTPBadRequest."""
        if (self.advance_seconds is None) == (self.set is None):
            raise bad_control("give either advance_seconds or set")
        seconds = (self.set - now).total_seconds() if self.set else self.advance_seconds or 0
        if seconds > MOST_SECONDS:
            raise bad_control("the clock moves at most ten years at a time")
        return timedelta(seconds=max(seconds, -1))


class _NewToken(_Body):
    user: str = ADMIN
    scopes: tuple[str, ...] = (ALL_SCOPE,)


class _OldToken(_Body):
    token: str


class _NewCode(_Body):
    user: str = ADMIN
    scopes: tuple[str, ...] = SCOPES
    redirect_uri: str | None = None


class _User(_Body):
    role: Role | None = None
    active: StrictBool | None = None


class _Record(_Body):
    name: str
    type: str = "TXT"
    values: list[str]


class _Zone(_Body):
    records: list[_Record]


class _Fault(_Body):
    fault: FaultKind
    next: int = Field(1, ge=1)
    method: str | None = None
    path: Target = Target.API
    code: int | None = Field(None, ge=200, le=599, validation_alias=AliasChoices("code", "status"))
    seconds: FiniteFloat = Field(0, ge=0)
    skip: int = Field(0, ge=0)


_AnyBody = TypeVar("_AnyBody", bound=_Body)


def is_control(request: web.Request) -> bool:
    return request.path.startswith(CONTROL_PREFIX)


class ControlEndpoint:
    """The calls under `/__control`, each on one emulator."""

    def __init__(self, emulator: CliqEmulator, token: str) -> None:
        self._emulator = emulator
        self._guard = control_guard(token)
        self._calls: Mapping[tuple[str, str], Call] = {
            ("GET", "state"): self._state,
            ("POST", "reset"): self._reset,
            ("PUT", "profile"): self._profile,
            ("POST", "lock"): self._lock,
            ("POST", "clock"): self._clock,
            ("POST", "tokens"): self._issue_token,
            ("DELETE", "tokens"): self._expire_token,
            ("POST", "codes"): self._issue_code,
            ("PUT", "users/{id}"): self._change_user,
            ("PUT", "configuration"): self._edit,
            ("PUT", "zone"): self._zone,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("GET", "requests"): self._requests,
        }

    def mount(self, app: web.Application) -> None:
        app.middlewares.extend((_only_from_here, self._guard, self._unknown))
        for (method, path), call in self._calls.items():
            app.router.add_route(method, f"{CONTROL_PREFIX}/{path}", call)

    @web.middleware
    async def _unknown(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (web.HTTPNotFound, web.HTTPMethodNotAllowed) as error:
            known = ", ".join(f"{method} {path}" for method, path in self._calls)
            problem = f"there is no {request.method} {request.path}; there are {known}"
            return web.json_response({"error": problem}, status=error.status)

    async def _state(self, request: web.Request) -> web.Response:
        state = self._emulator.dump()
        del state["credentials"]
        for client in state["clients"].values():
            del client["secret"]
        for name in ("clients", "refresh_tokens", "access_tokens", "codes"):
            state[name] = list(state[name].values())
        state["now"] = self._emulator.clock.now().isoformat()
        state["faults"] = [asdict(fault) for fault in self._emulator.faults.waiting]
        return web.json_response(text=masked(json.dumps(state)))

    async def _reset(self, request: web.Request) -> web.Response:
        self._emulator.reset()
        return await self._state(request)

    async def _profile(self, request: web.Request) -> web.Response:
        body = await _read(request, _Profile)
        try:
            self._emulator.set_profile(body.profile, body.switches)
        except ValueError as error:
            raise bad_control(str(error)) from error
        state = self._emulator.state
        return web.json_response({"profile": state.profile, "switches": asdict(state.switches)})

    async def _lock(self, request: web.Request) -> web.Response:
        body = await _read(request, _Lock)
        user = self._known_user(body.user)
        throttle = self._emulator.state.throttle
        if body.locked:
            throttle.lock(user.id, self._emulator.clock.now())
        else:
            throttle.lift(user.id)
        return web.json_response({"user": user.id, "locked": body.locked})

    async def _clock(self, request: web.Request) -> web.Response:
        clock = self._emulator.clock
        ahead = (await _read(request, _Clock)).ahead_of(clock.now())
        try:
            clock.advance(ahead)
        except ValueError as error:
            raise bad_control(str(error)) from error
        return web.json_response({"now": clock.now().isoformat()})

    async def _issue_token(self, request: web.Request) -> web.Response:
        body = await _read(request, _NewToken)
        user = self._known_user(body.user)
        token = self._emulator.issue_access_token(user.id, body.scopes)
        answer = {"token": token.token, "user": user.id, "scopes": token.scopes}
        return web.json_response({**answer, "expires_at": token.expires_at.isoformat()})

    async def _expire_token(self, request: web.Request) -> web.Response:
        body = await _read(request, _OldToken)
        if not self._emulator.state.revoke(body.token):
            raise bad_control("there is no such token")
        return web.json_response({"expired": masked(body.token)})

    async def _issue_code(self, request: web.Request) -> web.Response:
        body = await _read(request, _NewCode)
        user = self._known_user(body.user)
        code = self._emulator.issue_code(user.id, body.scopes, body.redirect_uri)
        return web.json_response({"code": code, "user": user.id, "scopes": body.scopes})

    async def _change_user(self, request: web.Request) -> web.Response:
        user = self._known_user(request.match_info["id"])
        changes = (await _read(request, _User)).model_dump(exclude_none=True)
        changed = self._emulator.state.users[user.id] = replace(user, **changes)
        return web.json_response(asdict(changed))

    async def _edit(self, request: web.Request) -> web.Response:
        fields = await control_body(request)
        try:
            self._emulator.edit(**fields)
        except ValueError as error:
            raise bad_control(str(error)) from error
        live = self._emulator.state.configuration()
        return web.json_response({} if live is None else shown(live))

    async def _zone(self, request: web.Request) -> web.Response:
        if not self._emulator.has_own_zone:
            raise bad_control("this emulator looks at another zone; publish the record there")
        records = (await _read(request, _Zone)).records
        values: dict[str, list[str]] = {}
        for record in records:
            if record.type.upper() == "TXT":
                values.setdefault(record.name, []).extend(record.values)
        self._emulator.set_zone(values)
        return web.json_response({"txt": self._emulator.state.zone})

    async def _add_fault(self, request: web.Request) -> web.Response:
        body = await _read(request, _Fault)
        method = body.method and body.method.upper()
        fault = Fault(body.fault, body.next, method, body.path, body.code, body.seconds, body.skip)
        self._emulator.faults.add(fault)
        return self._faults()

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._emulator.faults.clear()
        return self._faults()

    def _faults(self) -> web.Response:
        waiting = self._emulator.faults.waiting
        return web.json_response({"faults": [asdict(fault) for fault in waiting]})

    async def _requests(self, request: web.Request) -> web.Response:
        log, writes = self._emulator.log, self._emulator.writes()
        seen = {
            "requests": [entry.as_json() for entry in log.all()],
            "counters": log.counters(),
            "writes": [write.as_json() for write in writes],
        }
        return web.json_response(text=masked(json.dumps(seen)))

    def _known_user(self, user: str) -> User:
        users = self._emulator.state.users
        if user not in users:
            raise bad_control(f"there is no user {user!r}; there are {', '.join(users)}")
        return users[user]


@web.middleware
async def _only_from_here(request: web.Request, handler: Handler) -> web.StreamResponse:
    if not _is_loopback(request.remote or ""):
        problem = "the control endpoint answers callers on its own machine only"
        return web.json_response({"error": problem}, status=403)
    return await handler(request)


def _is_loopback(address: str) -> bool:
    try:
        caller = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(caller, "ipv4_mapped", None)
    return (mapped or caller).is_loopback


async def _read(request: web.Request, model: type[_AnyBody]) -> _AnyBody:
    body: dict[str, Any] = await control_body(request)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False)
        said = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in faults]
        raise bad_control("; ".join(said)) from error
