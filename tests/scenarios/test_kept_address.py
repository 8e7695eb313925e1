"""Another address on a Cliq that accepts it and keeps the old one, as clients in the wild report it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.sandbox.cliq.faults import FaultKind
from tests.scenarios.play import ALERTS, ALICE, MOVE, Play

QUIET = timedelta(seconds=36)
"""Longer than a call's time-out and the quiet time together."""


@pytest.fixture
async def observed(empty_play: Play) -> Play:
    empty_play.cliq.set_profile("observed")
    await empty_play.start()
    empty_play.be_impatient()
    return empty_play


def written(play: Play) -> list[str]:
    return [write.method for write in play.cliq.writes()]


async def test_it_is_said_before_the_vote_and_in_force_after_three_writes(observed: Play):
    card = await observed.asks(MOVE)
    assert (
        "If Cliq keeps the old address, the configuration is deleted and created again; DKIM "
        "records change."
    ) in observed.stage.read(card)
    await observed.types(ALICE, "withdraw")

    card = await observed.approved()
    await observed.says(card, "Outcome unknown")
    assert observed.cliq.configuration is not None
    assert observed.cliq.configuration["email_id"] == "scott@acme.example"
    observed.passes(QUIET)

    shown = await observed.says(card, "In force")
    assert "Cliq kept the old address, so the configuration was deleted and created again." in shown
    assert (observed.puts(), written(observed)) == (2, ["DELETE", "PUT"])
    assert observed.cliq.configuration["email_id"] == "it@acme.example"
    await observed.until(lambda: "In force" in "".join(observed.thread(card)), "the result")
    assert observed.cliq.configuration["dkim_host"] in observed.thread(card)[-1]


async def test_the_new_key_is_no_drift(observed: Play):
    card = await observed.approved()
    await observed.says(card, "Outcome unknown")
    observed.passes(QUIET)
    await observed.says(card, "In force")

    observed.passes()
    await observed.shows("DKIM record not published yet", ALERTS)
    assert observed.stage.card("Changed outside approval", ALERTS) is None


STEPS = [("PUT", 0), ("DELETE", 0), ("PUT", 1)]
"""The method of each step's write, and how many of its calls come before."""


@pytest.mark.parametrize(("method", "skip"), STEPS)
@pytest.mark.parametrize("kind", [FaultKind.TIMEOUT_AFTER_EFFECT, FaultKind.TIMEOUT_BEFORE_EFFECT])
async def test_a_time_out_at_any_step_ends_in_force(
    observed: Play, method: str, skip: int, kind: FaultKind
):
    card = await observed.asks()
    observed.spoil(kind, method, skip=skip)
    await observed.agreed(card)

    assert "In force" in await observed.ends(card, QUIET)

    assert written(observed) == ["DELETE", "PUT"]


async def test_a_refusal_after_the_removal_needs_a_person_and_names_what_is_lost(observed: Play):
    card = await observed.asks()
    before = observed.cliq.configuration
    observed.spoil(FaultKind.STATUS, "PUT", skip=1, code=403)
    await observed.agreed(card)

    shown = await observed.ends(card, QUIET)

    assert before is not None
    assert shown.startswith("Needs a person")
    assert "The old configuration is removed, and the new one is not set: Zoho Cliq says" in shown
    assert "Now: no custom sender is set." in shown
    for lost in ("email_id", "name", "dkim_host", "dkim_value"):
        assert before[lost] in shown
    assert (written(observed), observed.cliq.configuration) == (["DELETE"], None)


async def test_a_lock_after_the_removal_is_waited_out(observed: Play):
    card = await observed.asks()
    observed.spoil(FaultKind.STATUS, "PUT", skip=1, code=429)
    await observed.agreed(card)
    await observed.says(card, "Outcome unknown")
    observed.passes(QUIET)

    shown = await observed.says(card, "Old configuration removed, new one not set yet")
    await observed.says(card, "has locked its API")
    assert "The old configuration, as it was" in shown
    observed.passes(timedelta(minutes=11))

    assert "In force" in await observed.ends(card, QUIET)


async def test_a_bot_that_is_restarted_between_the_steps_finishes(observed: Play):
    card = await observed.asks()
    observed.spoil(FaultKind.STATUS, "PUT", skip=1, code=429)
    await observed.agreed(card)
    await observed.says(card, "Outcome unknown")
    observed.passes(QUIET)
    await observed.says(card, "has locked its API")

    await observed.stop()
    observed.passes(timedelta(hours=3))
    await observed.start()

    assert "In force" in await observed.ends(card, QUIET)
    assert written(observed) == ["DELETE", "PUT"]
