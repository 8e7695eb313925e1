"""The far ends of every wire, on one clock: emulated Slack, Zoho and DNS, and what people do there.

The bot is not here: it is started by `run` against these addresses, like against any others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from bot.sandbox import world
from bot.sandbox.cliq import serving as cliq_serving
from bot.sandbox.cliq.emulator import CliqEmulator
from bot.sandbox.cliq.serving import ServedCliq
from bot.sandbox.cliq.state import State
from bot.sandbox.clock import AdjustableClock
from bot.sandbox.dns.emulator import DnsEmulator
from bot.sandbox.exchanges import WireLog
from bot.sandbox.slack import serving as slack_serving
from bot.sandbox.slack.emulator import SlackWorkspace
from bot.sandbox.slack.records import Message
from bot.sandbox.slack.serving import ServedSlack

Found = TypeVar("Found")
CHECK_EVERY = timedelta(minutes=15)
PATIENCE_SECONDS = 15.0
STATE_FILE = "world.json"


@dataclass(frozen=True)
class Stage:
    """Everything that the bot talks to."""

    clock: AdjustableClock
    workspace: SlackWorkspace
    slack: ServedSlack
    cliq: CliqEmulator
    cliq_at: ServedCliq
    dns: DnsEmulator
    wire_log: WireLog

    def bot_environment(self) -> dict[str, str]:
        """The settings with which the bot finds this stage; the transport is not among them."""
        lines = [*self.slack.dotenv(), *self.cliq_at.dotenv(), *self.dns.dotenv()]
        values = dict(line.split("=", 1) for line in lines)
        return values | {"MAILCFG_ORG": "acme", "MAILCFG_LABEL": "sandbox"}

    async def until(
        self, seen: Callable[[], Found | None], what: str, seconds: float = PATIENCE_SECONDS
    ) -> Found:
        """Wait until `seen` gives something; `what` is the sentence if it never does."""
        return await self.workspace.changes.wait_for(seen, timeout=seconds, what=what)

    def card(self, words: str, channel: str = world.ADMIN_CHANNEL) -> Message | None:
        """The newest message in a channel, seen by everybody, whose text has `words`."""
        public = [m for m in self.workspace.sees(world.BOB.id, channel) if not m.ephemeral_to]
        found = [m for m in public if words in self.read(m)]
        return found[-1] if found else None

    def thread(self, card: Message) -> list[Message]:
        return self.workspace.sees(world.BOB.id, card.channel, thread_ts=card.ts)[1:]

    def read(self, message: Message) -> str:
        return self.workspace.plain_text(message)

    def publish_record(self) -> None:
        """What the DNS owner does: publish the record that Zoho asks for."""
        live = self.cliq.configuration
        assert live is not None
        self.dns.publish(live["dkim_host"], live["dkim_value"])

    async def pass_time(self, span: timedelta, seconds: float = PATIENCE_SECONDS) -> None:
        """Move the clock, and wait until the bot has made its next check."""
        before = self.reads
        self.clock.advance(span)
        await self.until(lambda: self.reads > before or None, "the bot made its check", seconds)

    @property
    def reads(self) -> int:
        """How often the configuration has been read."""
        return sum(1 for r in self.cliq.log.all() if r.method == "GET" and r.status == 200)

    def save(self, folder: Path) -> None:
        kept = {
            "offset_seconds": self.clock.offset.total_seconds(),
            "slack": self.workspace.state.dump(),
            "cliq": self.cliq.state.dump(),
            "dns": self.dns.dump(),
        }
        fresh = folder / f"{STATE_FILE}.new"
        fresh.write_text(json.dumps(kept), encoding="utf-8")
        fresh.replace(folder / STATE_FILE)

    async def close(self) -> None:
        await self.slack.close()
        await self.cliq_at.close()
        await self.dns.close()


async def open_stage(folder: Path | None = None, *, started: timedelta = timedelta(0)) -> Stage:
    """Start every emulator on loopback: as they were left in `folder`, else new.

    A new stage's clock runs `started` ahead of real time; a negative span is the past.
    """
    kept = _kept(folder)
    offset = timedelta(seconds=kept["offset_seconds"]) if kept else started
    clock = AdjustableClock(offset)
    wire_log = WireLog(clock)
    dns = DnsEmulator(clock=clock, wire_log=wire_log)
    cliq = CliqEmulator(clock=clock, lookup_txt=dns.txt, configured=False, wire_log=wire_log)
    workspace = SlackWorkspace(clock=clock, wire_log=wire_log)
    if kept:
        workspace.state.load(kept["slack"])
        cliq.state.become(State.loaded(kept["cliq"]))
        dns.load(kept["dns"])
    await dns.start("127.0.0.1", 0)
    slack = await slack_serving.start(workspace)
    cliq_at = await cliq_serving.start(cliq)
    return Stage(clock, workspace, slack, cliq, cliq_at, dns, wire_log)


def _kept(folder: Path | None) -> Any:
    if folder is None or not (folder / STATE_FILE).exists():
        return None
    return json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
