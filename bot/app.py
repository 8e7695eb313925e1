"""The composition root: `build(settings)` puts the whole bot together; nothing else does.

The running bot is three loops over the rows (settle requests, tell Slack, watch) and Slack's
connection. A loop is woken by every commit and by a heartbeat, so that whatever is due happens at
once, and what a crash left behind happens anyway.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import structlog
from aiohttp import web
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.adapters.cliq.client import CliqClient, new_http_client
from bot.adapters.cliq.data_centers import endpoints
from bot.adapters.cliq.oauth import Credentials, ZohoAuth
from bot.adapters.cliq.throttle import MemoryBudget
from bot.adapters.clock import SystemClock
from bot.adapters.dns.resolver import DnsResolver
from bot.adapters.slack.cards.parts import Deployment
from bot.adapters.slack.directory import SlackDirectory
from bot.adapters.slack.listeners import Listeners
from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.replays import IsFirst, memory, refuse_replays
from bot.adapters.slack.transport import BODY_MAX, SocketMode, bolt_app, http_endpoint
from bot.adapters.slack.workspace import SlackFault, Workspace, web_client
from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.lock import sole_process
from bot.adapters.store.migrate import check_is_current, migrate
from bot.adapters.store.sql import SqlStore, open_engine
from bot.domain.alert import Parameters
from bot.domain.change import Seal
from bot.domain.policy import Policy
from bot.errors import OperatorError, PortInUse, SettingsError
from bot.ports import Clock
from bot.services.alerts import Alerts
from bot.services.apply import Applier, Timing
from bot.services.changes import Changes
from bot.services.look import Look
from bot.services.watch import Watch
from bot.settings import Settings

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
CONNECT_RETRY_SECONDS = 2.0


class Loop:
    """Does `work` whenever it is woken, and goes on after an error."""

    def __init__(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        self._name = name
        self._work = work
        self._woken = asyncio.Event()
        self._stopping = False
        self.is_failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        self._woken.set()

    async def stop(self, seconds: float) -> None:
        """Let the work in hand end; cut it off after `seconds`."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            try:
                await self._work()
                self.is_failing = False
            except Exception:  # the outermost handler: a loop that ends would be silent for ever
                self.is_failing = True
                log.exception("loop failed", loop=self._name)


@dataclass(frozen=True)
class Parts:
    """What a bot consists of, for whoever wants to look at one."""

    store: SqlStore
    workspace: Workspace
    changes: Changes
    applier: Applier
    watch: Watch
    notifier: Notifier
    listeners: Listeners


class App:
    """One running bot. Use as `async with await build(settings) as app: await app.wait()`."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        parts: Parts,
        connection: Connection,
        resources: AsyncExitStack,
    ) -> None:
        self.parts = parts
        self._clock = clock
        self._settings = settings
        self._connection = connection
        self._resources = resources
        self._loops = [
            Loop("settle", self._settle),
            Loop("tell", self._tell),
            Loop("watch", self._watch),
        ]
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._connecting: asyncio.Task[None] | None = None
        parts.store.on_commit = self.wake
        self.port = 0

    def wake(self) -> None:
        """Look at the rows now instead of at the next heartbeat."""
        for loop in self._loops:
            loop.wake()

    async def __aenter__(self) -> App:
        """Start everything; returns while Slack may still be out of reach. Raises PortInUse."""
        try:
            await self._serve()
        except BaseException:
            await self._resources.aclose()
            raise
        for loop in self._loops:
            loop.start()
        self._scheduler.add_job(
            self.wake, "interval", seconds=HEARTBEAT_SECONDS, coalesce=True, max_instances=1
        )
        if isinstance(self._clock, DatabaseClock):
            self._scheduler.add_job(self._clock.synchronise, "interval", minutes=1)
        self._scheduler.start()
        self._connecting = asyncio.create_task(self._connect())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking work, end what was begun, close every connection."""
        self._scheduler.shutdown(wait=False)
        if self._connecting is not None:
            self._connecting.cancel()
        await self._connection.close()
        grace = self._settings.shutdown_grace.total_seconds()
        await asyncio.gather(
            self.parts.listeners.finish(grace), *(loop.stop(grace) for loop in self._loops)
        )
        await self._resources.aclose()
        log.info("stopped")

    async def wait(self) -> None:
        """Run until cancelled. Raises SettingsError if Slack refuses the credentials."""
        assert self._connecting is not None
        await self._connecting
        await asyncio.Event().wait()

    async def connected(self) -> None:
        """Return once Slack is connected."""
        assert self._connecting is not None
        await asyncio.shield(self._connecting)

    async def readiness(self) -> dict[str, bool]:
        """What must be true for the bot to do its job."""
        seen = await self.parts.store.watch(self._settings.org)
        return {
            "database": await self.parts.store.is_writable(),
            "slack": await self._connection.is_open(),
            "zoho": seen.has_reading and not seen.last_error,
            "work": not any(loop.is_failing for loop in self._loops),
        }

    async def _settle(self) -> None:
        await self.parts.changes.expire()
        await self.parts.applier.settle(may_begin=self._connection.is_introduced)

    async def _tell(self) -> None:
        if self._connection.is_introduced:
            await self.parts.notifier.send_due()

    async def _watch(self) -> None:
        await self.parts.watch.tick()

    async def _connect(self) -> None:
        """Reach Slack, for as long as it takes."""
        while True:
            try:
                await self._connection.open()
            except SlackFault as fault:
                if fault.is_token_trouble:
                    raise SettingsError([_refused(fault)]) from fault
                log.warning("Slack is out of reach; trying again", error=fault.error)
                await asyncio.sleep(CONNECT_RETRY_SECONDS)
            else:
                log.info("connected to Slack", transport=self._connection.transport)
                self.wake()
                return

    async def _serve(self) -> None:
        server = web.Application(client_max_size=BODY_MAX)
        server.router.add_get("/healthz", _health)
        server.router.add_get("/readyz", self._ready)
        if self._connection.transport == "http":
            server.router.add_post("/slack/events", self._connection.endpoint())
        runner = web.AppRunner(server, access_log=None, shutdown_timeout=1)
        await runner.setup()
        self._resources.push_async_callback(runner.cleanup)
        host, port = self._settings.listen
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUse(host, port) from error
            raise OperatorError(
                f"Cannot listen on {host}:{port}: {error.strerror}. Check MAILCFG_LISTEN."
            ) from error
        self.port = runner.addresses[0][1]
        log.info("listening", host=host, port=self.port)

    async def _ready(self, _: web.Request) -> web.Response:
        parts = await self.readiness()
        return web.json_response(parts, status=200 if all(parts.values()) else 503)


