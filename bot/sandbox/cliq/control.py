"""The emulated Zoho's control endpoint: turn switches, move time, forge tokens, plan faults, look on.

What it does, `CliqEmulator` does; here stands what each call takes and answers.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, Field, FiniteFloat, StrictBool

from bot.sandbox.cliq.config import shown
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.faults import Fault, FaultKind, Target
from bot.sandbox.cliq.log import masked
from bot.sandbox.cliq.state import ADMIN, ALL_SCOPE, SCOPES, Role, User
from bot.sandbox.control import ClockControl, Count, Id, Json, as_text

Code = Annotated[int | None, Field(ge=200, le=599, validation_alias=AliasChoices("code", "status"))]


class Record(BaseModel, extra="forbid"):
    """A DNS record; only those of type TXT count."""

    name: str
    type: str = "TXT"
    values: list[str]


class CliqControl(ClockControl):
    def __init__(self, emulator: CliqEmulator) -> None:
        super().__init__(emulator.clock)
        self._emulator = emulator
        self._state = emulator.state

    def get_state(self) -> Json:
        state = self._state.dump()
        del state["credentials"]
        for client in state["clients"].values():
            del client["secret"]
        for name in ("clients", "refresh_tokens", "access_tokens", "codes"):
            state[name] = list(state[name].values())
        now = self._emulator.clock.now()
        return _without_tokens(state | {"now": now, "faults": self._emulator.faults.planned})

    def post_reset(self) -> Json:
        self._emulator.reset()
        return self.get_state()

    def put_profile(
        self, profile: str | None = None, switches: dict[str, StrictBool] | None = None
    ) -> Json:
        self._emulator.set_profile(profile, switches)
        return {"profile": self._state.profile, "switches": self._state.switches}

    def post_lock(self, user: str, locked: StrictBool) -> Json:
        known = self._known(user)
        if locked:
            self._state.throttle.lock(known.id, self._emulator.clock.now())
        else:
            self._state.throttle.lift(known.id)
        return {"user": known.id, "locked": locked}

    def post_tokens(self, user: str = ADMIN, scopes: tuple[str, ...] = (ALL_SCOPE,)) -> Json:
        token = self._emulator.issue_access_token(self._known(user).id, scopes)
        answer = {"token": token.token, "user": user, "scopes": token.scopes}
        return answer | {"expires_at": token.expires_at}

    def delete_tokens(self, token: str) -> Json:
        if not self._state.revoke(token):
            raise ValueError("there is no such token")
        return {"expired": masked(token)}

    def post_codes(
        self, user: str = ADMIN, scopes: tuple[str, ...] = SCOPES, redirect_uri: str | None = None
    ) -> Json:
        code = self._emulator.issue_code(self._known(user).id, scopes, redirect_uri)
        return {"code": code, "user": user, "scopes": scopes}

    def put_users_id(
        self,
        user: Id,
        role: Role | None = None,
        active: StrictBool | None = None,
    ) -> User:
        given: Json = {"role": role, "active": active}
        changes = {name: value for name, value in given.items() if value is not None}
        changed = self._state.users[user] = replace(self._known(user), **changes)
        return changed

    def put_configuration(self, /, **fields: Any) -> Json:
        self._emulator.edit(**fields)
        live = self._state.configuration()
        return {} if live is None else dict(shown(live))

    def put_zone(self, records: list[Record]) -> Json:
        if not self._emulator.has_own_zone:
            raise ValueError("this emulator looks at another zone; publish the record there")
        values: dict[str, list[str]] = {}
        for record in records:
            if record.type.upper() == "TXT":
                values.setdefault(record.name, []).extend(record.values)
        self._emulator.set_zone(values)
        return {"txt": self._state.zone}

    def post_faults(
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
        planned = Fault(fault, next, verb, path, code, seconds, skip=skip)
        self._emulator.faults.plan(planned)
        return {"faults": self._emulator.faults.planned}

    def delete_faults(self) -> Json:
        self._emulator.faults.clear()
        return {"faults": []}

    def get_requests(self) -> Json:
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
