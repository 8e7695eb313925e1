"""What can be done from the page: by people in Slack, and to the world around the bot.

Each doing checks its JSON, calls the one who really does it, and answers with JSON. What cannot be
done raises Refused with a sentence.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.errors import InputError
from bot.sandbox.cliq.faults import Fault, FaultKind
from bot.sandbox.cliq.profile import sentence
from bot.sandbox.cliq.state import ADMIN
from bot.sandbox.dns import mistakes
from bot.sandbox.dns.mistakes import Wanted
from bot.sandbox.dns.zone import DEFAULT_TTL
from bot.sandbox.page.checklist import Checklist
from bot.sandbox.page.screens import Screens
from bot.sandbox.slack.records import Json, PersonCannot
from bot.sandbox.stage import CHECK_EVERY, Stage

LONGEST_MOVE = timedelta(days=31)
MOST_CHECKS = 10
CHECK_SECONDS = 3.0
"""How long a check is waited for before the clock moves on all the same."""
API_METHODS = ("GET", "PUT", "DELETE")
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

Doing = Callable[[Json], Awaitable[Json]]


class Refused(Exception):
    """It was not done; the sentence says why."""


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

    def table(self) -> dict[str, Doing]:
        return {
            "command": self.command,
            "click": self.click,
            "submit": self.submit,
            "close": self.close,
            "read": self.read,
            "dismiss": self.dismiss,
        }

    async def command(self, given: Json) -> Json:
        text = as_slack_sends(text_in(given, "text"))
        outcome = await self._workspace.command(
            text_in(given, "as"), text, text_in(given, "channel")
        )
        return {"ok": outcome.ok}

    async def click(self, given: Json) -> Json:
        user, action = text_in(given, "as"), text_in(given, "action")
        channel, ts = text_in(given, "channel"), text_in(given, "ts")
        self._checklist.clicked(user, action)
        outcome = await self._workspace.click(
            user, channel, ts, action, value=optional_text_in(given, "value")
        )
        return {"ok": outcome.ok, "failure": outcome.failure}

    async def submit(self, given: Json) -> Json:
        outcome = await self._workspace.submit(
            text_in(given, "as"), text_in(given, "view"), object_in(given, "values")
        )
        return {"ok": outcome.ok, "failure": outcome.failure}

    async def close(self, given: Json) -> Json:
        await self._workspace.close_view(text_in(given, "as"), text_in(given, "view"))
        return {"ok": True}

    async def read(self, given: Json) -> Json:
        self._screens.read_up_to(
            text_in(given, "as"), text_in(given, "channel"), text_in(given, "ts")
        )
        return {"ok": True}

    async def dismiss(self, given: Json) -> Json:
        """Take an ephemeral message off its only reader's screen."""
        user, channel, ts = (text_in(given, name) for name in ("as", "channel", "ts"))
        for message in self._workspace.messages():
            if (message.channel, message.ts, message.ephemeral_to) == (channel, ts, user):
                self._workspace.delete_message(channel, ts)
        return {"ok": True}


