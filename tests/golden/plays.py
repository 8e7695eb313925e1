"""The plays that are recorded: the main lives of requests, alerts and writes, as people live them."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from rich.console import Console

from bot.sandbox.cliq.faults import FaultKind
from bot.sandbox.dns import mistakes
from bot.sandbox.dns.mistakes import Wanted
from bot.sandbox.stage import open_stage
from bot.sandbox.tour import Tour
from tests.golden.recorder import Recorder
from tests.scenarios.play import (
    ALERTS,
    ALICE,
    BOB,
    ERIN,
    MALLORY,
    MOVE,
    OSCAR,
    RENAME,
    SCOTT,
    Play,
    a_minute_after_a_check,
)

HOUR = timedelta(hours=1)
QUIET = timedelta(seconds=36)
LOOKS = ("help", "show", "check", "dns", "pending", "history", "history #1", "withdraw", "undo 1")


@asynccontextmanager
async def opened(profile: str = "page", **changes: str) -> AsyncIterator[tuple[Play, Recorder]]:
    with tempfile.TemporaryDirectory(prefix="golden-") as folder:
        stage = await open_stage(started=a_minute_after_a_check())
        stage.cliq.edit(**SCOTT)
        if profile != "page":
            stage.cliq.set_profile(profile)
        play = Play(stage, Path(folder))
        record = Recorder(play)
        try:
            await play.start(**changes)
            await record.step("begun")
            yield play, record
        finally:
            await play.stop()
            await stage.close()


async def asking() -> list[str]:
    """Every command, its form, and each way in which people end a request."""
    async with opened() as (play, record):
        for text in (*LOOKS, "shwo", "set dkim=512", 'set name="Scott Fisher" reason="x"'):
            await play.types(ALICE, text)
            await record.step(text)
        for who in (MALLORY, OSCAR, ERIN):
            await play.types(who, RENAME)
            await record.step(f"{who.name} may not ask")
        view = await play.asks_in_form(ALICE)
        await record.step("the form")
        await play.slack.submit(ALICE.id, view.id, {"email_id": "nonsense", "reason": "x"})
        await record.step("the form, wrong")
        typed = {"name": "Acme Support", "email_id": SCOTT["email_id"], "reason": "Known"}
        await play.slack.submit(ALICE.id, view.id, typed)
        await record.step("the form, sent")
        card = play.card("Waiting for approval")
        for who in (ALICE, MALLORY, ERIN):
            await play.clicks(who, "approve", card)
            await record.step(f"{who.name} may not approve")
        await play.types(BOB, MOVE)
        await record.step("a second one")
        await play.opens(ERIN, "details", card)
        await record.step("details")
        await play.clicks(BOB, "approve", card)
        await play.says(card, "In force")
        await record.step("in force")
        await play.clicks(ALICE, "undo", card)
        await record.step("undo")
        await play.clicks(ALICE, "withdraw")
        await record.step("withdrawn")
        await play.clicks(ALICE, "again")
        await record.step("again")
        view = await play.opens(BOB, "reject")
        await play.slack.submit(BOB.id, view.id, {"reason": "Customers know it"})
        await record.step("rejected")
        card = await play.asks()
        await play.clicks(BOB, "approve", card)
        await record.step("one of two")
        await play.clicks(BOB, "approve", card)
        await record.step("twice")
        for span in (HOUR, 3 * HOUR, 19 * HOUR, 2 * HOUR):
            play.passes(span)
            await record.step(f"{span} later")
        for text in ("history 10", "history #1", "pending", "show", "undo 1"):
            await play.types(ALICE, text)
            await record.step(f"at the end, {text}")
        return record.lines


async def writing() -> list[str]:
    """What becomes of writes: in force, refused, unclear, out of date, reset, undone."""
    async with opened() as (play, record):
        play.be_impatient(0.5)
        card = await play.asks(
            'set email=it@mail.acme.example dkim=2048 cname=verified reason="New"'
        )
        await record.step("another domain")
        await play.agreed(card)
        await play.says(card, "In force")
        await record.step("in force")
        for text in ("show", "dns", "check"):
            await play.types(ALICE, text)
            await record.step(text)
        play.stage.publish_record()
        play.passes()
        await record.step("published")
        play.passes(HOUR)
        card = await play.asks(RENAME)
        play.spoil(FaultKind.TIMEOUT_BEFORE_EFFECT, "PUT")
        await play.agreed(card)
        await play.says(card, "Outcome unknown")
        await record.step("unclear")
        play.passes(QUIET)
        await play.says(card, "In force")
        await record.step("settled")
        play.passes(HOUR)
        card = await play.asks('set name="Once more" reason="x"')
        play.cliq.edit(name="Somebody")
        await play.agreed(card)
        await play.says(card, "Out of date")
        await record.step("out of date")
        play.passes(HOUR)
        await record.step("changed outside")
        card = await play.asks('accept reason="It was me"')
        await play.agreed(card)
        await play.says(card, "In force")
        await record.step("accepted")
        play.passes(HOUR)
        card = await play.asks('reset reason="No more"')
        await record.step("reset asked")
        await play.agreed(card)
        await play.says(card, "In force")
        await record.step("reset")
        for text in ("show", "check", "dns", "undo 5"):
            await play.types(ALICE, text)
            await record.step(text)
            play.passes(10 * QUIET)
        play.passes(HOUR)
        await play.agreed(play.card("Waiting for approval"))
        await play.says(play.card(), "In force")
        await record.step("undone")
        return record.lines


async def keeping() -> list[str]:
    """A Cliq that keeps the old address."""
    async with opened("observed") as (play, record):
        play.be_impatient(0.5)
        card = await play.approved()
        await play.says(card, "Outcome unknown")
        await record.step("kept")
        play.passes(QUIET)
        await play.says(card, "In force")
        await record.step("set anew")
        play.passes(HOUR)
        await record.step("an hour later")
        return record.lines


async def watching() -> list[str]:
    """What the alert channel is told."""
    async with opened() as (play, record):
        view = await play.opens(ALICE, "accept", play.stage.card("Nothing is approved", ALERTS))
        await play.slack.submit(ALICE.id, view.id, {"reason": "It has always been so"})
        await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
        await record.step("asked from the watch line")
        play.stage.publish_record()
        await play.agreed(play.card("Waiting for approval"))
        await play.says(play.card(), "In force")
        await record.step("approved as it is")
        await play.stage.pass_time(HOUR)
        await record.step("in order")
        play.cliq.edit(name="Accounts Payable")
        await play.stage.pass_time(timedelta(minutes=15))
        await record.step("changed outside")
        alert = play.stage.card("Changed outside approval\n", ALERTS)
        view = await play.opens(ALICE, "restore", alert)
        await record.step("restoring")
        await play.slack.submit(ALICE.id, view.id, {"reason": "Not meant"})
        await play.until(lambda: play.stage.card("Waiting for approval"), "the request")
        await play.agreed(play.card("Waiting for approval"))
        await play.says(play.card(), "In force")
        await record.step("restored")
        await play.stage.pass_time(timedelta(minutes=15))
        await record.step("told")
        live = play.cliq.configuration
        assert live is not None
        mistakes.make(play.stage.dns, Wanted(live["dkim_host"], live["dkim_value"]), "doubled")
        for n in range(3):
            await play.stage.pass_time(timedelta(minutes=15))
            await record.step(f"doubled, check {n}")
        alert = play.stage.card("DKIM broken", ALERTS)
        assert alert is not None
        await play.clicks(ERIN, "check", alert)
        await record.step("check again")
        snooze = play.slack.click(ALICE.id, alert.channel, alert.ts, "snooze", value="1h")
        await play.hears(ALICE, snooze)
        await record.step("snoozed")
        for n in range(2):
            await play.stage.pass_time(25 * HOUR)
            await record.step(f"reminded {n}")
        play.cliq.edit(dkim_status="not_verified")
        await play.stage.pass_time(timedelta(minutes=15))
        await record.step("a status moved")
        play.stage.publish_record()
        for n in range(6):
            await play.stage.pass_time(timedelta(minutes=15))
            await record.step(f"mended, check {n}")
        return record.lines


async def only_watching() -> list[str]:
    """Where nobody can ask."""
    async with opened(MAILCFG_WATCH_ONLY="true") as (play, record):
        for text in ("show", "help", RENAME):
            await play.types(ALICE, text)
            await record.step(text)
        return record.lines


async def touring() -> list[str]:
    """`mailcfg sandbox --tour`."""
    async with opened() as (play, record):
        play.stage.publish_record()
        card = await play.approved('accept reason="It has always been so"')
        await play.says(card, "In force")
        await record.step("settled")
        tour = Tour(play.stage, Console(quiet=True))
        for step in tour._steps:
            assert await tour._play_step(step), step.id
            await record.step(step.id)
        return record.lines


PLAYS: dict[str, Callable[[], Awaitable[list[str]]]] = {
    "asking": asking,
    "writing": writing,
    "keeping": keeping,
    "watching": watching,
    "only_watching": only_watching,
    "touring": touring,
}