class Connection:
    """Slack's way to us: Socket Mode where there is an app-level token, else signed HTTP."""

    def __init__(
        self,
        settings: Settings,
        workspace: Workspace,
        session: aiohttp.ClientSession,
        is_first: IsFirst,
    ) -> None:
        self._settings = settings
        self._workspace = workspace
        self._session = session
        self._socket: SocketMode | None = None
        secret = settings.slack_signing_secret if self.transport == "http" else None
        self.bolt = bolt_app(workspace, settings.slack_bot_token, secret)
        if secret is not None:
            refuse_replays(self.bolt, is_first)

    @property
    def transport(self) -> str:
        return "http" if self._settings.slack_app_token is None else "socket"

    @property
    def is_introduced(self) -> bool:
        """Whether Slack has told us who we are, so that it can be called."""
        return self._workspace.identity is not None

    async def open(self) -> None:
        """Raises SlackFault."""
        await self._workspace.introduce()
        token = self._settings.slack_app_token
        if token is not None:
            if self._socket is None:
                self._socket = SocketMode(
                    self.bolt, token, self._settings.slack_api_url, self._session
                )
            await self._socket.connect()

    async def is_open(self) -> bool:
        if self.transport == "http":
            return self.is_introduced
        return self._socket is not None and await self._socket.is_connected()

    def endpoint(self) -> Callable[[web.Request], Awaitable[web.Response]]:
        secret = self._settings.slack_signing_secret
        assert secret is not None  # the settings see to it: without an app-level token it is needed
        return http_endpoint(self.bolt, secret, lambda: self.is_introduced)

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


async def build(settings: Settings, clock: Clock | None = None) -> App:
    """Put the bot together; nothing is sent or listened to before it is entered.

    A SQLite database is created or upgraded here and held for this process alone; a PostgreSQL one
    must be current. Raises DatabaseError.
    """
    async with AsyncExitStack() as opening:
        session = await opening.enter_async_context(aiohttp.ClientSession())
        http = await opening.enter_async_context(new_http_client(settings.cliq_api_url))
        store = await _open_store(settings.database_url, opening)
        clock = clock or await _own_clock(store)
        client = web_client(settings.slack_bot_token, settings.slack_api_url, session)
        workspace = Workspace(client, session)
        parts = _assemble(settings, clock, store, workspace, http)
        connection = Connection(settings, workspace, session, memory(store, clock))
        parts.listeners.register(connection.bolt)
        return App(settings, clock, parts, connection, opening.pop_all())


async def _open_store(url: str, opening: AsyncExitStack) -> SqlStore:
    if url.startswith("sqlite"):
        opening.enter_context(sole_process(Path(url.partition(":///")[2])))
        await asyncio.to_thread(migrate, url)
    else:
        await asyncio.to_thread(check_is_current, url)
    store = SqlStore(open_engine(url))
    opening.push_async_callback(store.close)
    if url.startswith("sqlite"):
        await store.release()
    return store


