"""The composition root: `build(settings)` puts the whole bot together; nothing else does.

The running bot is three loops over the rows (settle requests, tell Slack, watch) and Slack's
connection. A loop is woken by the commits that concern it and by a heartbeat, so that whatever is
due happens at once, and what a crash left behind happens anyway.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC
from typing import Any

import aiohttp
import structlog
from aiohttp import web
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from bot.adapters.cliq.client import CliqClient, new_http_client
from bot.adapters.metrics import CONTENT_TYPE, Metrics, Reading
from bot.adapters.slack.events import Events
from bot.adapters.slack.replays import memory
from bot.adapters.slack.transport import BODY_MAX
from bot.adapters.slack.workspace import SlackFault, Workspace, web_client
from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.sql import SqlStore
from bot.connection import Connection, refused
from bot.domain.change import ChangeRequest
from bot.domain.timing import USUAL, Timing
from bot.errors import (
    CouldNotCheck,
    DatabaseError,
    NotConnected,
    OperatorError,
    OtherCredentials,
    PortInUse,
    SettingsError,
    Tampered,
)
from bot.loops import Loop
from bot.organisation import Deployment, Served, organisation_of, serve
from bot.ports import Clock, WatchState
from bot.settings import Settings
from bot.storage import open_store, own_clock
from bot.zoho import endpoints_of

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 1.0
CONNECT_RETRY_SECONDS = 2.0
RESUME_SECONDS = 60.0
"""How often Slack is asked whether an access that it has withdrawn works again."""
CHECKS_MISSED_MAX = 3
"""Intervals without a check that succeeded after which the bot does not do its job."""
CHECK_GRACE_SECONDS = 60.0
"""How long a bot that has just begun, or woken up, may take for its check before that is said."""


class App:
    """One running bot. Use as `async with await build(settings) as app: await app.wait()`."""

    def __init__(
        self,
        listen: tuple[str, int],
        deployment: Deployment,
        served: Served,
        connection: Connection,
        resources: AsyncExitStack,
    ) -> None:
        self.deployment = deployment
        self.served = served
        self._services = served.services
        self._organisation = served.organisation
        self._clock = deployment.clock
        self._listen = listen
        self._connection = connection
        self._resources = resources
        failed = deployment.metrics.loop_failed
        self._telling = Loop("tell", self._tell, failed)
        self._settling = Loop("settle", self._settle, failed)
        self._watching = Loop("watch", self._watch, failed)
        # What these look for comes with time, not with a commit.
        self._by_time = Loop("deadlines", self._keep_time, failed)
        self._dead_man = Loop("dead-man", self._notice_silence, failed)
        self._loops = [self._settling, self._telling, self._watching, self._by_time, self._dead_man]
        self._is_silent = False
        self._too_old_since: float | None = None
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._connecting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._resuming: asyncio.Task[None] | None = None
        self._has_shown_rules = False
        deployment.store.on_due = self._telling.wake
        deployment.store.on_move = self._moved
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
        grace = self._organisation.timing.shutdown_grace.total_seconds()
        await asyncio.gather(
            self.served.listeners.finish(grace),
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
        if self._resuming is not None:
            self._resuming.cancel()  # an uninstalled app is told of it twice
        self._resuming = self._start(self._resume())

    def slack_fault(self, fault: SlackFault) -> None:
        """A call of Slack failed. That access is withdrawn may be told by nothing else."""
        self.deployment.metrics.slack_fault(fault.method, fault.error)
        is_begun = self._connecting is not None and self._connecting.done()
        if fault.is_token_trouble and is_begun and self._connection.is_introduced:
            self.pause(fault.error)

    def group_changed(self) -> None:
        """Somebody has joined or left a group of approvers: no click is judged by the old members."""
        self.served.directory.forget_groups()
        self._start(self._warn_of_approvers())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _resume(self) -> None:
        said: tuple[str, ...] = ()
        while True:
            try:
                await self._connect()
            except SettingsError as error:
                if error.faults != said:
                    log.error("paused; asking again each minute", faults=error.faults)
                said = error.faults
                await asyncio.sleep(RESUME_SECONDS)
            else:
                return

    async def _warn_of_approvers(self) -> None:
        try:
            await self._check_approvers()
        except SettingsError as error:
            log.error("the approvers are not enough any more", faults=error.faults)
        except CouldNotCheck as error:
            log.warning("the approvers could not be checked", error=str(error))

    async def _check_approvers(self) -> None:
        for warning in await self._services.admission.check_settings():
            log.warning(warning)

    async def readiness(self) -> dict[str, bool]:
        """What must be true for the bot to do its job."""
        seen = await self.deployment.store.watch(self._organisation.id)
        return {
            "database": await self.deployment.store.is_writable(),
            "slack": await self._connection.is_open(),
            "zoho": seen.has_reading and not seen.last_error,
            "checks": not self._is_too_old(seen),
            "work": not any(loop.is_failing for loop in self._loops),
        }

    def _is_too_old(self, seen: WatchState) -> bool:
        """Whether checks have stopped succeeding, for whatever reason; the first may take its time."""
        longest = CHECKS_MISSED_MAX * self._organisation.check_every
        return seen.read_at is not None and self._clock.now() - seen.read_at > longest

    async def _notice_silence(self) -> None:
        """Say once that checks have stopped, and once that they are back.

        Apart from the loop that checks, since that may be what hangs. One that has slept, or was
        not running, gets the time to make its check first.
        """
        seen, now = await self.deployment.store.watch(self._organisation.id), self._clock.elapsed()
        if not self._is_too_old(seen):
            if self._is_silent:
                log.info("checks resumed")
            self._is_silent, self._too_old_since = False, None
            return
        self._too_old_since = now if self._too_old_since is None else self._too_old_since
        if not self._is_silent and now - self._too_old_since >= CHECK_GRACE_SECONDS:
            log.error("no check has succeeded for three intervals", last=str(seen.read_at))
            self._is_silent = True

    def _moved(self, old: ChangeRequest, new: ChangeRequest) -> None:
        self.deployment.metrics.moved(old, new)
        if old.state is not new.state:
            log.info("moved", change=new.number, before=old.state.value, after=new.state.value)
        if new.is_open:
            self._settling.wake()
        else:
            self._watching.wake()  # what is approved may be another now

    async def _keep_time(self) -> None:
        await self._services.changes.expire()
        await self._services.changes.remind()
        await self._services.changes.raise_alarm()

    async def _settle(self) -> None:
        try:
            await self._services.applier.settle(may_begin=self._connection.is_introduced)
        except Tampered as damage:
            await self._services.changes.tell_unreadable(damage)
            raise

    async def _tell(self) -> None:
        if not self._connection.is_introduced:
            return
        if not self._has_shown_rules:
            await self._services.changes.show_todays_rules()
            self._has_shown_rules = True
        wait = await self.served.notifier.send_due()
        if wait is not None:
            self._telling.wake_after(wait)

    async def _watch(self) -> None:
        head = await self._services.daily_head.due()
        if head is not None:
            log.info("audit head", org=self._organisation.id, seq=head.seq, hash=head.hash)
        await self._services.watch.tick()

    async def _connect(self) -> None:
        """Reach Slack, for as long as it takes. Raises SettingsError for what will never work."""
        while True:
            try:
                await self._connection.introduce()
                await self._check_approvers()
                await self._connection.open()
            except SlackFault as fault:
                if fault.is_token_trouble:
                    raise SettingsError([refused(fault)]) from fault
                self.deployment.metrics.slack_fault(fault.method, fault.error)
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
        host, port = self._listen
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
        page = self.deployment.metrics.page(await self._reading())
        return web.Response(body=page, headers={"Content-Type": CONTENT_TYPE})

    async def _reading(self) -> Reading:
        store, org = self.deployment.store, self._organisation.id
        return Reading(
            now=self._clock.now(),
            backlog=await store.backlog(org),
            budget=await self.served.budget.standing(),
            checked_at=(await store.watch(org)).read_at,
            is_ready=all((await self.readiness()).values()),
        )


async def build(settings: Settings, clock: Clock | None = None, timing: Timing = USUAL) -> App:
    """Put the bot together; nothing is sent or listened to before it is entered.

    `timing` is no operator's to turn. A SQLite database is created or upgraded here and held for this process alone; a PostgreSQL one
    must be current. Raises DatabaseError, and SettingsError if Zoho's credentials cannot be used.
    """
    for said in settings.warnings():
        log.warning(said)
    async with AsyncExitStack() as opening:
        session = await opening.enter_async_context(aiohttp.ClientSession())
        http = await opening.enter_async_context(new_http_client(endpoints_of(settings).api_url))
        metrics = Metrics()
        http.event_hooks = {"request": [metrics.zoho_asked], "response": [metrics.zoho_answered]}
        store = await open_store(settings.database_url, opening)
        await _check_organisation(store, settings.org)
        clock = clock or await own_clock(store)
        client = web_client(settings.slack_bot_token, settings.slack_api_url, session)
        workspace = Workspace(client, session)
        deployment = Deployment(store, clock, http, workspace, metrics)
        served = serve(organisation_of(settings, timing), settings, deployment)
        await _check_credentials(served.api)
        connection = Connection(settings, workspace, session, memory(store, clock), metrics.others)
        served.listeners.register(connection.bolt)
        app = App(settings.listen, deployment, served, connection, opening.pop_all())
        workspace.on_fault = app.slack_fault
        Events(
            groups=served.organisation.policy.groups,
            group_changed=app.group_changed,
            access_withdrawn=app.pause,
        ).register(connection.bolt)
        return app


async def _check_organisation(store: SqlStore, org: str) -> None:
    """A bot serves one organisation: what people have asked another one for would lie here unseen."""
    other = await store.other_organisation(org)
    if other is not None:
        raise DatabaseError(
            f"The database holds the requests of the organisation “{other}”, and MAILCFG_ORG is "
            f"“{org}”. Set MAILCFG_ORG={other}, or give each organisation a database of its own."
        )


async def _check_credentials(api: CliqClient) -> None:
    try:
        await api.check_credentials()
    except (NotConnected, OtherCredentials) as error:
        raise SettingsError([str(error)]) from error


async def _health(_: web.Request) -> web.Response:
    return web.json_response({"alive": True})
