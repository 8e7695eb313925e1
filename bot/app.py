"""The composition root: `build(settings)` puts the whole bot together; nothing else does.

The running bot is three loops over the rows (settle requests, tell Slack, watch) and Slack's
connection. A loop is woken by the commits that concern it and by a heartbeat, so that whatever is
due happens at once, and what a crash left behind happens anyway.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
from collections.abc import Awaitable, Callable, Coroutine
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
from pydantic import SecretStr

from bot.adapters.cliq.accounts import AccountsServer, Credentials
from bot.adapters.cliq.client import CliqClient, new_http_client
from bot.adapters.cliq.connect import Connected, connect_anew, connect_as_set
from bot.adapters.cliq.data_centers import Endpoints, endpoints
from bot.adapters.cliq.oauth import ZohoAuth
from bot.adapters.cliq.throttle import Budget, MemoryBudget
from bot.adapters.dns.resolver import DnsResolver
from bot.adapters.metrics import CONTENT_TYPE, Metrics, Reading
from bot.adapters.slack.cards.parts import Deployment
from bot.adapters.slack.directory import SlackDirectory
from bot.adapters.slack.events import Events
from bot.adapters.slack.listeners import Listeners
from bot.adapters.slack.notifier import Notifier
from bot.adapters.slack.replays import IsFirst, memory, refuse_replays
from bot.adapters.slack.transport import BODY_MAX, SocketMode, bolt_app, http_endpoint
from bot.adapters.slack.workspace import SlackFault, Workspace, web_client
from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.lock import sole_process
from bot.adapters.store.migrate import check_is_current, migrate
from bot.adapters.store.shared import shared_budget, shared_token
from bot.adapters.store.sql import SqlStore, open_engine
from bot.adapters.store.vault import Vault
from bot.clock import SystemClock
from bot.domain.alert import Parameters
from bot.domain.change import ChangeRequest, Seal
from bot.domain.policy import Policy
from bot.domain.reminders import Reminders
from bot.domain.token import TokenState
from bot.errors import (
    CouldNotCheck,
    NotConnected,
    OperatorError,
    OtherCredentials,
    PortInUse,
    SettingsError,
    Tampered,
)
from bot.ports import Clock, Shared, WatchState
from bot.services.admission import Admission
from bot.services.apply import Applier, Timing
from bot.services.audit import DailyHead
from bot.services.changes import Changes
from bot.services.look import Look
from bot.services.watch import Watch
from bot.settings import Settings, ZohoSettings

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
CONNECT_RETRY_SECONDS = 2.0
CHECKS_MISSED_MAX = 3
"""Intervals without a check that succeeded after which the bot does not do its job."""


class Loop:
    """Does `work` whenever it is woken, and goes on after an error."""

    def __init__(
        self,
        name: str,
        work: Callable[[], Awaitable[None]],
        on_failure: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._name = name
        self._work = work
        self._on_failure = on_failure
        self._woken = asyncio.Event()
        self._stopping = False
        self.is_failing = False
        self._task: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._name)

    def wake(self) -> None:
        self._woken.set()

    def wake_after(self, seconds: float) -> None:
        """Wake it then, too; what was said before about when is void."""
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(seconds, self.wake)

    async def stop(self, seconds: float) -> None:
        """Let the work in hand end; cut it off after `seconds`."""
        self._stopping = True
        self._woken.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=seconds)
            self._task.cancel()

    async def _run(self) -> None:
        said = ""
        while True:
            await self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            structlog.contextvars.clear_contextvars()
            try:
                await self._work()
                self.is_failing, said = False, ""
            except Exception as error:  # the outermost: a loop that ends would be silent for ever
                self.is_failing = True
                if repr(error) != said:  # or one lasting fault would fill the log
                    log.exception("loop failed", loop=self._name)
                said = repr(error)
                self._on_failure(self._name)


@dataclass(frozen=True)
class Parts:
    """What a bot consists of, for whoever wants to look at one."""

    store: SqlStore
    api: CliqClient
    budget: Budget
    workspace: Workspace
    directory: SlackDirectory
    admission: Admission
    changes: Changes
    applier: Applier
    watch: Watch
    daily_head: DailyHead
    notifier: Notifier
    listeners: Listeners
    metrics: Metrics


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
        failed = parts.metrics.loop_failed
        self._telling = Loop("tell", self._tell, failed)
        self._settling = Loop("settle", self._settle, failed)
        self._watching = Loop("watch", self._watch, failed)
        # What these look for comes with time, not with a commit.
        self._by_time = Loop("deadlines", self._keep_time, failed)
        self._dead_man = Loop("dead-man", self._notice_silence, failed)
        self._loops = [self._settling, self._telling, self._watching, self._by_time, self._dead_man]
        self._is_silent = False
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._connecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._has_shown_rules = False
        parts.store.on_due = self._telling.wake
        parts.store.on_move = self._moved
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
        for task in (self._connecting, *self._tasks):
            if task is not None:
                task.cancel()
        await self._connection.close()
        grace = self._settings.shutdown_grace.total_seconds()
        await asyncio.gather(
            self.parts.listeners.finish(grace),
            *(loop.stop(grace) for loop in self._loops),
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

    def pause(self, why: str) -> None:
        """Slack says that it has withdrawn our access: nothing new is begun until it works again.

        What was sent already is still settled by reading. An access that works after all, as after
        a rotation of tokens, is noticed by asking.
        """
        log.error("Slack has withdrawn mailcfg's access; paused until it works again", said=why)
        self._connection.pause()
        self._start(self._resume())

    def group_changed(self) -> None:
        """Somebody has joined or left a group of approvers: no click is judged by the old members."""
        self.parts.directory.forget_groups()
        self._start(self._warn_of_approvers())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _resume(self) -> None:
        try:
            await self._connect()
        except SettingsError as error:
            log.error("paused until mailcfg is mended and started again", faults=error.faults)

    async def _warn_of_approvers(self) -> None:
        try:
            await self._check_approvers()
        except SettingsError as error:
            log.error("the approvers are not enough any more", faults=error.faults)
        except CouldNotCheck as error:
            log.warning("the approvers could not be checked", error=str(error))

    async def _check_approvers(self) -> None:
        for warning in await self.parts.admission.check_settings():
            log.warning(warning)

    async def readiness(self) -> dict[str, bool]:
        """What must be true for the bot to do its job."""
        seen = await self.parts.store.watch(self._settings.org)
        return {
            "database": await self.parts.store.is_writable(),
            "slack": await self._connection.is_open(),
            "zoho": seen.has_reading and not seen.last_error,
            "checks": not self._is_too_old(seen),
            "work": not any(loop.is_failing for loop in self._loops),
        }

    def _is_too_old(self, seen: WatchState) -> bool:
        """Whether checks have stopped succeeding, for whatever reason; the first may take its time."""
        longest = CHECKS_MISSED_MAX * self._settings.check_every
        return seen.checked_at is not None and self._clock.now() - seen.checked_at > longest

    async def _notice_silence(self) -> None:
        """Say once that checks have stopped, and once that they are back.

        Apart from the loop that checks, since that may be what hangs.
        """
        was_silent = self._is_silent
        seen = await self.parts.store.watch(self._settings.org)
        self._is_silent = self._is_too_old(seen)
        if self._is_silent and not was_silent:
            log.error("no check has succeeded for three intervals", last=str(seen.checked_at))
        elif was_silent and not self._is_silent:
            log.info("checks resumed")

    def _moved(self, old: ChangeRequest, new: ChangeRequest) -> None:
        self.parts.metrics.moved(old, new)
        if old.state is not new.state:
            log.info("moved", change=new.number, before=old.state.value, after=new.state.value)
        if new.is_open:
            self._settling.wake()
        else:
            self._watching.wake()  # what is approved may be another now

    async def _keep_time(self) -> None:
        await self.parts.changes.expire()
        await self.parts.changes.remind()

    async def _settle(self) -> None:
        try:
            await self.parts.applier.settle(may_begin=self._connection.is_introduced)
        except Tampered as damage:
            await self.parts.changes.tell_unreadable(damage)
            raise

    async def _tell(self) -> None:
        if not self._connection.is_introduced:
            return
        if not self._has_shown_rules:
            await self.parts.changes.show_todays_rules()
            self._has_shown_rules = True
        wait = await self.parts.notifier.send_due()
        if wait is not None:
            self._telling.wake_after(wait)

    async def _watch(self) -> None:
        head = await self.parts.daily_head.due()
        if head is not None:
            log.info("audit head", org=self._settings.org, seq=head.seq, hash=head.hash)
        await self.parts.watch.tick()

    async def _connect(self) -> None:
        """Reach Slack, for as long as it takes. Raises SettingsError for what will never work."""
        while True:
            try:
                await self._connection.introduce()
                await self._check_approvers()
                await self._connection.open()
            except SlackFault as fault:
                if fault.is_token_trouble:
                    raise SettingsError([_refused(fault)]) from fault
                self.parts.metrics.slack_fault(fault.method, fault.error)
                await self._try_again(fault.error)
            except CouldNotCheck as error:
                await self._try_again(str(error))
            else:
                log.info("connected to Slack", transport=self._connection.transport)
                self.wake()
                return

    async def _try_again(self, why: str) -> None:
        log.warning("Slack is out of reach; trying again", error=why)
        await asyncio.sleep(CONNECT_RETRY_SECONDS)

    async def _serve(self) -> None:
        server = web.Application(client_max_size=BODY_MAX)
        server.router.add_get("/healthz", _health)
        server.router.add_get("/readyz", self._ready)
        server.router.add_get("/metrics", self._metrics)
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

    async def _metrics(self, _: web.Request) -> web.Response:
        page = self.parts.metrics.page(await self._reading())
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    async def _reading(self) -> Reading:
        store, org = self.parts.store, self._settings.org
        return Reading(
            now=self._clock.now(),
            backlog=await store.backlog(org),
            budget=await self.parts.budget.standing(),
            checked_at=(await store.watch(org)).checked_at,
            is_ready=all((await self.readiness()).values()),
        )


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
        self._is_open = False
        self._is_paused = False
        secret = settings.slack_signing_secret if self.transport == "http" else None
        self.bolt = bolt_app(workspace, settings.slack_bot_token, secret)
        if secret is not None:
            refuse_replays(self.bolt, is_first)

    @property
    def transport(self) -> str:
        return "http" if self._settings.slack_app_token is None else "socket"

    @property
    def is_introduced(self) -> bool:
        """Whether Slack has told us who we are and lets us in, so that it can be called."""
        return self._workspace.identity is not None and not self._is_paused

    async def introduce(self) -> None:
        """Raises SlackFault."""
        await self._workspace.introduce()

    async def open(self) -> None:
        """Let Slack reach us; ends a pause. Raises SlackFault."""
        token = self._settings.slack_app_token
        if token is not None:
            if self._socket is None:
                self._socket = SocketMode(
                    self.bolt, token, self._settings.slack_api_url, self._session
                )
            if not await self._socket.is_connected():
                await self._socket.connect()
        self._is_open, self._is_paused = True, False

    def pause(self) -> None:
        self._is_paused = True

    async def is_open(self) -> bool:
        is_connected = self._socket is None or await self._socket.is_connected()
        return self._is_open and not self._is_paused and is_connected

    def endpoint(self) -> Callable[[web.Request], Awaitable[web.Response]]:
        secret = self._settings.slack_signing_secret
        assert secret is not None  # the settings see to it: without an app-level token it is needed
        return http_endpoint(self.bolt, secret, lambda: self._is_open and self.is_introduced)

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()


async def build(settings: Settings, clock: Clock | None = None) -> App:
    """Put the bot together; nothing is sent or listened to before it is entered.

    A SQLite database is created or upgraded here and held for this process alone; a PostgreSQL one
    must be current. Raises DatabaseError, and SettingsError if Zoho's credentials cannot be used.
    """
    async with AsyncExitStack() as opening:
        session = await opening.enter_async_context(aiohttp.ClientSession())
        http = await opening.enter_async_context(new_http_client(settings.cliq_api_url))
        metrics = Metrics()
        http.event_hooks = {"request": [metrics.zoho_asked], "response": [metrics.zoho_answered]}
        store = await _open_store(settings.database_url, opening)
        clock = clock or await _own_clock(store)
        client = web_client(settings.slack_bot_token, settings.slack_api_url, session)
        workspace = Workspace(
            client, session, lambda fault: metrics.slack_fault(fault.method, fault.error)
        )
        parts = _assemble(settings, clock, store, workspace, http, metrics)
        await _check_credentials(parts.api)
        connection = Connection(settings, workspace, session, memory(store, clock))
        parts.listeners.register(connection.bolt)
        app = App(settings, clock, parts, connection, opening.pop_all())
        Events(
            groups=policy_of(settings).groups,
            group_changed=app.group_changed,
            access_withdrawn=app.pause,
        ).register(connection.bolt)
        return app


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


async def _check_credentials(api: CliqClient) -> None:
    try:
        await api.check_credentials()
    except (NotConnected, OtherCredentials) as error:
        raise SettingsError([str(error)]) from error


async def connect(settings: ZohoSettings, code: SecretStr | None) -> Connected:
    """Store what a grant code is exchanged for; without one, confirm the credentials as they are set.

    A SQLite database is held meanwhile, so the bot must not run on it. Raises MailcfgError.
    """
    at = _endpoints(settings)
    credentials = _credentials(settings, at)
    async with AsyncExitStack() as opening:
        http = await opening.enter_async_context(new_http_client(settings.cliq_api_url))
        store = await _open_store(settings.database_url, opening)
        clock = await _own_clock(store)
        accounts = AccountsServer(
            at.accounts_url,
            credentials,
            http,
            clock,
            total_seconds=settings.call_timeout.total_seconds(),
        )
        shared = _shared_token(settings, store)
        only_look = settings.watch_only
        if code is None:
            return await connect_as_set(credentials, accounts, shared, clock, only_look=only_look)
        return await connect_anew(code, credentials, accounts, shared, only_look=only_look)


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
    metrics: Metrics,
) -> Parts:
    budget = Budget(clock, shared_budget(store, settings.org), call_timeout=settings.call_timeout)
    tokens = _shared_token(settings, store)
    api = cliq_client(settings, clock, http, budget=budget, tokens=tokens)
    resolver = DnsResolver(
        resolvers=settings.dns_servers,
        authoritative=settings.dns_authoritative,
        clock=clock,
    )
    policy = policy_of(settings)
    deployment = Deployment(
        settings.org,
        settings.label,
        settings.zoho_data_center,
        notify=settings.notify,
        escalate_to=settings.escalate_to,
        policy=policy,
    )
    shared: dict[str, Any] = {"org": settings.org, "store": store, "api": api}
    directory = SlackDirectory(workspace, clock)
    admission = Admission(
        org=settings.org, policy=policy, store=store, directory=directory, clock=clock
    )
    seal = Seal(tuple(key.get_secret_value().encode() for key in settings.secret_key))
    changes = Changes(
        **shared,
        policy=policy,
        approval_channel=settings.approval_channel,
        directory=directory,
        clock=clock,
        seal=seal,
        new_id=new_id,
        reminders=reminders_of(settings),
    )
    notifier = Notifier(
        workspace=workspace,
        store=store,
        clock=clock,
        deployment=deployment,
        alert_channel=settings.alert_channel,
        lease=settings.lease,
        fallbacks=settings.fallbacks,
        pace=settings.slack_pace,
    )
    look = Look(**shared, policy=policy, resolver=resolver, directory=directory, clock=clock)
    return Parts(
        store=store,
        api=api,
        budget=budget,
        workspace=workspace,
        directory=directory,
        admission=admission,
        changes=changes,
        applier=Applier(
            **shared,
            policy=policy,
            directory=directory,
            clock=clock,
            seal=seal,
            timing=timing_of(settings),
        ),
        watch=Watch(
            **shared,
            every=settings.check_every,
            alert_channel=settings.alert_channel,
            resolver=resolver,
            clock=clock,
            new_id=new_id,
        ),
        daily_head=DailyHead(org=settings.org, store=store, clock=clock),
        notifier=notifier,
        listeners=Listeners(
            workspace=workspace,
            admission=admission,
            changes=changes,
            look=look,
            notifier=notifier,
            deployment=deployment,
            commit_budget=settings.commit_budget,
        ),
        metrics=metrics,
    )


def cliq_client(
    settings: Settings,
    clock: Clock,
    http: httpx.AsyncClient,
    *,
    budget: Budget | None = None,
    tokens: Shared[TokenState] | None = None,
) -> CliqClient:
    """The API's client for these settings. Raises SettingsError for an address that is none.

    Without `budget` and `tokens` it keeps both to itself, and so needs no database.
    """
    at = _endpoints(settings)
    total_seconds = settings.call_timeout.total_seconds()
    auth = ZohoAuth(
        at.accounts_url,
        _credentials(settings, at),
        http,
        clock,
        shared=tokens,
        total_seconds=total_seconds,
    )
    return CliqClient(
        at.api_url,
        auth,
        http=http,
        clock=clock,
        budget=budget or MemoryBudget(clock, call_timeout=settings.call_timeout),
        organisation=settings.org,
        total_seconds=total_seconds,
    )


def _endpoints(settings: Settings | ZohoSettings) -> Endpoints:
    return endpoints(
        settings.zoho_data_center,
        accounts_url=settings.zoho_accounts_url,
        api_url=settings.cliq_api_url,
    )


def _credentials(settings: Settings | ZohoSettings, at: Endpoints) -> Credentials:
    """At home in the data centre and, where there is one, the external network."""
    return Credentials(
        settings.zoho_client_id,
        settings.zoho_client_secret,
        settings.zoho_refresh_token,
        home=f"{settings.zoho_data_center}{httpx.URL(at.api_url).path.rstrip('/')}",
    )


def _shared_token(settings: Settings | ZohoSettings, store: SqlStore) -> Shared[TokenState]:
    vault = Vault([key.get_secret_value().encode() for key in settings.secret_key])
    return shared_token(store, settings.org, vault)


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


def reminders_of(settings: Settings) -> Reminders:
    return Reminders(
        after=settings.remind_after, before=settings.remind_before, quiet=settings.quiet_hours
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
