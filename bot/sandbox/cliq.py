"""An emulated Zoho: Cliq's mail configuration API and the accounts server, on one port.

It knows the wire only and shares nothing with the client that it is there to test. This file is the
whole as a test, the sandbox or the command line holds it: the HTTP front, and the far end's own
view of what happened. Source: zoho.com/cliq/help/restapi/v2/customemail/.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler

from bot.sandbox import accounts
from bot.sandbox.cliq_api import CliqApi, bearer
from bot.sandbox.cliq_config import shown
from bot.sandbox.cliq_control import ControlEndpoint, is_control
from bot.sandbox.cliq_faults import Faults, Target, spoiled
from bot.sandbox.cliq_keys import KeyPool
from bot.sandbox.cliq_log import LoggedRequest, RequestLog, Write, masked
from bot.sandbox.cliq_openapi import DOCUMENT_PATH, openapi_document
from bot.sandbox.cliq_profile import DOCUMENTED, Answer, Profile, profile_switches, turned
from bot.sandbox.cliq_sender import CustomSender, LookupTxt
from bot.sandbox.cliq_state import (
    ADMIN,
    ALL_SCOPE,
    SCOPES,
    AccessToken,
    Credentials,
    State,
    dns_name,
    seed,
)
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.wire import CONTROL_PREFIX, Listening, listen
from bot.sandbox.wire_log import WireLog

SEED_SENDER = {
    "email_id": "scott@acme.example",
    "name": "Scott Fisher",
    "cname_status": "verified",
    "dkim_key_size": 2048,
}


AnswerCall = Callable[[web.Request, bytes | None], Awaitable[Answer]]
"""Says what the answer to a request with this body is; None is one too large to be read."""


class CliqEmulator:
    """One organisation's Zoho. Serve `app` with `bot.sandbox.wire.listen`.

    `control_token` None leaves the control endpoint out. `lookup_txt` is the zone that decides
    `dkim_status`; by default the emulator has one of its own. `configured` False starts without a
    custom sender. Raises ValueError for an unknown `profile` or switch.
    """

    def __init__(
        self,
        *,
        clock: AdjustableClock,
        control_token: str | None = None,
        lookup_txt: LookupTxt | None = None,
        keys: KeyPool | None = None,
        configured: bool = True,
        profile: Profile = DOCUMENTED,
        wire_log: WireLog | None = None,
    ) -> None:
        pool = keys or KeyPool()
        self.clock = clock
        self._wire_log = wire_log or WireLog(clock)
        self.control_token = control_token
        self.has_own_zone = lookup_txt is None
        self.faults = Faults()
        self.log = RequestLog()
        self._profile, self._switches = profile.name, profile.switches
        self._seed_key = pool.take(2048).result() if configured else None
        self.state = self._seed(Credentials.fresh())
        self._sender = CustomSender(self.state, clock, pool, lookup_txt or self._own_txt)
        self._api = CliqApi(self.state, clock, self._sender)
        self._install_sender()
        self.app = self._application()

    @property
    def credentials(self) -> Credentials:
        """Those of one full Admin; the same until another state is loaded."""
        return self.state.credentials

    @property
    def configuration(self) -> dict[str, str] | None:
        """The six fields as they stand, without the look at the zone that a GET brings; or None."""
        live = self.state.configuration()
        return None if live is None else shown(live)

    @property
    def requests(self) -> list[LoggedRequest]:
        """Every request to Cliq and accounts, oldest first; the last ten thousand."""
        return self.log.all()

    def writes(self) -> list[Write]:
        """The PUTs and DELETEs that took effect, oldest first."""
        return list(self._sender.writes)

    def private_key(self, dkim_host: str) -> str:
        """PEM of the key issued for a host, also of one that was replaced. Raises KeyError."""
        return self.state.keys[dkim_host]

    def edit(self, /, **fields: str | int) -> None:
        """Another administrator edits the configuration in the admin panel; no fields unset it.

        Merges PUT's four arguments, and takes any text for `cname_status`, `dkim_status`,
        `dkim_host` and `dkim_value`. Raises ValueError with a sentence.
        """
        self._sender.edit(fields)

    def set_zone(self, records: Mapping[str, Sequence[str]]) -> None:
        """The TXT values of the emulator's own zone by name, in place of all that were there."""
        self.state.zone = {dns_name(name): list(values) for name, values in records.items()}

    def set_profile(
        self, profile: str | None = None, switches: Mapping[str, object] | None = None
    ) -> None:
        """Take a profile as a whole, if named, then turn single switches. Raises ValueError."""
        base = self.state.switches if profile is None else profile_switches(profile)
        self.state.switches = turned(base, switches or {})
        self.state.profile = profile or self.state.profile

    def issue_access_token(
        self, user: str = ADMIN, scopes: Sequence[str] = (ALL_SCOPE,)
    ) -> AccessToken:
        """A fresh access token of any user. Raises KeyError for an unknown one."""
        owner = self.state.users[user]
        return self.state.issue_access_token(owner.id, scopes, self.clock.now())

    def issue_code(
        self,
        user: str = ADMIN,
        scopes: Sequence[str] = SCOPES,
        redirect_uri: str | None = None,
    ) -> str:
        """A grant code, as a self client or a consent page gives it. Raises KeyError."""
        owner = self.state.users[user]
        return self.state.issue_code(owner.id, scopes, self.clock.now(), redirect_uri).code

    def reset(self) -> None:
        """Back to the seed data, with the same credentials; logs and faults are emptied."""
        self.state.become(self._seed(self.credentials))
        self._install_sender()
        self._sender.writes.clear()
        self.log.clear()
        self.faults.clear()

    def dump(self) -> dict[str, Any]:
        """The state as plain JSON, secrets and private keys included; no logs, no faults."""
        return self.state.dump()

    def load(self, dumped: dict[str, Any]) -> None:
        """Go on from a dump, with its credentials. Raises ValueError if it is none."""
        self.state.become(State.loaded(dumped))

    def dotenv(self, origin: str) -> list[str]:
        """The settings with which a client finds this emulator at `origin`."""
        mine = self.credentials
        lines = [
            f"CLIQ_API_URL={origin}",
            f"ZOHO_ACCOUNTS_URL={origin}",
            f"ZOHO_CLIENT_ID={mine.client_id}",
            f"ZOHO_CLIENT_SECRET={mine.client_secret}",
            f"ZOHO_REFRESH_TOKEN={mine.refresh_token}",
            f"CLIQ_ACCESS_TOKEN={mine.access_token}",
        ]
        if self.control_token is not None:
            lines.append(f"CLIQ_CONTROL_URL={origin}{CONTROL_PREFIX}")
            lines.append(f"CLIQ_CONTROL_TOKEN={self.control_token}")
        return lines

    def _seed(self, credentials: Credentials) -> State:
        now = self.clock.now()
        return seed(credentials, profile=self._profile, switches=self._switches, now=now)

    def _install_sender(self) -> None:
        if self._seed_key is not None:
            self._sender.install(SEED_SENDER, self._seed_key)

    def _own_txt(self, name: str) -> Sequence[str]:
        return self.state.zone.get(dns_name(name), ())

    def _application(self) -> web.Application:
        app = web.Application(middlewares=[self._front])
        if self.control_token is not None:
            ControlEndpoint(self, self.control_token).mount(app)
        return app

    @web.middleware
    async def _front(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answers everything but control calls, so that the router never answers by itself."""
        if self.control_token is not None and is_control(request):
            return await handler(request)
        if (request.method, request.path) == ("GET", DOCUMENT_PATH):
            return web.json_response(openapi_document(self.state.switches))
        if request.method == "POST" and request.path in accounts.PATHS:
            return await self._logged(request, Target.TOKEN, self._accounts)
        return await self._logged(request, Target.API, self._api.answer)

    async def _logged(
        self, request: web.Request, target: Target, answer: AnswerCall
    ) -> web.StreamResponse:
        body = await _body(request)
        number = self._arrived(request, target, body)
        exchange = self._began(target, number)
        fault = self.faults.take(request.method, target)
        response: web.StreamResponse | None
        if fault is None:
            response = (await answer(request, body)).response()
        else:
            self.log.learnt(number, fault=fault.kind.value)
            act = partial(answer, request, body)
            response = await spoiled(fault, request, act, self.state.switches)
        self.log.learnt(number, status=response and response.status)
        self._wire_log.ended(exchange, str(response.status) if response else "no answer")
        return response or web.Response()

    def _began(self, target: Target, number: int) -> int:
        callee = "Cliq" if target is Target.API else "Zoho accounts"
        seen = self.log.entry(number)
        return self._wire_log.began(
            "bot", callee, f"{seen.method} {seen.path}", detail=seen.body or ""
        )

    def _arrived(self, request: web.Request, target: Target, body: bytes | None) -> int:
        """Note a request; of a body only what the API gets, since tokens travel in the other."""
        now, token = self.clock.now(), bearer(request)
        owner = self.state.live_token(token, now) if token else None
        number = self.log.arrived(now, request.method, request.path, token)
        if owner is not None:
            self.log.learnt(number, user=owner.user)
        if target is Target.API and body:
            self.log.learnt(number, body=masked(body.decode("utf-8", "replace")))
        return number

    async def _accounts(self, request: web.Request, body: bytes | None) -> Answer:
        form = dict(parse_qsl((body or b"").decode("utf-8", "replace")))
        return accounts.answer(
            self.state, request.path, {**request.query, **form}, self.clock.now()
        )


async def _body(request: web.Request) -> bytes | None:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


@dataclass(frozen=True)
class ServedCliq:
    """An emulator that accepts connections."""

    emulator: CliqEmulator
    listening: Listening

    @property
    def url(self) -> str:
        return self.listening.url

    def dotenv(self) -> list[str]:
        """The lines to put into a `.env` file."""
        return self.emulator.dotenv(self.url)

    async def close(self) -> None:
        await self.listening.close()


async def start(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    clock: AdjustableClock | None = None,
    control_token: str | None = None,
    lookup_txt: LookupTxt | None = None,
    keys: KeyPool | None = None,
    configured: bool = True,
    profile: str = "documented",
    switches: Mapping[str, bool] | None = None,
) -> ServedCliq:
    """Make an emulator and serve it; `switches` are turned besides the profile's.

    Raises PortInUse, and ValueError for an unknown profile or switch.
    """
    emulator = CliqEmulator(
        clock=clock or AdjustableClock(),
        control_token=control_token,
        lookup_txt=lookup_txt,
        keys=keys,
        configured=configured,
        profile=Profile(profile, switches or {}),
    )
    return ServedCliq(emulator, await listen(emulator.app, host, port))
