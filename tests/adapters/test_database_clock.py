"""The time that replicas agree on is the database's, whatever happens to a machine's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.store.clock import DatabaseClock
from bot.adapters.store.sql import SqlStore
from bot.clock import SystemClock
from bot.storage import own_clock
from tests.fakes import FakeClock

SOON = timedelta(seconds=5)


class Machine(FakeClock):
    def set_by(self, **span: float) -> None:
        """Its wall clock is set, as NTP does; no time passes."""
        self._now += timedelta(**span)


@pytest.mark.parametrize("minutes", [5, -5])
async def test_a_machine_whose_clock_is_set_keeps_the_time_of_the_database(
    store: SqlStore, minutes: float
):
    machine = Machine()
    clock = DatabaseClock(machine, store)
    await clock.synchronise()
    before = clock.now()

    machine.set_by(minutes=minutes)
    machine.advance(seconds=7)

    assert abs(before - datetime.now(UTC)) < SOON
    assert clock.now() == before + timedelta(seconds=7)


async def test_the_one_process_on_a_file_takes_the_time_of_its_machine(sqlite_store: SqlStore):
    assert isinstance(await own_clock(sqlite_store), SystemClock)