async def _own_clock(store: SqlStore) -> Clock:
    """The machine's clock, set by the database where several processes must agree on the time."""
    clock = DatabaseClock(SystemClock(), store)
    await clock.synchronise()
    return clock


def _assemble(
    settings: Settings,
    clock: Clock,
    store: SqlStore,
    workspace: Workspace,
    http: httpx.AsyncClient,
) -> Parts:
    api = cliq_client(settings, clock, http)
    resolver = DnsResolver(
        resolvers=settings.dns_servers,
        authoritative=settings.dns_authoritative,
        clock=clock,
    )
    deployment = Deployment(settings.org, settings.label, settings.zoho_data_center)
    policy = policy_of(settings)
    shared: dict[str, Any] = {"org": settings.org, "store": store, "api": api}
    directory = SlackDirectory(workspace, clock)
    seal = Seal(tuple(key.get_secret_value().encode() for key in settings.secret_key))
    changes = Changes(
        **shared,
        policy=policy,
        approval_channel=settings.approval_channel,
        directory=directory,
        clock=clock,
        seal=seal,
        new_id=new_id,
    )
    notifier = Notifier(
        workspace=workspace,
        store=store,
        clock=clock,
        deployment=deployment,
        alert_channel=settings.alert_channel,
        lease=settings.lease,
    )
    look = Look(**shared, policy=policy, resolver=resolver, directory=directory)
    watch = Watch(
        **shared,
        every=settings.check_every,
        alert_channel=settings.alert_channel,
        resolver=resolver,
        clock=clock,
        new_id=new_id,
        parameters=alert_parameters_of(settings),
    )
    alerts = Alerts(
        org=settings.org,
        policy=policy,
        store=store,
        directory=directory,
        clock=clock,
        watch=watch,
    )
    return Parts(
        store=store,
        workspace=workspace,
        changes=changes,
        applier=Applier(
            **shared,
            policy=policy,
            directory=directory,
            clock=clock,
            seal=seal,
            timing=timing_of(settings),
        ),
        watch=watch,
        notifier=notifier,
        listeners=Listeners(
            workspace=workspace,
            changes=changes,
            look=look,
            alerts=alerts,
            notifier=notifier,
            deployment=deployment,
        ),
    )


def cliq_client(settings: Settings, clock: Clock, http: httpx.AsyncClient) -> CliqClient:
    """The API's client for these settings. Raises SettingsError for an address that is none."""
    at = endpoints(
        settings.zoho_data_center,
        accounts_url=settings.zoho_accounts_url,
        api_url=settings.cliq_api_url,
    )
    credentials = Credentials(
        settings.zoho_client_id, settings.zoho_client_secret, settings.zoho_refresh_token
    )
    total_seconds = settings.call_timeout.total_seconds()
    return CliqClient(
        at.api_url,
        ZohoAuth(at.accounts_url, credentials, http, clock, total_seconds=total_seconds),
        http=http,
        clock=clock,
        budget=MemoryBudget(clock),
        organisation=settings.org,
        total_seconds=total_seconds,
    )


def timing_of(settings: Settings) -> Timing:
    return Timing(
        call_timeout=settings.call_timeout,
        quiet=settings.quiet,
        margin=settings.margin,
        lease=settings.lease,
        retry=settings.retry,
        give_up=settings.give_up,
    )


def alert_parameters_of(settings: Settings) -> Parameters:
    return Parameters(
        confirm_bad=settings.confirm_bad,
        confirm_window=settings.confirm_window,
        resolve_after=settings.resolve_after,
        remind_every=settings.remind_every,
        unknown_after=settings.unknown_after,
        pending_grace=settings.pending_grace,
        propagation_grace=settings.propagation_grace,
        publish_grace=settings.publish_grace,
        flap_opens=settings.flap_opens,
        flap_window=settings.flap_window,
        flap_quiet=settings.flap_quiet,
    )


def policy_of(settings: Settings) -> Policy:
    return Policy(
        approvers=settings.approvers,
        requesters=settings.requesters,
        approvals=settings.approvals,
        approvals_sensitive=settings.approvals_sensitive,
        approval_deadline=settings.approval_deadline,
        apply_within=settings.apply_within,
        watch_only=settings.watch_only,
    )


def new_id() -> str:
    """An id that cannot be guessed: 144 random bits."""
    return secrets.token_urlsafe(18)


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"alive": True})


def _refused(fault: SlackFault) -> str:
    if fault.method == "apps.connections.open":
        return (
            f"SLACK_APP_TOKEN is refused by Slack ({fault.error}): copy an app-level token with the "
            "scope connections:write from your Slack app's page “Basic Information”."
        )
    return (
        f"SLACK_BOT_TOKEN is refused by Slack ({fault.error}): copy the Bot User OAuth Token from "
        "your Slack app's page “OAuth & Permissions”."
    )