class WorldDoings:
    """What happens around the bot: time, DNS, Zoho's moods, its own end."""

    def __init__(self, stage: Stage, bot: Bot) -> None:
        self._stage = stage
        self._bot = bot
        self._one_check_at_a_time = asyncio.Lock()

    def table(self) -> dict[str, Doing]:
        return {
            "advance": self.advance,
            "check_now": self.check_now,
            "publish": self.publish,
            "remove_dkim": self.remove_dkim,
            "mistake": self.mistake,
            "break_dns": self.break_dns,
            "forget_cache": self.forget_cache,
            "put_record": self.put_record,
            "remove_record": self.remove_record,
            "edit_cliq": self.edit_cliq,
            "fail_next": self.fail_next,
            "profile": self.profile,
            "switch": self.switch,
            "lift_lock": self.lift_lock,
            "kill_bot": self.kill_bot,
            "start_bot": self.start_bot,
        }

    async def advance(self, given: Json) -> Json:
        seconds = number_in(given, "seconds")
        if not 0 <= seconds <= LONGEST_MOVE.total_seconds():
            raise Refused("The clock moves forwards, by a month at most.")
        self._stage.clock.advance(timedelta(seconds=seconds))
        return {"ok": True}

    async def check_now(self, given: Json) -> Json:
        """Move on to the next slot of the bot's own timer, so that its own loop checks.

        `times` moves on so often, each time once the check before has been made: late slots would
        fall together.
        """
        times = int(number_in(given, "times")) if "times" in given else 1
        if not 1 <= times <= MOST_CHECKS:
            raise Refused(f"One to {MOST_CHECKS} checks can be made at once.")
        async with self._one_check_at_a_time:
            for _ in range(times):
                await self._check_once()
        return {"ok": True}

    async def _check_once(self) -> None:
        now = self._stage.clock.now()
        span = next_slot(now) - now
        if not self._bot.is_running:
            self._stage.clock.advance(span)
            return
        with contextlib.suppress(TimeoutError):  # Zoho may be out of reach: that is seen elsewhere.
            await self._stage.pass_time(span, CHECK_SECONDS)

    async def publish(self, given: Json) -> Json:
        """The resolver starts anew: a visitor who checks at once is not to wait for its cache."""
        mistakes.publish(self._stage.dns, self._wanted())
        self._stage.dns.forget_cache()
        return {"ok": True}

    async def remove_dkim(self, given: Json) -> Json:
        if not self._stage.dns.remove(self._wanted().host):
            raise Refused("The DKIM record is not in the zone, so there is nothing to remove.")
        self._stage.dns.forget_cache()
        return {"ok": True}

    async def mistake(self, given: Json) -> Json:
        """Somebody publishes the record, and does it wrong."""
        kind = text_in(given, "kind")
        if kind not in mistakes.MISTAKES:
            raise Refused(f"`{kind}` is no mistake that can be made here.")
        mistakes.make(self._stage.dns, self._wanted(), kind)
        self._stage.dns.forget_cache()
        return {"ok": True}

    async def break_dns(self, given: Json) -> Json:
        try:
            self._stage.dns.break_server(
                text_in(given, "server"), optional_text_in(given, "fault") or None
            )
        except InputError as error:
            raise Refused(str(error)) from error
        return {"ok": True}

    async def forget_cache(self, given: Json) -> Json:
        self._stage.dns.forget_cache()
        return {"ok": True}

    def _wanted(self) -> Wanted:
        live = self._live()
        return Wanted(live["dkim_host"], live["dkim_value"])

    def _live(self) -> dict[str, str]:
        live = self._stage.cliq.configuration
        if live is None:
            raise Refused("Cliq has no custom sender now, so there is no DKIM record.")
        return live

    async def put_record(self, given: Json) -> Json:
        name, kind, value = (text_in(given, field) for field in ("name", "type", "value"))
        try:
            self._stage.dns.publish(name, value, int(given.get("ttl") or DEFAULT_TTL), kind)
        except (InputError, TypeError, ValueError) as error:
            raise Refused(str(error)) from error
        return {"ok": True}

    async def remove_record(self, given: Json) -> Json:
        try:
            self._stage.dns.remove(text_in(given, "name"), text_in(given, "type"))
        except InputError as error:
            raise Refused(str(error)) from error
        return {"ok": True}

    async def edit_cliq(self, given: Json) -> Json:
        """Another administrator changes the display name in the admin panel, without asking."""
        self._live()
        name = text_in(given, "name").strip()
        try:
            self._stage.cliq.edit(name=name)
        except ValueError as error:
            raise Refused(str(error)) from error
        return {"ok": True}

    async def fail_next(self, given: Json) -> Json:
        kind, method = text_in(given, "kind"), optional_text_in(given, "method")
        state = self._stage.cliq.state
        if method is not None and method not in API_METHODS:
            raise Refused(f"`{method}` is not among Cliq's methods.")
        if kind == "dead_token":
            for token in list(state.access_tokens):
                state.revoke(token)
        elif kind == "lock":
            state.throttle.lock(state.users[ADMIN].id, self._stage.clock.now())
        elif kind in FAULTS:
            planned = FAULTS[kind]
            self._stage.cliq.faults.add(Fault(planned.kind, method=method, code=planned.code))
        else:
            raise Refused(f"`{kind}` is no fault that can be planned.")
        return {"ok": True}

    async def profile(self, given: Json) -> Json:
        """From now on Cliq behaves as this profile does in everything."""
        self._behave(profile=text_in(given, "profile"))
        return {"ok": True}

    async def switch(self, given: Json) -> Json:
        """From now on Cliq behaves otherwise in one respect."""
        self._behave(switches={text_in(given, "name"): given.get("on")})
        return {"ok": True}

    def _behave(self, **how: Any) -> None:
        try:
            self._stage.cliq.set_profile(**how)
        except ValueError as error:
            raise Refused(sentence(error)) from error

    async def lift_lock(self, given: Json) -> Json:
        """Forget every fault that is still to come, and Zoho's lock."""
        state = self._stage.cliq.state
        state.throttle.lift(state.users[ADMIN].id)
        self._stage.cliq.faults.clear()
        return {"ok": True}

    async def kill_bot(self, given: Json) -> Json:
        await self._bot.kill()
        return {"ok": True}

    async def start_bot(self, given: Json) -> Json:
        await self._bot.start()
        return {"ok": True}


def next_slot(now: datetime) -> datetime:
    """The bot checks when the time reaches a multiple of its interval since the epoch."""
    interval = CHECK_EVERY.total_seconds()
    done = int(now.timestamp() // interval)
    return datetime.fromtimestamp((done + 1) * interval, now.tzinfo)


def as_slack_sends(text: str) -> str:
    """A typed command as it goes over the wire: Slack escapes its three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


async def done(doing: Doing, given: Json) -> Json:
    """Do it; raises Refused."""
    try:
        return await doing(given)
    except PersonCannot as refusal:
        raise Refused(str(refusal)) from refusal


def text_in(given: Json, name: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise Refused(f"`{name}` is missing or not a text.")
    return value


def optional_text_in(given: Json, name: str) -> str | None:
    return None if given.get(name) is None else text_in(given, name)


def object_in(given: Json, name: str) -> dict[str, Any]:
    value = given.get(name)
    if not isinstance(value, dict):
        raise Refused(f"`{name}` is missing or not an object.")
    return value


def number_in(given: Json, name: str) -> float:
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"`{name}` is missing or not a number.")
    return float(value)
