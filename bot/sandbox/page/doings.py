"""What can be done from the page: by people in Slack, and to the world around the bot.

Each doing says by its signature what JSON it takes, and calls the one who really does it. What
cannot be done raises ValueError or InputError with a sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol

from pydantic import Field

from bot.sandbox.cliq.faults import Fault, FaultKind
from bot.sandbox.cliq.profile import ALLOWED_METHODS, sentence
from bot.sandbox.cliq.state import ADMIN
from bot.sandbox.dns import mistakes
from bot.sandbox.dns.mistakes import Wanted
from bot.sandbox.page.checklist import Checklist
from bot.sandbox.page.screens import Screens
from bot.sandbox.slack.people import ClickOutcome
from bot.sandbox.slack.records import Json
from bot.sandbox.stage import CHECK_EVERY, Stage

LONGEST_MOVE = timedelta(days=31)
MOST_CHECKS = 10
CHECK_SECONDS = 3.0
"""How long a check is waited for before the clock moves on all the same."""
FAULTS = {
    "timeout_before_effect": Fault(FaultKind.TIMEOUT_BEFORE_EFFECT),
    "timeout_after_effect": Fault(FaultKind.TIMEOUT_AFTER_EFFECT),
    "reset_after_effect": Fault(FaultKind.RESET_AFTER_EFFECT),
    "html": Fault(FaultKind.HTML),
    "truncated": Fault(FaultKind.TRUNCATED),
    "redirect": Fault(FaultKind.REDIRECT),
    "server_error": Fault(FaultKind.STATUS, code=500),
}
"""What the next call to Cliq can meet; `dead_token` and `lock` change the far end instead."""

Given = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Who = Annotated[str, Field(alias="as")]


class Bot(Protocol):
    """The running bot, as far as the page may touch it."""

    @property
    def is_running(self) -> bool: ...

    async def start(self) -> None: ...

    async def kill(self) -> None: ...


class PeopleDoings:
    """What the four people do in front of Slack."""

    def __init__(self, stage: Stage, screens: Screens, checklist: Checklist) -> None:
        self._workspace = stage.workspace
        self._screens = screens
        self._checklist = checklist

    async def command(self, user: Who, text: str, channel: str) -> Json:
        outcome = await self._workspace.command(user, as_slack_sends(text), channel)
        return {"ok": outcome.ok}

    async def click(
        self, user: Who, action: str, channel: str, ts: str, value: str | None = None
    ) -> ClickOutcome:
        self._checklist.clicked(user, action)
        return await self._workspace.click(user, channel, ts, action, value=value)

    async def submit(self, user: Who, view: str, values: Json) -> Json:
        outcome = await self._workspace.submit(user, view, values)
        return {"ok": outcome.ok, "failure": outcome.failure}

    def close(self, user: Who, view: str) -> None:
        self._workspace.close_view(user, view)

    def read(self, user: Who, channel: str, ts: str) -> None:
        self._screens.read_up_to(user, channel, ts)

    def dismiss(self, user: Who, channel: str, ts: str) -> None:
        """Take an ephemeral message off its only reader's screen."""
        message = self._workspace.state.messages.get((channel, ts))
        if message is not None and message.ephemeral_to == user:
            self._workspace.state.drop_message(channel, ts)


