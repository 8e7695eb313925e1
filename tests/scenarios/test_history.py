"""Looking back and going back, over the wire; and a request that nobody can read any more."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from contextlib import closing

from tests.scenarios.play import (
    ALERTS,
    ALICE,
    BOB,
    ERIN,
    MALLORY,
    RENAME,
    Play,
)


async def test_a_change_is_undone_with_the_button_of_its_card(play: Play):
    card = await play.approved(RENAME)
    await play.says(card, "In force")

    answer = await play.clicks(ALICE, "undo", card)
    assert answer.startswith("Request #2 ")
    undo = play.card("Waiting for approval")
    assert "@Alice asks to change display name · undoes #1" in play.stage.read(undo)
    assert "> Undo #1: Nobody knows Scott" in play.stage.read(undo)
    await play.clicks(BOB, "approve", undo)
    await play.says(undo, "In force")

    live = play.cliq.configuration
    assert live is not None
    assert live["name"] == "Scott Fisher"


async def test_an_undo_that_is_typed_says_why_it_cannot_be(play: Play):
    assert await play.types(ALICE, "undo 7") == (
        "There is no request #7. /mailcfg history lists the newest."
    )
    await play.asks(RENAME)
    assert await play.types(ALICE, "rollback 1") == (
        "#1 is still open, so there is nothing to undo. Whoever asked for it can /mailcfg withdraw "
        "it, and an approver can reject it."
    )
    assert "You are not among those who may ask" in await play.types(ERIN, "undo 1")


async def test_members_see_the_history_and_guests_do_not(play: Play):
    assert await play.types(ERIN, "history") == "Nobody has asked for a change yet."
    card = await play.approved(RENAME)
    await play.says(card, "In force")

    listed = await play.types(ERIN, "history 3")
    assert re.match(r"#1 \(https?://\S+\)  In force: change display name\n", listed)
    story = await play.types(ERIN, "history #1")
    assert "asked by @Alice" in story
    assert "read back, in force" in story
    for text in ("history", "history #1"):
        assert "You are a guest in this workspace" in await play.types(MALLORY, text)


async def test_the_head_in_the_thread_is_that_of_the_result_and_whole_in_its_details(play: Play):
    card = await play.approved(RENAME)
    await play.says(card, "In force")
    await play.until(lambda: len(play.thread(card)) == 2, "the result")

    seq, whole = sqlite_row(play, "SELECT seq, hash FROM audit WHERE kind = 'applied'")
    assert play.thread(card)[-1].endswith(f"\nAudit head {seq}:{whole[:16]}")
    details = await play.opens(ERIN, "details", card)
    assert f"{seq}:{whole}" in play.slack.plain_text(details)


def sqlite_row(play: Play, query: str) -> tuple[int, str]:
    with closing(sqlite3.connect(f"file:{play.database}?mode=ro", uri=True)) as database:
        found: tuple[int, str] = database.execute(query).fetchone()
        return found


def damage(play: Play) -> None:
    with closing(sqlite3.connect(play.database)) as database, database:
        database.execute("UPDATE request SET policy_json = '{}'")


async def test_a_request_that_cannot_be_read_is_told_once_and_the_watch_goes_on(play: Play):
    await play.asks(RENAME)
    await asyncio.to_thread(damage, play)

    told = await play.shows("Request #1 in the database cannot be read", ALERTS)
    assert told.startswith(
        "Request #1 in the database cannot be read: its row was damaged.\n"
        "Nothing is sent for it, and nothing else can be asked for until it can be read again; the "
        "sender is watched all the same."
    )
    assert play.bot is not None
    assert (await play.bot.readiness())["work"] is False
    play.cliq.edit(name="Intruder", email_id="scott@acme.example")
    play.passes()
    await play.until(lambda: play.stage.card("Intruder", ALERTS), "the watch to have looked")
    alerts = [text for text in play.texts(ALERTS) if "cannot be read" in text]
    assert len(alerts) == 1
