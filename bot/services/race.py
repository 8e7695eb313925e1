"""Whoever loses a race for a row reads again and decides anew: the one way to do so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from bot.ports import LostRace

Done = TypeVar("Done")


async def until_won(attempt: Callable[[], Awaitable[Done]]) -> Done:
    """Repeat until nobody was faster; each round some other move has won, so rounds are few."""
    while True:
        with suppress(LostRace):
            return await attempt()
