"""What Slack is told by itself, over the wire: reminders, outcomes, cards that come back."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta

from bot.sandbox.run import TIMING
from bot.sandbox.world import Person
from tests.scenarios.play import ADMIN, ALICE, BOB, RENAME, Play

TOO_LONG = "This takes longer than usual and is not recorded for sure; look at the card."


def private(play: Play, who: Person) -> list[str]:
    messages = play.slack.sees(who.id, play.slack.state.dm_with(who.id).id)
    return [play.stage.read(message) for message in messages]


async def test_a_day_of_waiting_is_remembered_in_the_thread_and_told_in_private(play: Play):
    card = await play.asks(RENAME)
    for hours in (1, 3, 19, 1):
        lines = len(play.thread(card))
        play.passes(timedelta(hours=hours))
        await play.until(lambda n=lines: len(play.thread(card)) > n, "a line in the thread")

    assert [line.partition("\n")[0][:11] for line in play.thread(card)] == [
        "Reminder: #",
        "Reminder: #",
        "Reminder: #",
        "#1 expired.",
    ]
    await play.until(lambda: private(play, ALICE), "the outcome")
    assert private(play, ALICE)[0].startswith("Expired: your request #1 (http://127.0.0.1:")
    assert private(play, BOB) == []


async def test_the_outcome_is_told_once_though_the_bot_starts_anew(play: Play):
    card = await play.approved(RENAME)
    await play.says(card, "In force")
    await play.until(lambda: private(play, ALICE), "the outcome")
    await play.stop()
    await play.start()
    play.passes()

    await play.types(ALICE, "pending")

    assert len(private(play, ALICE)) == 1


async def test_a_card_that_was_deleted_comes_back_for_who_asks_what_is_pending(play: Play):
    card = await play.asks(RENAME)
    play.slack.state.drop_message(ADMIN, card.ts)

    answer = await play.types(BOB, "pending")

    again = play.stage.card("Waiting for approval")
    assert again is not None
    assert again.ts != card.ts
    assert again.ts.replace(".", "") in answer


async def test_who_clicks_while_the_database_is_busy_is_told_in_time(empty_play: Play):
    play = empty_play
    await play.start(timing=replace(TIMING, commit_budget=timedelta(seconds=0.2)))
    card = await play.asks(RENAME)
    busy = sqlite3.connect(play.database, isolation_level=None, check_same_thread=False)
    with closing(busy) as other:
        await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")
        assert await play.clicks(BOB, "approve", card) == TOO_LONG
        other.execute("ROLLBACK")

    await play.says(card, "In force")
