"""The emulated Zoho's control endpoint: turn switches, move time, forge tokens, plan faults, look on.

What it does, `CliqEmulator` does; here stands what each call takes and answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from aiohttp import web
from pydantic import AliasChoices, BaseModel, Field, FiniteFloat, StrictBool

from bot.sandbox.cliq.config import shown
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.log import masked
from bot.sandbox.cliq.state import ADMIN, ALL_SCOPE, SCOPES, Role, User
from bot.sandbox.control import ClockControl, Count, Json, as_text, control_app

Code = Annotated[int | None, Field(ge=200, le=599, validation_alias=AliasChoices("code", "status"))]


class Record(BaseModel, extra="forbid"):
    """A DNS record; only those of type TXT count."""

    name: str
    type: str = "TXT"
    values: list[str]


def cliq_control(emulator: CliqEmulator, token: str) -> web.Application:
    return control_app(_Control(emulator).acts(), token, only_from_here=True)


class _Control:
    def __init__(self, emulator: CliqEmulator) -> None:
        self._emulator = emulator
        self._state = emulator.state

    def acts(self) -> dict[str, Callable[..., Any]]:
        clock = ClockControl(self._emulator.clock)
        return {
            "GET state": self.state,
            "POST reset": self.reset,
            "PUT profile": self.set_profile,
            "POST lock": self.lock,
            "GET clock": clock.now,
            "POST clock": clock.move,
            "POST tokens": self.issue_token,
            "DELETE tokens": self.expire_token,
            "POST codes": self.issue_code,
            "PUT users/{id}": self.change_user,
            "PUT configuration": self.edit,
            "PUT zone": self.set_zone,
            "POST faults": self.add_fault,
            "DELETE faults": self.clear_faults,
            "GET requests": self.requests,
        }

    def state(self) -> Json:
        state = self._state.dump()
        del state["credentials"]
        for client in state["clients"].values():
            del client["secret"]
        for name in ("clients", "refresh_tokens", "access_tokens", "codes"):
            state[name] = list(state[name].values())
        now = self._emulator.clock.now()
        return _without_tokens(state | {"now": now, "faults": self._emulator.faults.waiting})

    def reset(self) -> Json:
        self._emulator.reset()
        return self.state()

    def set_profile(
        self, profile: str | None = None, switches: dict[str, StrictBool] | None = None
    ) -> Json:
        self._emulator.set_profile(profile, switches)
        return {"profile": self._state.profile, "switches": self._state.switches}

    def lock(self, user: str, locked: StrictBool) -> Json:
        known = self._known(user)
        if locked:
            self._state.throttle.lock(known.id, self._emulator.clock.now())
        else:
            self._state.throttle.lift(known.id)
        return {"user": known.id, "locked": locked}

    def issue_token(self, user: str = ADMIN, scopes: tuple[str, ...] = (ALL_SCOPE,)) -> Json:
        token = self._emulator.issue_access_token(self._known(user).id, scopes)
        answer = {"token": token.token, "user": user, "scopes": token.scopes}
        return answer | {"expires_at": token.expires_at}

    def expire_token(self, token: str) -> Json:
        if not self._state.revoke(token):
            raise ValueError("there is no such token")
        return {"expired": masked(token)}

    def issue_code(
        self, user: str = ADMIN, scopes: tuple[str, ...] = SCOPES, redirect_uri: str | None = None
    ) -> Json:
        code = self._emulator.issue_code(self._known(user).id, scopes, redirect_uri)
        return {"code": code, "user": user, "scopes": scopes}

    def change_user(
        self,
        user: Annotated[str, Field(alias="id")],
        role: Role | None = None,
        active: StrictBool | None = None,
    ) -> User:
        given: Json = {"role": role, "active": active}
        changes = {name: value for name, value in given.items() if value is not None}
        changed = self._state.users[user] = replace(self._known(user), **changes)
        return changed

    def edit(self, /, **fields: Any) -> Json:
        self._emulator.edit(**fields)
        live = self._state.configuration()
        return {} if live is None else dict(shown(live))

    def set_zone(self, records: list[Record]) -> Json:
        if not self._emulator.has_own_zone:
            raise ValueError("this emulator looks at another zone; publish the record there")
        values: dict[str, list[str]] = {}
        for record in records:
            if record.type.upper() == "TXT":
                values.setdefault(record.name, []).extend(record.values)
        self._emulator.set_zone(values)
        return {"txt": self._state.zone}

    def add_fault(
        self,
        fault: FaultKind,
        next: Count = 1,  # noqa: A002  (the call's own word)
        method: str | None = None,
        path: Target = Target.API,
        code: Code = None,
        seconds: Annotated[FiniteFloat, Field(ge=0)] = 0,
        skip: Annotated[int, Field(ge=0)] = 0,
    ) -> Json:
        verb = method and method.upper()
        self._emulator.faults.add(Fault(fault, next, verb, path, code, seconds, skip))
        return {"faults": self._emulator.faults.waiting}

    def clear_faults(self) -> Json:
        self._emulator.faults.clear()
        return {"faults": []}

    def requests(self) -> Json:
        log = self._emulator.log
        return _without_tokens(
            {
                "requests": log.all(),
                "counters": log.counters(),
                "writes": self._emulator.writes(),
            }
        )

    def _known(self, user: str) -> User:
        users = self._state.users
        if user not in users:
            raise ValueError(f"there is no user {user!r}; there are {', '.join(users)}")
        return users[user]


def _without_tokens(seen: Json) -> Json:
    hidden: Json = json.loads(masked(as_text(seen)))
    return hidden