class WorldDoings:
    """What happens around the bot: time, DNS, Zoho's moods, its own end."""

    def __init__(self, stage: Stage, bot: Bot) -> None:
        self._stage = stage
        self._dns = stage.dns
        self._bot = bot
        self._one_check_at_a_time = asyncio.Lock()

    def advance(self, seconds: Given) -> None:
        if not 0 <= seconds <= LONGEST_MOVE.total_seconds():
            raise ValueError("The clock moves forwards, by a month at most.")
        self._stage.clock.advance(timedelta(seconds=seconds))

    async def check_now(self, times: Given = 1) -> None:
        """Move on to the next slot of the bot's own timer, so that its own loop checks.

        `times` moves on so often, each time once the check before has been made: late slots would
        fall together.
        """
        if not 1 <= times <= MOST_CHECKS:
            raise ValueError(f"One to {MOST_CHECKS} checks can be made at once.")
        async with self._one_check_at_a_time:
            for _ in range(int(times)):
                await self._check_once()

    async def _check_once(self) -> None:
        now = self._stage.clock.now()
        span = next_slot(now) - now
        if not self._bot.is_running:
            self._stage.clock.advance(span)
            return
        with contextlib.suppress(TimeoutError):  # Zoho may be out of reach: that is seen elsewhere.
            await self._stage.pass_time(span, CHECK_SECONDS)

    def publish(self) -> None:
        """The resolver starts anew: a visitor who checks at once is not to wait for its cache."""
        mistakes.publish(self._dns, self._wanted())
        self._dns.resolver.forget()

    def remove_dkim(self) -> None:
        if not self._dns.remove(self._wanted().host):
            raise ValueError("The DKIM record is not in the zone, so there is nothing to remove.")
        self._dns.resolver.forget()

    def mistake(self, kind: str) -> None:
        """Somebody publishes the record, and does it wrong."""
        if kind not in mistakes.MISTAKES:
            raise ValueError(f"`{kind}` is no mistake that can be made here.")
        mistakes.make(self._dns, self._wanted(), kind)
        self._dns.resolver.forget()

    def forget_cache(self) -> None:
        self._dns.resolver.forget()

    def break_dns(self, server: str, fault: str | None = None) -> None:
        self._dns.break_server(server, fault or None)

    def _wanted(self) -> Wanted:
        live = self._live()
        return Wanted(live["dkim_host"], live["dkim_value"])

    def _live(self) -> dict[str, str]:
        live = self._stage.cliq.configuration
        if live is None:
            raise ValueError("Cliq has no custom sender now, so there is no DKIM record.")
        return live

    def put_record(self, name: str, kind: Annotated[str, Field(alias="type")], value: str) -> None:
        self._dns.publish(name, value, type=kind)

    def remove_record(self, name: str, kind: Annotated[str, Field(alias="type")]) -> None:
        self._dns.remove(name, kind)

    def edit_cliq(self, name: str) -> None:
        """Another administrator changes the display name in the admin panel, without asking."""
        self._live()
        self._stage.cliq.edit(name=name.strip())

    def fail_next(self, kind: str, method: str | None = None) -> None:
        state = self._stage.cliq.state
        if method is not None and method not in ALLOWED_METHODS:
            raise ValueError(f"`{method}` is not among Cliq's methods.")
        if kind == "dead_token":
            for token in list(state.access_tokens):
                state.revoke(token)
        elif kind == "lock":
            state.throttle.lock(state.users[ADMIN].id, self._stage.clock.now())
        elif kind in FAULTS:
            planned = FAULTS[kind]
            self._stage.cliq.faults.plan(Fault(planned.kind, method=method, code=planned.code))
        else:
            raise ValueError(f"`{kind}` is no fault that can be planned.")

    def profile(self, profile: str) -> None:
        """From now on Cliq behaves as this profile does in everything."""
        self._behave(profile=profile)

    def switch(self, name: str, on: Any = None) -> None:
        """From now on Cliq behaves otherwise in one respect."""
        self._behave(switches={name: on})

    def _behave(self, **how: Any) -> None:
        try:
            self._stage.cliq.set_profile(**how)
        except ValueError as error:
            raise ValueError(sentence(error)) from error

    def lift_lock(self) -> None:
        """Forget every fault that is still to come, and Zoho's lock."""
        state = self._stage.cliq.state
        state.throttle.lift(state.users[ADMIN].id)
        self._stage.cliq.faults.clear()

    async def kill_bot(self) -> None:
        await self._bot.kill()

    async def start_bot(self) -> None:
        await self._bot.start()


def next_slot(now: datetime) -> datetime:
    """The bot checks when the time reaches a multiple of its interval since the epoch."""
    interval = CHECK_EVERY.total_seconds()
    done = int(now.timestamp() // interval)
    return datetime.fromtimestamp((done + 1) * interval, now.tzinfo)


def as_slack_sends(text: str) -> str:
    """A typed command as it goes over the wire: Slack escapes its three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
