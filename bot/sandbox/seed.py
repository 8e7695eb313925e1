"""How the world came to be lived in: three weeks ago Alice asked for a sender, and two agreed.

It is played, not painted: the same people, bot and wires as ever after, on a clock set back.
"""

from __future__ import annotations

from datetime import timedelta

from bot.sandbox import world
from bot.sandbox.slack.records import Message
from bot.sandbox.stage import CHECK_EVERY, Stage

LIVED = timedelta(weeks=3)
ASK = (
    'set name="Scott Fisher" email=scott@acme.example dkim=2048 cname=verified '
    'reason="Our notifications should come from our own domain"'
)


async def live_in(stage: Stage) -> None:
    """Play the first request to its end, publish its record, and let three weeks pass."""
    await stage.until(lambda: stage.card("Nothing is approved yet", world.ALERT_CHANNEL), "a watch")
    await stage.workspace.command(world.ALICE.id, ASK)
    card = await stage.until(lambda: stage.card("Waiting for approval"), "the first request")
    for person in (world.BOB, world.CAROL):
        await stage.workspace.click(person.id, card.channel, card.ts, "approve")
    await stage.until(lambda: stage.card("In force"), "the first change in force")
    await stage.until(lambda: _says(stage, card, "In force"), "its result")
    await stage.until(lambda: _says(stage, card, "not seen yet"), "the first look at its record")
    stage.publish_record()
    await stage.pass_time(CHECK_EVERY)
    await stage.until(lambda: _is_done(stage, card), "Zoho's verification")
    await stage.until(
        lambda: stage.card("DKIM in order at 2 of 2 servers", world.ALERT_CHANNEL), "all in order"
    )
    stage.clock.advance(LIVED - CHECK_EVERY - timedelta(minutes=1))
    await stage.pass_time(timedelta(minutes=1))
    stage.workspace.forget_ephemerals()


def _is_done(stage: Stage, card: Message) -> bool:
    """In the thread, and to Alice alone."""
    private = stage.workspace.sees(world.ALICE.id, stage.workspace.state.dm_with(world.ALICE.id).id)
    is_private = any("Done:" in stage.read(message) for message in private)
    return is_private and _says(stage, card, "Done.")


def _says(stage: Stage, card: Message, words: str) -> bool:
    return any(words in stage.read(line) for line in stage.thread(card))
